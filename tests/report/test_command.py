"""`tidegate report`, as it is typed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner, Result

from analysis_service.cli import root
from analysis_service.cli.outcome import Outcome, Policies
from analysis_service.cli.report import as_json, judged, report
from analysis_service.cli.run_file import Record
from analysis_service.core.model import Run

Make = Callable[..., Any]


@pytest.fixture
def result(conditions: Make, new_run: Make, tmp_path: Path) -> Path:
    """As `tidegate check -o json=result.json` leaves it."""
    metric, judged_ = conditions("error-rate", ["0.01", "0.00004", "0.09", "0.2"])
    file = tmp_path / "result.json"
    file.write_text(as_json(report(new_run([metric], [judged_])).data()))
    return file


@pytest.fixture
def record(compared: Make, conditions: Make, new_run: Make, tmp_path: Path) -> Path:
    """As `tidegate report --format json` leaves it."""
    metric, judged_, looks = compared("errors/5xx", looks=12, effect=3.0)
    other, measured = conditions("error-rate", ["0.01"])
    run: Run = new_run([metric, other], [judged_, measured])
    file = tmp_path / "record.json"
    file.write_bytes(msgspec.json.encode(Record(run, {metric.name: looks})))
    return file


def tidegate(*words: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(root, ["report", *map(str, words)], input=stdin)


def test_a_page_of_a_result(result: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    done = tidegate(result, "--out", out)
    assert (done.exit_code, done.output) == (0, f"{out}\n")
    text = out.read_text()
    ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert '<div class="word">FAIL</div>' in text
    assert "0.00004" in text
    assert "success &lt; 0.05" in text  # thresholds and limits come from the spec in the result
    assert "At most 1 failure: 2 of 1 used" in text


def test_a_name_of_its_own(result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert tidegate(result).output == "checkout-01J9Z3T7.html\n"
    assert (tmp_path / "checkout-01J9Z3T7.html").exists()


def test_standard_input_and_output(result: Path) -> None:
    done = tidegate("-", "--out", "-", stdin=result.read_bytes())
    assert done.exit_code == 0
    assert done.output.startswith("<!DOCTYPE html>")


def test_policies_are_said(conditions: Make, new_run: Make, tmp_path: Path) -> None:
    metric, judged_ = conditions("m", ["0.01"])
    policies = Policies(on_inconclusive="pass")
    file = tmp_path / "r.json"
    file.write_text(as_json(judged(new_run([metric], [judged_]), Outcome.INCONCLUSIVE, policies).data()))
    text = tidegate(file, "--out", "-").output
    assert '<div class="word">PASS</div>' in text
    assert "onInconclusive=pass" in text
    assert "inconclusive is taken as pass because of --on-inconclusive=pass" in text


def test_pictures_one_per_metric(record: Path, tmp_path: Path) -> None:
    for form, start in (("svg", b"<svg"), ("png", b"\x89PNG")):
        folder = tmp_path / form
        done = tidegate(record, "--format", form, "--out", folder)
        assert done.exit_code == 0, done.output
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f"01-errors-5xx.{form}", f"02-error-rate.{form}"]
        assert all((folder / name).read_bytes().startswith(start) for name in names)


def test_one_picture_of_one_metric(record: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.svg"
    assert tidegate(record, "--format", "svg", "--out", out, "--metric", "errors/5xx").exit_code == 0
    assert "errors/5xx" in out.read_text()
    assert "error-rate" not in out.read_text()


def test_a_record_is_read_back_whole(record: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    assert tidegate(record, "--format", "json", "--out", again).exit_code == 0
    pages = [tidegate(file, "--out", "-").output for file in (record, again)]
    assert pages[0] == pages[1]
    assert "Evidence against its limit" in pages[0]


def test_an_object_of_a_cluster(result: Path, tmp_path: Path) -> None:
    """As `kubectl get analysisrun -o json` prints one of Argo's."""
    at = "2026-03-04T09:15:00Z"
    measurement = {"phase": "Failed", "value": "[0.2]", "startedAt": at, "finishedAt": at}
    metric = {"name": "rate", "successCondition": "result[0] < 0.1", "provider": {"web": {"url": "x"}}}
    status = {"name": "rate", "phase": "Failed", "failed": 1, "count": 1, "measurements": [measurement]}
    document = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {"name": "checkout-6c54544bf9-2", "namespace": "shop", "uid": "a1b2"},
        "spec": {"metrics": [metric]},
        "status": {"phase": "Failed", "message": "assessed Failed", "startedAt": at, "metricResults": [status]},
    }
    file = tmp_path / "run.json"
    file.write_text(json.dumps(document))
    text = tidegate(file, "--out", "-").output
    assert "checkout-6c54544bf9-2" in text
    assert "success &lt; 0.1" in text
    assert "No failure: 1 so far" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "holds no run"),
        (b'{"metrics": 3}', "holds no run"),
        (b'{"metrics": [{"phase": "Odd"}], "run": {}}', "cannot be read as a run"),
        (b'{"format": "tidegate.dev/run-record/v1"}', "cannot be read as a run"),
    ],
)
def test_what_is_no_run_is_refused_in_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    file.write_bytes(content)
    done = tidegate(file, "--out", "-")
    assert done.exit_code == 2
    assert said in done.output
    assert "tidegate check -o json" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.json"], "nowhere.json does not exist"),
        (["01ABC"], "Give --server HOST:PORT"),
        (["{result}", "--metric", "error-rat"], "did you mean 'error-rate'?"),
        (["{result}", "--format", "pdf"], "'pdf' is not one of"),
        (["{result}", "--out", "/proc/nothing/page.html"], "cannot be written"),
    ],
)
def test_mistakes(words: list[str], said: str, result: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_SERVER", raising=False)
    done = tidegate(*(word.format(result=result) for word in words))
    assert done.exit_code in (2, 20)
    assert said in done.output


def test_png_without_matplotlib_names_the_extra(result: Path, tmp_path: Path) -> None:
    """In a process of its own, where the package cannot be imported."""
    code = (
        "import sys; sys.modules['matplotlib'] = None; from analysis_service.cli import main; "
        f"sys.argv[1:] = ['report', {str(result)!r}, '--format', 'png', '--out', {str(tmp_path / 'x.png')!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'tidegate[report]'" in done.stderr
    assert "Traceback" not in done.stderr
