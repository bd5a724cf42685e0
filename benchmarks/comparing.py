"""How long the service's loop is held while two thousand runs compare two versions.

Phases in one process, over SQLite: the same number of runs with plain conditions; then with comparisons (a third each
of counts, histograms and gauges) as they begin, and when they have; then these while `--starting` more begin together
and are calibrated: first with questions of their own, then all with the same one. A task that sleeps a millisecond at
a time sees how late it is woken; what it sees is every kind of work on the loop, statistics or not. The backend answers
from memory.

A machine that is busy with other things wakes the loop late, too. Linux tells how long a thread was ready and had no
core. `by_us_ms` is what is left of each wait without that, `worked_ms` the CPU that the loop's thread took in it.
"""

import argparse
import asyncio
import ctypes
import json
import math
import os
import random
import tempfile
import threading
import time
from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import uvloop

from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.collector import collect_by_the_clock, spare_the_collector
from analysis_service.core.model import Metric, Run, RunSpec
from analysis_service.engine import Engine
from analysis_service.history.apart import Apart, workers
from analysis_service.history.base import Asked, Frame, Series
from analysis_service.history.calibrating import Calibrator
from analysis_service.measuring import Measurer
from analysis_service.secrets import Secrets
from analysis_service.stores.base import NewRun
from analysis_service.stores.sqlite import SqliteStore
from analysis_service.telemetry import Telemetry, configure_logging
from providers.base import Answer, Context, Histogram, Sample, Spec

GOALS = {"by_us_ms_max": 20.0}
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
EVERY_SECONDS = 10.0
KINDS = ("counts", "histogram", "gauge")
FORECASTS = 10  # looks after which a comparison makes no forecast any more
LONGEST = 200.0  # seconds that are waited for calibrations


class Memory:
    """Counters that grow by chance, ten thousand requests a look, one in a hundred bad; a gauge; a histogram."""

    name = "memory"

    def __init__(self) -> None:
        self._draw = random.Random(7)
        self._counters: dict[str, float] = {}

    def check(self, spec: Spec) -> list[str]:
        return []

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {}

    def timeout_seconds(self, spec: Spec) -> float:
        return 5.0

    def credentials(self, spec: Spec, context: Context) -> str:
        return ""

    async def query(self, spec: Spec, context: Context) -> Answer:
        query = str(spec["query"])
        labels = {"pod": "a"}
        if query.startswith("histogram"):
            shares = (0.05, 0.2, 0.5, 0.75, 0.9, 0.96, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0)
            total = self._grown(query, 10_000)
            cumulative = tuple(round(total * share) * 1.0 for share in shares)
            return Answer({}, "", histograms=(Histogram(labels, BOUNDS, cumulative),))
        if query.startswith("gauge"):
            value = self._draw.gauss(100, 5)
        else:
            value = self._grown(query, 100 if query.startswith("events") else 10_000)
        return Answer(value, f"{value:g}", samples=(Sample(labels, value),))

    async def close(self) -> None:
        return None

    def _grown(self, name: str, by: float) -> float:
        grown = self._counters.get(name, 0.0) + max(0.0, round(self._draw.gauss(by, by**0.5)))
        self._counters[name] = grown
        return grown


class Past:
    """Six hours of five stable pods and one canary, at every look the same; slow to ask, as a server is."""

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        time.sleep(0.02)
        n = math.floor((end - start) / step) + 1
        times = array("d", [start.timestamp() + k * step.total_seconds() for k in range(n)])
        series = []
        for pod in range(5 if asked.arm == "stable" else 1):
            draw = np.random.default_rng(pod)
            labels = {"pod": f"{asked.arm}-{pod}"}
            if asked.part == "buckets":
                grown = draw.poisson(20, (n, len(BOUNDS))).cumsum(axis=1).cumsum(axis=0)
                found = [({**labels, "le": str(edge)}, grown[:, k]) for k, edge in enumerate(BOUNDS)]
            elif asked.part == "level":
                found = [(labels, draw.normal(100, 5, n))]
            else:
                found = [(labels, draw.poisson(100 if asked.part == "events" else 10_000, n).cumsum())]
            series += [Series(one, times, array("d", values.astype(float).tolist())) for one, values in found]
        return Frame(tuple(series), start, end, step, step)

    def close(self) -> None:
        return None


