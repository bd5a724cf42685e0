"""How good the verdicts are: false alarms, false passes, power and delay, ours beside what others do.

    python -m benchmarks.verdicts [--runs N] [--looks N] [--only WORD] [--others 0|1]

For every scenario and effect, `runs` seeded runs of `looks` looks each are judged look by look. Effect 1 is A/A:
every FAIL is a false alarm. At the margin every PASS is a false pass. `bound` is Wald's expected number of looks of
any test with this alpha that knows the effect. Others: a ratio limit with failureLimit 3; the rank judge of Kayenta
at every fifth look; Welch's test at 5 % at every look. Errors are one binomial standard error. The last line is one
JSON object.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
from scipy.special import stdtr

from analysis_service.core.statistics.kayenta_interval import NoInterval, shift_interval
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.plan import FailAt, Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step
from benchmarks.verdict_scenarios import Run, Scenario, scenarios

START = datetime(2026, 1, 1, tzinfo=UTC)
ALPHA = 0.05
KAYENTA_EVERY = 5


@dataclass
class Tally:
    runs: int = 0
    fails: list[int] = field(default_factory=list)  # look of the alarm
    passes: list[int] = field(default_factory=list)

    def add(self, failed: int, passed: int = 0) -> None:
        self.runs += 1
        if failed:
            self.fails.append(failed)
        elif passed:
            self.passes.append(passed)


def ours(scenario: Scenario, run: Run) -> tuple[int, int]:
    """(look of FAIL, look of PASS), 0 for never; the first verdict ends the run."""
    family = families()[scenario.test]
    n = len(run.looks)
    plan = Plan(
        test=scenario.test,
        margin=Margin(relative=scenario.margin),
        alpha=ALPHA,
        planned_looks=n,
        fail_at=cast(FailAt, scenario.fail_at),
        calibration=run.calibration,
    )
    state, verdict = family.start(plan), VerdictState()
    for k, (canary, stable) in enumerate(run.looks, start=1):
        look = Look(k, START, canary, stable)
        state = family.update(plan, state, look)
        verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
        if verdict.outcome == "fail" or (verdict.outcome and not scenario.onset):
            break  # harm that begins late is looked for by a run that goes on after a pass (`until: terminated`)
    return verdict.failed_at, verdict.passed_at if not verdict.failed_at else 0


def value(data: ArmData) -> float:
    """What a query would show: an error rate, a gauge, the 95th percentile of the interval."""
    if isinstance(data, Counts):
        return data.events / data.total if data.total > 0 else math.nan
    if isinstance(data, Gauge):
        return data.value
    assert isinstance(data, Histogram)
    below, total = 0.0, sum(data.counts)
    for edge, count in zip(data.edges, data.counts, strict=False):
        below += count
        if below >= 0.95 * total:
            return edge
    return data.edges[-1]


def ratio_limit(canary: list[float], stable: list[float], limit: float) -> int:
    failed = 0
    for k, (c, s) in enumerate(zip(canary, stable, strict=True), start=1):
        failed += bool(s > 0 and c / s > limit)
        if failed > 3:
            return k
    return 0


def kayenta(canary: list[float], stable: list[float], limit: float) -> int:
    """Failed when the whole 98 % interval of the shift lies beyond a quarter of its estimate."""
    for k in range(10, len(canary) + 1, KAYENTA_EVERY):
        try:
            shift = shift_interval(canary[:k], stable[:k], confidence=0.98)
        except NoInterval:
            continue
        if shift.lower > 0.25 * abs(shift.estimate):
            return k
    return 0


def welch(canary: list[float], stable: list[float], limit: float) -> int:
    c, s = np.array(canary), np.array(stable)
    n = np.arange(1, len(c) + 1)
    means = [np.cumsum(x) / n for x in (c, s)]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = [(np.cumsum(x * x) / n - m * m) / np.maximum(n - 1, 1) for x, m in zip((c, s), means, strict=True)]
        total = errors[0] + errors[1]
        t = (means[0] - means[1]) / np.sqrt(total)
        df = total**2 / ((errors[0] ** 2 + errors[1] ** 2) / np.maximum(n - 1, 1))
        p = stdtr(df, -t)
    hit = np.flatnonzero((p < 0.05) & (n >= 5))
    return int(n[hit[0]]) if len(hit) else 0


OTHERS: dict[str, Callable[[list[float], list[float], float], int]] = {
    "ratio-limit": ratio_limit,
    "kayenta": kayenta,
    "welch": welch,
}


def judge(scenario: Scenario, effect: float, runs: int, looks: int, seed: int, others: bool) -> dict[str, Tally]:
    tallies = {"tidegate": Tally(), **({name: Tally() for name in OTHERS} if others else {})}
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        run = scenario.make(rng, looks, effect)
        tallies["tidegate"].add(*ours(scenario, run))
        if others:
            pairs = [(value(c), value(s)) for c, s in run.looks]
            known = [(c, s) for c, s in pairs if math.isfinite(c) and math.isfinite(s)]
            canary, stable = [c for c, _ in known], [s for _, s in known]
            for name, rule in OTHERS.items():
                tallies[name].add(rule(canary, stable, 1 + scenario.margin))
    return tallies


def summary(scenario: Scenario, effect: float, tally: Tally) -> dict[str, Any]:
    def share(hits: int) -> dict[str, float]:
        rate = hits / tally.runs
        return {"rate": rate, "error": math.sqrt(max(rate * (1 - rate), 1e-9) / tally.runs)}

    delays = [k - scenario.onset for k in tally.fails if k > scenario.onset]
    return {
        "fail": share(len(tally.fails)),
        "pass": share(len(tally.passes)),
        "mean_delay": float(np.mean(delays)) if delays else None,
        "median_delay": float(np.median(delays)) if delays else None,
        "bound": scenario.bound(effect) if scenario.bound and effect > 1 else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--looks", type=int, default=240)
    parser.add_argument("--only", default="", help="scenarios whose name contains this word")
    parser.add_argument("--others", type=int, default=1, help="0: judge by our defaults only")
    parser.add_argument("--seed", type=int, default=20260)
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    began = time.perf_counter()
    print(f"{'scenario':<22}{'effect':>7} {'method':<12}{'fail':>15}{'pass':>15}{'mean':>7}{'median':>7}{'bound':>7}")
    for scenario in scenarios(given.looks):
        if given.only not in scenario.name:
            continue
        for effect in scenario.effects:
            tallies = judge(scenario, effect, given.runs, given.looks, given.seed, bool(given.others))
            for method, tally in tallies.items():
                found = summary(scenario, effect, tally)
                results.append({"scenario": scenario.name, "effect": effect, "method": method, **found})
                show = [f"{found[k]['rate']:.3f} +-{found[k]['error']:.3f}" for k in ("fail", "pass")]
                tail = [f"{found[k]:.1f}" if found[k] is not None else "-" for k in _TAIL]
                line = f"{scenario.name:<22}{effect:>7g} {method:<12}{show[0]:>15}{show[1]:>15}"
                print(line + "".join(f"{text:>7}" for text in tail), flush=True)
    spent = time.perf_counter() - began
    print(
        json.dumps(
            {"benchmark": "verdicts", "runs": given.runs, "looks": given.looks, "seconds": spent, "results": results}
        )
    )


_TAIL = ("mean_delay", "median_delay", "bound")


if __name__ == "__main__":
    main()
