"""Judging many runs of one scenario at once, or one by one with the service's own fold: the same verdicts.

(look of FAIL, look of PASS) per run, 0 for never. An A/A run is watched to its end whatever passed; a run with harm
ends at its first verdict, except that late harm is looked for by runs that go on after a pass (`until: terminated`).
"""

import math
from datetime import UTC, datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray

from analysis_service.core.statistics.gauge_series import room_of
from analysis_service.core.statistics.looks import Look
from analysis_service.core.statistics.plan import FailAt, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step
from benchmarks.verdict_counts import Counts
from benchmarks.verdict_gauges import Gauges
from benchmarks.verdict_histograms import Histograms
from benchmarks.verdict_scenarios import EDGES, Array, Run, Scenario

START = datetime(2026, 1, 1, tzinfo=UTC)
ALPHA = BETA = 0.05
BAKE = 0.25
LIMIT = math.log(20.0) - 1e-9
FORGET_EVERY = 8  # looks between which decided runs are carried along

Verdicts = list[tuple[int, int]]


def one_by_one(scenario: Scenario, runs: list[Run], *, to_the_end: bool) -> Verdicts:
    family = families()[scenario.test]
    found = []
    for run in runs:
        plan = Plan(
            test=scenario.test,
            margin=Margin(relative=scenario.margin),
            alpha=ALPHA,
            beta=BETA,
            min_bake=BAKE,
            planned_looks=len(run.canary),
            fail_at=cast(FailAt, scenario.fail_at),
            calibration=run.calibration,
        )
        state, verdict = family.start(plan), VerdictState()
        for k, (canary, stable) in enumerate(run.looks, start=1):
            look = Look(k, START, canary, stable)
            state = family.update(plan, state, look)
            verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
            if verdict.outcome == "fail" or (verdict.outcome and not to_the_end):
                break
        found.append((verdict.failed_at, verdict.passed_at))
    return found


class _Judge:
    """The runs of a scenario that are not decided yet, advanced look by look: log e-values of harm and of safety."""

    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        self.margin = math.log1p(scenario.margin)
        self.beyond = scenario.fail_at == "margin"
        self.null = self.margin if self.beyond else 0.0

    def add(self, canary: Array, stable: Array) -> tuple[Array, Array]:
        raise NotImplementedError

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        raise NotImplementedError


class _Counts(_Judge):
    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        super().__init__(scenario, runs)
        known = [run.calibration for run in runs]
        phi = np.array([c.dispersion * max(c.long_run, 1.0) if c else 1.0 for c in known])
        calibrated = np.array([c is not None and c.sufficient for c in known])
        self.state = Counts(len(runs), len(runs[0].canary), phi, calibrated)

    def add(self, canary: Array, stable: Array) -> tuple[Array, Array]:
        (x_c, n_c), (x_s, n_s) = canary.T, stable.T
        x, w = x_c + x_s, n_c / (n_c + n_s)
        variance = np.where(x >= 2.0, x_c * x_s / np.maximum(x - 1.0, 1.0), x * w * (1.0 - w))
        self.state.add(x_c, x_s, w, x_c - w * x, variance)
        temper = self.state.temper()
        return self.state.log_e(self.null, 1, temper)[1], self.state.log_e(self.margin, -1, temper)[0]

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        self.state.keep(chosen)


class _Gauges(_Judge):
    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        super().__init__(scenario, runs)
        known = [run.calibration for run in runs if run.calibration is not None]
        room = room_of(Plan(scenario.test, Margin(relative=scenario.margin)), None, log_ratio=True)
        self.state = Gauges(len(runs[0].canary), known, room)

    def add(self, canary: Array, stable: Array) -> tuple[Array, Array]:
        state = self.state
        state.add(canary, stable)
        if state.used < 2:
            return np.zeros_like(canary), np.zeros_like(canary)
        harm = state.log_e(self.null + state.floor, 1, restarted=True)
        return harm, state.log_e(self.margin - state.floor, -1, restarted=False)

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        self.state.keep(chosen)


class _Histograms(_Judge):
    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        super().__init__(scenario, runs)
        first = np.stack([run.canary[0] + run.stable[0] for run in runs])
        self.state = Histograms(len(runs[0].canary), first, EDGES, math.exp(self.margin))

    def add(self, canary: Array, stable: Array) -> tuple[Array, Array]:
        self.state.add(canary, stable)
        return self.state.harm(), self.state.safety()

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        self.state.keep(chosen)


_JUDGES: dict[str, type[_Judge]] = {
    "sequential-rate-ratio": _Counts,
    "sequential-t": _Gauges,
    "sequential-histogram": _Histograms,
}


def all_at_once(scenario: Scenario, runs: list[Run], *, to_the_end: bool) -> Verdicts:
    """Every look of every run must be usable (see `usable`)."""
    looks = len(runs[0].canary)
    judge = _JUDGES[scenario.test](scenario, runs)
    canary, stable = np.stack([run.canary for run in runs], axis=1), np.stack([run.stable for run in runs], axis=1)
    found = np.zeros((len(runs), 2), dtype=int)
    there = np.arange(len(runs))
    for k in range(1, looks + 1):
        harm, safety = judge.add(canary[k - 1][there], stable[k - 1][there])
        mine = found[there]
        failed = (harm >= LIMIT) & (mine[:, 0] == 0)
        open_ = (mine[:, 1] == 0) & ~failed
        passed = (safety >= LIMIT) & open_ & (k >= BAKE * looks - 1e-9)
        if not to_the_end:
            failed &= mine[:, 1] == 0  # decided runs that are still carried along
            passed &= mine[:, 0] == 0
        else:
            passed &= mine[:, 0] == 0
        found[there[failed], 0] = k
        found[there[passed], 1] = k
        if k % FORGET_EVERY == 0:
            mine = found[there]
            left = (mine[:, 0] == 0) & (to_the_end | (mine[:, 1] == 0))
            if not left.any():
                break
            if not left.all():
                judge.keep(left)
                there = there[left]
    return [(int(f), int(p)) for f, p in found]


def usable(run: Run) -> bool:
    """A look without traffic is skipped, and then this run's starts fall on other looks than its neighbours'."""
    if run.canary.ndim != 2:
        return True
    totals = [arm[:, 1] if arm.shape[1] == 2 else arm.sum(axis=1) for arm in (run.canary, run.stable)]
    return all(bool((total > 0).all()) for total in totals)


class Drift(Exception):
    """The two ways to judge differ: a bug in this benchmark."""


def judge(scenario: Scenario, runs: list[Run], *, to_the_end: bool, checked: int) -> Verdicts:
    """All runs, the fast way where it applies; the first `checked` both ways."""
    fast = [i for i, run in enumerate(runs) if usable(run)]
    found: list[tuple[int, int]] = [(0, 0)] * len(runs)
    if fast:
        for i, verdict in zip(fast, all_at_once(scenario, [runs[i] for i in fast], to_the_end=to_the_end), strict=True):
            found[i] = verdict
        slow = one_by_one(scenario, [runs[i] for i in fast[:checked]], to_the_end=to_the_end)
        for i, verdict in zip(fast, slow, strict=False):
            if found[i] != verdict:
                raise Drift(f"{scenario.name}, run {i}: {found[i]} at once, {verdict} one by one")
    others = sorted(set(range(len(runs))).difference(fast))
    for i, verdict in zip(others, one_by_one(scenario, [runs[i] for i in others], to_the_end=to_the_end), strict=True):
        found[i] = verdict
    return found
