"""The fixed-horizon tests by name, each with one way to ask it: data of both arms in, a Comparison out.

They are for a single look at the deadline. Whatever the data look like, `decide` answers and does not raise; it
raises ValueError for settings that make no sense (see `look_level`, and each test's margin).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from analysis_service.core.digits import number
from analysis_service.core.statistics import fixed_counts as counts
from analysis_service.core.statistics import fixed_means as means
from analysis_service.core.statistics import fixed_ranks as ranks
from analysis_service.core.statistics.fixed_comparison import (
    MAX_DROPPED,
    Comparison,
    Effect,
    Null,
    Shape,
    TwoCounts,
    TwoSamples,
    look_level,
    sentence,
    tails,
    undecided,
    usable,
    verdict,
)
from analysis_service.core.statistics.fixed_intervals import score_rate_ratio
from analysis_service.core.statistics.looks import ABSURD
from analysis_service.core.statistics.plan import Direction, FailAt, Margin
from analysis_service.core.statistics.spending import Spending

Data = TypeVar("Data", TwoSamples, TwoCounts, contravariant=True)
_NO_MARGIN: Final = Margin()
_LEAST_TOTAL: Final = 1e-6  # in whatever unit: below it there was no traffic worth a rate


class Decide(Protocol[Data]):
    """How every fixed-horizon test is asked.

    samples: both arms' data over the whole run. alpha, beta: chance of a false Failed, of a false Successful.
    margin: the tolerated harm; without one nothing can be Successful. direction: which way is harm. fail_at: whether
    harm is any change, or only one beyond the margin. look, looks, spending: see `look_level`.
    """

    def __call__(
        self,
        samples: Data,
        *,
        alpha: float = ...,
        beta: float = ...,
        margin: Margin = ...,
        direction: Direction = ...,
        fail_at: FailAt = ...,
        look: int = ...,
        looks: int = ...,
        spending: Spending | None = ...,
    ) -> Comparison: ...


@dataclass(frozen=True, slots=True)
class FixedTest(Generic[Data]):
    """One test as a registry lists it. null_of: what its p-values are about, for `lint` and the report."""

    name: str
    shape: Shape
    null_of: str
    decide: Decide[Data]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a test makes of the data: one-sided p-values against any hypothesis, and the effect with its interval."""

    greater: Callable[[Null], float]
    less: Callable[[Null], float]
    effect: Effect
    both_sides: bool = False  # safety is asked on both sides whatever the direction


def _samples_test(ask: Callable[[TwoSamples, float], _Asked], name: str) -> Decide[TwoSamples]:
    def decide(
        samples: TwoSamples,
        *,
        alpha: float = 0.05,
        beta: float = 0.05,
        margin: Margin = _NO_MARGIN,
        direction: Direction = "increase",
        fail_at: FailAt = "noharm",
        look: int = 1,
        looks: int = 1,
        spending: Spending | None = None,
    ) -> Comparison:
        level, safety = (look_level(p, look=look, looks=looks, spending=spending, test=name) for p in (alpha, beta))
        _require_margin(name, margin)
        (x, lost_x), (y, lost_y) = usable(samples.canary), usable(samples.stable)
        state = {"canary_n": len(x), "stable_n": len(y), "dropped": lost_x + lost_y}
        for arm, kept, given in (("canary", x, samples.canary), ("stable", y, samples.stable)):
            if not kept:
                where = f" in {len(given)} look{'' if len(given) == 1 else 's'}" if given else ""
                return undecided(name, "no-data", f"{arm} had no value{where}", **state)
        if lost_x > MAX_DROPPED * len(samples.canary) or lost_y > MAX_DROPPED * len(samples.stable):
            total = len(samples.canary) + len(samples.stable)
            return undecided(name, "bad-data", f"{lost_x + lost_y} of {total} values are no finite numbers", **state)
        if min(len(x), len(y)) < 2:
            counted = f"canary has {len(x)} values and stable {len(y)}, and two in each are the least"
            return undecided(name, "no-data", counted, **state)
        if len(set(x)) == 1 and len(set(y)) == 1:
            constant = f"both arms are constant (canary {number(x[0])}, stable {number(y[0])})"
            return undecided(name, "no-variation", f"{constant}, so there is no noise to judge by", **state)
        asked = ask(TwoSamples(x, y), level)
        seen = f"canary {number(_mean(x), 4)} (n={len(x)}) against stable {number(_mean(y), 4)} (n={len(y)})"
        return _answer(name, asked, seen, state, level, safety, margin, direction, fail_at)

    return decide


