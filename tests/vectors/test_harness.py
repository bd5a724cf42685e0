"""The harness itself: what it cannot run fails, and what is held to be wrong has to differ."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GOOD = {
    "id": "ORD-900",
    "kind": "phase.isWorse",
    "given": {"current": "Error", "new": "Failed"},
    "expect": {"worse": True},
}
BAD = {**GOOD, "id": "ORD-901", "expect": {"worse": False}}
UNKNOWN = {"id": "NEW-001", "kind": "run.somethingNew", "given": {}, "expect": {}}
LATER = {"id": "RVL-001", "kind": "rollout.validate", "given": {}, "expect": {}}


def run(folder: Path, vectors: list[dict[str, Any]]) -> tuple[int, str]:
    (folder / "argo-analysis.json").write_text(json.dumps({"vectors": vectors}))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "test_vectors.py")]
    done = subprocess.run(
        [*command, "-k", "test_vector"],
        env={**os.environ, "TIDEGATE_VECTORS": str(folder)},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    code, output = run(tmp_path, [GOOD])
    assert code == 0
    assert "ORD         1 ran\n" in output
    assert "all         1 ran, 0 failed, 0 later" in output


def test_what_differs_what_is_unknown_and_what_is_later_work_all_fail_there(tmp_path: Path) -> None:
    code, output = run(tmp_path, [GOOD, BAD, UNKNOWN, LATER])
    assert code == 1
    assert "ORD         2 ran, 1 FAILED" in output
    assert "NEW-001: one runner wanted for kind 'run.somethingNew' of argo-analysis, found none" in output
    assert "all         4 ran, 3 failed, 0 later" in output
    assert "skipped" not in output


@pytest.mark.parametrize(("body", "fails"), [(GOOD, True), (BAD, False)])
async def test_held_to_be_wrong_means_that_it_differs(body: dict[str, Any], fails: bool, runners: Any) -> None:
    module = sys.modules[type(runners).__module__]
    vector = module.Vector("argo-analysis", body)
    check = module.load(HERE / "test_vectors.py").test_vector
    if fails:
        with pytest.raises(AssertionError, match="passes: take it out"):
            await check(vector, runners, {body["id"]: "reason"})
    else:
        await check(vector, runners, {body["id"]: "reason"})
