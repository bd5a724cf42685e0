"""Filling arguments into metrics, exactly as Argo does.

Argo writes the whole metric as JSON, replaces `{{args.x}}` in that text and reads it back; values are escaped by Go's
rules for strings, not by JSON's. All consequences are kept: tags work in every string, a map key included; values are
not expanded again; characters that Go escapes in a way JSON does not know fail the metric.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from analysis_service.core.model import Argument, Metric
from analysis_service.core.tags import OPEN, ArgumentError, Tag, fill, go_escape
from analysis_service.core.wire_providers import PLUGIN, PROVIDERS
from analysis_service.core.wire_types import ListOf, Object, ProviderUnion, Type

ARM = "arm."

# Argo's order of fields, which decides the tag that an error names; our own fields follow
_ORDER = (
    "name",
    "interval",
    "initialDelay",
    "count",
    "successCondition",
    "failureCondition",
    "failureLimit",
    "inconclusiveLimit",
    "consecutiveErrorLimit",
    "provider",
    "consecutiveSuccessLimit",
)
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_JSON_ESCAPES = frozenset('"\\/bfnrtu')
_decoder = msgspec.json.Decoder(Metric)


def resolve_template(text: str, args: Sequence[Argument]) -> str:
    """Fill arguments into a text. Raises ArgumentError with Argo's words."""
    return _resolve(text, args, escape=False, arms=False)


def resolve_quoted(text: str, args: Sequence[Argument]) -> str:
    """Fill arguments, escaped as in a Go string literal, into a text."""
    return _resolve(text, args, escape=True, arms=False)


def resolve_metric(metric: Metric, args: Sequence[Argument]) -> Metric:
    """The metric with every tag filled in; the very same object if it has none.

    Raises ArgumentError: `argument "x" was not supplied`, `failed to resolve {{x}}`, or what Go's JSON reader says.
    """
    text = msgspec.json.encode(metric).decode()
    if OPEN not in text:
        _supplied(args)
        return metric
    arms = "compare" in provider_names(metric.provider)
    try:
        filled = _resolve(text, args, escape=True, arms=arms)
    except ArgumentError:  # an error quotes the text as Argo writes it; that way of writing is slower
        filled = _resolve(metric_json(metric), args, escape=True, arms=arms)
    try:
        return _decoder.decode(filled)
    except msgspec.DecodeError as error:
        raise ArgumentError(_go_json_error(filled) or str(error)) from None


def resolve_arm(spec: Any, arm: Mapping[str, str]) -> Any:
    """A provider spec of a comparison with `{{arm.x}}` filled in. Raises ArgumentError for a value the arm lacks."""
    if isinstance(spec, str):
        return fill(spec, lambda tag: arm.get(tag.name.removeprefix(ARM)) if tag.name.startswith(ARM) else None)
    if isinstance(spec, Mapping):
        return {resolve_arm(key, arm): resolve_arm(value, arm) for key, value in spec.items()}
    if isinstance(spec, list | tuple):
        return [resolve_arm(item, arm) for item in spec]
    return spec


def metric_json(metric: Metric) -> str:
    """The metric as Argo would write it: its order of fields, `<`, `>` and `&` escaped."""
    values: dict[str, Any] = msgspec.to_builtins(metric)
    if "provider" in values:
        values["provider"] = _ordered(ProviderUnion(), values["provider"])
    ordered = {key: values[key] for key in (*_ORDER, *values) if key in values}
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _HTML.items():
        text = text.replace(character, escape)
    return text


def strings(metric: Metric) -> Iterator[tuple[str, str]]:
    """Every text of a metric with its path inside the metric, in Argo's order; keys of maps are not texts here."""
    values: dict[str, Any] = msgspec.to_builtins(metric)
    for key in (*_ORDER, *(key for key in values if key not in _ORDER)):
        if key in values:
            yield from _strings(values[key], key)


def provider_names(provider: Mapping[str, Any]) -> tuple[str, ...]:
    """The provider names of a metric; those written under `plugin` count as the provider they name."""
    plugins = provider.get(PLUGIN)
    names = tuple(name for name in provider if name != PLUGIN)
    return names + (tuple(plugins) if isinstance(plugins, Mapping) else ())


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _strings(item, f"{path}[{index}]")


def _supplied(args: Sequence[Argument]) -> dict[str, str]:
    values: dict[str, str] = {}
    for arg in args:
        if arg.value is None:
            raise ArgumentError(f'argument "{arg.name}" was not supplied')
        values[f"args.{arg.name}"] = arg.value
    return values


def _resolve(text: str, args: Sequence[Argument], *, escape: bool, arms: bool) -> str:
    values: dict[str, str] = {}

    def value_of(tag: Tag) -> str | None:
        if arms and tag.name.startswith(ARM):  # filled in later, once per arm
            return text[tag.start : tag.end]
        value = values.get(tag.name)
        return go_escape(value) if escape and value is not None else value

    try:
        values = _supplied(args)
    except ArgumentError:
        fill(text, lambda tag: "")  # unclosed braces are found first
        raise
    return fill(text, value_of)


def _go_json_error(text: str) -> str:
    """What Go's JSON reader says of an escape it does not know."""
    at = text.find("\\")
    while at >= 0 and at + 1 < len(text):
        if text[at + 1] not in _JSON_ESCAPES:
            return f"invalid character {_go_rune(text[at + 1])} in string escape code"
        at = text.find("\\", at + 2)
    return ""


def _go_rune(character: str) -> str:
    return "'\\''" if character == "'" else f"'{character}'"


def _ordered(shape: Type, value: Any) -> Any:
    """Known maps in the order of their table, which is Argo's; free ones as they are."""
    if isinstance(value, Mapping):
        if isinstance(shape, Object):
            known = [key for key in shape.fields if key in value]
            rest = [key for key in value if key not in shape.fields]
            return {key: _ordered(shape.fields[key].type, value[key]) for key in known} | {k: value[k] for k in rest}
        if isinstance(shape, ProviderUnion):
            return {key: _ordered(PROVIDERS[key], item) if key in PROVIDERS else item for key, item in value.items()}
    if isinstance(shape, ListOf) and isinstance(value, list | tuple):
        return [_ordered(shape.item, item) for item in value]
    return value


__all__ = [
    "ArgumentError",
    "metric_json",
    "provider_names",
    "resolve_arm",
    "resolve_metric",
    "resolve_quoted",
    "resolve_template",
    "strings",
]
