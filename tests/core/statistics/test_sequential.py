"""Properties that every sequential test owes: valid evidence, symmetry, replay, and calm in the face of rubbish."""

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analysis_service.core.statistics import conditional, rate_ratio
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look, Samples
from analysis_service.core.statistics.plan import Calibration, Margin, Plan
from analysis_service.core.statistics.registry import Family, families, replay

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = math.log(20.0)
FAMILIES = families()
EDGES = (5.0, 10.0, 25.0, 50.0, 100.0)


def look(number: int, canary: ArmData | None, stable: ArmData | None, **more: Any) -> Look:
    return Look(number, START, canary, stable, **more)


def plan(test: str, **more: Any) -> Plan:
    defaults: dict[str, Any] = {"margin": Margin(relative=0.5), "objective": 0.2, "expected_share": 0.4}
    return Plan(test=test, **{**defaults, **more})


def after(p: Plan, pairs: Sequence[tuple[ArmData | None, ArmData | None]]) -> tuple[Any, Any]:
    return replay(p, [look(k, c, s) for k, (c, s) in enumerate(pairs, start=1)])


def binomial(n: int, p: float, x: int) -> float:
    return math.comb(n, x) * p**x * (1 - p) ** (n - x)


# --- E[e] <= 1, by enumerating every outcome of a small null