def _counts_test(ask: Callable[[TwoCounts, float], _Asked], name: str) -> Decide[TwoCounts]:
    def decide(
        samples: TwoCounts,
        *,
        alpha: float = 0.05,
        beta: float = 0.05,
        margin: Margin = _NO_MARGIN,
        direction: Direction = "increase",
        fail_at: FailAt = "noharm",
        look: int = 1,
        looks: int = 1,
        spending: Spending | None = None,
    ) -> Comparison:
        level, safety = (look_level(p, look=look, looks=looks, spending=spending, test=name) for p in (alpha, beta))
        _require_margin(name, margin)
        given = (samples.canary_events, samples.canary_total, samples.stable_events, samples.stable_total)
        if not all(0 <= value < ABSURD for value in given):
            return undecided(name, "bad-data", f"{given} are no counts")
        x, m, y, n = given
        state = {"canary_n": m, "stable_n": n}
        if min(m, n) < _LEAST_TOTAL:
            return undecided(name, "no-data", f"canary has a total of {m:.10g} and stable of {n:.10g}", **state)
        kept = TwoCounts(min(x, m), m, min(y, n), n) if name == "fisher-exact" else samples
        clamped = ("clamped",) if kept != samples else ()
        asked = ask(kept, level)
        seen = (
            f"canary {x:.10g} of {m:.10g} ({number(x / m, 4)}) against stable {y:.10g} of {n:.10g} ({number(y / n, 4)})"
        )
        return _answer(name, asked, seen, state, level, safety, margin, direction, fail_at, clamped)

    return decide


def _answer(
    name: str,
    asked: _Asked,
    seen: str,
    state: Mapping[str, float],
    alpha: float,
    beta: float,
    margin: Margin,
    direction: Direction,
    fail_at: FailAt,
    flags: tuple[str, ...] = (),
) -> Comparison:
    p_harm, p_safe = tails(asked.greater, asked.less, margin=margin, direction=direction, fail_at=fail_at)
    if asked.both_sides:
        _, p_safe = tails(asked.greater, asked.less, margin=margin, direction="either", fail_at=fail_at)
    phase, why = verdict(p_harm, p_safe, alpha=alpha, beta=beta)
    reason = sentence(
        name,
        phase,
        seen=seen,
        effect=asked.effect,
        margin=margin,
        fail_at=fail_at,
        p_harm=p_harm,
        p_safe=p_safe,
        alpha=alpha,
        beta=beta,
    )
    return Comparison(
        name,
        phase,
        reason,
        why,
        asked.effect,
        p_harm=p_harm,
        p_safe=p_safe,
        canary_n=state["canary_n"],
        stable_n=state["stable_n"],
        dropped=int(state.get("dropped", 0)),
        flags=flags,
    )


def _require_margin(name: str, margin: Margin) -> None:
    for kind, size in (("relative", margin.relative), ("absolute", margin.absolute)):
        if size is not None and not 0 <= size < ABSURD:
            raise ValueError(f"margin.{kind}: {size} is no tolerated harm; a number from 0 up is wanted")
    if margin.relative is not None and margin.absolute is not None:
        raise ValueError("margin: either relative or absolute is wanted, not both")
    if name == "ks" and (margin.relative is not None or (margin.absolute is not None and not 0 < margin.absolute < 1)):
        raise ValueError(
            "margin: ks compares whole distributions; give margin.absolute between 0 and 1, the share of values "
            "that may move beyond any limit, as 0.1"
        )
    if name == "fisher-exact" and margin.absolute is not None:
        raise ValueError("margin: fisher-exact compares odds; give margin.relative, or use poisson-e")


def _moved(stable: tuple[float, ...], null: Null) -> list[float]:
    """Stable as it would be if the canary followed the hypothesis.

    Where values lie at or below zero a factor would point the wrong way; it is taken of the mean size instead.
    """
    if null.factor == 1:
        return [y + null.shift for y in stable]
    if min(stable) > 0:
        return [y * null.factor for y in stable]
    size = sum(abs(y) / len(stable) for y in stable)
    return [y + (null.factor - 1) * size for y in stable]


def _of_samples(
    test: Callable[[tuple[float, ...], list[float], means.Alternative], float],
    effect: Callable[[TwoSamples, float], Effect],
    *,
    both_sides: bool = False,
) -> Callable[[TwoSamples, float], _Asked]:
    def ask(data: TwoSamples, level: float) -> _Asked:
        return _Asked(
            lambda null: test(data.canary, _moved(data.stable, null), "greater"),
            lambda null: test(data.canary, _moved(data.stable, null), "less"),
            effect(data, _confidence(level)),
            both_sides,
        )

    return ask


def _welch(x: tuple[float, ...], y: list[float], alternative: means.Alternative) -> float:
    return means.welch(x, y, alternative=alternative).p


