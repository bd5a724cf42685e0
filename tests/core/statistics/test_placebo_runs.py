"""Placebo runs: how many there is time for, and that what is left out of their work changes no answer."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.placebo_runs import (
    ENOUGH,
    EPOCH,
    MOST_LOOKS,
    WIDENINGS,
    Pair,
    Placebos,
    allowing,
    fails,
    most_runs,
    runs_of,
)
from analysis_service.core.statistics.plan import Calibration, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step

EDGES = (1.0, 2.0, 4.0, 8.0, 16.0)
TESTS = {"counts": "sequential-rate-ratio", "gauge": "sequential-t", "histogram": "sequential-histogram"}


def buckets(edges: int) -> Histogram:
    return Histogram(tuple(float(k) for k in range(edges)), (1.0,) * (edges + 1))


@pytest.mark.parametrize(
    ("data", "looks", "runs"),
    [
        (Counts(1.0, 9.0), 40, 125),
        (Gauge(1.0), 40, 125),
        (Gauge(1.0), 720, 7),
        (buckets(12), 10, 70),
        (buckets(100), 10, 70),  # twelve edges are judged, however many there are
        (buckets(3), 40, 70),
        (buckets(12), 40, ENOUGH),  # time for 18
        (buckets(12), 120, ENOUGH),
        (buckets(12), 360, 14),  # no more looks than at counts
        (buckets(12), 10_000, 1),
    ],
)
def test_as_many_runs_as_there_is_time_for(data: ArmData, looks: int, runs: int) -> None:
    assert most_runs(looks, data) == runs
    rows: list[Pair] = [(data, data)] * (looks * runs + 1)
    taken = runs_of(Plan("sequential-t", planned_looks=looks), [rows])
    assert [len(run) for run in taken] == [looks] * runs
    assert (runs - 1) * looks < MOST_LOOKS


def test_runs_are_taken_from_every_pair_in_turn() -> None:
    pairs: list[list[Pair]] = [[(Gauge(float(pair)), Gauge(0.0))] * size for pair, size in enumerate((25, 45, 10))]
    taken = runs_of(Plan("sequential-t", planned_looks=10), pairs)
    assert [run[0][0] for run in taken] == [Gauge(float(pair)) for pair in (0, 1, 2, 0, 1, 1, 1)]


def drifting(shape: str, seed: int, looks: int = 120) -> list[Pair]:
    """Two arms that wander for themselves."""
    rng = np.random.default_rng(seed)
    arms: list[list[ArmData]] = []
    for _ in range(2):
        level = 0.0
        arm: list[ArmData] = []
        for _ in range(looks):
            level = 0.97 * level + 0.15 * rng.normal()
            if shape == "counts":
                arm.append(Counts(float(rng.poisson(20 * np.exp(level))), 1000.0))
            elif shape == "gauge":
                arm.append(Gauge(float(np.exp(level + 0.05 * rng.normal()))))
            else:
                values = np.exp(rng.normal(0.7 + level, 0.8, 60))
                counts = np.histogram(values, bins=[-np.inf, *EDGES, np.inf])[0]
                arm.append(Histogram(EDGES, tuple(map(float, counts))))
        arms.append(arm)
    return list(zip(*arms, strict=True))


def fails_looked_at_whole(plan: Plan, run: Sequence[Pair]) -> bool:
    family, plan = families()[plan.test], replace(plan, planned_looks=len(run))
    state, verdict = family.start(plan), VerdictState()
    for number, (canary, stable) in enumerate(run, start=1):
        look = Look(number, EPOCH, canary, stable)
        state = family.update(plan, state, look)
        verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
    return verdict.outcome == "fail"


def wider(found: Calibration) -> Calibration:
    return replace(
        found,
        dispersion=1.5 * found.dispersion,
        autocorrelation=min(1.3 * found.autocorrelation, 0.98),
        by_edge=tuple((edge, wider(one)) for edge, one in found.by_edge),
    )


@pytest.mark.parametrize("shape", list(TESTS))
@pytest.mark.parametrize("fail_at", ["noharm", "margin"])
@pytest.mark.parametrize("direction", ["increase", "either"])
def test_what_is_left_out_changes_no_answer(shape: str, fail_at: str, direction: str) -> None:
    """Neither what only a pass or an interval needs, nor to run again what did not fail with less noise."""
    noise = Calibration(points=240, autocorrelation=0.3, log_ratio=True)
    found = replace(noise, by_edge=tuple((edge, noise) for edge in EDGES)) if shape == "histogram" else noise

    def plan_with(calibration: Calibration) -> Plan:
        return Plan(
            TESTS[shape],
            Margin(relative=0.1),
            direction=direction,  # type: ignore[arg-type]
            fail_at=fail_at,  # type: ignore[arg-type]
            planned_looks=40,
            calibration=calibration,
        )

    pairs = [drifting(shape, seed) for seed in (1, 2)]
    after, widened, hold = allowing(found, plan_with, pairs, wider)
    runs = runs_of(plan_with(found), pairs)
    for times in range(WIDENINGS + 1):
        plan = plan_with(found)
        placebos = Placebos(len(runs), sum(fails_looked_at_whole(plan, run) for run in runs))
        assert times > 0 or placebos.failed > 0
        if not placebos.too_many(plan.alpha) or times == WIDENINGS:
            break
        found = wider(found)
    assert (widened, hold) == (times, not placebos.too_many(plan.alpha))
    assert after == replace(found, placebo_false_alarm=placebos.rate)


def test_a_run_fails_or_not() -> None:
    plan = Plan("sequential-rate-ratio", Margin(relative=0.5), calibration=Calibration())
    worse, same = (Counts(50.0, 100.0), Counts(1.0, 100.0)), (Counts(5.0, 100.0), Counts(5.0, 100.0))
    assert fails(plan, [worse] * 20)
    assert not fails(plan, [same] * 20)