@pytest.mark.parametrize("test", ["sequential-rate-ratio", "sequential-odds-ratio", "sprt"])
@pytest.mark.parametrize("p", [0.02, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("factor", [1.0, 0.6])  # no change, and the inside of "not worse"
def test_harm_evidence_is_fair_under_no_harm(test: str, p: float, factor: float) -> None:
    n_c, n_s = 5, 9
    mean = 0.0
    for x_c, x_s in itertools.product(range(n_c + 1), range(n_s + 1)):
        chance = binomial(n_c, p * factor, x_c) * binomial(n_s, p, x_s)
        _, evidence = after(plan(test), [(Counts(x_c, n_c), Counts(x_s, n_s))])
        mean += chance * math.exp(evidence.log_e_harm)
    assert mean <= 1.0 + 1e-9


@pytest.mark.parametrize("p", [0.02, 0.2])
@pytest.mark.parametrize("direction", ["increase", "either"])
@pytest.mark.parametrize("looks", [2])
def test_evidence_over_several_looks_is_fair(p: float, direction: str, looks: int) -> None:
    """E[e] <= 1 after any number of looks, restarts and both directions included; tempering left out."""
    n_c, n_s = 2, 3
    cells = [(x, y, binomial(n_c, p, x) * binomial(n_s, p, y)) for x in range(n_c + 1) for y in range(n_s + 1)]
    settings_ = plan("sequential-rate-ratio", planned_looks=4, direction=direction)
    mean = 0.0
    for path in itertools.product(cells, repeat=looks):
        state = rate_ratio.start(settings_)
        for k, (x, y, _) in enumerate(path, start=1):
            state = rate_ratio.add(settings_, state, k, (x, n_c), (y, n_s))
        e = math.exp(conditional.evaluate(state, 1, 0.4, 1.0).harm)
        if direction == "either":
            e = 0.5 * (e + math.exp(conditional.evaluate(state, -1, 0.4, 1.0).harm))
        mean += math.prod(chance for _, _, chance in path) * e
    assert mean <= 1.0 + 1e-9


@pytest.mark.parametrize("p", [0.02, 0.2, 0.5])
@pytest.mark.parametrize("ratio", [1.5, 1.9])  # at the margin, and beyond it
def test_safety_evidence_is_fair_under_harm(p: float, ratio: float) -> None:
    n_c, n_s = 5, 9
    mean = 0.0
    for x_c, x_s in itertools.product(range(n_c + 1), range(n_s + 1)):
        chance = binomial(n_c, p * ratio, x_c) * binomial(n_s, p, x_s)
        _, evidence = after(plan("sequential-rate-ratio"), [(Counts(x_c, n_c), Counts(x_s, n_s))])
        mean += chance * math.exp(evidence.log_e_safety)
    assert mean <= 1.0 + 1e-9


@pytest.mark.parametrize("share", [0.2, 0.15])
def test_objective_is_fair_at_and_within_it(share: float) -> None:
    mean = 0.0
    for x in range(13):
        _, evidence = after(plan("objective"), [(Counts(x, 12), None)])
        mean += binomial(12, share, x) * math.exp(evidence.log_e_harm)
    assert mean <= 1.0 + 1e-9


def test_sample_ratio_is_fair() -> None:
    mean = 0.0
    for n_c in range(21):
        _, evidence = after(plan("sample-ratio"), [(Counts(0, n_c or 1e-9), Counts(0, (20 - n_c) or 1e-9))])
        mean += binomial(20, 0.4, n_c) * math.exp(evidence.log_e_harm)
    assert mean == pytest.approx(1.0, rel=1e-6)  # simple null: exactly one


def test_histogram_is_fair_against_no_change() -> None:
    shares = (0.5, 0.3, 0.2)
    edges = (1.0, 2.0)
    mean = 0.0
    outcomes = [c for c in itertools.product(range(4), repeat=3) if sum(c) == 3]

    def chance(counts: tuple[int, ...]) -> float:
        return math.factorial(3) * math.prod(s**n / math.factorial(n) for s, n in zip(shares, counts, strict=True))

    for c, s in itertools.product(outcomes, repeat=2):
        pair = Histogram(edges, tuple(map(float, c))), Histogram(edges, tuple(map(float, s)))
        _, evidence = after(plan("sequential-histogram"), [pair])
        mean += chance(c) * chance(s) * math.exp(evidence.log_e_harm)
    assert mean <= 1.0 + 1e-9


@pytest.mark.parametrize("p", [0.1, 0.4])
@pytest.mark.parametrize("alpha", [0.5, 0.25])  # large, so that four small looks can cross
def test_tempering_and_restarts_keep_the_chance_to_ever_cross(p: float, alpha: float) -> None:
    """The dispersion is estimated from the same looks: still P(ever) <= alpha for independent requests."""
    n_c, n_s, looks = 1, 2, 4
    cells = [(x, y, binomial(n_c, p, x) * binomial(n_s, p, y)) for x in range(n_c + 1) for y in range(n_s + 1)]
    p_cross = 0.0
    settings_ = plan("sequential-rate-ratio", alpha=alpha, planned_looks=4)
    for path in itertools.product(cells, repeat=looks):
        state = rate_ratio.start(settings_)
        for k, (x, y, _) in enumerate(path, start=1):
            state = rate_ratio.add(settings_, state, k, (x, n_c), (y, n_s))
            temper = conditional.dispersion(settings_.calibration, state)
            if conditional.evaluate(state, 1, 0.4, temper).harm >= math.log(1 / alpha):
                p_cross += math.prod(chance for _, _, chance in path)
                break
    assert p_cross <= alpha + 1e-9


# --- symmetry

counts = st.tuples(st.integers(0, 60), st.integers(60, 5000), st.integers(0, 60), st.integers(60, 5000))
runs = st.lists(counts, min_size=1, max_size=12)


def pairs(run: list[tuple[int, int, int, int]]) -> list[tuple[Counts, Counts]]:
    return [(Counts(a, b), Counts(c, d)) for a, b, c, d in run]


@given(runs)
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("test", ["sequential-rate-ratio", "sequential-odds-ratio"])
def test_swapping_the_arms_mirrors_the_answer(test: str, run: list[tuple[int, int, int, int]]) -> None:
    _, one = after(plan(test, margin=Margin()), pairs(run))
    _, two = after(plan(test, margin=Margin(), direction="decrease"), [(s, c) for c, s in pairs(run)])
    assert two.log_e_harm == pytest.approx(one.log_e_harm, abs=1e-6)
    if one.estimate and two.estimate:
        assert two.estimate == pytest.approx(1 / one.estimate, rel=1e-9)
    if one.lower and two.upper:
        assert two.upper == pytest.approx(1 / one.lower, rel=1e-4)


@given(runs, st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_the_unit_of_the_totals_does_not_matter(run: list[tuple[int, int, int, int]], unit: float) -> None:
    _, one = after(plan("sequential-rate-ratio"), pairs(run))
    scaled = [(Counts(c.events, c.total * unit), Counts(s.events, s.total * unit)) for c, s in pairs(run)]
    _, two = after(plan("sequential-rate-ratio"), scaled)
    for field in ("log_e_harm", "log_e_harm_margin", "log_e_safety"):
        assert getattr(two, field) == pytest.approx(getattr(one, field), abs=1e-6)


values = st.lists(st.tuples(st.floats(0.5, 200), st.floats(0.5, 200)), min_size=3, max_size=15)


@given(values, st.floats(0.01, 1000))
@settings(max_examples=40, deadline=None)
def test_the_unit_of_a_gauge_does_not_matter(run: list[tuple[float, float]], unit: float) -> None:
    gauges = [(Gauge(c), Gauge(s)) for c, s in run]
    scaled = [(Gauge(c * unit), Gauge(s * unit)) for c, s in run]
    for test, margin in (("sequential-t", Margin(relative=0.2)), ("sequential-mean", Margin(relative=0.2))):
        _, one = after(plan(test, margin=margin), gauges)
        _, two = after(plan(test, margin=margin), scaled)
        assert two.log_e_harm == pytest.approx(one.log_e_harm, abs=1e-5)
        assert two.log_e_safety == pytest.approx(one.log_e_safety, abs=1e-5)


@given(values)
@example([(1.0, 1.0)] * 4 + [(1.0, 3.0)])  # all that is known of the noise is the resolution
@settings(max_examples=40, deadline=None)
def test_swapping_the_arms_of_a_gauge_mirrors_the_answer(run: list[tuple[float, float]]) -> None:
    _, one = after(plan("sequential-t", margin=Margin()), [(Gauge(c), Gauge(s)) for c, s in run])
    mirrored = [(Gauge(s), Gauge(c)) for c, s in run]
    _, two = after(plan("sequential-t", margin=Margin(), direction="decrease"), mirrored)
    assert two.log_e_harm == pytest.approx(one.log_e_harm, abs=1e-6)
    assert two.estimate == pytest.approx(1 / one.estimate, rel=1e-6)


def untempered(run: list[tuple[float, float, float, float]]) -> conditional.Logs:
    p = plan("sequential-rate-ratio", restarts=False)
    state = rate_ratio.start(p)
    for k, (x_c, n_c, x_s, n_s) in enumerate(run, start=1):
        state = rate_ratio.add(p, state, k, (x_c, n_c), (x_s, n_s))
    return conditional.evaluate(state, 1, math.log(1.5), 1.0)


@given(runs, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_and_splitting_of_looks_do_not_matter_untempered(
    run: list[tuple[int, int, int, int]], random: Any
) -> None:
    whole = untempered([tuple(map(float, row)) for row in run])  # type: ignore[misc]
    mixed = list(run)
    random.shuffle(mixed)
    halves = [tuple(value / 2 for value in row) for row in mixed for _ in range(2)]
    split = untempered(halves)  # type: ignore[arg-type]
    assert split.harm == pytest.approx(whole.harm, abs=1e-6)
    assert split.safety == pytest.approx(whole.safety, abs=1e-6)


@given(runs, st.integers(0, 11))
@settings(max_examples=30, deadline=None)
def test_one_more_canary_error_never_helps_the_canary(run: list[tuple[int, int, int, int]], at: int) -> None:
    before = untempered([tuple(map(float, row)) for row in run])  # type: ignore[misc]
    worse = [list(map(float, row)) for row in run]
    worse[at % len(worse)][0] += 1
    then = untempered([tuple(row) for row in worse])  # type: ignore[misc]
    assert then.harm >= before.harm - 1e-9
    assert then.safety <= before.safety + 1e-9


@given(runs)
@settings(max_examples=40, deadline=None)
def test_the_interval_excludes_exactly_what_the_evidence_rejects(run: list[tuple[int, int, int, int]]) -> None:
    _, evidence = after(plan("sequential-rate-ratio"), pairs(run))
    if evidence.lower is not None and abs(evidence.log_e_harm - LIMIT) > 1e-3:
        assert (evidence.lower > 1.0) == (evidence.log_e_harm > LIMIT)
    if abs(evidence.log_e_safety - LIMIT) > 1e-3 and "model-violated" not in evidence.flags:
        assert (evidence.upper is not None and evidence.upper < 1.5) == (evidence.log_e_safety > LIMIT)


@given(values)
@settings(max_examples=40, deadline=None)
def test_the_interval_of_a_gauge_agrees_with_its_evidence(run: list[tuple[float, float]]) -> None:
    shifted = [(Gauge(c * 3), Gauge(s)) for c, s in run]
    _, evidence = after(plan("sequential-t", margin=Margin(relative=0.5)), shifted)
    if abs(evidence.log_e_harm - LIMIT) > 1e-3 and "model-violated" not in evidence.flags:
        assert (evidence.lower is not None and evidence.lower > 1.0) == (evidence.log_e_harm > LIMIT)


# --- harm either way


def harms(name: str, run: list[Any], **more: Any) -> Any:
    return after(plan(name, planned_looks=len(run), looks=4, **more), run)[1]


def lognormal(shift: float, n: int = 40, size: int = 60) -> list[tuple[Histogram, Histogram]]:
    rng = np.random.default_rng(9)
    edges = tuple(float(2**k) for k in range(12))

    def arm(moved: float, count: int) -> Histogram:
        rows = np.histogram(rng.lognormal(4 + moved, 0.5, count), (-1.0, *edges, np.inf))[0]
        return Histogram(edges, tuple(map(float, rows)))

    return [(arm(shift, size), arm(0.0, 5 * size)) for _ in range(n)]


def of(shape: type, log_ratio: float) -> list[Any]:
    rng = np.random.default_rng(6)
    if shape is Counts:
        k = math.exp(log_ratio)
        return [(Counts(float(rng.poisson(40 * k)), 300.0), Counts(float(rng.poisson(360)), 2700.0)) for _ in range(80)]
    if shape is Gauge:
        pairs_ = np.exp(0.02 * rng.normal(size=(80, 2)))
        return [(Gauge(c * math.exp(log_ratio)), Gauge(s)) for c, s in pairs_.tolist()]
    if shape is Samples:
        arms = [(rng.lognormal(log_ratio, 0.3, 300), rng.lognormal(0, 0.3, 300)) for _ in range(80)]
        return [(Samples(tuple(c.tolist())), Samples(tuple(s.tolist()))) for c, s in arms]
    return lognormal(log_ratio)


EITHER = [
    ("sequential-rate-ratio", Counts), ("sequential-odds-ratio", Counts), ("sequential-t", Gauge),
    ("sequential-mean", Gauge), ("sequential-histogram", Histogram), ("sequential-quantile", Samples),
    ("group-sequential", Counts), ("group-sequential", Gauge),
]  # fmt: skip


@pytest.mark.parametrize(("name", "shape"), EITHER)
@pytest.mark.parametrize(
    ("ratio", "beyond", "safe"),
    [(1.0, False, True), (3.0, True, False), (0.25, True, False)],  # margin: x1.5 up, x0.5 down
)
def test_harm_either_way_is_found_and_ruled_out(name: str, shape: type, ratio: float, beyond: bool, safe: bool) -> None:
    found = harms(name, of(shape, math.log(ratio)), direction="either")
    assert found.log_e_harm >= LIMIT - 1e-9 or not beyond  # without harm one in twenty seeds would
    assert (found.log_e_harm_margin >= LIMIT - 1e-9) is beyond
    assert (found.log_e_safety >= LIMIT - 1e-9) is safe


@given(runs)
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", ["sequential-rate-ratio", "sequential-odds-ratio"])
def test_swapping_the_arms_changes_nothing_of_harm_either_way(name: str, run: list[tuple[int, int, int, int]]) -> None:
    one = harms(name, pairs(run), direction="either", margin=Margin())
    two = harms(name, [(s, c) for c, s in pairs(run)], direction="either", margin=Margin())
    assert two.log_e_harm == pytest.approx(one.log_e_harm, abs=1e-6)


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 6), min_size=1, max_size=6), st.floats(0.01, 1000))
@settings(max_examples=20, deadline=None)
def test_histograms_mirror_and_have_no_unit(rows: list[tuple[int, ...]], unit: float) -> None:
    """Swapped arms with the other direction; edges in another unit, and an absolute margin with them."""
    run = [(Histogram((1.0, 2.0), r[:3]), Histogram((1.0, 2.0), r[3:])) for r in (tuple(map(float, r)) for r in rows)]
    one = harms("sequential-histogram", run, margin=Margin())
    two = harms("sequential-histogram", [(s, c) for c, s in run], direction="decrease", margin=Margin())
    assert two.log_e_harm == pytest.approx(one.log_e_harm, abs=1e-6)
    scaled = [tuple(Histogram((unit, 2 * unit), arm.counts) for arm in look_) for look_ in run]
    for margin, moved in (
        (Margin(relative=0.5), Margin(relative=0.5)),
        (Margin(absolute=0.5), Margin(absolute=0.5 * unit)),
    ):
        one = harms("sequential-histogram", run, margin=margin, quantiles=(0.5,))
        two = harms("sequential-histogram", scaled, margin=moved, quantiles=(0.5,))
        for field in ("log_e_harm", "log_e_harm_margin", "log_e_safety"):
            assert getattr(two, field) == pytest.approx(getattr(one, field), abs=1e-6)


@pytest.mark.parametrize(
    ("shift", "harmed", "safe"),
    [
        (0.0, False, True),
        (math.log(3.0), True, False),  # the 95th percentile of about 124 becomes 370
    ],
)
def test_a_histogram_keeps_a_margin_in_its_own_unit(shift: float, harmed: bool, safe: bool) -> None:
    found = harms("sequential-histogram", lognormal(shift, 120), margin=Margin(absolute=60.0), quantiles=(0.5, 0.95))
    assert (found.log_e_harm_margin >= LIMIT) is harmed
    assert (found.log_e_safety >= LIMIT) is safe
    assert found.margin == pytest.approx((found.baseline + 60.0) / found.baseline)


@pytest.mark.parametrize(
    "name", sorted(set(FAMILIES) - {"group-sequential"})
)  # which counts the looks that were planned
def test_rubbish_between_good_looks_changes_nothing(name: str) -> None:
    family = FAMILIES[name]
    p = plan(name, planned_looks=60)
    rng = np.random.default_rng(3)
    clean = mixed = family.start(p)
    usable = set(family.shapes)
    rubbish = [(c, s) for c in ALL_RUBBISH for s in ALL_RUBBISH if c is None or s is None or type(c) in usable][::7]
    for k in range(1, 31):
        good = look(k, *realistic(family.shapes[0], rng))
        clean = family.update(p, clean, good)
        for c, s in rubbish[k::30]:
            mixed = family.update(p, mixed, look(k, c, s))
        mixed = family.update(p, mixed, good)
    one, two = family.assess(p, clean), family.assess(p, mixed)
    assert two.dropped > 0
    assert msgspec.structs.replace(two, dropped=0, flags=one.flags) == one


# --- replay

finite = st.floats(-1e6, 1e6)
arm_of: dict[type, Any] = {
    Counts: st.builds(Counts, st.floats(-1, 50), st.floats(-1, 500)),
    Gauge: st.builds(Gauge, finite),
    Samples: st.builds(Samples, st.lists(finite, max_size=6).map(tuple)),
    Histogram: st.builds(Histogram, st.just(EDGES), st.lists(st.floats(-1, 40), min_size=6, max_size=6).map(tuple)),
}


@pytest.mark.parametrize("name", sorted(FAMILIES))
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_replay_is_live(name: str, data: st.DataObject) -> None:
    """A state that went through JSON at any look goes on exactly as one that did not; looks do too."""
    family = FAMILIES[name]
    p = plan(name, planned_looks=10)
    arms = st.one_of(st.none(), arm_of[family.shapes[0]])
    live = stored = family.start(p)
    for k in range(1, 9):
        one = look(k, data.draw(arms), data.draw(arms))
        again = msgspec.json.decode(msgspec.json.encode(one), type=Look)
        assert again == one
        live = family.update(p, live, one)
        stored = family.update(p, family.decode(family.encode(stored)), again)
    assert stored == live
    assert family.assess(p, stored) == family.assess(p, live)


# --- rubbish

NAN, INF = math.nan, math.inf
RUBBISH: dict[type, list[ArmData | None]] = {
    Counts: [Counts(a, b) for a in (NAN, INF, -INF, -1.0, 0.0, 1e300) for b in (NAN, INF, -1.0, 0.0, 1e300)],
    Gauge: [Gauge(v) for v in (NAN, INF, -INF, 1e300, -1e300)],
    Samples: [Samples(v) for v in ((), (NAN,), (INF, -INF), (1e300,))],
    Histogram: [
        Histogram((), ()),
        Histogram(EDGES, (1.0,)),
        Histogram(EDGES, (NAN,) * 6),
        Histogram(EDGES, (-1.0,) * 6),
        Histogram(EDGES, (0.0,) * 6),
        Histogram((2.0, 1.0), (1.0, 1.0, 1.0)),
        Histogram((NAN, 1.0), (1.0, 1.0, 1.0)),
        Histogram(EDGES, (INF,) * 6),
    ],
}
ALL_RUBBISH: list[ArmData | None] = [None, *itertools.chain.from_iterable(RUBBISH.values())]


def undecided(evidence: Any) -> None:
    for field in ("log_e_harm", "log_e_harm_margin", "log_e_safety"):
        value = getattr(evidence, field)
        assert math.isfinite(value), field
        assert value < LIMIT, field


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_rubbish_never_raises_and_never_decides(name: str) -> None:
    family = FAMILIES[name]
    p = plan(name, planned_looks=len(ALL_RUBBISH))
    state = family.start(p)
    for k, (c, s) in enumerate(itertools.product(ALL_RUBBISH, ALL_RUBBISH), start=1):
        state = family.update(p, state, look(k, c, s))
    evidence = family.assess(p, state)
    undecided(evidence)
    assert evidence.used == 0
    assert evidence.dropped == len(ALL_RUBBISH) ** 2


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_no_looks_at_all(name: str) -> None:
    family = FAMILIES[name]
    undecided(family.assess(plan(name), family.start(plan(name))))


CONSTANT = [
    (Gauge(5.0), Gauge(5.0)),
    (Gauge(0.0), Gauge(0.0)),
    (Gauge(5.0), Gauge(7.0)),  # a constant gap without noise is no measure of anything
    (Gauge(1e14), Gauge(-1e14)),
    (Counts(0.0, 100.0), Counts(0.0, 900.0)),  # no errors on either arm
]


@pytest.mark.parametrize("name", ["sequential-t", "sequential-mean", "group-sequential", "sequential-rate-ratio"])
@pytest.mark.parametrize(("canary", "stable"), CONSTANT)
@pytest.mark.parametrize(
    "calibration",
    [
        None,
        Calibration(points=100, autocorrelation=0.5, log_ratio=True),
        Calibration(points=360, autocorrelation=0.1, log_ratio=True, scale=0.07, lag_one=0.0),  # it was not frozen then
    ],
)
def test_a_constant_series_never_decides(
    name: str, canary: ArmData, stable: ArmData, calibration: Calibration | None
) -> None:
    p = plan(name, planned_looks=60, calibration=calibration)
    _, evidence = after(p, [(canary, stable)] * 60)
    undecided(evidence)


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_gauge_values_at_all(run: list[tuple[float, float]]) -> None:
    for name in ("sequential-t", "sequential-mean", "group-sequential"):
        _, evidence = after(plan(name), [(Gauge(c), Gauge(s)) for c, s in run])
        for field in ("log_e_harm", "log_e_harm_margin", "log_e_safety"):
            assert not math.isnan(getattr(evidence, field)), name


@given(st.lists(st.tuples(st.floats(0, 1e14), st.floats(0, 1e14), st.floats(0, 1e14), st.floats(0, 1e14)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_counts_at_all(run: list[tuple[float, float, float, float]]) -> None:
    for name in ("sequential-rate-ratio", "sequential-odds-ratio", "sprt", "group-sequential", "objective"):
        _, evidence = after(plan(name), [(Counts(a, b), Counts(c, d)) for a, b, c, d in run])
        for field in ("log_e_harm", "log_e_harm_margin", "log_e_safety"):
            assert not math.isnan(getattr(evidence, field)), name


# --- bounded state


def realistic(shape: type, rng: np.random.Generator) -> tuple[ArmData, ArmData]:
    if shape is Counts:
        return Counts(float(rng.poisson(3)), 300.0), Counts(float(rng.poisson(27)), 2700.0)
    if shape is Gauge:
        return Gauge(float(rng.lognormal())), Gauge(float(rng.lognormal()))
    if shape is Samples:
        return Samples(tuple(map(float, rng.lognormal(size=20)))), Samples(tuple(map(float, rng.lognormal(size=60))))
    edges = tuple(float(2**k) for k in range(12))
    arms = [np.histogram(rng.lognormal(2, 1, n), (-1.0, *edges, np.inf))[0] for n in (20, 180)]
    first, second = (Histogram(edges, tuple(map(float, counts))) for counts in arms)
    return first, second


@pytest.mark.parametrize("direction", ["increase", "either"])
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_state_stays_below_64_kilobytes(name: str, direction: str) -> None:
    family: Family = FAMILIES[name]
    rng = np.random.default_rng(1)
    p = plan(name, planned_looks=240, direction=direction)
    state = family.start(p)
    for k in range(1, 301):
        state = family.update(p, state, look(k, *realistic(family.shapes[0], rng)))
    assert len(family.encode(state)) <= 64 * 1024


# --- power and calm, short and seeded


@pytest.mark.parametrize(
    ("test", "shape", "factor"),
    [
        ("sequential-rate-ratio", Counts, 3.0),
        ("sequential-odds-ratio", Counts, 3.0),
        ("sprt", Counts, 3.0),
        ("group-sequential", Counts, 3.0),
        ("sequential-t", Gauge, 3.0),
        ("sequential-mean", Gauge, 3.0),
        ("sequential-histogram", Histogram, 2.5),
        ("sequential-quantile", Samples, 2.5),
        ("sequential-ks", Samples, 2.5),
    ],
)
def test_a_large_harm_is_found_and_no_harm_is_not(test: str, shape: type, factor: float) -> None:
    for harm in (False, True):
        rng = np.random.default_rng(7)
        run = []
        for _ in range(120):
            canary, stable = realistic(shape, rng)
            if harm and isinstance(canary, Counts):
                canary = Counts(float(rng.poisson(3 * factor)), 300.0)
            elif harm and isinstance(canary, Gauge):
                canary = Gauge(canary.value * factor)
            elif harm and isinstance(canary, Samples):
                canary = Samples(tuple(v * factor for v in canary.values))
            elif harm and isinstance(canary, Histogram):
                values = rng.lognormal(2, 1, 20) * factor
                counts_ = np.histogram(values, (-1.0, *canary.edges, np.inf))[0]
                canary = Histogram(canary.edges, tuple(map(float, counts_)))
            run.append((canary, stable))
        _, evidence = after(plan(test, planned_looks=120), run)
        assert (evidence.log_e_harm >= LIMIT) is harm
        if harm:
            assert evidence.log_e_safety < LIMIT


def test_late_onset_is_found_about_as_fast_as_an_early_one() -> None:
    """Median looks to the alarm after an onset at 0 and at 120 of 240: at most 1.5 times as long."""
    p = plan("sequential-rate-ratio", planned_looks=240, calibration=Calibration(points=360, dispersion=1.07))
    medians = []
    for onset in (0, 120):
        delays = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            state = rate_ratio.start(p)
            for k in range(1, 241):
                factor = 2.0 if k > onset else 1.0
                x_c, x_s = float(rng.poisson(3 * factor)), float(rng.poisson(27))
                state = rate_ratio.add(p, state, k, (x_c, 300.0), (x_s, 2700.0))
                if k > onset:
                    temper = conditional.dispersion(p.calibration, state)
                    if conditional.evaluate(state, 1, 0.4, temper).harm >= LIMIT:
                        delays.append(k - onset)
                        break
        medians.append(float(np.median(delays)))
    assert medians[1] <= 1.5 * medians[0]


def test_a_late_step_is_no_memory() -> None:
    """Without a look-back the run's own memory discounts its points; a step in the middle must not be taken for one."""
    rng = np.random.default_rng(3)
    run = [
        (Gauge(float(c * (1.9 if k >= 60 else 1.0))), Gauge(float(s)))
        for k, (c, s) in enumerate(rng.lognormal(3, 0.05, (120, 2)))
    ]
    _, found = after(plan("sequential-t", margin=Margin(relative=0.2), planned_looks=120), run)
    assert found.log_e_harm > math.log(20)
    assert found.since > 0
