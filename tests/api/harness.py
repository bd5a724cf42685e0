"""A real service in a process of its own, a real backend for its questions, and what a client sees of them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from analysis_service.v1 import analysis_pb2 as pb
from analysis_service.v1 import analysis_pb2_grpc

START_SECONDS = 30.0  # on a crowded machine


# The service


@dataclass
class Service:
    """A running `tidegate serve`. Its log is JSON, a line per event."""

    process: "subprocess.Popen[bytes]"
    log_path: Path
    address: str = ""
    admin: str = ""
    channel: Any = None
    stub: Any = None

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]

    def connect(self, channel: Any = None) -> Any:
        self.channel = channel or grpc.insecure_channel(self.address)
        self.stub = analysis_pb2_grpc.AnalysisServiceStub(self.channel)  # type: ignore[no-untyped-call]
        return self.stub

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.admin + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = START_SECONDS) -> int:
        return self.process.wait(seconds)

    def close(self) -> None:
        """Kill what is left of it."""
        if self.channel is not None:
            self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(START_SECONDS)


def serve(log_path: Path, *flags: str, env: Mapping[str, str] | None = None, connect: bool = True) -> Service:
    """Start a service on free ports and wait until it serves."""
    service = start(log_path, *flags, env=env)
    try:
        line = until(lambda: _line(service, "serving"), "the service serves", lambda: service.log_path.read_text())
        service.address, service.admin = line["address"], line["admin"]
        if connect:
            service.connect()
        until(lambda: _line(service, "ready"), "the service is ready", lambda: service.log_path.read_text())
    except BaseException:
        service.close()
        raise
    return service


def start(log_path: Path, *flags: str, env: Mapping[str, str] | None = None) -> Service:
    """Start it, without waiting. Flags given here win over free ports and the memory store."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "KUBERNETES_"))}
    chosen = {
        "TIDEGATE_STORE": "memory:",
        "TIDEGATE_LISTEN": "127.0.0.1:0",
        "TIDEGATE_ADMIN_LISTEN": "127.0.0.1:0",
        "TIDEGATE_DRAIN_DELAY_SECONDS": "0",
        **(env or {}),
    }
    command = [sys.executable, "-c", "from analysis_service.cli import main; main()", "serve", *flags]
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, env=clean | chosen, stderr=log, stdout=log, stdin=subprocess.DEVNULL)
    return Service(process, log_path)


def _line(service: Service, event: str) -> dict[str, Any] | None:
    if service.process.poll() is not None:
        raise AssertionError(f"the service ended with {service.process.returncode}:\n{service.log_path.read_text()}")
    # a restarted service appends to the same log: only what came after its own start counts
    lines = service.log()
    starts = [n for n, line in enumerate(lines) if line["event"] == "serving"]
    if event == "serving":
        return lines[starts[-1]] if starts and not _ended(lines[starts[-1] :]) else None
    return next((line for line in lines[starts[-1] :] if line["event"] == event), None)


def _ended(lines: Sequence[Mapping[str, Any]]) -> bool:
    return any(line["event"] == "stopped" for line in lines)