def _mann_whitney(x: tuple[float, ...], y: list[float], alternative: means.Alternative) -> float:
    return ranks.mann_whitney(x, y, alternative=alternative).p


def _brunner_munzel(x: tuple[float, ...], y: list[float], alternative: means.Alternative) -> float:
    return ranks.brunner_munzel(x, y, alternative=alternative).p


def _mean_difference(data: TwoSamples, confidence: float) -> Effect:
    found = means.welch(data.canary, data.stable, confidence=confidence)
    return Effect("difference", found.difference, found.lower, found.upper, confidence)


def _shift(data: TwoSamples, confidence: float) -> Effect:
    middle, low, high = ranks.location_shift(data.canary, data.stable, confidence=confidence)
    return Effect("difference", middle, low, high, confidence)


def _ks(data: TwoSamples, level: float) -> _Asked:
    """A margin is a share of values here: `null.shift` of them may lie beyond some value and would not in stable."""
    x, y = data.canary, data.stable

    def tail(null: Null, alternative: means.Alternative) -> float:
        upwards = alternative == "greater"
        if null.shift == 0:  # harm: any difference; but nothing can show that there is none at all
            return ranks.kolmogorov_smirnov(x, y, alternative=alternative).p
        harm_upwards = null.shift > 0
        moved = ranks.share_moved(x, y, upwards=harm_upwards)
        if upwards == harm_upwards:  # harm beyond the margin
            return ranks.share_moved_beyond_p(moved, abs(null.shift), m=len(x), n=len(y))
        return ranks.share_moved_p(moved, abs(null.shift), m=len(x), n=len(y))

    up, down = (ranks.share_moved(x, y, upwards=upwards) for upwards in (True, False))
    effect = Effect("share", up if up >= down else -down)
    return _Asked(lambda null: tail(null, "greater"), lambda null: tail(null, "less"), effect)


def _poisson_e(data: TwoCounts, level: float) -> _Asked:
    return _Asked(
        lambda null: counts.poisson_e(data, factor=null.factor, shift=null.shift, alternative="greater").p,
        lambda null: counts.poisson_e(data, factor=null.factor, shift=null.shift, alternative="less").p,
        _ratio(data, level),
    )


def _fisher(data: TwoCounts, level: float) -> _Asked:
    return _Asked(
        lambda null: counts.fisher_exact(data, odds_ratio=null.factor, alternative="greater"),
        lambda null: counts.fisher_exact(data, odds_ratio=null.factor, alternative="less"),
        _ratio(data, level),
    )


def _ratio(data: TwoCounts, level: float) -> Effect:
    if max(data.canary_events, data.stable_events) < 0.5:  # not one event: every ratio is possible
        return Effect("ratio", None)
    confidence = _confidence(level)
    low, high = score_rate_ratio(data, confidence=confidence)
    stable = data.stable_events / data.stable_total
    ratio = data.canary_events / data.canary_total / stable if stable > 0 else None
    return Effect("ratio", ratio, low, high, confidence)


def _confidence(level: float) -> float:
    """Of the two-sided interval that says what both one-sided tests say; short of 1, which has no end."""
    return min(max(1 - 2 * level, 0.5), 1 - 1e-12)


def _mean(values: tuple[float, ...]) -> float:
    return sum(v / len(values) for v in values)


SAMPLE_TESTS: Final[Mapping[str, FixedTest[TwoSamples]]] = {
    test.name: test
    for test in (
        FixedTest(
            "mann-whitney",
            "samples",
            "the order of single values",
            _samples_test(_of_samples(_mann_whitney, _shift), "mann-whitney"),
        ),
        FixedTest(
            "brunner-munzel",
            "samples",
            "the order of single values, spreads free",
            _samples_test(_of_samples(_brunner_munzel, _shift), "brunner-munzel"),
        ),
        FixedTest("welch", "samples", "the means", _samples_test(_of_samples(_welch, _mean_difference), "welch")),
        FixedTest("ks", "samples", "the whole distributions", _samples_test(_ks, "ks")),
        FixedTest(
            "tost",
            "samples",
            "the means; Successful only within the margin on both sides",
            _samples_test(_of_samples(_welch, _mean_difference, both_sides=True), "tost"),
        ),
    )
}
COUNT_TESTS: Final[Mapping[str, FixedTest[TwoCounts]]] = {
    test.name: test
    for test in (
        FixedTest(
            "fisher-exact",
            "counts",
            "the odds; a relative margin is of the odds",
            _counts_test(_fisher, "fisher-exact"),
        ),
        FixedTest("poisson-e", "counts", "the event rates", _counts_test(_poisson_e, "poisson-e")),
    )
}
