"""The table of tests, what feeds them, and the pieces they are made of."""

import math
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest

from analysis_service.core.statistics import boundaries, mixture, sketch, spending, starts
from analysis_service.core.statistics.looks import Counts, Look
from analysis_service.core.statistics.plan import Margin, Plan, margin_log_ratio
from analysis_service.core.statistics.registry import families, replay

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_names() -> None:
    assert set(families()) == {
        "sequential-rate-ratio", "sequential-odds-ratio", "sequential-histogram", "sequential-t",
        "sequential-quantile", "sequential-ks", "sequential-mean", "sprt", "group-sequential", "objective",
        "sample-ratio",
    }  # fmt: skip


def test_a_missed_look_is_no_evidence() -> None:
    plan = Plan(test="sequential-rate-ratio", margin=Margin(relative=0.5))
    good = Look(1, START, Counts(5.0, 100.0), Counts(9.0, 900.0))
    missed = Look(2, START, Counts(50.0, 100.0), Counts(9.0, 900.0), missed="connection refused")
    assert replay(plan, [good, missed]) == replay(plan, [good])


@pytest.mark.parametrize(
    ("margin", "baseline", "sign", "ratio"),
    [
        (Margin(relative=0.5), None, 1, 1.5),
        (Margin(relative=0.2), None, -1, 0.8),
        (Margin(absolute=0.005), 0.01, 1, 1.5),
        (Margin(absolute=0.005), 0.01, -1, 0.5),
        # without a stable rate nothing is too much: no pass comes of it
        (Margin(absolute=0.005), None, 1, math.exp(3.4)),
        (Margin(absolute=0.005), 0.0, 1, math.exp(3.4)),
        (Margin(), None, 1, 1.0),
    ],
)
def test_margins(margin: Margin, baseline: float | None, sign: int, ratio: float) -> None:
    assert math.exp(sign * margin_log_ratio(Plan("x", margin), baseline, sign)) == pytest.approx(ratio)


@pytest.mark.parametrize("planned", [0, 10, 120, 240, 10_000])
def test_the_weights_of_all_starts_never_exceed_one(planned: int) -> None:
    weights = [w for k in range(60_000) if (w := starts.log_weight(k, planned)) is not None]
    assert 0.9 <= sum(map(math.exp, weights)) <= 1.0


@pytest.mark.parametrize("planned", [0, 10, 120, 240, 10_000, 100_000])
def test_a_harm_at_any_look_meets_a_young_copy_however_long_the_plan(planned: int) -> None:
    end = planned or starts.DEFAULT_LOOKS
    begun = [k for k in range(4 * end) if starts.log_weight(k, planned) is not None]
    assert max(b - a for a, b in pairwise(begun)) <= starts.STEP
    assert {end // 2, end // 3, end // 4} <= set(begun) or end < starts.PARTS


def test_starts_are_thinned_by_age_and_keep_both_ends() -> None:
    ages = list(range(100, -1, -1))
    while (spare := starts.surplus(ages)) is not None:
        assert 0 < spare < len(ages) - 1
        del ages[spare]
    assert len(ages) == starts.SLOTS
    assert (ages[0], ages[-1]) == (100, 0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_the_partition_function_is_known_between_its_nodes(share: float) -> None:
    points = np.linspace(-5, 5, 77)
    at_nodes = np.log1p(share * np.expm1(mixture.nodes()))
    exact = np.log1p(share * np.expm1(points))
    assert np.abs(at_nodes @ mixture.interpolation(points) - exact).max() < 1e-9


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("fractions", [(0.5, 1.0), (0.1, 0.15, 0.9, 1.0), (0.3, 0.6, 0.61, 1.0)])
def test_bounds_spend_what_they_may_at_any_fractions(kind: spending.Spending, fractions: tuple[float, ...]) -> None:
    bounds = spending.lan_demets(fractions, 0.05, kind)
    walk, total = spending.Walk(), 0.0
    for fraction, bound in zip(fractions, bounds, strict=True):
        total += walk.crossing(fraction, bound)
        walk.stop_at(fraction, bound)
        assert total == pytest.approx(spending.spent(fraction, 0.05, kind), rel=1e-6)


@pytest.mark.parametrize("values", [[-5.0, -0.1, 0.0, 0.1, 5.0], [1e-9, 1.0, 1e9], [2.0] * 3])
def test_bins_keep_order_and_hold_their_values(values: list[float]) -> None:
    bins = [sketch.bin_of(v, sketch.FINEST) for v in values]
    assert bins == sorted(bins)
    for value, number in zip(values, bins, strict=True):
        edge = sketch.edge(number, sketch.FINEST)
        assert value <= edge * (1 + 1e-9) + 1e-12
        assert abs(edge - value) <= 0.011 * abs(value) + 1e-12


def test_too_many_bins_merge() -> None:
    rng = np.random.default_rng(1)
    state = sketch.Sketch()
    for _ in range(10):
        state = sketch.add(state, rng.lognormal(0, 8, 500).tolist(), rng.lognormal(0, 8, 500).tolist())
    assert len(state.bins) <= sketch.MOST_BINS
    assert state.width > sketch.FINEST
    assert sum(c for _, c, _ in state.bins) == state.n_c == 5000


def test_one_sided_evidence_stays_quiet_on_the_null_side() -> None:
    """Also where the tail probability underflows: it was once taken for evidence."""
    r = boundaries.beta_binomial_precision(500 * 0.0475, 0.05, 0.95, 0.05, one_sided=True)
    for n in (100.0, 10_000.0, 1e6):
        s = -0.04 * n
        assert boundaries.beta_binomial_log_mixture(s, 0.0475 * n, r, 0.95, 0.05, one_sided=True) <= 0.0
