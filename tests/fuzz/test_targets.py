"""Every fuzz target runs for a few thousand inputs, always the same ones; and a target that finds something fails.

Longer runs are for people: `python tests/fuzz/fuzz_web.py -runs=1000000 corpus/`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.requires("atheris")

HERE = Path(__file__).parent
RUNS = {"scrape": 1_000}  # one input is a hundred questions there
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))

PLANTED = """
import sys
import atheris

def one_input(data):
    if data[:1] == b"A":
        raise ZeroDivisionError("planted")

atheris.Setup(sys.argv, atheris.instrument_func(one_input))
atheris.Fuzz()
"""


def fuzz(target: Path, folder: Path, runs: int) -> "subprocess.CompletedProcess[str]":
    """From another folder and with nothing on the path: whoever has the environment can start one."""
    command = [sys.executable, str(target), f"-runs={runs}", "-seed=1", "-max_len=300", "-rss_limit_mb=1024"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    runs = RUNS.get(name, 3_000)
    done = fuzz(HERE / f"fuzz_{name}.py", tmp_path, runs)
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-2000:]
    assert f"Done {runs} runs" in done.stderr
    assert list(tmp_path.iterdir()) == []  # no input that crashed was left


def test_what_is_planted_is_found(tmp_path: Path) -> None:
    target = tmp_path / "planted.py"
    target.write_text(PLANTED)
    done = fuzz(target, tmp_path, 100_000)
    assert done.returncode != 0
    assert "planted" in done.stderr + done.stdout
