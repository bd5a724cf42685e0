"""Ten thousand live runs, each measured every ten seconds, over SQLite with synchronous FULL.

Lateness is how long after its due time a reconcile begins. Memory is what the process grew by, per run, once every
run has its measurements. The backend is a stub in another process: what is measured is the engine.
"""

import argparse
import asyncio
import gc
import json
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import uvloop

import providers
from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.collector import spare_the_collector
from analysis_service.core.expression import evaluate_time
from analysis_service.core.model import Argument, Metric, Run, RunSpec
from analysis_service.engine import Engine
from analysis_service.measuring import Measurer
from analysis_service.secrets import Secrets
from analysis_service.stores.base import NewRun
from analysis_service.stores.sqlite import SqliteStore
from analysis_service.telemetry import Telemetry, configure_logging
from benchmarks.servers import stub
from providers.http import Http
from providers.tools import Tools

GOALS = {"lateness_p99_ms": 20.0, "kilobytes_per_run": 5.0}


class Lateness:
    """Stands where the histogram does and keeps every value."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def observe(self, seconds: float) -> None:
        self.seconds.append(seconds)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def measure(address: str, runs: int, seconds: float, interval: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        clock, telemetry, http = SystemClock(), Telemetry(), Http()
        lateness = Lateness()
        telemetry.lateness = lateness  # type: ignore[assignment]
        provider = providers.load("prometheus")(Tools(http=http, evaluate_time=evaluate_time))
        store = await SqliteStore.open(Path(folder, "bench.db"))
        asker = Asker(lambda _name: provider, Secrets([]), clock, telemetry)
        engine = Engine(store, Measurer(asker, clock), clock, telemetry, owner="bench")
        serving = asyncio.create_task(engine.serve())
        await asyncio.sleep(0.3)
        gc.collect()
        before, began = resident_bytes(), time.monotonic()
        metric = Metric(
            name="m",
            interval=f"{interval:g}s",
            count=10_000,
            success_condition="result[0] == 1",
            provider={"prometheus": {"address": address, "query": "up{run='{{args.run}}'}"}},
        )
        for n in range(runs):  # spread over one interval, as a fleet's runs are
            await asyncio.sleep(max(0.0, began + n * interval / runs - time.monotonic()))
            spec = RunSpec(metrics=(metric,), args=(Argument(name="run", value=str(n)),))
            run = Run(id=f"{n:08d}", namespace="n", name=f"run-{n}", spec=spec, created_at=clock.now())
            record, _ = await store.create_run(NewRun(run=run, due_at=clock.now(), owner="bench"), clock.now())
            engine.adopt(record)
        settled = len(lateness.seconds)
        cpu, at = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        taken = sorted(lateness.seconds[settled:])
        cpu, wall = time.process_time() - cpu, time.monotonic() - at
        gc.collect()
        grown = resident_bytes() - before
        await engine.drain(5)
        await serving
        await http.close()
        await store.close()

    def at_share(share: float) -> float:
        return round(taken[min(len(taken) - 1, int(share * len(taken)))] * 1000, 2)

    return {
        "benchmark": "schedule",
        "runs": runs,
        "measurements_per_second": round(len(taken) / wall),
        "lateness_ms": {"p50": at_share(0.5), "p99": at_share(0.99), "max": at_share(1.0)},
        "kilobytes_per_run": round(grown / runs / 1024, 2),
        "cpu_share_of_one_core": round(cpu / wall, 2),
        "cpu_us_per_measurement": round(cpu / max(len(taken), 1) * 1e6),
        "goals": GOALS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--interval", type=float, default=timedelta(seconds=10).total_seconds())
    arguments = parser.parse_args()
    configure_logging("error")
    spare_the_collector()
    with stub() as address, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(address, arguments.runs, arguments.seconds, arguments.interval))))


if __name__ == "__main__":
    main()
