"""Placebo comparisons: what a look-back teaches, that it keeps innocent arms innocent, and that it repeats itself."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import signal

from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.placebo import (
    calibrate_gauge_pair,
    joined,
    learn,
    splits,
)
from analysis_service.core.statistics.placebo_runs import run_placebos
from analysis_service.core.statistics.plan import Calibration, FailAt, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pods", "canary", "chosen"),
    [
        (0, 1, ()),
        (1, 1, ()),  # nobody is left to play stable
        (2, 1, ((0,), (1,))),
        (3, 2, ((0, 1), (1, 2), (0, 2))),
        (3, 9, ((0, 1), (1, 2), (0, 2))),  # at least one pod stays stable
        (4, 0, ((0,), (1,), (2,), (3,))),
    ],
)
def test_splits(pods: int, canary: int, chosen: tuple[tuple[int, ...], ...]) -> None:
    assert splits(pods, canary) == chosen


def test_splits_are_few() -> None:
    found = splits(40, 3)
    assert len(found) == 8
    assert len({pod for one in found for pod in one}) == 24


def verdict_of(plan: Plan, canary: list[float], stable: list[float]) -> VerdictState:
    family = families()[plan.test]
    state, verdict = family.start(plan), VerdictState()
    for k, (c, s) in enumerate(zip(canary, stable, strict=True), start=1):
        look = Look(k, START, Gauge(c), Gauge(s))
        state = family.update(plan, state, look)
        verdict = step(plan, verdict, look, family.assess(plan, state))
    return verdict


@pytest.mark.parametrize("fail_at", ["noharm", "margin"])
@pytest.mark.parametrize(("effect", "outcome"), [(1.0, "pass"), (1.3, "fail"), (2.0, "fail")])
def test_fences_never_hide_harm(fail_at: FailAt, effect: float, outcome: str) -> None:
    """A look-back with little noise has fences closer than the margin: harm must not be clipped to less than it."""
    rng = np.random.default_rng(7)

    def level(size: int) -> np.ndarray:
        return 100 * np.exp(0.01 * rng.normal(size=size))

    margin = Margin(relative=0.2)
    found = calibrate_gauge_pair(level(360), level(360), margin)
    assert found.fence_high is not None
    assert found.fence_high < np.log(1.2)
    plan = Plan("sequential-t", margin, fail_at=fail_at, planned_looks=60, calibration=found)
    assert verdict_of(plan, (effect * level(60)).tolist(), level(60).tolist()).outcome == outcome


def pods_of_counts(seed: int, pods: int, burst: float, points: int = 400) -> list[list[ArmData | None]]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(pods):
        noise = rng.gamma(1 / burst**2, burst**2, points) if burst else np.ones(points)
        totals = rng.poisson(300, points)
        rows.append(
            [Counts(float(x), float(n)) for x, n in zip(rng.poisson(0.02 * totals * noise), totals, strict=True)]
        )
    return rows


def plan_with(test: str = "sequential-rate-ratio") -> Callable[[Calibration], Plan]:
    return lambda calibration: Plan(test, Margin(relative=0.5), planned_looks=40, calibration=calibration)


@pytest.mark.parametrize(("burst", "low", "high"), [(0.0, 1.0, 1.3), (0.7, 2.0, 8.0)])
def test_learning_from_pods(burst: float, low: float, high: float) -> None:
    found = learn(pods_of_counts(1, 5, burst), 1, plan_with())
    assert found.sufficient
    assert low <= found.dispersion <= high
    assert found.placebo_false_alarm is not None
    assert found.placebo_false_alarm <= 0.1
    assert found.baseline == pytest.approx(0.02, rel=0.15)
    assert found == learn(pods_of_counts(1, 5, burst), 1, plan_with())  # nothing is drawn at random


def test_one_pod_alone() -> None:
    found = learn(pods_of_counts(2, 1, 0.0), 1, plan_with())
    assert found.points == 200  # every other interval against the one after it
    assert found.sufficient


@pytest.mark.parametrize(
    "pods", [[], [[]], [[None] * 500, [None] * 500], pods_of_counts(3, 3, 0.0, points=30), [[Gauge(1.0)] * 500] * 3]
)
def test_too_little_history(pods: list[list[ArmData | None]]) -> None:
    """No history, or none that says anything: never an error, and nothing that looks like knowledge."""
    test = "sequential-t" if pods and pods[0] and isinstance(pods[0][0], Gauge) else "sequential-rate-ratio"
    found = learn(pods, 1, plan_with(test))
    assert found.placebo_false_alarm in (None, 0.0)
    assert found.noise_floor == 0.0
    assert found.sufficient == (test == "sequential-t")


def test_slow_pods_make_a_floor() -> None:
    """Pods that stay apart: an innocent canary on a slow node must not fail."""
    rng = np.random.default_rng(4)
    shared = np.exp(0.1 * signal.lfilter([1.0], [1.0, -0.9], np.sqrt(1 - 0.9**2) * rng.normal(size=400)))
    offsets = [0.0, 0.03, -0.04, 0.02, -0.01, 0.05]
    pods: list[list[ArmData | None]] = [
        [Gauge(float(v)) for v in 100 * shared * np.exp(offset + 0.02 * rng.normal(size=400))] for offset in offsets
    ]
    found = learn(pods, 1, plan_with("sequential-t"))
    assert found.log_ratio
    assert 0.05 < found.noise_floor < 0.4
    assert found.placebo_false_alarm == 0.0


@pytest.mark.parametrize(
    ("sd", "pods", "canary", "low", "high"),
    [
        (0.8, 2, 1, 0.12, 0.3),  # a single pod's logarithm lies .18 below that of the mean of two
        (0.8, 4, 2, 0.05, 0.2),
        (0.05, 2, 1, 0.0, 0.01),
        (0.8, 2, 2, 0.12, 0.3),  # one stays stable
    ],
)
def test_a_mean_of_few_is_lower_on_a_log_scale(sd: float, pods: int, canary: int, low: float, high: float) -> None:
    """Two pods played one against one look alike, but a run has one of them against both."""
    rng = np.random.default_rng(9)
    seen: list[list[ArmData | None]] = [
        [Gauge(float(v)) for v in np.exp(sd * rng.normal(size=360))] for _ in range(pods)
    ]
    found = learn(seen, canary, plan_with("sequential-t"))
    assert low <= found.noise_floor <= high


def test_harm_does_not_hide_behind_the_mean_of_more_pods() -> None:
    """The canary's one pod against stable's two: harm at the margin seldom passes."""
    rng = np.random.default_rng(10)
    passed, runs = 0, 40
    for _ in range(runs):
        history = np.exp(1.0 * rng.normal(size=(2, 360)))
        found = learn([[Gauge(float(v)) for v in pod] for pod in history], 1, plan_with("sequential-t"))
        canary, stable = 1.5 * np.exp(1.0 * rng.normal(size=240)), np.exp(1.0 * rng.normal(size=(2, 240))).mean(axis=0)
        plan = replace(plan_with("sequential-t")(found), planned_looks=240)
        passed += verdict_of(plan, canary.tolist(), stable.tolist()).outcome == "pass"
    assert passed / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_noise_is_widened_until_placebos_hold() -> None:
    """A metric whose noise no estimate of ours fits is called uncalibrated, with its own false-alarm rate."""
    rng = np.random.default_rng(8)
    pods: list[list[ArmData | None]] = []
    for k in range(4):
        level = np.repeat(rng.choice([1.0, 30.0], 10), 40) if k == 0 else np.ones(400)
        totals = np.full(400, 500.0)
        pods.append([Counts(float(x), float(n)) for x, n in zip(rng.poisson(5 * level), totals, strict=True)])
    found = learn(pods, 1, plan_with())
    rate = found.placebo_false_alarm
    assert rate is not None
    assert found.dispersion > 5 or not found.sufficient
    assert rate <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 30) or not found.sufficient


def test_placebos_of_a_rule_that_always_fails() -> None:
    """The count is a count: arms that differ are found in every stretch."""
    plan = Plan("sequential-rate-ratio", Margin(relative=0.5), planned_looks=20, calibration=Calibration())
    pair = (Counts(50.0, 100.0), Counts(1.0, 100.0))
    assert run_placebos(plan, [[pair] * 65]).runs == 3
    assert run_placebos(plan, [[pair] * 65]).rate == 1.0


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([Counts(1, 2), None, Counts(3, 4)], Counts(4, 6)),
        ([Gauge(1), Gauge(3), None], Gauge(2)),
        ([None, None], None),
        (
            [Histogram((1.0, 2.0, 5.0), (1, 2, 3, 4)), Histogram((1.0, 5.0), (1, 1, 1))],
            Histogram((1.0, 5.0), (2, 6, 5)),
        ),
        ([Histogram((1.0, 2.0), (1, 2, 3)), Histogram((3.0, 5.0), (1, 1, 1))], None),  # no edges in common
    ],
)
def test_joined(rows: list[ArmData | None], expected: ArmData | None) -> None:
    assert joined(rows) == expected
