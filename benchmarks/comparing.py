"""How long the service's loop is held while two thousand runs compare two versions.

Two phases in one process, over SQLite: the same number of runs with plain conditions, then with comparisons (a third
each of counts, histograms and gauges). A task that sleeps a millisecond at a time sees how late it is woken; what it
sees is every kind of work on the loop, statistics or not. The backend answers from memory.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import uvloop

from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.collector import spare_the_collector
from analysis_service.core.model import Metric, Run, RunSpec
from analysis_service.engine import Engine
from analysis_service.measuring import Measurer
from analysis_service.secrets import Secrets
from analysis_service.stores.base import NewRun
from analysis_service.stores.sqlite import SqliteStore
from analysis_service.telemetry import Telemetry, configure_logging
from providers.base import Answer, Context, Histogram, Sample, Spec

GOALS = {"held_ms_max": 20.0}
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
EVERY_SECONDS = 10.0


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


def metric(kind: str, n: int) -> Metric:
    if kind == "plain":
        union: dict[str, object] = {"memory": {"query": f"gauge {n}"}}
        return Metric(name="m", interval="10s", count=10_000, success_condition="result > 0", provider=union)
    arms = {"canary": {"version": "canary"}, "stable": {"version": "stable"}}

    def ask(what: str) -> dict[str, object]:
        return {"memory": {"query": f"{what} {n} {{{{arm.version}}}}"}}

    data: dict[str, object] = {
        "counts": {"counts": {"events": ask("events"), "totals": ask("totals")}, "cumulative": True},
        "histogram": {"histogram": ask("histogram"), "cumulative": True},
        "gauge": {"gauge": ask("gauge")},
    }[kind]
    margin = {"relative": 0.002}  # so near that no run is decided while it is watched
    spec = {"arms": arms, **data, "margin": margin, "failAt": "margin", "maxDuration": "24h"}
    return Metric(name="m", interval="10s", provider={"compare": spec})


async def watch(held: list[float]) -> None:
    """Appends how much later than asked each wake-up came, in seconds."""
    while True:
        at = time.monotonic()
        await asyncio.sleep(0.001)
        held.append(time.monotonic() - at - 0.001)


async def phase(kinds: tuple[str, ...], runs: int, seconds: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        clock, telemetry, backend = SystemClock(), Telemetry(), Memory()
        store = await SqliteStore.open(Path(folder, "bench.db"))
        measurer = Measurer(Asker(lambda _name: backend, Secrets([]), clock, telemetry), clock)
        engine = Engine(store, measurer, clock, telemetry, owner="bench")
        serving = asyncio.create_task(engine.serve())
        await asyncio.sleep(0.3)
        began = time.monotonic()
        for n in range(runs):
            await asyncio.sleep(max(0.0, began + n * EVERY_SECONDS / runs - time.monotonic()))
            spec = RunSpec(metrics=(metric(kinds[n % len(kinds)], n),))
            run = Run(id=f"{n:08d}", namespace="n", name=f"r{n}", spec=spec, created_at=clock.now())
            record, _ = await store.create_run(NewRun(run=run, due_at=clock.now(), owner="bench"), clock.now())
            engine.adopt(record)
        await asyncio.sleep(EVERY_SECONDS)  # every run has looked once: nothing is done for the first time
        held: list[float] = []
        watching = asyncio.create_task(watch(held))
        cpu = time.process_time()
        await asyncio.sleep(seconds)
        cpu = time.process_time() - cpu
        watching.cancel()
        live = engine.live
        await engine.drain(5)
        await serving
        await store.close()
    held.sort()
    at = {share: round(held[min(len(held) - 1, int(share * len(held)))] * 1000, 2) for share in (0.5, 0.99, 0.999, 1)}
    return {
        "live": live,
        "held_ms": {"p50": at[0.5], "p99": at[0.99], "p999": at[0.999], "max": at[1]},
        "over_20_ms": sum(one > 0.02 for one in held),
        "cpu_us_per_look": round(cpu / (seconds * runs / EVERY_SECONDS) * 1e6),
    }


async def measure(runs: int, seconds: float) -> dict[str, object]:
    plain = await phase(("plain",), runs, seconds)
    comparing = await phase(("counts", "histogram", "gauge"), runs, seconds)
    return {"benchmark": "comparing", "runs": runs, "plain": plain, "comparing": comparing, "goals": GOALS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    configure_logging("error")
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(arguments.runs, arguments.seconds))))


if __name__ == "__main__":
    main()
