"""A live check that is recorded, and a test that replays the recording: the same verdict, without the backend."""

from collections.abc import Callable
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