def until(
    condition: Callable[[], Any], what: str, more: Callable[[], str] = str, seconds: float = START_SECONDS
) -> Any:
    """The first true answer. A wait, not a measurement: its bound is only there to end a hang."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"never came: {what}\n{more()}"
        time.sleep(0.02)
    return found


# A backend to ask


@dataclass
class Backend:
    """Answers `/v/<text>` with {"v": <text>}; `/wait/<name>/<text>` only once `release(name)` was called."""

    address: str = ""
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _gates: dict[str, threading.Event] = field(default_factory=dict)

    def gate(self, name: str) -> threading.Event:
        return self._gates.setdefault(name, threading.Event())

    def release(self, name: str) -> None:
        self.gate(name).set()

    def times(self, path: str) -> int:
        return self.asked.count(path)


def run_backend() -> Iterator[Backend]:
    backend = Backend()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            backend.asked.append(self.path)
            backend.headers.append(dict(self.headers))
            parts = self.path.split("/")
            if parts[1] == "wait":
                backend.gate(parts[2]).wait(60)
            if parts[1] == "echo":  # gives back whatever it was sent
                sent = {k: v.encode("latin-1").decode("utf-8", "replace") for k, v in self.headers.items()}
                body = json.dumps({"v": 1, "echo": sent, "path": self.path}).encode()
            else:
                body = b'{"v": %s}' % parts[-1].encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_args: Any) -> None:
            return  # the service was killed while it was asking

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    backend.address = f"http://127.0.0.1:{server.server_port}"
    yield backend
    for gate in backend._gates.values():
        gate.set()
    server.shutdown()
    server.server_close()


# What a client sends


def template(url: str, name: str = "shop", kind: str = "AnalysisTemplate", args: str = "[]", **fields: str) -> str:
    """A template that asks `url` for {"v": ...}: one measurement, passing on 1, unless fields say otherwise."""
    metric = {"successCondition": "'result == 1'", **fields}
    lines = "\n".join(f"    {key}: {value}" for key, value in metric.items())
    return f"""apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata: {{name: {name}}}
spec:
  args: {args}
  metrics:
  - name: value
{lines}
    provider: {{web: {{url: "{url}", jsonPath: "{{$.v}}"}}}}
"""


def create(text: str, **fields: Any) -> pb.CreateAnalysisRunRequest:
    return pb.CreateAnalysisRunRequest(**{"namespace": "team", "inline_text": text, **fields})


def finished(stub: Any, name: str, seconds: float = START_SECONDS) -> pb.AnalysisRun:
    """The run with its verdict, by watching."""
    seen = []
    try:
        for event in stub.WatchAnalysisRuns(pb.WatchAnalysisRunsRequest(name=name), timeout=seconds):
            seen.append(event.run.etag)
            if event.run.complete_time.seconds:
                return event.run
    except grpc.RpcError as error:
        now = stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=name))
        raise AssertionError(f"no verdict was seen ({error.code()}), but {seen} and now it is\n{now}") from None
    raise AssertionError("the watch ended without a verdict")


# What a client is told


@dataclass(frozen=True)
class Refusal:
    """A status, taken apart. Making one holds it to one ErrorInfo, of our domain, with a reason of the closed list."""

    code: str
    reason: str
    message: str
    fields: Mapping[str, str]
    metadata: Mapping[str, str]
    retry_seconds: float | None
    raw: bytes


def refusal_of(error: grpc.RpcError) -> Refusal:
    details = [v for k, v in error.trailing_metadata() or () if k == "grpc-status-details-bin"]
    assert len(details) == 1, f"no details: {error.code()} {error.details()}"
    status = status_pb2.Status.FromString(details[0])
    infos, fields, retry = [], {}, None
    for detail in status.details:
        info, bad, wait = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            infos.append(info)
        elif detail.Unpack(bad):
            fields.update({v.field: f"{v.reason}: {v.description}" for v in bad.field_violations})
        elif detail.Unpack(wait):
            retry = wait.retry_delay.ToTimedelta().total_seconds()
    (info,) = infos
    assert info.domain == "tidegate"
    assert info.reason in set(pb.ErrorReason.keys())
    assert status.message == error.details()
    assert status.code == error.code().value[0]
    assert not re.search(r"Traceback|File \"|Error\(|\bat 0x", status.message), "no exception text reaches a client"
    return Refusal(error.code().name, info.reason, status.message, fields, dict(info.metadata), retry, details[0])


def refused(method: Callable[..., Any], request: Any, timeout: float | None = 30.0) -> Refusal:
    """The refusal of a call that must be refused."""
    try:
        answer = method(request, timeout=timeout)
        if not hasattr(answer, "SerializeToString"):
            answer = list(answer)
    except grpc.RpcError as error:
        return refusal_of(error)
    raise AssertionError(f"was not refused: {answer}")
