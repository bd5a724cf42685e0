"""How good the verdicts are: false alarms, false passes, power and delay, ours beside what others do.

    python -m benchmarks.verdicts [--runs N] [--looks N] [--only WORD] [--effects all|aa|harm] [--others N] [--record]

For every scenario and effect, `runs` seeded runs are judged at every one of `looks` looks. Effect 1 is A/A: every
FAIL is a false alarm, and the run goes on after a pass. At the margin every PASS is a false pass. `bound` is Wald's
expected number of looks of any test with this alpha that knows the effect. Others, on the first `others` runs: a
ratio limit with failureLimit 3; the rank judge of Kayenta (98 % interval) and Welch's test at 5 %, both at every
look. Errors are one standard error of the simulation. --record keeps the table in benchmarks/results. The last line
is one JSON object.
"""

import argparse
import json
import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import stdtr

from analysis_service.core.statistics.kayenta_interval import NoInterval, shift_interval, shifted_z
from benchmarks.verdict_batches import ALPHA, BETA, judge
from benchmarks.verdict_scenarios import EDGES, LOOK_BACK, Array, Scenario, scenarios

RESULTS = Path(__file__).parent / "results"
KAYENTA_FROM = 10  # looks before its interval means anything
KAYENTA_Z = NormalDist().inv_cdf(0.99)
CELLS = 4_000_000  # numbers of one arm held at a time
OURS = "tidegate"


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


def values(arm: Array) -> Array:
    """What a query would show: an error rate, a gauge, the 95th percentile of the interval (its bucket's edge)."""
    if arm.ndim == 1:
        return arm
    if arm.shape[1] == 2:
        rate: Array = np.divide(arm[:, 0], arm[:, 1], out=np.full(len(arm), np.nan), where=arm[:, 1] > 0)
        return rate
    below = np.cumsum(arm, axis=1)
    at = np.minimum((below < 0.95 * below[:, -1:]).sum(axis=1), len(EDGES) - 1)
    found: Array = np.array(EDGES)[at]
    return found


def ratio_limit(canary: list[float], stable: list[float], limit: float) -> int:
    failed = 0
    for k, (c, s) in enumerate(zip(canary, stable, strict=True), start=1):
        failed += bool(s > 0 and c / s > limit)
        if failed > 3:
            return k
    return 0


def kayenta(canary: list[float], stable: list[float], limit: float) -> int:
    """Failed when the whole 98 % interval of the shift lies beyond a quarter of its estimate."""
    for k in range(KAYENTA_FROM, len(canary) + 1):
        try:
            if shifted_z(np.array(canary[:k]), np.array(stable[:k]), 0.0) <= KAYENTA_Z:
                continue  # the interval holds 0
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


