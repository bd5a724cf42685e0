"""Whom a comparison asks: the queries of its arms, of the past, and of the configured share of traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from analysis_service.core.arguments import resolve_arm
from analysis_service.core.compare.fields import number, wrong
from analysis_service.core.compare.growth import growth_factor
from analysis_service.core.compare.season import HISTORY
from analysis_service.core.tags import ArgumentError
from analysis_service.core.wire_providers import PLUGIN

CANARY, STABLE = "canary", "stable"
EVENTS, TOTALS, BUCKETS, LEVEL = "events", "totals", "buckets", "level"
WEIGHT = "canaryWeight"  # the part of the one question that is about neither arm


@dataclass(frozen=True, slots=True)
class Ask:
    """One query of one arm. union: the provider with {{arm.x}} filled in.

    growth: None for a counter since its process began, which is differenced between looks; else what a value is
    multiplied with to be the growth of one interval.
    """

    arm: str
    part: str
    union: Mapping[str, Any]
    growth: float | None = None


def arms_asked(single: bool, season: timedelta | None) -> tuple[str, ...]:
    """Which arms are asked at a look."""
    return (CANARY,) if single or season is not None else (CANARY, STABLE)


def of_the_past(written: Mapping[str, Any], shape: str, arms: Mapping[str, Any]) -> Ask:
    """The question to the past: the gauge's, with the values of arms.history, or the canary's where there are none."""
    values = {str(key): str(value) for key, value in arms.get(HISTORY, arms[CANARY]).items()}
    try:
        return Ask(HISTORY, LEVEL, _as_values(resolve_arm(written[shape], values), shape))
    except ArgumentError as error:
        raise wrong(f"arms.{HISTORY}", str(error)) from None


def of_arms(
    written: Mapping[str, Any], shape: str, arms: Mapping[str, Any], interval: timedelta, asked: Sequence[str]
) -> tuple[tuple[Ask, ...], tuple[str, ...]]:
    data = written[shape]
    parts = {EVENTS: data.get(EVENTS), TOTALS: data.get(TOTALS)} if shape == "counts" else {
        BUCKETS if shape == "histogram" else LEVEL: data
    }  # fmt: skip
    cumulative = written.get("cumulative")
    asks: list[Ask] = []
    notes: dict[str, None] = {}
    for arm in asked:
        values = {str(key): str(value) for key, value in arms[arm].items()}
        for part, union in parts.items():
            where = f"{shape}.{part}" if shape == "counts" else shape
            if not isinstance(union, Mapping) or len(union) != 1:
                raise wrong(where, "exactly one provider is wanted")
            try:
                resolved = resolve_arm(union, values)
            except ArgumentError as error:
                raise wrong(f"arms.{arm}", str(error)) from None
            resolved = _as_values(resolved, where)
            if _is_ranged(resolved):
                raise wrong(
                    where,
                    "rangeQuery: leave it out; a comparison asks for the present at every look, and what a range holds "
                    "of the past would be counted again each time",
                )
            growth: float | None = None
            note = ""
            if shape != "gauge":
                growth, note = growth_factor(resolved, interval, cumulative if isinstance(cumulative, bool) else None)
            if note:
                notes[note] = None
            asks.append(Ask(arm, part, resolved, growth))
    if len({ask.growth is None for ask in asks}) > 1:
        raise wrong(
            "counts", "events and totals must both be counters, or both the growth of one interval (cumulative)"
        )
    if STABLE in asked and all(_of(asks, CANARY)[part] == union for part, union in _of(asks, STABLE).items()):
        raise wrong(
            "arms",
            "both ask the very same, so that a version would be compared with itself and pass; "
            "let the queries use {{arm.x}}, and give it values that differ",
        )
    return tuple(asks), tuple(notes)


def _of(asks: Sequence[Ask], arm: str) -> Mapping[str, Mapping[str, Any]]:
    return {ask.part: ask.union for ask in asks if ask.arm == arm}


def of_the_weight(written: Mapping[str, Any], shape: str, *, needed: bool) -> tuple[float | None, Ask | None]:
    """The configured percentage, or the question for it."""
    configured, union = number(written, WEIGHT, low=0.0, high=100.0), written.get("canaryWeightFrom")
    if needed and not configured and union is None:
        raise wrong(WEIGHT, "missing: the percent of the traffic that the canary should get")
    if union is None:
        return configured, None
    if written.get(WEIGHT) is not None:
        raise wrong(WEIGHT, "canaryWeight and canaryWeightFrom are both set; keep one of them")
    if shape == "gauge":
        raise wrong("canaryWeightFrom", "a gauge counts no requests, so no share of them can be told; leave it out")
    if not isinstance(union, Mapping) or len(union) != 1:
        raise wrong("canaryWeightFrom", "exactly one provider is wanted")
    try:
        return None, Ask("", WEIGHT, _as_values(resolve_arm(union, {}), "canaryWeightFrom"), 1.0)
    except ArgumentError as error:
        raise wrong("canaryWeightFrom", f"{error}; the share is the run's, not an arm's") from None


def _is_ranged(union: Mapping[str, Any]) -> bool:
    name, spec = next(iter(union.items()))
    if name == PLUGIN and isinstance(spec, Mapping) and len(spec) == 1:
        return _is_ranged(spec)
    return name == "prometheus" and isinstance(spec, Mapping) and bool(spec.get("rangeQuery"))


def _as_values(union: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A scrape reads values: the comparison takes differences itself, per process."""
    name, spec = next(iter(union.items()))
    if name == PLUGIN and isinstance(spec, Mapping):
        return {PLUGIN: _as_values(spec, f"{where}.{PLUGIN}")}
    if name != "scrape" or not isinstance(spec, Mapping):
        return union
    if spec.get("as", "") not in ("", "value"):
        text = f"{spec['as']}: leave it out; a comparison takes the differences itself"
        raise wrong(f"{where}.scrape.as", text)
    return {name: {**spec, "as": "value"}}
