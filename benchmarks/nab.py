"""Verdicts on real series: false alarms and power on the Numenta Anomaly Benchmark, beside Kayenta's rule.

    python -m benchmarks.nab [--data DIR] [--runs N] [--shifted N] [--looks 24,240] [--family WORD]

DIR holds CSV files `timestamp,value` and may hold `anomaly-windows.json`; a window and the day after it are left out.
A/A pairs of the healthy stretches, which must not fail:

* interleaved  odd points against even points
* blocks       both sides resampled in blocks (mean length 12) over the stretch's daily curve
* thinned      counts split binomially, the canary with 1, 5, 10 or 50 % of the traffic
* previous     a window against the one before it: not a true null (drift); told apart

Each pair is judged look by look after a look-back of up to 360 pairs made in the same way; the canary of the same
pairs is then shifted by 5 ... 100 %. Kayenta's judge looks once, at the end, at the same pairs; `kayenta` is its rule
as it stands, which raises many more false alarms; `matched` the same rule made strict enough to raise as many on these
A/A pairs as we do at all looks; `informed` the same with a limit of its own for every series, which 5 % of its A/A
pairs exceed: what its one look would find if it knew the null. Runs of one series overlap, so the intervals (Wilson,
95 %) are a little too narrow. The last line is one JSON object.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis_service.core.statistics.calibration import acf, calibrate_counts
from analysis_service.core.statistics.kayenta_interval import NoInterval, shift_interval
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Look
from analysis_service.core.statistics.placebo import calibrate_gauge_pair
from analysis_service.core.statistics.plan import Margin, Plan
from analysis_service.core.statistics.registry import families
from analysis_service.core.statistics.verdict import VerdictState, step
from analysis_service.history.files import read_table

Array = NDArray[np.float64]
Rng = np.random.Generator

HERE = Path(__file__).parent / "data" / "nab"
START = datetime(2026, 1, 1, tzinfo=UTC)
LOOK_BACK, SHORTEST_BACK = 360, 60
BLOCK = 12  # mean length of a resampled block
SHIFTS = (0.05, 0.10, 0.25, 0.50, 1.00)
BANDS = ((-1.0, 0.3), (0.3, 0.7), (0.7, 0.9), (0.9, 1.01))
SHARES = (0.01, 0.05, 0.10, 0.50)
ERROR_RATE = 0.02
DAY = 86400.0


@dataclass(frozen=True)
class Stretch:
    """Healthy points of one file, equally spaced, and how strongly neighbours hang together."""

    file: str
    values: Array
    per_day: int
    memory: float

    @property
    def band(self) -> str:
        low, high = next(b for b in BANDS if b[0] <= self.memory < b[1])
        return f"{max(low, 0):.1f}-{min(high, 1):.1f}"


@dataclass(frozen=True)
class Pairs:
    """A look-back and a run: canary and stable, shape (n,) for gauges or (n, 2) for counts."""

    back: tuple[Array, Array]
    run: tuple[Array, Array]


def stretches(folder: Path) -> list[Stretch]:
    windows = {}
    if (folder / "anomaly-windows.json").exists():
        windows = json.loads((folder / "anomaly-windows.json").read_text())
    found = []
    for path in sorted(folder.glob("*.csv")):
        (series,) = read_table(path)
        times, values = np.array(series.times), np.array(series.values)
        step_seconds = float(np.median(np.diff(times)))
        healthy = np.ones(len(times), bool)
        for first, last in windows.get(path.name, []):
            a, b = (datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in (first, last))
            healthy &= ~((times >= a) & (times <= b + DAY))
        for piece in _runs(healthy):
            part = values[piece]
            if len(part) >= 2 * (24 + SHORTEST_BACK):
                found.append(Stretch(path.stem, part, max(round(DAY / step_seconds), 2), acf(part, 1)[1]))
    return found


def _runs(keep: NDArray[np.bool_]) -> Iterator[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], keep, [False])).astype(int)))
    yield from (slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def interleaved(rng: Rng, one: Stretch, looks: int) -> Pairs | None:
    back = min(LOOK_BACK, len(one.values) // 2 - looks)
    if back < SHORTEST_BACK:
        return None
    n = 2 * (back + looks)
    start = int(rng.integers(len(one.values) - n + 1))
    part = one.values[start : start + n]
    canary, stable = (part[0::2], part[1::2]) if rng.random() < 0.5 else (part[1::2], part[0::2])
    return _split(canary, stable, back)


def previous(rng: Rng, one: Stretch, looks: int) -> Pairs | None:
    back = min(LOOK_BACK, len(one.values) - 2 * looks)
    if back < SHORTEST_BACK:
        return None
    n = back + 2 * looks
    start = int(rng.integers(len(one.values) - n + 1))
    part = one.values[start : start + n]
    return _split(part[looks:], part[:-looks], back)


def blocks(rng: Rng, one: Stretch, looks: int) -> Pairs | None:
    """The stationary bootstrap (Politis & Romano 1994) of what is left when the daily curve is taken out."""
    positive = bool((one.values > 0).all())
    level = np.log(one.values) if positive else one.values
    phase = np.arange(len(level)) % one.per_day
    curve = np.zeros(one.per_day)
    if len(level) >= 3 * one.per_day:
        curve = np.array([np.median(level[phase == k]) for k in range(one.per_day)])
        wide = max(one.per_day // 24, 1)
        curve = np.convolve(np.tile(curve, 3), np.ones(wide) / wide, "same")[one.per_day : 2 * one.per_day]
    rest, n = level - curve[phase], LOOK_BACK + looks
    sides = []
    shift = int(rng.integers(one.per_day))
    for _ in range(2):
        fresh = rng.random(n) < 1.0 / BLOCK
        fresh[0] = True
        starts = rng.integers(len(rest), size=n)
        at = np.empty(n, int)
        for k in range(n):
            at[k] = starts[k] if fresh[k] else (at[k - 1] + 1) % len(rest)
        side = rest[at] + curve[(shift + np.arange(n)) % one.per_day]
        sides.append(np.exp(side) if positive else side)
    return _split(sides[0], sides[1], LOOK_BACK)


def thinned(rng: Rng, one: Stretch, looks: int) -> Pairs | None:
    """Requests as the series goes, 1,000 on average; errors 2 % of them, in bursts that both sides share."""
    back = min(LOOK_BACK, len(one.values) - looks)
    if back < SHORTEST_BACK or one.values.min() < 0 or one.values.mean() <= 0:
        return None
    n = back + looks
    start = int(rng.integers(len(one.values) - n + 1))
    part = one.values[start : start + n]
    total = rng.poisson(1000 * part / one.values.mean())
    rate = ERROR_RATE * np.clip(part / one.values.mean(), 0.3, 3.0)
    share = SHARES[int(rng.integers(len(SHARES)))]
    canary = rng.binomial(total, share)
    sides = [np.column_stack((rng.binomial(m, rate), m)).astype(float) for m in (canary, total - canary)]
    return _split(sides[0], sides[1], back)


def _split(canary: Array, stable: Array, back: int) -> Pairs:
    return Pairs((canary[:back], stable[:back]), (canary[back:], stable[back:]))


FAMILIES = {"interleaved": interleaved, "blocks": blocks, "thinned": thinned, "previous": previous}


def shifted(rng: Rng, pairs: Pairs, by: float) -> Pairs:
    canary, stable = pairs.run
    if canary.ndim == 1:
        return Pairs(pairs.back, (canary * (1 + by), stable))
    more = rng.binomial(canary[:, 0].astype(int), by).astype(float)
    return Pairs(pairs.back, (np.column_stack((canary[:, 0] + more, canary[:, 1])), stable))


def ours(pairs: Pairs, fail_at: str) -> tuple[int, int]:
    """(look of FAIL, look of PASS), 0 for never. Watched to the end: every false alarm of any look counts."""
    canary, stable = pairs.run
    counted = canary.ndim == 2
    test = "sequential-rate-ratio" if counted else "sequential-t"
    margin = Margin(relative=0.5 if counted else 0.2)
    calibration = calibrate_counts(*pairs.back) if counted else calibrate_gauge_pair(*pairs.back, margin)
    plan = Plan(
        test=test,
        margin=margin,
        planned_looks=len(canary),
        fail_at="noharm" if fail_at == "noharm" else "margin",
        calibration=calibration,
    )
    family = families()[test]
    state, verdict = family.start(plan), VerdictState()
    rows: Iterator[tuple[ArmData, ArmData]] = (
        (_data(c), _data(s)) for c, s in zip(canary.tolist(), stable.tolist(), strict=True)
    )
    for k, (c, s) in enumerate(rows, start=1):
        look = Look(k, START, c, s)
        state = family.update(plan, state, look)
        verdict = step(plan, verdict, look, family.assess(plan, state, interval=False))
        if verdict.outcome == "fail":
            break
    return verdict.failed_at, verdict.passed_at


def _data(row: Any) -> ArmData:
    return Counts(*row) if isinstance(row, list) else Gauge(row)


TOLERANCE = 0.25  # of Kayenta's rule
ALPHA = 0.05


def kayenta(pairs: Pairs) -> float:
    """Lower end of the shift's 98 % interval as a share of its estimate, after one look at the whole run.

    Kayenta's judge calls the canary high beyond a quarter. -inf: no interval.
    """
    canary, stable = pairs.run
    if canary.ndim == 2:
        with np.errstate(divide="ignore", invalid="ignore"):
            canary, stable = canary[:, 0] / canary[:, 1], stable[:, 0] / stable[:, 1]
    canary, stable = canary[np.isfinite(canary)], stable[np.isfinite(stable)]
    if not len(canary) or not len(stable) or len(set(canary.tolist()) | set(stable.tolist())) == 1:
        return -math.inf
    try:
        found = shift_interval(canary.tolist(), stable.tolist(), confidence=0.98)
    except NoInterval:
        return -math.inf
    return found.lower / abs(found.estimate) if found.estimate else -math.inf


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    if n == 0:
        return 0.0, 1.0
    p, d = hits / n, 1 + z * z / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(middle - half, 0.0) / d, min((middle + half) / d, 1.0)


@dataclass
class Cell:
    """Runs of one family, length, band and shift."""

    runs: int = 0
    fails: int = 0
    passes: int = 0
    theirs: list[float] = field(default_factory=list)  # see `kayenta`
    series: list[int] = field(default_factory=list)  # which one each run is of
    delays: list[int] = field(default_factory=list)

    def add(self, series: int, failed: int, passed: int, theirs: float) -> None:
        self.runs += 1
        self.series.append(series)
        self.fails += bool(failed)
        self.passes += bool(passed and not failed)
        self.theirs.append(theirs)
        self.delays += [failed] if failed else []

    def beyond(self, limit: float) -> float:
        return sum(one > limit for one in self.theirs) / self.runs

    def informed(self, same: "Cell") -> float:
        """Share beyond the limit that ALPHA of the same series' runs in `same` exceed."""
        theirs, series = np.array(same.theirs), np.array(same.series)
        limits = {k: np.quantile(theirs[series == k], 1.0 - ALPHA, method="nearest") for k in set(self.series)}
        return sum(one > limits[k] for one, k in zip(self.theirs, self.series, strict=True)) / self.runs

    def found(self, same: "Cell") -> dict[str, Any]:
        """same: the cell of the same pairs without a shift."""
        low, high = wilson(self.fails, self.runs)
        strict = sorted(same.theirs, reverse=True)[same.fails]
        return {
            "runs": self.runs,
            "fail": self.fails / self.runs,
            "fail_low": low,
            "fail_high": high,
            "pass": self.passes / self.runs,
            "inconclusive": (self.runs - self.fails - self.passes) / self.runs,
            "kayenta": self.beyond(TOLERANCE),
            "matched": self.beyond(strict),
            "informed": self.informed(same),
            "median_delay": float(np.median(self.delays)) if self.delays else None,
            "p90_delay": float(np.percentile(self.delays, 90)) if self.delays else None,
        }