def metric(kind: str, n: int) -> Metric:
    if kind == "plain":
        union: dict[str, object] = {"memory": {"query": f"gauge {n}"}}
        return Metric(name="m", interval="10s", count=10_000, success_condition="result > 0", provider=union)
    arms = {"canary": {"version": "canary"}, "stable": {"version": "stable"}}

    def ask(what: str) -> dict[str, object]:
        return {"memory": {"query": f"{what} {n} {{{{arm.version}}}}"}}

    kinds: dict[str, dict[str, object]] = {
        "counts": {"counts": {"events": ask("events"), "totals": ask("totals")}, "cumulative": True},
        "histogram": {"histogram": ask("histogram"), "cumulative": True},
        "gauge": {"gauge": ask("gauge")},
    }
    margin = {"relative": 0.002}  # so near that no run is decided while it is watched
    spec = {"arms": arms, **kinds[kind], "margin": margin, "failAt": "margin", "maxDuration": "24h"}
    return Metric(name="m", interval="10s", provider={"compare": spec})


@dataclass(slots=True)
class Waits:
    """Of each waking, in seconds: how much later it came than asked; without the machine's part; CPU of this thread."""

    held: list[float] = field(default_factory=list)
    by_us: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        return {
            "held_ms": _spread(self.held),
            "over_20_ms": sum(one > 0.02 for one in self.held),
            "by_us_ms": _spread(self.by_us),
            "by_us_over_20_ms": sum(one > 0.02 for one in self.by_us),
            "worked_ms": _spread(self.worked),
        }


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = [round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2) for share in (0.5, 0.99, 0.999, 1)]
    return dict(zip(("p50", "p99", "p999", "max"), at, strict=True))


async def watch(waits: Waits) -> None:
    coreless = _coreless()
    while True:
        at, waited, worked = time.monotonic(), coreless(), time.thread_time()
        await asyncio.sleep(0.001)
        late = time.monotonic() - at - 0.001
        waits.held.append(late)
        waits.by_us.append(max(0.0, late - (coreless() - waited)))
        waits.worked.append(time.thread_time() - worked)


def _coreless() -> Callable[[], float]:
    """Seconds that this thread was ready to run and had no core; always 0 where the system does not tell.

    Read without giving the interpreter away (PyDLL): to ask must not be what is waited for.
    """
    try:
        file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
    except OSError:
        return lambda: 0.0
    libc, text = ctypes.PyDLL(None), ctypes.create_string_buffer(64)

    def read() -> float:
        size = libc.pread(file, text, 64, 0)
        return int(text.raw[:size].split()[1]) / 1e9

    return read


