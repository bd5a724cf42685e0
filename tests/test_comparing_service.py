"""Comparisons by the whole service: real metrics pages over HTTP, a SQLite file, engines that stop and take over."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from analysis_service.config import Settings
from analysis_service.core.model import Cause, Look, Metric, Phase, Run, RunSpec
from analysis_service.main import Parts, compose
from analysis_service.stores.base import NewRun
from analysis_service.telemetry import configure_logging

PER_SECOND = 20_000


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error")


@dataclass
class Process:
    """A process with a metrics page, whose counters grow with time. It may begin anew, or be gone for a while."""

    error_share: float
    per_second: float = PER_SECOND
    slow_share: float = 0.1  # of requests that take more than 0.1 s
    began: float = field(default_factory=time.monotonic)
    gone: bool = False
    pages: int = 0
    address: str = ""

    async def metrics(self, _request: web.Request) -> web.Response:
        self.pages += 1
        if self.gone:
            return web.Response(status=503)
        requests = int((time.monotonic() - self.began) * self.per_second)
        errors, fast = int(requests * self.error_share), int(requests * (1 - self.slow_share))
        lines = [
            "# TYPE http_requests_total counter",
            f'http_requests_total{{code="200"}} {requests - errors}',
            *([f'http_requests_total{{code="500"}} {errors}'] if errors else []),
            "# TYPE seconds histogram",
            f'seconds_bucket{{le="0.05"}} {fast // 2}',
            f'seconds_bucket{{le="0.1"}} {fast}',
            f'seconds_bucket{{le="1"}} {requests}',
            f'seconds_bucket{{le="+Inf"}} {requests}',
            f"seconds_count {requests}",
            "seconds_sum 1",
        ]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")


@asynccontextmanager
async def serving(*processes: Process) -> AsyncIterator[None]:
    runners = []
    for process in processes:
        app = web.Application()
        app.router.add_get("/metrics", process.metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        process.address = "http://{}:{}/metrics".format(*runner.addresses[0][:2])
        runners.append(runner)
    yield
    for runner in runners:
        await runner.cleanup()


@asynccontextmanager
async def service(store: Path) -> AsyncIterator[Parts]:
    parts = await compose(Settings(store=f"sqlite:{store}"))
    working = asyncio.create_task(parts.engine.serve())
    yield parts
    await parts.engine.drain(2.0)
    await working
    await parts.close()


async def start(parts: Parts, *metrics: Metric, **spec: Any) -> None:
    now = parts.clock.now()
    run = Run("id", "n", "run", RunSpec(metrics=metrics, **spec), created_at=now)
    record, _ = await parts.store.create_run(NewRun(run, now, owner=parts.engine.owner), now)
    parts.engine.adopt(record)


async def stored(parts: Parts) -> Run:
    return (await parts.store.get_run("n", "id")).run


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 20.0) -> None:
    """Looks again every few milliseconds: what is waited for happens in the service, not here."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def verdict(parts: Parts) -> Run:
    async def done() -> bool:
        return (await stored(parts)).phase.done

    await until(done)
    return await stored(parts)


async def looks(parts: Parts, metric: str = "errors") -> list[Look]:
    found: list[Look] = []
    key = ""
    while True:
        page = await parts.store.list_looks("id", metric, 0, 7, key)  # small pages: the key must carry on
        found += page.items
        if not page.next_key:
            return found
        key = page.next_key


async def looked(parts: Parts, times: int) -> None:
    async def enough() -> bool:
        return len(await looks(parts)) >= times

    await until(enough)


def errors(canary: Process, stable: Process, **fields: Any) -> Metric:
    def scrape(query: str) -> dict[str, Any]:
        return {"scrape": {"targets": ["{{arm.url}}"], "query": query}}

    spec = {
        "arms": {"canary": {"url": canary.address}, "stable": {"url": stable.address}},
        "counts": {"events": scrape('http_requests_total{code="500"}'), "totals": scrape("http_requests_total")},
        "margin": {"relative": 0.5},
        "maxDuration": "2s",
        **fields,
    }
    return Metric(name="errors", interval="50ms", provider={"compare": spec})