def measure(
    found: Sequence[Stretch], family: str, looks: int, runs: int, with_shift: int, fail_at: str, seed: int
) -> dict[tuple[str, float], Cell]:
    """Every series gives the same number of runs, so that long ones do not drown the others."""
    cells: dict[tuple[str, float], Cell] = {}
    usable = [one for one in found if FAMILIES[family](np.random.default_rng(0), one, looks) is not None]
    for number in range(runs if usable else 0):
        rng = np.random.default_rng([seed, looks, sorted(FAMILIES).index(family), number])
        which = number % len(usable)
        one = usable[which]
        pairs = FAMILIES[family](rng, one, looks)
        assert pairs is not None
        for by in (0.0, *(SHIFTS if number < with_shift else ())):
            judged = shifted(rng, pairs, by) if by else pairs
            failed, passed = ours(judged, fail_at)
            theirs = kayenta(judged)
            for band in (one.band, "all"):
                cells.setdefault((band, by), Cell()).add(which, failed, passed, theirs)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=HERE, help="a folder of CSV files `timestamp,value`")
    parser.add_argument("--runs", type=int, default=200, help="A/A runs of each family and length (2000 to judge by)")
    parser.add_argument("--shifted", type=int, default=0, help="how many of them are also shifted (default: a fifth)")
    parser.add_argument("--looks", default="24,240")
    parser.add_argument("--family", default="", help="families whose name contains this word")
    parser.add_argument("--fail-at", choices=("noharm", "margin"), default="noharm")
    parser.add_argument("--seed", type=int, default=20260)
    given = parser.parse_args()
    began, results = time.perf_counter(), []
    series = stretches(given.data)
    print(f"{len(series)} healthy stretches of {len({one.file for one in series})} files")
    print(f"{'family':<12}{'looks':>6} {'band':<8}{'shift':>6}{'runs':>6}{'fail':>7}{'95 %':>16}", end="")
    print(f"{'pass':>7}{'undecided':>10}{'delay':>7}{'p90':>6}{'kayenta':>9}{'matched':>9}{'informed':>9}")
    for family in FAMILIES:
        for looks in map(int, given.looks.split(",") if given.family in family else ()):
            shifts = given.shifted or max(given.runs // 5, 1)
            cells = measure(series, family, looks, given.runs, shifts, given.fail_at, given.seed)
            for (band, by), cell in sorted(cells.items(), key=lambda item: (item[0][1], item[0][0])):
                found = cell.found(cells[band, 0.0])
                results.append({"family": family, "looks": looks, "band": band, "shift": by, **found})
                print(_line(family, looks, band, by, found), flush=True)
    head = {"benchmark": "nab", "runs": given.runs, "failAt": given.fail_at}
    spent = timedelta(seconds=time.perf_counter() - began).total_seconds()
    print(json.dumps({**head, "seconds": spent, "results": results}))


def _line(family: str, looks: int, band: str, by: float, found: dict[str, Any]) -> str:
    interval = f"{found['fail_low']:.3f}-{found['fail_high']:.3f}"
    delays = "".join(
        f"{found[k]:>{w}.0f}" if found[k] is not None else " " * (w - 1) + "-"
        for k, w in (("median_delay", 7), ("p90_delay", 6))
    )
    return (
        f"{family:<12}{looks:>6} {band:<8}{by:>6.0%}{found['runs']:>6}{found['fail']:>7.3f}{interval:>16}"
        f"{found['pass']:>7.3f}{found['inconclusive']:>10.3f}{delays}{found['kayenta']:>9.3f}"
        f"{found['matched']:>9.3f}{found['informed']:>9.3f}"
    )


if __name__ == "__main__":
    main()
