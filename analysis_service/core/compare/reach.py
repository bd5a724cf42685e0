"""Verdicts that no data could bring: what a test, a margin and a direction rule out together.

`contradictions` are refused. `limits` are allowed, since the other verdict may be all that is wanted, and warned of.
Imports no statistics: figures that follow from a test's formula are held against the test by its own tests.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from analysis_service.core.compare.fields import Mistake
from analysis_service.core.wire_providers import PLUGIN

if TYPE_CHECKING:
    from analysis_service.core.compare.spec import Spec

_ONE_NUMBER = frozenset({"mann-whitney", "brunner-munzel", "welch", "tost", "ks"})  # per look and arm
_RANKS = frozenset({"mann-whitney", "ks"})  # their least p-value is one order of all values in so many
_FREE = frozenset({"objective", "sample-ratio", "kayenta"})  # of a margin
_HISTORY = frozenset({"prometheus"})  # providers that a look-back can ask
_BURN_IN = 20  # values before sequential-mean speaks
_UNKNOWN_MEMORY = 3.0  # looks of a gauge without history that count as one independent look: (1 + .5) / (1 - .5)
_AT_THE_END = 3.0  # independent points that a t-test of all of them wants


class Limit(NamedTuple):
    """where: the field below the comparison; text: what cannot come, and why; hint: what would work."""

    where: str
    text: str
    hint: str


def contradictions(spec: "Spec") -> Iterator[Mistake]:
    """What is refused: settings that the test does not know, and would silently do something else with."""
    direction, at_margin = spec.settings["direction"], spec.settings["fail_at"] == "margin"
    if spec.test == "sprt" and at_margin:
        yield Mistake("failAt", "sprt decides between no change and the margin, so it could never fail; give noharm")
    if spec.test == "sprt" and direction == "either":
        yield Mistake("direction", "sprt looks for one ratio, so it would pass a fall; give increase or decrease")
    if spec.test == "objective" and direction == "either":
        text = "an objective is kept on one side, so both could never pass; give increase (a rate that must stay below)"
        yield Mistake("direction", f"{text} or decrease")
    if spec.test == "sequential-ks" and not 0.0 < (spec.margin.absolute or 0.0) < 1.0:
        text = "sequential-ks compares whole distributions, so a ratio of values could never pass"
        share = "the share of values that may move beyond any limit, as 0.1"
        yield Mistake("margin", f"{text}; give margin.absolute between 0 and 1, {share}; or test: sequential-quantile")


def limits(spec: "Spec", *, timed: bool = True) -> Iterator[Limit]:
    """What can never come, though it may be asked for. timed: the interval is known, and so is the number of looks."""
    yield from _falls(spec)
    yield from _split(spec)
    looks = math.floor(spec.max_duration / spec.interval) if timed and spec.max_duration is not None else None
    if looks is not None and looks > 1:  # a single look is told as such
        yield from _looks(spec, looks)


def _falls(spec: "Spec") -> Iterator[Limit]:
    direction, relative = spec.settings["direction"], spec.margin.relative
    if direction == "increase" or spec.test in _FREE:
        return
    if relative is not None and relative >= 1.0:
        told = "no fall can fail" if spec.settings["fail_at"] == "margin" else "every fall that has not failed passes"
        text = f"nothing falls by more than 100%, so with {relative:g} {told}"
        yield Limit("margin.relative", text, "Give one below 1, such as 0.5 for half of stable.")
    if direction == "decrease" and spec.settings["absolute_floor"] is not None:
        text = "with direction: decrease a canary that falls below the floor cannot fail, and passes"
        yield Limit("absoluteFloor", text, "Leave it out: a floor is for what is harmful when it is high.")


def _split(spec: "Spec") -> Iterator[Limit]:
    if spec.test != "sample-ratio":
        return
    if spec.settings["fail_at"] == "margin":
        yield Limit("failAt", "sample-ratio knows no margin, so it cannot fail", "Leave failAt out.")
    if spec.until == "verdict":
        text = "sample-ratio shows that a share is wrong, never that it is right, so it cannot pass"
        hint = "Give until: terminated; or leave it out, since every comparison of counts tells the share."
        yield Limit("test", text, hint)


def _looks(spec: "Spec", looks: int) -> Iterator[Limit]:
    """What takes more looks than there are."""
    test = spec.test
    if spec.test in _ONE_NUMBER:
        wanted = _fewest(spec)
        if looks < wanted:
            text = f"maxDuration has {_some(looks)} of the {wanted} that {test} needs before it can {_verdicts(spec)}"
            yield Limit("maxDuration", text, "Make it longer, or look more often.")
        return
    if spec.shape == "gauge" and spec.settings["min_samples"] > looks:
        text = f"a gauge has one value per look, {looks} in maxDuration, so nothing can be decided"
        yield Limit("minSamples", text, "Make it smaller, or leave it out.")
    if test == "sequential-mean" and looks < _BURN_IN:
        text = f"maxDuration has {_some(looks)}, and sequential-mean decides nothing before it has seen {_BURN_IN}"
        yield Limit("maxDuration", text, "Make it longer, look more often, or use sequential-t.")
    if test == "sequential-t" and not _has_history(spec):
        wanted = math.ceil(_AT_THE_END * _UNKNOWN_MEMORY)
        if looks < wanted:
            text = f"maxDuration has {_some(looks)} of the {wanted} that sequential-t needs without history"
            yield Limit("maxDuration", text, "Make it longer, look more often, or ask a provider that has history.")


def _fewest(spec: "Spec") -> int:
    """Looks without which a test of one number per look has no verdict that it could reach both ways."""
    alpha, beta = spec.alpha, spec.settings["beta"]
    wanted = 2
    if spec.test in _RANKS:
        wanted = next(n for n in range(2, 100) if 1.0 / math.comb(2 * n, n) <= min(alpha, beta))
    margin = spec.margin.absolute
    if spec.test == "ks" and margin is not None and spec.until == "verdict":  # share_moved_p of two like samples
        wanted = max(wanted, math.ceil(2.0 * math.log(2.0 / beta) / (margin * margin)))
    return wanted


def _verdicts(spec: "Spec") -> str:
    return "pass" if spec.test == "ks" else "fail or pass"


def _has_history(spec: "Spec") -> bool:
    return spec.lookback.total_seconds() > 0 and all(_provider(ask.union) in _HISTORY for ask in spec.asks)


def _provider(union: Mapping[str, Any]) -> str:
    name, inner = next(iter(union.items()))
    return _provider(inner) if name == PLUGIN and isinstance(inner, Mapping) and inner else str(name)


def _some(looks: int) -> str:
    return f"{looks} look{'' if looks == 1 else 's'}"