async def calibrations(store: SqliteStore, names: Sequence[str], seconds: float) -> dict[str, object]:
    """When the runs that began together were calibrated, and how many were not."""
    began, done = time.monotonic(), dict.fromkeys(names, 0.0)
    told: dict[str, str] = {}
    while time.monotonic() < began + seconds and len(told) < len(names):
        await asyncio.sleep(3)
        for name in names:
            if name in told:
                continue
            run = (await store.get_run("n", name)).run
            measurement = run.results[0].measurements[-1] if run.results else None
            if measurement is not None and (grade := measurement.metadata.get("guarantee")):
                told[name], done[name] = grade, time.monotonic() - began
    when = sorted(at for at in done.values() if at)
    return {
        "judged": len(told),
        "uncalibrated": sum("uncalibrated" in grade for grade in told.values()),
        "judged_after_s": {"first": round(when[0]), "half": round(when[len(when) // 2]), "last": round(when[-1])}
        if when
        else {},
    }


@asynccontextmanager
async def watched(runs: int) -> AsyncIterator[dict[str, object]]:
    """What the loop was held for in the body; the figures are there after it."""
    waits = Waits()
    found: dict[str, object] = {}
    watching = asyncio.create_task(watch(waits))
    cpu, since = time.process_time(), time.monotonic()
    yield found
    cpu, seconds = time.process_time() - cpu, time.monotonic() - since
    watching.cancel()
    found |= waits.figures()
    found["cpu_us_per_look"] = round(cpu / (seconds * runs / EVERY_SECONDS) * 1e6)
    found["seconds"] = round(seconds)


async def phase(
    kinds: tuple[str, ...], runs: int, seconds: float, *, settle: float, starting: int = 0
) -> dict[str, dict[str, object]]:
    """The figures while the runs begin, when they have, and while `starting` more are calibrated."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        clock, telemetry, backend = SystemClock(), Telemetry(), Memory()
        store = await SqliteStore.open(Path(folder, "bench.db"))
        measurer = Measurer(Asker(lambda _name: backend, Secrets([]), clock, telemetry), clock)
        engine = Engine(store, measurer, clock, telemetry, owner="bench")
        apart = Apart()
        measurer.comparer.foretelling.foresee = apart.foresee  # this and the next as `tidegate serve` does
        await measurer.comparer.load()
        collecting = asyncio.create_task(collect_by_the_clock())
        serving = asyncio.create_task(engine.serve())
        await asyncio.sleep(0.3)
        began = time.monotonic()

        async def begin(n: int, asks: int) -> str:
            spec = RunSpec(metrics=(metric(kinds[n % len(kinds)], asks),))
            run = Run(id=f"{n:08d}", namespace="n", name=f"r{n}", spec=spec, created_at=clock.now())
            record, _ = await store.create_run(NewRun(run=run, due_at=clock.now(), owner="bench"), clock.now())
            engine.adopt(record)
            return run.id

        async with watched(runs) as beginning:
            for n in range(runs):
                await asyncio.sleep(max(0.0, began + n * EVERY_SECONDS / runs - time.monotonic()))
                await begin(n, n)
            await asyncio.sleep(settle)
        async with watched(runs) as steady:
            await asyncio.sleep(seconds)
        found = {"beginning": beginning, "steady": steady}
        calibrators: list[Calibrator] = []
        for k, name in enumerate(("calibrating", "calibrating_alike") if starting else ()):
            calibrators.append(Calibrator(Past(), clock.wall, apart, workers()))
            measurer.comparer.settling.calibrate = calibrators[-1]
            async with watched(runs) as figures:
                first = runs + k * starting
                ids = [await begin(first + n, first if k else first + n) for n in range(starting)]
                figures["calibration"] = await calibrations(store, ids, LONGEST)
            found[name] = figures
        steady["live"] = engine.live
        await engine.drain(5)
        await serving
        for calibrator in calibrators:  # comparisons may still be waiting for theirs
            calibrator.close()
        apart.close()
        collecting.cancel()
        await store.close()
    return found


async def measure(runs: int, seconds: float, starting: int) -> dict[str, object]:
    found: dict[str, object] = {"benchmark": "comparing", "runs": runs, "starting": starting, "goals": GOALS}
    found["plain"] = (await phase(("plain",), runs, seconds, settle=EVERY_SECONDS))["steady"]
    compared = await phase(KINDS, runs, seconds, settle=FORECASTS * EVERY_SECONDS, starting=starting)
    found["comparing"] = compared.pop("steady")
    return found | compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--starting", type=int, default=200, help="more runs that begin together, with a look-back")
    arguments = parser.parse_args()
    configure_logging("error")
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(arguments.runs, arguments.seconds, arguments.starting))))


if __name__ == "__main__":
    main()
