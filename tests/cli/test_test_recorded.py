"""A live check that is recorded, and a test that replays the recording: the same verdict, without the backend."""

import json
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: web}
spec:
  args: [{name: token, value: hush-hush}]
  metrics:
  - {name: ratio, interval: 1s, count: 2, successCondition: result < LIMIT, failureLimit: 0,
     provider: {web: {url: "URL/json/0.08", headers: [{key: Authorization, value: "{{args.token}}"}]}}}
"""
TESTS = """
template: t.yaml
args: {}
step: 1s
tests:
- {name: as it was, recording: run.jsonl, expect: {phase: PHASE, reason: '0\\.08'}}
"""


@pytest.mark.parametrize(("limit", "code", "phase"), [("0.1", 0, "Successful"), ("0.05", 10, "Failed")])
def test_recorded_and_replayed(
    tmp_path: Path, tidegate: Callable[..., Any], backend: Any, limit: str, code: int, phase: str
) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE.replace("URL", backend.url).replace("LIMIT", limit))
    (tmp_path / "tests.yaml").write_text(TESTS.replace("PHASE", phase))
    live = tidegate("check", str(tmp_path / "t.yaml"), "--record", str(tmp_path / "run.jsonl"))
    assert live.code == code, live.err
    written = (tmp_path / "run.jsonl").read_text()
    assert written.count("\n") == (2 if code == 0 else 1)
    assert "hush" not in written
    replayed = tidegate("test", str(tmp_path / "tests.yaml"), "-v")
    assert replayed.code == 0, replayed.out + replayed.err


def test_a_recording_needs_a_place(tmp_path: Path, tidegate: Callable[..., Any], backend: Any) -> None:
    own = TEMPLATE.replace("/json/0.08", "/json/0.33")  # nobody else asks this: stragglers of other tests do not count
    (tmp_path / "t.yaml").write_text(own.replace("URL", backend.url).replace("LIMIT", "1"))
    done = tidegate("check", str(tmp_path / "t.yaml"), "--record", str(tmp_path / "no" / "run.jsonl"))
    assert done.code == 20
    assert "run.jsonl cannot be written" in done.err
    assert backend.asked["/json/0.33"] == 0


COMPARED = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: shop}
spec:
  args: [{name: canary}]
  metrics:
  - name: errors
    interval: 1s
    provider:
      compare:
        arms: {canary: {page: "{{args.canary}}"}, stable: {page: stable}}
        counts:
          events: {scrape: {targets: ["URL/{{arm.page}}"], query: 'errors_total'}}
          totals: {scrape: {targets: ["URL/{{arm.page}}"], query: 'requests_total'}}
        margin: {relative: 0.5}
        maxDuration: 5s
  - name: depth
    interval: 1s
    initialDelay: 700ms
    provider:
      compare:
        arms: {canary: {page: "{{args.canary}}"}, stable: {page: stable}}
        gauge: {scrape: {targets: ["URL/{{arm.page}}"], query: depth}}
        margin: {relative: 0.5}
        maxDuration: 4s
"""
EXPECTS = """
template: t.yaml
args: {canary: PAGE}
tests:
- {name: as it was, recording: run.jsonl, control: false, expect: {phase: PHASE, metrics: METRICS}}
"""


class _Shop(BaseHTTPRequestHandler):
    """Each page counts by the clock; the bad one has three times the errors and a longer queue."""

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        name, at = self.path.strip("/"), time.monotonic()
        bad = name == "bad"
        requests = int(at * 300)
        errors = int(at * 300 * (0.06 if bad else 0.02))
        depth = (3 if bad else 1) * (1 + 0.1 * math.sin(at * (7 if bad else 5)))
        page = f"# TYPE errors counter\nerrors_total {errors}\n# TYPE requests counter\nrequests_total {requests}\n"
        body = f"{page}# TYPE depth gauge\ndepth {depth}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.mark.parametrize(("page", "code"), [("good", None), ("bad", 10)])
def test_a_comparison_replays_look_by_look(
    tmp_path: Path, tidegate: Callable[..., Any], shop: str, page: str, code: int | None
) -> None:
    """Every metric has the looks it had, and the same sentence, although its answers came a little after each look."""
    (tmp_path / "t.yaml").write_text(COMPARED.replace("URL", shop))
    recording = tmp_path / "run.jsonl"
    said = "-q", "-o", "json", "--record", str(recording)
    live = tidegate("check", str(tmp_path / "t.yaml"), "-a", f"canary={page}", *said)
    assert code in (None, live.code), live.err
    run = json.loads(live.out)
    ended = [one for one in run["metrics"] if one["cause"] != "Terminated" and one["measurements"]]
    assert ended
    expected = {
        one["name"]: {
            "phase": one["phase"],
            "reason": re.escape(one["reason"]),
            "looks": int(one["measurements"][-1]["metadata"]["looks"]),
        }
        for one in ended
    }
    tests = EXPECTS.replace("PAGE", page).replace("PHASE", run["phase"]).replace("METRICS", json.dumps(expected))
    (tmp_path / "tests.yaml").write_text(tests)
    replayed = tidegate("test", str(tmp_path / "tests.yaml"), "-v")
    assert replayed.code == 0, replayed.out + replayed.err
    again = tidegate("backtest", "-f", str(tmp_path / "t.yaml"), "-a", f"canary={page}", "--recording", str(recording))
    assert again.code == live.code, again.out + again.err