def latency(canary: Process, stable: Process) -> Metric:
    metric = errors(canary, stable)
    spec = dict(metric.provider["compare"])
    del spec["counts"]
    spec["histogram"] = {"scrape": {"targets": ["{{arm.url}}"], "query": "seconds"}}
    return Metric(name="latency", interval="50ms", provider={"compare": spec})


@pytest.mark.parametrize(
    ("share", "phase", "cause"),
    [(0.10, Phase.FAILED, Cause.HARM_SHOWN), (0.05, Phase.SUCCESSFUL, Cause.PASSED)],
)
async def test_two_processes_are_compared(tmp_path: Path, share: float, phase: Phase, cause: Cause) -> None:
    canary, stable = Process(share), Process(0.05)
    async with serving(canary, stable), service(tmp_path / "db") as parts:
        await start(parts, errors(canary, stable))
        run = await verdict(parts)
        kept = await looks(parts)
    result = run.results[0]
    assert (run.phase, result.cause) == (phase, cause)
    ratio = float(result.measurements[-1].value.split()[0].removeprefix("x"))
    assert ratio == pytest.approx(share / 0.05, rel=0.3)  # the four pages of a look are not read at one instant
    assert [look.number for look in kept] == list(range(1, len(kept) + 1))
    assert set(result.metadata) == {
        "test",
        *(f"{arm}.{part}.ResolvedScrapeQuery" for arm in ("canary", "stable") for part in ("events", "totals")),
    }


async def test_slow_answers_are_found_in_a_histogram(tmp_path: Path) -> None:
    canary, stable = Process(0.05, slow_share=0.8), Process(0.05, slow_share=0.1)
    async with serving(canary, stable), service(tmp_path / "db") as parts:
        await start(parts, latency(canary, stable))
        run = await verdict(parts)
    assert (run.phase, run.results[0].cause) == (Phase.FAILED, Cause.HARM_SHOWN)
    assert re.match(r"latency: p99 x[\d.]+ of stable \(90% sequential interval .*\), p50 x[4-9]", run.reason)


async def test_another_service_takes_over_and_goes_on(tmp_path: Path) -> None:
    """Stopped in the middle; the second one goes on with the looks and the counters of the first."""
    canary, stable = Process(0.05, per_second=300), Process(0.05, per_second=300)
    async with serving(canary, stable):
        async with service(tmp_path / "db") as parts:
            await start(parts, errors(canary, stable, maxDuration="3s"))
            await looked(parts, 10)
        async with service(tmp_path / "db") as parts:
            before = len(await looks(parts))
            run = await verdict(parts)
            kept = await looks(parts)
    assert run.phase in (Phase.INCONCLUSIVE, Phase.SUCCESSFUL)
    assert len(kept) > before >= 10
    assert run.results[0].taken == 1
    # nothing was lost over the gap, nothing counted twice: the looks add up to the evidence
    totals = [look.data["canary"]["total"] for look in kept if look.data.get("canary")]
    assert kept[-1].data["evidence"]["canary_total"] == pytest.approx(sum(totals))
    seconds = (kept[-1].at - run.results[0].measurements[-1].started_at).total_seconds()  # type: ignore[operator]
    assert sum(totals) == pytest.approx(300 * seconds, rel=0.25)


async def test_a_process_that_is_gone_is_a_missed_look(tmp_path: Path) -> None:
    canary, stable = Process(0.05), Process(0.05)
    async with serving(canary, stable), service(tmp_path / "db") as parts:
        await start(parts, errors(canary, stable, minBake=0.9, maxDuration="1h"))
        await looked(parts, 3)
        canary.gone = True

        async def missed() -> bool:
            return bool((await looks(parts))[-1].data.get("missed"))

        await until(missed)
        last = (await looks(parts))[-1]
        measurement = (await stored(parts)).results[0].measurements[-1]
    assert "503" in last.data["missed"]
    assert (measurement.phase, measurement.missed) == (Phase.RUNNING, 1)
    assert measurement.resume_at is not None
    assert 9 < (measurement.resume_at - last.at).total_seconds() < 11
    assert "could not be taken once (4 in a row are tolerated)" in measurement.reason


