"""When our own parts fail: nothing of an exception reaches a caller, and the answer comes quickly."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from analysis_service.api import grpc as api_grpc
from analysis_service.api.lanes import Lanes
from analysis_service.config import Settings
from analysis_service.main import Parts, compose
from analysis_service.stores.base import BadArgument, Damaged, Fenced, Store, Unavailable
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import configure_logging
from analysis_service.v1 import analysis_pb2 as pb
from analysis_service.v1 import analysis_pb2_grpc
from tests.api.harness import Refusal, create, refusal_of, template

SECRET = "hunter2-0123456789"  # what a careless exception would tell
URL = "http://127.0.0.1:1021/v/1"
RUN = "namespaces/team/analysisRuns/01a210c8-f2c3-734b-b070-3d3a27bc9af3"
TEXT = template(URL, interval="1h", count='"2"')


@dataclass
class Faulty:
    """A memory store whose methods raise or wait as told; "*" means every method."""

    inner: MemoryStore = field(default_factory=MemoryStore)
    faults: dict[str, BaseException] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name == "wakeups":
            return method

        async def call(*args: Any, **fields: Any) -> Any:
            await asyncio.sleep(self.waits.get(name, self.waits.get("*", 0)))
            fault = self.faults.get(name) or self.faults.get("*")
            if fault is not None:
                raise fault
            return await method(*args, **fields)

        return call


@dataclass
class Embedded:
    parts: Parts
    store: Faulty
    stub: Any
    lanes: Lanes

    async def refused(self, method: str, request: Any, timeout: float | None = 30) -> Refusal:
        try:
            call = getattr(self.stub, method)(request, timeout=timeout)
            answer = [m async for m in call] if method.startswith("Watch") else await call
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        raise AssertionError(f"was not refused: {answer}")


@asynccontextmanager
async def embedded(
    width: int = 200, watchers: int = 100, bookmark_seconds: float = 10, default_seconds: float = 10
) -> AsyncIterator[Embedded]:
    configure_logging("error")
    store: Any = Faulty()
    fault_free: Store = store
    parts = await compose(Settings(store="memory:"), store=fault_free)
    parts.runs.feed._bookmark_seconds = bookmark_seconds
    lanes = Lanes.of_width(width, watchers)
    server = grpc.aio.server(options=api_grpc.SERVER_OPTIONS)
    wrapper = api_grpc.Wrapper(parts.telemetry, lanes, default_seconds=default_seconds)
    server.add_generic_rpc_handlers((api_grpc.method_handlers(parts.templates, parts.runs, wrapper),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    tasks = [asyncio.create_task(parts.engine.serve()), asyncio.create_task(parts.runs.feed.run())]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = analysis_pb2_grpc.AnalysisServiceStub(channel)  # type: ignore[no-untyped-call]
            yield Embedded(parts, store, stub, lanes)
    finally:
        store.faults.clear()
        store.waits.clear()
        parts.runs.drain()
        await parts.engine.drain(1)
        await server.stop(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.close()


CALLS: Mapping[str, Any] = {
    "CreateTemplate": pb.CreateTemplateRequest(namespace="team", text=TEXT),
    "GetTemplate": pb.GetTemplateRequest(name="namespaces/team/analysisTemplates/shop"),
    "ListTemplates": pb.ListTemplatesRequest(namespace="team"),
    "ListTemplateVersions": pb.ListTemplateVersionsRequest(name="namespaces/team/analysisTemplates/shop"),
    "UpdateTemplate": pb.UpdateTemplateRequest(name="namespaces/team/analysisTemplates/shop", text=TEXT, etag="1-x"),
    "DeleteTemplate": pb.DeleteTemplateRequest(name="namespaces/team/analysisTemplates/shop", etag="1-x"),
    "CreateAnalysisRun": create(TEXT),
    "GetAnalysisRun": pb.GetAnalysisRunRequest(name=RUN),
    "ListAnalysisRuns": pb.ListAnalysisRunsRequest(namespace="team"),
    "ListMeasurements": pb.ListMeasurementsRequest(name=RUN, metric="value"),
    "ListLooks": pb.ListLooksRequest(name=RUN, metric="value"),
    "WatchAnalysisRuns": pb.WatchAnalysisRunsRequest(namespace="team"),
    "TerminateAnalysisRun": pb.TerminateAnalysisRunRequest(name=RUN),
    "DeleteAnalysisRun": pb.DeleteAnalysisRunRequest(name=RUN),
    "Check": pb.CheckRequest(run=create(TEXT)),
}


def test_every_method_that_asks_the_store_is_here() -> None:
    methods = {m.name for m in pb.DESCRIPTOR.services_by_name["AnalysisService"].methods}
    assert set(CALLS) == methods - {"ValidateTemplate"}


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (RuntimeError(f"password {SECRET}"), "INTERNAL", "INTERNAL_ERROR"),
        (KeyError(SECRET), "INTERNAL", "INTERNAL_ERROR"),
        (RecursionError(SECRET), "INTERNAL", "INTERNAL_ERROR"),
        (Fenced(f"run {SECRET} changed hands"), "INTERNAL", "INTERNAL_ERROR"),  # never a caller's business
        (Unavailable("the store is closed"), "UNAVAILABLE", "STORE_UNAVAILABLE"),
        (Damaged("measurement errors/7 fails its digest"), "DATA_LOSS", "DATA_LOSS_DETECTED"),
        (BadArgument("half a surrogate pair"), "INVALID_ARGUMENT", "INVALID_FIELD"),
    ],
)
async def test_a_failing_store(
    capsys: pytest.CaptureFixture[str], fault: BaseException, code: str, reason: str
) -> None:
    async with embedded() as service:
        service.store.faults["*"] = fault
        for method, request in CALLS.items():
            answer = await service.refused(method, request)
            assert (answer.code, answer.reason) == (code, reason), method
            assert SECRET.encode() not in answer.raw
            if code == "INTERNAL":
                assert answer.metadata["incident_id"] in answer.message
            if code == "UNAVAILABLE":
                assert answer.retry_seconds or method.startswith("Watch")
        service.store.faults.clear()
        await service.stub.ListAnalysisRuns(CALLS["ListAnalysisRuns"])  # and on it goes


async def test_a_damaged_run_takes_no_other_with_it() -> None:
    async with embedded() as service:
        good = await service.stub.CreateAnalysisRun(create(TEXT))
        service.store.faults["list_measurements"] = Damaged("measurement value/0 fails its digest")
        request = pb.ListMeasurementsRequest(name=good.name, metric="value")
        answer = await service.refused("ListMeasurements", request)
        assert (answer.code, answer.message) == ("DATA_LOSS", "measurement value/0 fails its digest")
        assert (await service.stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=good.name))).id == good.id


async def test_a_provider_with_a_bug_tells_nobody() -> None:
    def bug(_union: Mapping[str, Any]) -> list[str]:
        raise ValueError(f"token={SECRET}")

    async with embedded() as service:
        service.parts.runs.check_provider = bug
        answer = await service.refused("CreateAnalysisRun", create(TEXT))
        assert (answer.code, answer.reason) == ("INTERNAL", "INTERNAL_ERROR")
        assert SECRET.encode() not in answer.raw


async def test_a_store_that_hangs_costs_a_deadline_and_no_more() -> None:
    """The caller's deadline, or ours where it sets none; what was being stored is stored or not, never half."""
    async with embedded(default_seconds=0.2) as service:
        service.store.waits["list_runs"] = 30
        request = CALLS["ListAnalysisRuns"]
        answer = await service.refused("ListAnalysisRuns", request, timeout=None)
        assert (answer.code, answer.reason) == ("DEADLINE_EXCEEDED", "TIMED_OUT")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.ListAnalysisRuns(request, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        service.store.waits["create_run"] = 0.3
        with pytest.raises(grpc.aio.AioRpcError):
            await service.stub.CreateAnalysisRun(create(TEXT), timeout=0.1)
        async with asyncio.timeout(10):
            while not service.parts.engine.live:  # noqa: ASYNC110 - finished without its caller, and driven
                await asyncio.sleep(0.01)


async def test_a_crowd_is_refused_at_once_and_control_stays_free() -> None:
    """500 calls at once on a slow store: as many as the lane is wide are worked on, the rest told when to return."""
    async with embedded(width=20) as service:
        run = await service.stub.CreateAnalysisRun(create(TEXT))
        service.store.waits["list_runs"] = 1.0
        calls = [service.refused("ListAnalysisRuns", CALLS["ListAnalysisRuns"]) for _ in range(500)]
        crowd = asyncio.gather(*calls, return_exceptions=True)
        while service.lanes.normal.taken < 20:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert (await service.stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=run.name), timeout=5)).id == run.id
        await service.stub.TerminateAnalysisRun(pb.TerminateAnalysisRunRequest(name=run.name), timeout=5)
        answers = await crowd
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        assert {(r.code, r.reason, r.retry_seconds) for r in refusals} == {("RESOURCE_EXHAUSTED", "OVERLOADED", 1.0)}
        assert len(answers) - len(refusals) >= 20  # answered
        assert len(refusals) >= 100
        assert service.lanes.normal.taken == 0


async def test_too_many_live_runs() -> None:
    async with embedded() as service:
        service.parts.runs.max_live = 2
        for _ in range(2):
            await service.stub.CreateAnalysisRun(create(TEXT))
        answer = await service.refused("CreateAnalysisRun", create(TEXT))
        assert (answer.code, answer.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        assert answer.retry_seconds


async def test_bookmarks_come_where_nothing_happens() -> None:
    async with embedded(bookmark_seconds=0.05) as service:
        stream = service.stub.WatchAnalysisRuns(pb.WatchAnalysisRunsRequest(namespace="team"), timeout=30)
        marks = [await stream.read() for _ in range(4)]
        assert all(mark.resume_token and not mark.HasField("run") for mark in marks)
        stream.cancel()


async def test_watches_that_end_leave_nothing_behind() -> None:
    async with embedded() as service:
        request = pb.WatchAnalysisRunsRequest(namespace="team")
        before = len(asyncio.all_tasks())
        for _ in range(300):
            stream = service.stub.WatchAnalysisRuns(request, timeout=30)
            await stream.read()
            stream.cancel()
        async with asyncio.timeout(10):
            while service.lanes.waiting.taken or len(asyncio.all_tasks()) > before + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
