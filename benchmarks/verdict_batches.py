"""Judging many runs of one scenario at once, or one by one with the service's own fold: the same verdicts.

(look of FAIL, look of PASS) per run, 0 for never. An A/A run is watched to its end whatever passed; a run with harm
ends at its first verdict, except that late harm is looked for by runs that go on after a pass (`until: terminated`).
"""

import math
from datetime import UTC, datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray

from analysis_service.core.statistics.last_counts import parts
from analysis_service.core.statistics.looks import Look
from analysis_service.core.statistics.plan import FailAt, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step
from benchmarks.verdict_counts import Counts
from benchmarks.verdict_gauges import Both
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

    def last(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        """Whether a bet on the planned last look, usable or not, decides on harm and on safety; None: `add` knew it."""
        return None


class _Counts(_Judge):
    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        super().__init__(scenario, runs)
        known = [run.calibration for run in runs]
        phi = np.array([c.dispersion * max(c.long_run, 1.0) if c else 1.0 for c in known])
        calibrated = np.array([c is not None and c.sufficient for c in known])
        memory = np.array([c.memory if c else 0.0 for c in known])
        self.state = Counts(len(runs), len(runs[0].canary), phi, calibrated, memory=memory)
        self.weighted = np.zeros((2, len(runs)))
        self.looks = np.array([int(usable(run).sum()) for run in runs])
        self.parts = parts(Plan(scenario.test, planned_looks=len(runs[0].canary)))
        self.bets = np.zeros((2, len(runs)), dtype=bool)

    def add(self, canary: Array, stable: Array) -> tuple[Array, Array]:
        (x_c, n_c), (x_s, n_s) = canary.T, stable.T
        x, w = x_c + x_s, n_c / (n_c + n_s)
        ratio = (self.weighted[0] + 1.0) / (self.weighted[1] + 1.0)
        theta = ratio * w / (ratio * w + 1.0 - w)
        variance = np.where(x >= 2.0, x_c * x_s / np.maximum(x - 1.0, 1.0), x * theta * (1.0 - theta))
        self.weighted = self.weighted + np.stack((x_c * (1.0 - w), x_s * w))
        self.state.add(x_c, x_s, w, x_c - w * x, variance)
        temper = self.state.temper()
        harm, safety = self.parts
        ends = self.looks == self.state.used
        if harm and ends.any():
            self.bets[0] |= ends & self.state.betting(self.null, 1, temper, harm * ALPHA)
            self.bets[1] |= ends & self.state.betting(self.margin, -1, temper, safety * BETA)
        mixed = self.state.log_e(self.null, 1, temper)[1], self.state.log_e(self.margin, -1, temper)[0]
        return mixed[0] + math.log1p(-harm), mixed[1] + math.log1p(-safety)

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        self.state.keep(chosen)
        self.weighted, self.looks, self.bets = self.weighted[:, chosen], self.looks[chosen], self.bets[:, chosen]

    def last(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.bets[0], self.bets[1]


class _Gauges(_Judge):
    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        super().__init__(scenario, runs)
        known = [run.calibration for run in runs if run.calibration is not None]
        margin = Margin(relative=scenario.margin)
        self.state = Both(Plan(scenario.test, margin, alpha=ALPHA, planned_looks=len(runs[0].canary)), known)

    def add(self, canary: Array, stable: Array) -> tuple[Array, Array]:
        self.state.add(canary, stable)
        if self.state.all.used < 2:
            return np.zeros_like(canary), np.zeros_like(canary)
        return self.state.harm(beyond=self.beyond), self.state.safety()

    def keep(self, chosen: NDArray[np.bool_]) -> None:
        self.state.keep(chosen)


class _Histograms(_Judge):
    def __init__(self, scenario: Scenario, runs: list[Run]) -> None:
        super().__init__(scenario, runs)
        first = np.stack([run.canary[0] + run.stable[0] for run in runs])
        known = [run.calibration for run in runs if run.calibration is not None]
        self.state = Histograms(len(runs[0].canary), known, first, EDGES, math.exp(self.margin))

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
    """A look without traffic is skipped by the fold: it is taken out, so that the starts of all runs fall together."""
    looks = len(runs[0].canary)
    judge = _JUDGES[scenario.test](scenario, runs)
    kept = [np.flatnonzero(usable(run)) for run in runs]
    most = max(map(len, kept))
    canary, stable = (
        np.stack([padded(rows[at], most) for rows, at in zip(arms, kept, strict=True)], axis=1)
        for arms in ([run.canary for run in runs], [run.stable for run in runs])
    )
    # what is known after a look holds until the next usable one
    first = np.stack([np.concatenate((at, np.full(most - len(at), looks))) for at in kept], axis=1) + 1
    last = np.concatenate((first[1:], np.full((1, len(runs)), looks + 1))) - 1
    baked = math.ceil(BAKE * looks - 1e-9)
    found = np.zeros((len(runs), 2), dtype=int)
    there = np.arange(len(runs))
    for k in range(most):
        harm, safety = judge.add(canary[k][there], stable[k][there])
        number, until = first[k][there], last[k][there]
        failed_at, passed_at = found[there].T
        open_ = (number <= looks) & (failed_at == 0) & (to_the_end | (passed_at == 0))
        failed = open_ & (harm >= LIMIT)
        passed = open_ & ~failed & (passed_at == 0) & (safety >= LIMIT) & (until >= baked)
        found[there[failed], 0] = number[failed]
        found[there[passed], 1] = np.maximum(number[passed], baked)
        if k % FORGET_EVERY == 0:
            failed_at, passed_at = found[there].T
            left = (failed_at == 0) & (to_the_end | (passed_at == 0))
            if not left.any():
                break
            if not left.all():
                judge.keep(left)
                there = there[left]
    bets = judge.last()
    if bets is not None:
        failed_at, passed_at = found[there].T
        failed = bets[0] & (failed_at == 0) & (to_the_end | (passed_at == 0))
        found[there[failed], 0] = looks
        found[there[bets[1] & ~failed & (failed_at == 0) & (passed_at == 0)], 1] = looks
    return [(int(f), int(p)) for f, p in found]


def padded(rows: Array, length: int) -> Array:
    return np.concatenate((rows, np.ones((length - len(rows), *rows.shape[1:]))))


def usable(run: Run) -> NDArray[np.bool_]:
    """Per look: is there traffic in both arms?"""
    if run.canary.ndim != 2:
        return np.ones(len(run.canary), dtype=bool)
    totals = [arm[:, 1] if arm.shape[1] == 2 else arm.sum(axis=1) for arm in (run.canary, run.stable)]
    return (totals[0] > 0) & (totals[1] > 0)


class Drift(Exception):
    """The two ways to judge differ: a bug in this benchmark."""


def judge(scenario: Scenario, runs: list[Run], *, to_the_end: bool, checked: int) -> Verdicts:
    """All runs at once; the first `checked` one by one too."""
    found = all_at_once(scenario, runs, to_the_end=to_the_end)
    for i, verdict in enumerate(one_by_one(scenario, runs[:checked], to_the_end=to_the_end)):
        if found[i] != verdict:
            raise Drift(f"{scenario.name}, run {i}: {found[i]} at once, {verdict} one by one")
    return found
