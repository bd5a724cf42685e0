"""Watches: no gap, nothing twice, in order, over cuts at any byte; slow readers cut off with a way back."""

import random
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import grpc
import pytest

from analysis_service.v1 import analysis_pb2 as pb
from analysis_service.v1 import analysis_pb2_grpc
from tests.api.harness import Backend, Service, create, finished, refusal_of, refused, template, until

Watch = pb.WatchAnalysisRunsRequest


def test_a_watch_of_one_run_shows_its_state_and_ends_with_its_verdict(
    stub: Any, namespace: str, backend: Backend
) -> None:
    run = stub.CreateAnalysisRun(create(template(f"{backend.address}/wait/{namespace}/1"), namespace=namespace))
    stream = stub.WatchAnalysisRuns(Watch(name=run.name), timeout=30)
    first = next(stream)
    assert (first.run.id, bool(first.resume_token)) == (run.id, True)
    backend.release(namespace)
    rest = [event.run for event in stream if event.HasField("run")]
    assert rest[-1].phase == pb.SUCCESSFUL
    assert rest[-1] == stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=run.name))
    etags = [int(r.etag) for r in (first.run, *rest)]
    assert etags == sorted(set(etags))
    # of a finished run, the verdict is all there is
    assert [e.run for e in stub.WatchAnalysisRuns(Watch(name=run.name), timeout=30)] == [rest[-1]]


def test_a_token_from_after_the_verdict_still_ends_the_watch(stub: Any, namespace: str, backend: Backend) -> None:
    run = stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"), namespace=namespace))
    *_, last = stub.WatchAnalysisRuns(Watch(name=run.name), timeout=30)
    again = list(stub.WatchAnalysisRuns(Watch(name=run.name, resume_token=last.resume_token), timeout=30))
    assert [event.run for event in again] == [last.run]
    stub.DeleteAnalysisRun(pb.DeleteAnalysisRunRequest(name=run.name))
    (gone,) = stub.WatchAnalysisRuns(Watch(name=run.name, resume_token=last.resume_token), timeout=30)
    assert (gone.deleted, gone.run.id, gone.run.name) == (True, run.id, run.name)
    later = refused(stub.WatchAnalysisRuns, Watch(name=run.name, resume_token=gone.resume_token))
    assert (later.code, later.reason) == ("NOT_FOUND", "RUN_NOT_FOUND")


def test_a_list_and_a_watch_from_its_token_miss_nothing(stub: Any, namespace: str, backend: Backend) -> None:
    old = stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"), namespace=namespace))
    finished(stub, old.name)
    listing = stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace))
    assert [run.id for run in listing.runs] == [old.id]
    new = stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"), namespace=namespace))
    finished(stub, new.name)
    request = Watch(namespace=namespace, resume_token=listing.resume_token)
    for event in stub.WatchAnalysisRuns(request, timeout=30):
        if event.HasField("run"):
            assert event.run.id == new.id
            if event.run.phase == pb.SUCCESSFUL:
                break


def test_a_watch_selects_by_namespace_and_filter(stub: Any, namespace: str, backend: Backend) -> None:
    request = Watch(namespace=namespace, filter='labels.team = "pay"')
    stream = stub.WatchAnalysisRuns(request, timeout=30)
    assert not next(stream).HasField("run")  # where it begins: from here on nothing is missed
    url = f"{backend.address}/v/1"
    other = stub.CreateAnalysisRun(create(template(url), namespace=f"{namespace}-x", labels={"team": "pay"}))
    plain = stub.CreateAnalysisRun(create(template(url), namespace=namespace))
    mine = stub.CreateAnalysisRun(create(template(url), namespace=namespace, labels={"team": "pay"}))
    for run in (other, plain, mine):
        finished(stub, run.name)
    stub.DeleteAnalysisRun(pb.DeleteAnalysisRunRequest(name=mine.name))
    seen = []
    for event in stream:
        seen.append(event)
        if event.deleted and event.run.id == mine.id:
            break
    stream.cancel()
    assert {event.run.id for event in seen if event.HasField("run")} == {mine.id}


@pytest.mark.parametrize(
    ("token", "fields"),
    [
        ("x", {}),
        ("A" * 5000, {}),
        ("{token}A", {}),
        ("{token}", {"filter": "phase = Failed"}),  # of another watch
        ("{token}", {"namespace": "-"}),
    ],
)
def test_a_token_that_does_not_fit_asks_for_a_new_list(
    stub: Any, namespace: str, token: str, fields: dict[str, str]
) -> None:
    given = stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace)).resume_token
    request = Watch(**{"namespace": namespace, "resume_token": token.replace("{token}", given), **fields})
    answer = refused(stub.WatchAnalysisRuns, request)
    assert (answer.code, answer.reason) == ("OUT_OF_RANGE", "RELIST_REQUIRED")
    assert answer.metadata["sequence"].isdigit()


def test_a_token_of_another_store_asks_for_a_new_list(
    service: Service, start_service: Callable[..., Service], namespace: str
) -> None:
    other = start_service()
    token = other.stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace)).resume_token
    answer = refused(service.stub.WatchAnalysisRuns, Watch(namespace=namespace, resume_token=token))
    assert (answer.code, answer.reason) == ("OUT_OF_RANGE", "RELIST_REQUIRED")


