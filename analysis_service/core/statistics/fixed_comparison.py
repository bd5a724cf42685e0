"""What a fixed-horizon test is given and what it answers, and the rule that makes a verdict of its p-values.

A fixed-horizon test is right for one look at data whose extent was fixed beforehand. Looked at again and again it
raises false alarms, so more than one look is refused unless a spending rule shares alpha out over them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from analysis_service.core.digits import number
from analysis_service.core.model import Phase
from analysis_service.core.statistics.evidence import Unit
from analysis_service.core.statistics.looks import ABSURD
from analysis_service.core.statistics.plan import Direction, FailAt, Margin
from analysis_service.core.statistics.spending import Spending, spent

Shape = Literal["samples", "counts"]
MAX_DROPPED: Final = 0.2  # a larger share of unusable values, and the rest is not trusted either


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """One number per measurement in each arm, shapes (m,) and (n,), same unit."""

    canary: tuple[float, ...]
    stable: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TwoCounts:
    """Events and their total (requests, or exposure in any one unit) in each arm."""

    canary_events: float
    canary_total: float
    stable_events: float
    stable_total: float


@dataclass(frozen=True, slots=True)
class Effect:
    """How far the canary is from stable, with a two-sided interval. None: not known, or unbounded."""

    unit: Unit
    estimate: float | None
    lower: float | None = None
    upper: float | None = None
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer of one test.

    phase: Successful, Failed or Inconclusive. why: one word for an Inconclusive. p_harm: chance of data this bad
    without harm beyond what is asked; p_safe: chance of data this good with harm at the margin. n: values used, or
    the total behind the counts.
    """

    test: str
    phase: Phase
    reason: str
    why: str = ""
    effect: Effect | None = None
    statistic: float | None = None
    p_harm: float | None = None
    p_safe: float | None = None
    canary_n: float = 0.0
    stable_n: float = 0.0
    dropped: int = 0
    grade: Literal["fixed-n", "none"] = "fixed-n"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Null:
    """A hypothesis about the canary: it equals `factor` times stable plus `shift` (in the metric's unit)."""

    factor: float = 1.0
    shift: float = 0.0

    @property
    def impossible(self) -> bool:
        """Whether no canary can be that low: a relative margin of 100% or more, downwards."""
        return self.factor <= 0


NO_CHANGE: Final = Null()
Tail = Callable[[Null], float]
"""A one-sided p-value against one hypothesis."""


def margin_null(margin: Margin, *, upwards: bool) -> Null | None:
    """The tolerated harm as a hypothesis: x(1+m) or +a upwards, x(1-m) or -a downwards; None without a margin."""
    sign = 1 if upwards else -1
    if margin.relative is not None:
        return Null(factor=1 + sign * margin.relative)
    if margin.absolute is not None:
        return Null(shift=sign * margin.absolute)
    return None


def tails(
    greater: Tail, less: Tail, *, margin: Margin, direction: Direction, fail_at: FailAt
) -> tuple[float, float | None]:
    """(p_harm, p_safe) of a test given by its two one-sided p-values.

    greater(null), less(null): evidence that the canary lies above, or below, the hypothesis. Direction `either` asks
    for harm on both sides (p doubled) and for safety on both (the larger p). p_safe is None without a margin; without
    one harm is asked against no change.
    """
    up, down = margin_null(margin, upwards=True), margin_null(margin, upwards=False)
    at_margin = fail_at == "margin" and up is not None
    high = greater(up if at_margin and up is not None else NO_CHANGE)
    low_null = down if at_margin and down is not None else NO_CHANGE
    low = 1.0 if low_null.impossible else less(low_null)
    safe_up = None if up is None else less(up)
    safe_down = None if down is None else 0.0 if down.impossible else greater(down)
    if direction == "increase":
        return high, safe_up
    if direction == "decrease":
        return low, safe_down
    both = None if safe_up is None or safe_down is None else max(safe_up, safe_down)
    return min(1.0, 2 * min(high, low)), both


def require_level(**levels: float) -> None:
    """Raises ValueError for an alpha or beta that is no probability."""
    for name, level in levels.items():
        if not 0 < level < 1:
            raise ValueError(f"{name}: {level} is no error probability; between 0 and 1 is wanted, as 0.05")


