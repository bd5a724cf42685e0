"""What a metric asks of its provider, one question at a time: a comparison asks one for each arm and series."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from analysis_service.asking import unwrap
from analysis_service.cli.recording import Exchange, NotSent, Rehearsal, StandIns
from analysis_service.cli.resolved import CannotCompose
from analysis_service.config import Settings
from analysis_service.core.compare.spec import SpecError, comparison_of, parse
from analysis_service.core.expression import evaluate_time
from analysis_service.core.model import Metric
from analysis_service.core.prepare import ready
from providers import BUILT_IN, load
from providers.addresses import AddressPolicy
from providers.base import Context, ProviderError
from providers.tools import Tools

Union = Mapping[str, Any]
"""{"prometheus": {...}}"""


def questions(metric: Metric) -> Iterator[tuple[str, Union]]:
    """(what is asked, the provider union); a plain metric has one question without a name. Raises CannotCompose."""
    comparison = comparison_of(metric.provider)
    if comparison is None:
        yield "", metric.provider
        return
    try:
        asks = parse(comparison, ready(metric).interval).every_question
    except SpecError as error:
        raise CannotCompose(f"{metric.name}: compare: {error}") from None
    for ask in asks:
        yield f"{ask.arm} {ask.part}".lstrip(), ask.union


def policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy(
        allow_private=settings.allow_private_addresses, allow_loopback=settings.allow_loopback_addresses
    )


async def rehearse(union: Union, namespace: str, settings: Settings, secrets: StandIns) -> tuple[list[Exchange], str]:
    """(the requests as they would go out, what keeps them from it or ""). Nothing is sent."""
    name, spec = unwrap(union)
    if name not in BUILT_IN:
        return [], "this provider is not built in; its requests are its own, and only its resolved values are shown"
    http = Rehearsal(policy(settings))
    provider = load(name)(Tools(http=http, evaluate_time=evaluate_time))
    wrong = provider.check(spec)
    if wrong:
        return [], "; ".join(wrong)
    context = Context(
        at=datetime.now(UTC),
        namespace=namespace,
        secrets=secrets,
        deadline_seconds=provider.timeout_seconds(spec),
        controller_namespace=settings.controller_namespace,
        env=settings.argo_environment,
    )
    try:
        await provider.query(spec, context)
    except NotSent:
        return http.exchanges, ""
    except ProviderError as error:
        return http.exchanges, str(error)
    return http.exchanges, ""
