"""Providers ask a metrics backend one question each. A leaf package: it imports nothing of the service.

`load` finds one by the name it has in a template. The built-in ones stand in a table and are imported when asked
for; others are installed as entry points of the group `analysis_service.providers`:

    [project.entry-points."analysis_service.providers"]
    graphite = "my_package.graphite:Graphite"    # called with providers.tools.Tools, gives a Provider
"""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from providers.tools import ProviderFactory  # no client is imported before a provider is

GROUP = "analysis_service.providers"

BUILT_IN = {
    "datadog": "providers.datadog:Datadog",
    "newRelic": "providers.newrelic:NewRelic",
    "prometheus": "providers.prometheus:Prometheus",
    "scrape": "providers.scrape:Scrape",
    "web": "providers.web:Web",
}
"""Name in a template -> module and class."""


class UnknownProvider(LookupError):
    """No provider has this name, or two have; `args[0]` is the sentence for the user."""


def load(name: str) -> "ProviderFactory":
    """What makes the provider of this name: call it with `Tools`. Raises UnknownProvider."""
    found = [(f"{point.value} of {_distribution(point)}", point) for point in entry_points(group=GROUP, name=name)]
    built_in = BUILT_IN.get(name)
    if len(found) + (built_in is not None) > 1:
        owners = ([f"the built-in {built_in}"] if built_in else []) + [owner for owner, _ in found]
        raise UnknownProvider(f"two providers are called '{name}': {' and '.join(owners)}; uninstall one")
    if built_in is not None:
        module, _, attribute = built_in.partition(":")
        return cast("ProviderFactory", getattr(import_module(module), attribute))
    if not found:
        raise UnknownProvider(f"no provider is called '{name}'; installed are: {', '.join(installed())}")
    return cast("ProviderFactory", found[0][1].load())


def installed() -> list[str]:
    """The names of all providers that can be loaded, sorted."""
    return sorted(set(BUILT_IN) | {point.name for point in entry_points(group=GROUP)})


def _distribution(point: EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist is not None else "an unnamed package"
