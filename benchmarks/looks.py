"""What one look of a statistical metric costs, per test: microseconds and kilobytes of state.

Tests of fixed size only collect between their planned times: their state is measured at its largest over 10,000 looks.

    python -m benchmarks.looks [--looks N]

`fold` is update and the evidence that decides; `interval` is what the confidence sequence adds, for the report; both
are medians over the run's second half, where all restarts are alive. The last line is one JSON object.
"""

import argparse
import json
import time
from datetime import UTC, datetime
from statistics import median

import msgspec
import numpy as np
from msgspec.structs import replace

from analysis_service.core.compare import fixed
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look, Samples
from analysis_service.core.statistics.plan import Calibration, Margin, Plan, Shown, Within
from analysis_service.core.statistics.registry import families
from benchmarks.verdict_scenarios import EDGES

CLOSER = "sequential-t, closer"  # where any harm fails: closer fences for it besides, and usual ones that hide some
GOALS = {
    "sequential-rate-ratio": 50.0,
    "sequential-t": 50.0,
    CLOSER: 50.0,
    "sequential-histogram": 2000.0,
}  # microseconds
STATE_KB = 64.0
FIXED_LOOKS = 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)


def arms(shape: type, rng: np.random.Generator) -> tuple[ArmData, ArmData]:
    if shape is Counts:
        return Counts(float(rng.poisson(3)), 300.0), Counts(float(rng.poisson(27)), 2700.0)
    if shape is Gauge:
        return Gauge(float(rng.lognormal(3, 0.1))), Gauge(float(rng.lognormal(3, 0.1)))
    if shape is Samples:
        return Samples(tuple(rng.lognormal(3, 1, 20).tolist())), Samples(tuple(rng.lognormal(3, 1, 180).tolist()))
    rows = [np.histogram(rng.lognormal(4, 1, n), (0.0, *EDGES, np.inf))[0].astype(float) for n in (20, 180)]
    return Histogram(EDGES, tuple(rows[0].tolist())), Histogram(EDGES, tuple(rows[1].tolist()))


def fixed_size(rng: np.random.Generator, looks: int) -> dict[str, dict[str, float]]:
    """The state that is kept between the looks of a test that is judged at its deadline, at its largest."""
    results = {}
    for name in ("mann-whitney", "fisher-exact"):
        state, largest, folds = fixed.begin(), 0, []
        for k in range(1, looks + 1):
            look = Look(k, START, *arms(Gauge if name == "mann-whitney" else Counts, rng))
            began = time.perf_counter_ns()
            state = fixed.shortened(fixed.update(state, look))
            folds.append((time.perf_counter_ns() - began) / 1000)
            largest = max(largest, len(msgspec.json.encode(state)) if k < 2 * fixed.KEPT or k == looks else 0)
        results[name] = {"fold_us": median(folds), "state_kb": largest / 1024}
        print(f"{name:<24}{median(folds):>9.1f}{'-':>13}{largest / 1024:>10.1f}{'-':>9}")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="What one look of a statistical metric costs.")
    parser.add_argument("--looks", type=int, default=240)
    looks = parser.parse_args().looks
    rng = np.random.default_rng(1)
    results = {}
    print(f"{'test':<24}{'fold us':>9}{'interval us':>13}{'state KB':>10}{'goal us':>9}")
    known = Calibration(
        points=360,
        dispersion=1.1,
        autocorrelation=0.3,
        log_ratio=True,
        scale=0.14,
        lag_one=0.28,
        fence_low=-0.42,
        fence_high=0.42,
    )
    middle = Within(
        0.1, 0.08, 0.25, 0.2, shown=Shown((0.025, 0.05, 0.1, 0.2, 0.4, 0.8), (0.02, 0.04, 0.06, 0.08, 0.1, 0.1))
    )
    cases = [(name, family, known) for name, family in families().items()]
    cut = Shown((0.055, 0.11, 0.22, 0.44, 0.88, 1.76), (0.05, 0.1, 0.19, 0.33, 0.5, 0.6))
    cases.append((CLOSER, families()["sequential-t"], replace(known, harm=middle, shown=cut)))
    for name, family, calibration in cases:
        plan = Plan(
            test=family.name,
            margin=Margin(relative=0.25),
            planned_looks=looks,
            fail_at="noharm" if family.shapes[0] is Counts or name == CLOSER else "margin",  # as `compare` sets it
            objective=0.02,
            expected_share=0.1,
            calibration=calibration if family.shapes[0] in (Counts, Gauge) else None,
        )
        state = family.start(plan)
        folds, intervals = [], []
        for k in range(1, looks + 1):
            look = Look(k, START, *arms(family.shapes[0], rng))
            began = time.perf_counter_ns()
            state = family.update(plan, state, look)
            family.assess(plan, state, interval=False)
            done = time.perf_counter_ns()
            if k > looks // 2:
                folds.append((done - began) / 1000)
                if k % 10 == 0:
                    family.assess(plan, state)
                    intervals.append((time.perf_counter_ns() - done) / 1000)
        size = len(family.encode(state)) / 1024
        found = {"fold_us": median(folds), "interval_us": median(intervals), "state_kb": size}
        results[name] = found
        goal = GOALS.get(name)
        print(f"{name:<24}{found['fold_us']:>9.1f}{found['interval_us']:>13.1f}{size:>10.1f}{goal or '-':>9}")
    results |= fixed_size(rng, FIXED_LOOKS)
    print(
        json.dumps(
            {"benchmark": "looks", "looks": looks, "state_goal_kb": STATE_KB, "goals_us": GOALS, "results": results}
        )
    )


if __name__ == "__main__":
    main()
