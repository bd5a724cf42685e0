"""CPU of one whole durable measurement, next to what a user would do without us.

In each round, in turn: N queries by bare aiohttp, N measurements by the engine (schedule, query, parse, condition,
assess, SQLite with synchronous FULL), N queries by prometheus-api-client. CPU is this process's, all threads. A
second part asks one question from 50 runs at once, against one run, and counts what Prometheus spends.
"""

import argparse
import asyncio
import json
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

import aiohttp
import uvloop
from prometheus_api_client import PrometheusConnect
from requests import Session

import providers
from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.core.expression import evaluate_time
from analysis_service.core.model import Metric, Run, RunSpec
from analysis_service.engine import Engine
from analysis_service.measuring import Measurer
from analysis_service.secrets import Secrets
from analysis_service.stores.base import NewRun, RunRecord
from analysis_service.stores.sqlite import SqliteStore
from analysis_service.telemetry import Telemetry, configure_logging
from benchmarks.servers import Running, prometheus
from providers.http import Http
from providers.tools import Tools

RUNS, PER_RUN, CONCURRENCY = 50, 10, 4
GOALS = {"durable_vs_bare": 1.6, "durable_vs_prometheus_api_client": 0.5, "fifty_equal_vs_one_prometheus_cpu": 1.1}


def query_text(n: int) -> str:
    return f"up + {n} - {n}"


class Bench:
    """One engine over one SQLite file, one aiohttp session, one prometheus-api-client."""

    def __init__(self, server: Running, folder: str) -> None:
        self.server, self.folder, self.made = server, folder, 0

    async def open(self) -> None:
        self.clock, telemetry = SystemClock(), Telemetry()
        self.http = Http()
        tools = Tools(http=self.http, evaluate_time=evaluate_time)
        made = providers.load("prometheus")(tools)
        self.store = await SqliteStore.open(Path(self.folder, "bench.db"))
        asker = Asker(lambda _name: made, Secrets([]), self.clock, telemetry)
        measurer = Measurer(asker, self.clock)
        self.engine = Engine(self.store, measurer, self.clock, telemetry, owner="bench", shortest_gap=timedelta(0))
        self.serving = asyncio.create_task(self.engine.serve())
        self.session = aiohttp.ClientSession(headers={"Accept-Encoding": "identity"})
        await asyncio.sleep(0.2)

    async def close(self) -> None:
        await self.engine.drain(5)
        await self.serving
        await self.session.close()
        await self.http.close()
        await self.store.close()

    async def create(self, runs: int, count: int, text: str | None = None) -> list[RunRecord]:
        """Stored, but not begun: `begin` is what is measured."""
        records = []
        for n in range(runs):
            self.made += 1
            metric = Metric(
                name="m",
                interval="1ms" if text is None else "10s",
                count=count,
                success_condition="result[0] == 1",
                provider={"prometheus": {"address": self.server.address, "query": text or query_text(n)}},
            )
            run = Run(
                id=f"{self.made:08d}", namespace="n", name=f"r{self.made}", spec=RunSpec(metrics=(metric,)),
                created_at=self.clock.now(),
            )  # fmt: skip
            new = NewRun(run=run, due_at=self.clock.now(), owner="bench")
            record, _ = await self.store.create_run(new, self.clock.now())
            records.append(record)
        return records

    async def run(self, records: list[RunRecord]) -> None:
        for record in records:
            self.engine.adopt(record)
        while any(self.engine.held(record.run.id) for record in records):  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def bare(self) -> None:
        """N queries, four at a time, as an asyncio user would write it."""
        queries = iter([query_text(n % RUNS) for n in range(RUNS * PER_RUN)])

        async def worker() -> None:
            for text in queries:
                async with self.session.post(f"{self.server.address}/api/v1/query", data={"query": text}) as response:
                    body = await response.json()
                    assert float(body["data"]["result"][0]["value"][1]) == 1

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


def with_client(server: Running) -> None:
    session = Session()
    session.headers["Accept-Encoding"] = "identity"
    client = PrometheusConnect(url=server.address, session=session)
    for n in range(RUNS * PER_RUN):
        assert float(client.custom_query(query_text(n % RUNS))[0]["value"][1]) == 1


async def measure(rounds: int) -> dict[str, object]:
    taken: dict[str, list[float]] = {"bare": [], "durable": [], "prometheus_api_client": [], "one": [], "fifty": []}
    with prometheus() as server, tempfile.TemporaryDirectory(dir=".") as folder:
        bench = Bench(server, folder)
        await bench.open()
        for n in range(rounds + 1):
            figures: dict[str, float] = {}
            began = time.process_time()
            await bench.bare()
            figures["bare"] = time.process_time() - began
            records = await bench.create(RUNS, PER_RUN)
            began = time.process_time()
            await bench.run(records)
            figures["durable"] = time.process_time() - began
            began = time.process_time()
            await asyncio.to_thread(with_client, server)
            figures["prometheus_api_client"] = time.process_time() - began
            if n:  # the first round warms up
                for name, seconds in figures.items():
                    taken[name].append(seconds / (RUNS * PER_RUN) * 1e6)
        heavy = "sum(count_over_time((count({__name__=~'.+'}))[60s:10ms]))"  # some 0.1 s of CPU
        for n in range(4 * rounds + 1):
            for name, runs in (("one", 1), ("fifty", 50)):
                await asyncio.sleep(1.05)  # a new time bucket
                records = await bench.create(runs, 1, f"{heavy} > bool {n}")
                before = server.cpu_seconds()
                await bench.run(records)
                if n:
                    taken[name].append(server.cpu_seconds() - before)
        await bench.close()
    ratios = {
        "durable_vs_bare": _ratio(taken["durable"], taken["bare"]),
        "durable_vs_prometheus_api_client": _ratio(taken["durable"], taken["prometheus_api_client"]),
        "fifty_equal_vs_one_prometheus_cpu": round(sum(taken["fifty"]) / max(sum(taken["one"]), 0.01), 2),
    }
    return {
        "benchmark": "measurement",
        "ratios": ratios,
        "goals": GOALS,
        "cpu_us": {name: round(median(taken[name]), 1) for name in ("bare", "durable", "prometheus_api_client")},
        "prometheus_cpu_s": {name: round(sum(taken[name]), 2) for name in ("one", "fifty")},
    }


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return round(median(a / b for a, b in zip(ours, theirs, strict=True)), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    configure_logging("error")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(parser.parse_args().rounds))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