# cuts


class Cutter:
    """A proxy that lets each connection's answers pass for so many bytes, then hangs up in the middle of whatever."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.allowance = 0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client, self.allowance), daemon=True).start()

    def _pass(self, client: socket.socket, allowance: int) -> None:
        with closing(client), closing(socket.create_connection(self._target)) as server:
            threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
            with suppress(OSError):
                while allowance > 0 and (data := server.recv(min(65_536, allowance))):
                    client.sendall(data)
                    allowance -= len(data)
            if allowance <= 0:
                self.cuts += 1
            for side in (client, server):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def cutter(service: Service) -> Iterator[Cutter]:
    proxy = Cutter(service.address)
    yield proxy
    proxy.close()


def read_until_cut(address: str, request: Watch) -> Iterator[pb.WatchAnalysisRunsResponse]:
    """What comes through before the connection breaks."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = analysis_pb2_grpc.AnalysisServiceStub(channel)  # type: ignore[no-untyped-call]
        try:
            yield from stub.WatchAnalysisRuns(request, timeout=10)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise


def test_no_gap_and_nothing_twice_over_many_cuts(
    service: Service, cutter: Cutter, namespace: str, backend: Backend
) -> None:
    """Every state that is shown is newer than the one before, and each verdict is seen exactly once: while things
    happen, and then again through what has happened, cut smaller and smaller."""
    chance = random.Random(7)
    begin = service.stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace)).resume_token
    runs, text = 40, template(f"{backend.address}/v/1", interval="20ms", count="6")

    def make() -> None:
        for _ in range(runs):
            service.stub.CreateAnalysisRun(create(text, namespace=namespace))

    maker = threading.Thread(target=make)
    maker.start()
    for sizes in ([60_000, 20_000, 4000], [20_000, 4000], [6000], [6000]):
        token = begin
        versions: dict[str, list[int]] = defaultdict(list)
        verdicts: list[str] = []
        while len(verdicts) < runs:
            cutter.allowance = chance.choice(sizes) + chance.randrange(2000)
            for event in read_until_cut(cutter.address, Watch(namespace=namespace, resume_token=token)):
                token = event.resume_token
                if event.HasField("run"):
                    seen = versions[event.run.id]
                    assert not seen or int(event.run.etag) > seen[-1], "a state came twice, or an older one later"
                    seen.append(int(event.run.etag))
                    verdicts += [event.run.id] if event.run.complete_time.seconds else []
                if len(verdicts) == runs:
                    break
        assert len(set(verdicts)) == runs
    maker.join()
    assert cutter.cuts > 50


# slow readers, crowds, shutdown


def test_a_watcher_that_does_not_read_is_cut_off_with_a_way_back(
    start_service: Callable[..., Service], backend: Backend
) -> None:
    service = start_service(env={"TIDEGATE_SLOW_WATCHER_SECONDS": "0.3"})
    stream = service.stub.WatchAnalysisRuns(Watch(namespace="team"), timeout=60)
    next(stream)
    ballast = {f"a{n}": "x" * 60_000 for n in range(10)}  # a state of 600 KB, many times: more than any window
    text = template(f"{backend.address}/v/1", interval="20ms", count="50")
    run = service.stub.CreateAnalysisRun(create(text, annotations=ballast))
    get = pb.GetAnalysisRunRequest(name=run.name)
    until(lambda: service.stub.GetAnalysisRun(get).phase == pb.SUCCESSFUL, "others are served, the engine goes on")
    until(lambda: "tidegate_watchers 0.0" in service.get("/metrics")[1], "the watcher is cut off")
    read = []
    with pytest.raises(grpc.RpcError) as caught:  # now it reads what was under way, and its status
        read.extend(stream)
    answer = refusal_of(caught.value)
    assert (answer.code, answer.reason) == ("ABORTED", "SLOW_WATCHER")
    assert "0.3 s" in answer.message
    assert answer.metadata["resume_token"]
    request = Watch(namespace="team", resume_token=answer.metadata["resume_token"])
    for event in service.stub.WatchAnalysisRuns(request, timeout=30):
        if event.run.complete_time.seconds:
            break


def test_a_watch_too_many_is_refused_at_once(start_service: Callable[..., Service]) -> None:
    service = start_service(env={"TIDEGATE_MAX_WATCHERS": "3"})
    streams = [service.stub.WatchAnalysisRuns(Watch(namespace="team"), timeout=60) for _ in range(3)]
    for stream in streams:
        next(stream)
    answer = refused(service.stub.WatchAnalysisRuns, Watch(namespace="team"))
    assert (answer.code, answer.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert answer.retry_seconds
    service.stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace="team"))  # another lane
    streams[0].cancel()
    for _ in range(500):
        stream = service.stub.WatchAnalysisRuns(Watch(namespace="team"), timeout=60)
        with suppress(grpc.RpcError):
            next(stream)
            break
    else:
        raise AssertionError("the place of a watcher that left was never free again")
    assert "tidegate_watchers 3.0" in service.get("/metrics")[1]