async def test_a_score_over_comparisons(tmp_path: Path) -> None:
    """A metric that fails leaves the others time to end; the score then decides."""
    canary, stable = Process(0.05, slow_share=0.8), Process(0.05, slow_share=0.1)
    score = {"groupWeights": {"errors": 80, "latency": 20}, "scoreThresholds": {"pass": 75, "marginal": 50}}
    async with serving(canary, stable), service(tmp_path / "db") as parts:
        slow = latency(canary, stable)
        slow = Metric(
            name="latency",
            interval="50ms",
            provider={"compare": {**slow.provider["compare"], "groups": ["latency"]}},
        )
        await start(parts, errors(canary, stable, groups=["errors"]), slow, score=score)
        run = await verdict(parts)
    assert {result.name: result.phase for result in run.results} == {
        "errors": Phase.SUCCESSFUL,
        "latency": Phase.FAILED,
    }
    assert run.phase is Phase.SUCCESSFUL
    assert run.reason.startswith("Score 80 (errors 100, latency 0) reaches the pass threshold 75")


@dataclass
class Backend:
    """Speaks as Prometheus does: counters of both versions at once, and past data when it is let."""

    began: float = field(default_factory=time.monotonic)
    let: asyncio.Event = field(default_factory=asyncio.Event)
    ranges: int = 0
    address: str = ""

    async def query(self, request: web.Request) -> web.Response:
        asked = str((await request.post())["query"])
        grown = (time.monotonic() - self.began) * (1000 if asked.startswith("requests") else 50)
        sample = {"metric": {"pod": asked}, "value": [time.time(), f"{grown:.0f}"]}
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": [sample]}})

    async def query_range(self, request: web.Request) -> web.Response:
        self.ranges += 1
        await self.let.wait()
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": []}})


async def test_looks_that_wait_for_a_look_back_outlive_the_service(tmp_path: Path) -> None:
    """They were taken on time by the first service, and are judged by the second, which asks for the past anew."""
    backend = Backend()
    app = web.Application()
    app.router.add_post("/api/v1/query", backend.query)
    app.router.add_post("/api/v1/query_range", backend.query_range)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = "http://{}:{}".format(*runner.addresses[0][:2])
    spec = {
        "arms": {"canary": {"v": "canary"}, "stable": {"v": "stable"}},
        "counts": {
            part: {"prometheus": {"address": address, "query": f'{name}{{v="{{{{arm.v}}}}"}}'}}
            for part, name in (("events", "errors"), ("totals", "requests"))
        },
        "margin": {"relative": 0.5},
        "maxDuration": "1h",
    }
    metric = Metric(name="errors", interval="100ms", provider={"compare": spec})
    async with service(tmp_path / "db") as parts:
        parts.engine.measurer.comparer.settling.grace_seconds = 0.05
        await start(parts, metric)

        async def waiting() -> bool:
            results = (await stored(parts)).results
            return bool(results) and "5 looks taken" in results[0].measurements[-1].reason

        await until(waiting)
        assert backend.ranges == 1
        assert await looks(parts) == []
    restarted = time.time()
    backend.let.set()
    async with service(tmp_path / "db") as parts:
        await looked(parts, 12)
        kept = await looks(parts)
        run = await stored(parts)
    await runner.cleanup()
    assert backend.ranges > 1
    assert [look.number for look in kept] == list(range(1, len(kept) + 1))
    assert sum(look.at.timestamp() < restarted for look in kept) >= 5
    totals = [look.data["canary"]["total"] for look in kept]
    assert kept[-1].data["evidence"]["canary_total"] == pytest.approx(sum(totals))
    assert "uncalibrated" in run.results[0].measurements[-1].metadata["guarantee"]
    assert "compare.waiting" not in run.results[0].measurements[-1].metadata
