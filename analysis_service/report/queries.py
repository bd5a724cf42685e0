"""What was asked: the queries of a metric with their arguments filled in, free of secrets."""

from collections.abc import Mapping
from typing import Any

import msgspec

from analysis_service.core.compare.spec import SpecError, comparison_of, parse
from analysis_service.core.model import MetricResult, RunSpec
from analysis_service.core.prepare import Ready

MASK = "***"
_PREFIX, _SUFFIX = "Resolved", "Query"  # what providers call the query in a metric's metadata
_OPEN_HEADERS = frozenset({"accept", "content-type", "user-agent", "x-scope-orgid"})
_SECRET = ("auth", "token", "key", "secret", "password", "credential", "cookie", "session")


def queries(result: MetricResult, ready: Ready | None) -> list[tuple[str, str]]:
    """(what it is, the text). What providers said they asked comes first; else the provider as specified."""
    said = [
        (key.removeprefix(_PREFIX).removesuffix(_SUFFIX), text)
        for key, text in sorted(result.metadata.items())
        if key.startswith(_PREFIX) and key.endswith(_SUFFIX) and text
    ]
    if said or ready is None:
        return said
    compared = comparison_of(ready.metric.provider)
    if compared is None:
        return [asked(ready.metric.provider)]
    try:
        spec = parse(compared, ready.interval)
    except SpecError:
        return [asked(ready.metric.provider)]
    made = []
    for ask in spec.asks if spec.past is None else (*spec.asks, spec.past):
        name, text = asked(ask.union)
        made.append((f"{ask.arm}, {ask.part}: {name}", text))
    return made


def asked(union: Mapping[str, Any]) -> tuple[str, str]:
    """A provider's name and its query; all of its settings where it has no query."""
    for name, spec in union.items():
        if name == "plugin" and isinstance(spec, Mapping) and len(spec) == 1:
            return asked(spec)
        if isinstance(spec, Mapping) and isinstance(spec.get("query"), str):
            return name, spec["query"]
        return name, msgspec.json.format(msgspec.json.encode(masked(spec)), indent=2).decode()
    return "provider", ""


def open_spec(spec: RunSpec) -> Any:
    """The spec as plain data to hand around, free of secrets: enough to draw thresholds and limits again."""
    return masked(msgspec.to_builtins(spec))


def masked(value: Any, name: str = "") -> Any:
    """The value without what a secret may stand in: values of headers, and of fields that are called like one.

    `key` itself names a header, or where in a Secret to look.
    """
    if isinstance(value, Mapping):
        header = isinstance(value.get("key"), str) and "value" in value
        if header:
            shown = str(value["key"]).lower() in _OPEN_HEADERS
            return {**value, "value": value["value"] if shown else MASK}
        return {key: masked(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner, name) for inner in value]
    if isinstance(value, str) and name != "key" and any(word in name.lower() for word in _SECRET):
        return MASK
    return value
