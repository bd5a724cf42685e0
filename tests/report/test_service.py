"""`tidegate report --server`: a comparison that a real service ran, over a backend of this machine."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from analysis_service.cli import root
from analysis_service.v1 import analysis_pb2 as pb
from tests.api.harness import Service, serve, until

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: checkout}}
spec:
  metrics:
  - name: errors
    interval: 1s
    provider:
      compare:
        arms: {{canary: {{hash: canary}}, stable: {{hash: stable}}}}
        counts:
          events: {{prometheus: {{address: "{url}", query: 'errors{{hash="{{{{arm.hash}}}}"}}'}}}}
          totals: {{prometheus: {{address: "{url}", query: 'requests{{hash="{{{{arm.hash}}}}"}}'}}}}
        margin: {{relative: 0.5}}
        maxDuration: 20s
"""


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """Counters that grow at every question: half of the canary's requests fail, a tenth of stable's."""
    asked: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return None

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers.get("content-length", 0))).decode())

        def do_GET(self) -> None:
            self.answer(urlsplit(self.path).query)

        def answer(self, form: str) -> None:
            query = parse_qs(form)["query"][0]
            asked[query] = asked.get(query, 0) + 1
            step = 1000 if "requests" in query else 500 if "canary" in query else 100
            sample = {"metric": {"pod": "a"}, "value": [time.time(), str(step * asked[query])]}
            data = {"status": "success", "data": {"resultType": "vector", "result": [sample]}}
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = serve(tmp_path_factory.mktemp("service") / "log", env={"TIDEGATE_ALLOW_LOOPBACK_ADDRESSES": "true"})
    yield running
    running.close()


def test_a_run_of_a_service(service: Service, prometheus: str, tmp_path: Path) -> None:
    request = pb.CreateAnalysisRunRequest(namespace="shop", inline_text=TEMPLATE.format(url=prometheus))
    name = service.stub.CreateAnalysisRun(request).name
    asked = pb.GetAnalysisRunRequest(name=name)
    until(
        lambda: service.stub.GetAnalysisRun(asked).phase == pb.FAILED,
        "the canary fails",
        lambda: str(service.stub.GetAnalysisRun(asked)),
    )

    def report(*words: str) -> str:
        done = CliRunner().invoke(root, ["report", *words, "--out", "-"])
        assert done.exit_code == 0, done.output
        return done.output

    page = report(name, "--server", service.address)
    for expected in (
        '<div class="word">FAIL</div>',
        "Evidence against its limit",
        "Failed at look",
        "500 of 1000",  # what the canary returned
        "errors{hash=&quot;canary&quot;}",  # what was asked
        "1/α = 1/β = 20",
    ):
        assert expected in page, expected
    record = tmp_path / "run.json"
    record.write_text(report(name.rpartition("/")[2], "-n", "shop", "--server", service.address, "--format", "json"))
    assert report(str(record)) == page


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_result_of_a_check_holds_its_looks(where: str, service: Service, prometheus: str, tmp_path: Path) -> None:
    """Also without a service: the store of a local check is gone when somebody wants to know."""
    template, result = tmp_path / "template.yaml", tmp_path / "result.json"
    template.write_text(TEMPLATE.format(url=prometheus))
    command = [sys.executable, "-c", "from analysis_service.cli import main; main()"]
    more = ["--server", service.address] if where == "there" else []
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TIDEGATE_")}
    checked = subprocess.run(
        [*command, "check", str(template), "-o", f"json={result}", "-q", *more],
        env={**environment, "TIDEGATE_ALLOW_LOOPBACK_ADDRESSES": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 10, checked.stderr
    done = CliRunner().invoke(root, ["report", str(result), "--out", "-"])
    for expected in ("Evidence against its limit", "Failed at look", "500 of 1000", "1/α = 1/β = 20"):
        assert expected in done.output, expected