def look_level(level: float, *, look: int, looks: int, spending: Spending | None, test: str) -> float:
    """The error probability that this look may use, out of `level` for the whole run.

    look: 1 to looks. The looks are taken to be evenly spaced; each may use what the spending rule has released since
    the one before, which holds for any test and any dependence between looks.

    Raises ValueError for more than one look without a spending rule.

    Source: Lan and DeMets (1983), Biometrika 70, 659-663.
    """
    require_level(level=level)
    if looks < 1 or not 1 <= look <= looks:
        raise ValueError(f"look {look} of {looks}: looks are counted from 1 to the planned number")
    if looks == 1:
        return level
    if spending is None:
        raise ValueError(
            f"{test} is made for a single look at the deadline and {looks} are planned: looked at repeatedly it would "
            f"raise false alarms. Name a spending rule (spending: obrien-fleming), or use a sequential test"
        )
    now, before = (spent(number / looks, level, spending) for number in (look, look - 1))
    return max(now - before, math.ulp(0.0))


def usable(values: Sequence[float]) -> tuple[tuple[float, ...], int]:
    """The values that can be judged, and how many cannot: NaN, infinities, absurd sizes."""
    kept = tuple(float(v) for v in values if -ABSURD < v < ABSURD)
    return kept, len(values) - len(kept)


def undecided(test: str, why: str, reason: str, **rest: float | int) -> Comparison:
    """An Inconclusive that rests on the data's state and on no p-value."""
    return Comparison(
        test,
        Phase.INCONCLUSIVE,
        f"{reason}: no verdict ({test})",
        why,
        canary_n=rest.get("canary_n", 0.0),
        stable_n=rest.get("stable_n", 0.0),
        dropped=int(rest.get("dropped", 0)),
    )


def verdict(p_harm: float, p_safe: float | None, *, alpha: float, beta: float) -> tuple[Phase, str]:
    """The phase, and for an Inconclusive the word for why. Harm shown counts first."""
    if p_harm <= alpha:
        return Phase.FAILED, ""
    if p_safe is None:
        return Phase.INCONCLUSIVE, "no-margin"
    return (Phase.SUCCESSFUL, "") if p_safe <= beta else (Phase.INCONCLUSIVE, "not-enough-evidence")


def sentence(
    test: str,
    phase: Phase,
    *,
    seen: str,
    effect: Effect,
    margin: Margin,
    fail_at: FailAt,
    p_harm: float,
    p_safe: float | None,
    alpha: float,
    beta: float,
) -> str:
    """The verdict in words: what was seen, the limit, the chance, and what is missing where nothing is decided."""
    limit = _limit(margin)
    found = f"{seen}; {_effect(effect)}"
    harm, safety = _chance(p_harm, alpha), "" if p_safe is None else _chance(p_safe, beta)
    if phase is Phase.FAILED:
        worse = f"worse than stable by more than {limit}" if fail_at == "margin" and limit else "worse than stable"
        return f"{found}: {worse}; chance finding {harm} ({test})"
    if p_safe is None:
        return (
            f"{found}: no harm shown (chance finding {harm}), and without a margin "
            f"no difference is small enough to pass; give margin.relative or margin.absolute ({test})"
        )
    if phase is Phase.SUCCESSFUL:
        return f"{found}: not worse than stable by more than {limit}; chance finding {safety} ({test})"
    return (
        f"{found}: neither harm (chance finding {harm}) nor that it is worse by less than {limit} (chance finding "
        f"{safety}) is shown; more data would decide ({test})"
    )


def _chance(p: float, level: float) -> str:
    """A p-value beside what it may be."""
    return f"{_percent(p)}, at most {_percent(level)} is wanted"


def _percent(share: float) -> str:
    return "below 0.01%" if share < 1e-4 else f"{100 * share:.2g}%" if share < 0.995 else "100%"


def _limit(margin: Margin) -> str:
    if margin.relative is not None:
        return f"{100 * margin.relative:.4g}%"
    return "" if margin.absolute is None else number(margin.absolute, 4)


def _effect(effect: Effect) -> str:
    if effect.estimate is None:
        return f"{effect.unit} not known"
    text = f"{effect.unit} {number(effect.estimate, 4)}"
    if effect.confidence == 0:
        return text
    low = "unbounded" if effect.lower is None else number(effect.lower, 4)
    high = "unbounded" if effect.upper is None else number(effect.upper, 4)
    return f"{text} ({100 * effect.confidence:.3g}% interval {low} to {high})"
