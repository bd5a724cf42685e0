"""The command as people start it: a process of its own, against small real servers of this machine."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from analysis_service import cli as command_line

SCRIPT = str(Path(sys.executable).with_name("tidegate"))
SECONDS = 40
CLEAN = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("TIDEGATE_", "GITHUB_", "DD_", "ARGO_", "KUBERNETES_", "NO_COLOR"))
}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass
class Backend:
    """Answers as the path says; counts who asked for what."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[str] = field(default_factory=list)


def _handler(backend: Backend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

        def do_GET(self) -> None:
            backend.asked[self.path] += 1
            kind, _, rest = self.path.lstrip("/").partition("/")
            if kind == "status":
                self._answer(int(rest), b"{}")
            elif kind == "json":  # /json/0.08
                self._answer(200, rest.encode())
            elif kind == "text":
                self._answer(200, bytes.fromhex(rest), "text/plain")
            elif kind == "metrics":
                page = f"# TYPE seen counter\nseen_total {backend.asked[self.path] * 10}\n# TYPE temp gauge\ntemp 3\n"
                self._answer(200, page.encode(), "text/plain; version=0.0.4")
            else:
                self._answer(404, b"{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            backend.asked[self.path] += 1
            backend.bodies.append(body)
            series = [] if "nothing" in body else [{"metric": {"pod": "a"}, "value": [1764041234, "0.08"]}]
            data = {"status": "success", "data": {"resultType": "vector", "result": series}}
            self._answer(200, json.dumps(data).encode())

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    found = Backend()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def start() -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the command in a process of its own."""

    def run(*arguments: object, env: Mapping[str, str] | None = None, **options: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [SCRIPT, *map(str, arguments)],
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "env": {**CLEAN, **(env or {})},
                **options,
            },
        )

    return run


@pytest.fixture(scope="session")
def tidegate(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., Done]:
    """Runs the command in a process of its own, to its end."""

    def run(*arguments: object, **options: Any) -> Done:
        with start(*arguments, **options) as process:
            out, err = process.communicate(timeout=SECONDS)
        return Done(process.returncode, out or "", err or "")

    return run


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """The command in this process: for what says nothing of signals, streams and start."""
    for name in set(os.environ) - set(CLEAN):
        monkeypatch.delenv(name)

    def run(*arguments: object) -> Done:
        code = command_line.run([str(argument) for argument in arguments])
        read = capsys.readouterr()
        return Done(code, read.out, read.err)

    return run


@pytest.fixture
def template(tmp_path: Path, backend: Backend) -> Callable[..., Path]:
    """Writes a template of metrics; `{url}` is the backend's."""

    def write(*metrics: Mapping[str, Any], name: str = "checkout", args: Any = (), **more: Any) -> Path:
        spec = {"args": list(args), "metrics": list(metrics), **more}
        document = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": name},
            "spec": spec,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(document, indent=1).replace("{url}", backend.url))
        return path

    return write


def web(path: str, condition: str = "result < 0.05", name: str = "error-rate", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "successCondition": condition,
        "provider": {"web": {"url": "{url}/" + path, "jsonPath": "{$}"}},
        **more,
    }


def prometheus(
    query: str, condition: str = "result[0] < 0.05", name: str = "error-rate", **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "successCondition": condition,
        "provider": {"prometheus": {"address": "{url}", "query": query}},
        **more,
    }


@pytest.fixture(scope="session")
def metrics() -> Mapping[str, Callable[..., dict[str, Any]]]:
    return {"web": web, "prometheus": prometheus}


@dataclass
class Service:
    process: "subprocess.Popen[str]"
    address: str

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture(scope="session")
def serve(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., Service]:
    """A service on free ports, ready."""

    def run(store: str, **env: str) -> Service:
        process = start(
            "serve", "--store", store, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
            env=env, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "serving":
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return Service(process, event["address"])
        raise AssertionError("the service did not start: " + "".join(said))

    return run


@pytest.fixture(scope="session")
def service(serve: Callable[..., Service]) -> Iterator[Service]:
    found = serve("memory:")
    yield found
    found.stop()