def tally(scenario: Scenario, effect: float, given: argparse.Namespace) -> dict[str, Tally]:
    tallies = {OURS: Tally(), **({name: Tally() for name in OTHERS} if given.others else {})}
    size = max(1, min(given.runs, CELLS // (given.looks * scenario.weight)))
    for start in range(0, given.runs, size):
        numbers = range(start, min(start + size, given.runs))
        runs = [
            scenario.make(
                np.random.default_rng([given.seed, zlib.crc32(scenario.name.encode()), n]),
                given.look_back,
                given.looks,
                effect,
            )
            for n in numbers
        ]
        checked = max(0, given.checked - start)
        for verdict in judge(scenario, runs, to_the_end=effect == 1 or scenario.onset > 0, checked=checked):
            tallies[OURS].add(*verdict)
        for run in runs[: max(0, given.others - start)]:
            canary, stable = values(run.canary), values(run.stable)
            known = np.isfinite(canary) & np.isfinite(stable)
            for name, rule in OTHERS.items():
                tallies[name].add(rule(canary[known].tolist(), stable[known].tolist(), 1 + scenario.margin))
    return tallies


def summary(scenario: Scenario, effect: float, found: Tally) -> dict[str, Any]:
    delays = [k - scenario.onset for k in found.fails if k > scenario.onset]
    return {
        "runs": found.runs,
        "fail": share(len(found.fails), found.runs),
        "pass": share(len(found.passes), found.runs),
        "mean_delay": float(np.mean(delays)) if delays else None,
        "delay_error": float(np.std(delays) / math.sqrt(len(delays))) if delays else None,
        "median_delay": float(np.median(delays)) if delays else None,
        "bound": scenario.bound(effect) if scenario.bound and effect > 1 else None,
    }


def share(hits: int, runs: int) -> dict[str, float]:
    rate = hits / runs
    return {"rate": rate, "error": math.sqrt(rate * (1 - rate) / runs)}


LATE = 1.5  # times as long as harm that is there from the beginning


def goal(scenario: Scenario, effect: float, found: dict[str, Any], before: list[dict[str, Any]]) -> str:
    """What our defaults owe here: "met", or what was missed; empty where nothing was promised.

    before: results so far; harm that begins late is held against the same harm from the beginning.
    """
    missed, asked = [], False
    for owed, what, level in ((effect == 1, "fail", ALPHA), (at_margin(scenario, effect), "pass", BETA)):
        if owed:
            asked = True
            error = math.sqrt(level * (1 - level) / found["runs"])
            if found[what]["rate"] > level + 2 * error:
                missed.append(f"false {what}")
    if found["bound"] and found["fail"]["rate"] >= 0.9 and not scenario.onset:  # seldom found: the mean is cut short
        asked = True
        limit = 2.5 * found["bound"] if found["bound"] >= 10 else found["bound"] + 10
        if found["mean_delay"] > limit:
            missed.append("delay")
    early = [one for one in before if (one["scenario"], one["effect"], one["method"]) == (scenario.early, effect, OURS)]
    if scenario.onset and early:
        asked = True
        if found["mean_delay"] > LATE * early[0]["mean_delay"]:
            missed.append("late onset")
    return "missed: " + ", ".join(missed) if missed else "met" if asked else ""


def at_margin(scenario: Scenario, effect: float) -> bool:
    return math.isclose(effect, 1 + scenario.margin)


HEAD = ("scenario", "effect", "method", "runs", "fail", "pass", "mean delay", "median", "bound", "goal")
WIDTHS = (20, 7, 12, 6, 15, 15, 14, 7, 7, 0)


def row(result: dict[str, Any]) -> list[str]:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    rates = [f"{result[k]['rate']:.4f} +-{result[k]['error']:.4f}" for k in ("fail", "pass")]
    error = result["delay_error"]
    delay = number(result["mean_delay"]) + (f" +-{error:.1f}" if error is not None else "")
    return [
        result["scenario"],
        f"{result['effect']:g}",
        result["method"],
        str(result["runs"]),
        *rates,
        delay,
        number(result["median_delay"]),
        number(result["bound"]),
        result["goal"],
    ]


def printed(cells: list[str] | tuple[str, ...]) -> str:
    pairs = list(zip(cells, WIDTHS, strict=True))
    return " ".join([f"{c:<{w}}" for c, w in pairs[:3]] + [f"{c:>{w}}" for c, w in pairs[3:-1]] + [cells[-1]])


def record(report: dict[str, Any]) -> None:
    """The report as JSON, and as a table to read; rows of an earlier report that this one did not measure stay."""
    RESULTS.mkdir(exist_ok=True)
    name = f"verdicts-{report['looks']}"
    kept = RESULTS / f"{name}.json"
    rows = {_key(found): found for found in (json.loads(kept.read_text())["results"] if kept.exists() else [])}
    rows |= {_key(found): found for found in report["results"]}
    order = [scenario.name for scenario in scenarios(report["looks"])]
    results = sorted(
        rows.values(), key=lambda found: (order.index(found["scenario"]), found["effect"], -found["look_back"])
    )
    kept.write_text(
        json.dumps({"benchmark": "verdicts", "looks": report["looks"], "results": results}, indent=1) + "\n"
    )
    lines = [
        f"# Verdicts at {report['looks']} looks",
        "",
        f"`python -m benchmarks.verdicts --looks {report['looks']} --runs RUNS --seed SEED --look-back INTERVALS`,",
        "all in the table; 720 intervals of 30 s are the product's own look-back of six hours.",
        "alpha = beta = 0.05. Errors are one standard error of the simulation. Effect 1 is A/A: every fail is false.",
        "At the margin every pass is false. Delays are looks from the onset to the alarm, of the runs that alarmed.",
        "Beside ours: canary over stable beyond 1 + margin more than 3 times; Kayenta's rank rule (98 % interval",
        "beyond a quarter of its estimate) and Welch's test at 5 %, both at every look. These do not tell a pass.",
        "",
        "| " + " | ".join((*HEAD, "look-back", "seed")) + " |",
        "|" + "---|" * (len(HEAD) + 2),
        *("| " + " | ".join((*row(one), str(one["look_back"]), str(one["seed"]))) + " |" for one in results),
    ]
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")


def _key(result: dict[str, Any]) -> tuple[str, float, str, int]:
    return result["scenario"], result["effect"], result["method"], result["look_back"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--looks", type=int, default=240)
    parser.add_argument("--look-back", type=int, default=LOOK_BACK, help="intervals to calibrate on (default: 6 h)")
    parser.add_argument("--only", default="", help="scenarios whose name contains one of these words (a,b)")
    parser.add_argument("--effects", choices=("all", "aa", "harm"), default="all", help="aa: no harm only")
    parser.add_argument("--others", type=int, default=0, help="runs on which the other methods are shown too")
    parser.add_argument("--checked", type=int, default=3, help="runs judged one by one as well, to the same verdict")
    parser.add_argument("--seed", type=int, default=20260)
    parser.add_argument("--record", action="store_true", help="keep the table in benchmarks/results")
    given = parser.parse_args()
    results: list[dict[str, Any]] = []
    began = time.perf_counter()
    print(printed(HEAD))
    for scenario in scenarios(given.looks):
        if not any(word in scenario.name for word in given.only.split(",")):
            continue
        for effect in scenario.effects:
            if given.effects != "all" and (effect == 1) != (given.effects == "aa"):
                continue
            for method, found in tally(scenario, effect, given).items():
                result = {"scenario": scenario.name, "effect": effect, "method": method, "seed": given.seed}
                result["look_back"] = given.look_back
                result |= summary(scenario, effect, found)
                result["goal"] = goal(scenario, effect, result, results) if method == OURS else ""
                results.append(result)
                print(printed(row(result)), flush=True)
    named = ("runs", "looks", "look_back", "only", "effects", "others", "checked", "seed")
    report = {
        "benchmark": "verdicts",
        **{name: getattr(given, name) for name in named},
        "seconds": time.perf_counter() - began,
        "results": results,
    }
    if given.record:
        record(report)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
