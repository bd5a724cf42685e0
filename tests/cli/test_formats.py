"""Results as other programs read them, with names and values that try to be something else."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from analysis_service.cli import output
from analysis_service.cli.formats import FORMATS, github, markdown, renderer, text
from analysis_service.cli.outcome import Outcome, Policies
from analysis_service.cli.report import Report, judged, report, so_far, title, why
from analysis_service.core.model import Cause, Measurement, Metric, MetricResult, Phase, Run, RunSpec

BEGAN = datetime(2026, 11, 25, 12, tzinfo=UTC)
ID = "01a210c6-63df-731b-820b-75868dd9580f"

HOSTILE = [
    "new\nline", "\x1b[31mred\x1b[0m", "a|b|c", "::error file=x::gotcha", "%0A::error::gotcha", "</testcase><x>",
    "]]>", "\x00\x0b\ufffe\uffff", "&amp;<script>alert(1)</script>", "[click](http://evil.example)",
    "![img](http://evil.example/x.png)", "`code`", "@everyone", "\u202etxt.exe", "\r::set-output name=x::y",
    "verdict<<EOF\npass\nEOF", "\ud800", "日本語の名前", "e\u0301", "'quote\" \\back", " ", "#1",
]  # fmt: skip


def result(name: str, phase: Phase = Phase.FAILED, value: str = "0.08", *, dry_run: bool = False) -> MetricResult:
    m = Measurement(phase, 0, value=value, reason=f"{name}: {value}: {value} < 0.05 is false", finished_at=BEGAN)
    return MetricResult(
        name, phase, measurements=(m,), count=1, failed=int(phase is Phase.FAILED), dry_run=dry_run,
        successful=int(phase is Phase.SUCCESSFUL), error=int(phase is Phase.ERROR),
        reason=f"{name}: 1 failure, failureLimit allows 0; last: {value}", cause=Cause.CONDITION_FAILED,
    )  # fmt: skip


def run(*results: MetricResult, phase: Phase = Phase.FAILED, name: str = "checkout", **more: object) -> Run:
    reason = results[0].reason if results else ""
    return Run(
        ID, "default", name, RunSpec(tuple(Metric(r.name) for r in results)), phase=phase, results=results,
        reason=reason, cause=Cause.CONDITION_FAILED if phase is Phase.FAILED else Cause.PASSED,
        started_at=BEGAN, completed_at=BEGAN + timedelta(seconds=90), **more,  # type: ignore[arg-type]
    )  # fmt: skip


SURROGATE = "\ud800"  # cannot be in JSON; nor in a run, whose texts were read as UTF-8


@pytest.mark.parametrize(
    ("name", "nasty"), [(n, t) for n in FORMATS for t in HOSTILE if t != SURROGATE or n not in ("json", "yaml")]
)
def test_every_format_survives(name: str, nasty: str) -> None:
    """Whatever a metric, a value, a template is called: one well-formed document, nothing hidden, nothing executed."""
    one = report(run(result(nasty, value=nasty), result("plain", Phase.SUCCESSFUL), name=nasty, warnings=(nasty,)))
    made = renderer(name)(one)
    made.encode()
    if name == "json":
        assert json.loads(made)["metrics"][0]["name"] == nasty
    elif name == "yaml":
        assert yaml.safe_load(made)["metrics"][0]["value"] == nasty
    else:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800\ufffe\uffff]", made)
    if name == "junit":
        root = ElementTree.fromstring(made)
        assert [len(suite.findall("testcase")) for suite in root.findall("testsuite")] == [3]
    if name == "text":
        assert len(made.splitlines()) == 5  # headline, two metrics, a warning, the exit code
    if name == "github":
        assert [line.startswith("::error ") for line in made.splitlines()] == [True, True]
    if name == "markdown":
        rows = [line for line in made.splitlines() if line.startswith("|")]
        assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [6] * 4
        assert "<script" not in made
        assert "](" not in made
        assert "http://" not in made


@pytest.mark.parametrize(
    ("phase", "looks", "said"),
    [
        (Phase.RUNNING, "14", "RUNNING  checkout: the run is Running since 2026-11-25T12:00:00Z | 14 looks so far"),
        (Phase.RUNNING, "1", "RUNNING  checkout: the run is Running since 2026-11-25T12:00:00Z | 1 look so far"),
        (Phase.RUNNING, "", "RUNNING  checkout: the run is Running since 2026-11-25T12:00:00Z | not measured"),
        (Phase.NEW, "", "PENDING  checkout: the run is Pending since 2026-11-25T12:00:00Z | not measured"),
    ],
)
def test_a_run_seen_before_its_end_has_not_timed_out(phase: Phase, looks: str, said: str) -> None:
    """Who asks how far it is does not wait for it: no exit code, and none of the words of a gate."""
    going = Measurement(Phase.RUNNING, 0, value="x1.1", metadata={"looks": looks} if looks else {})
    shown = so_far(run(MetricResult("errors", phase, measurements=(going,)), phase=phase))
    head, row = text.render(shown).splitlines()
    assert head == said.split(" | ")[0]
    assert said.split(" | ")[1] in row
    data = json.loads(renderer("json")(shown))
    assert (data["outcome"], data["exitCode"], data["passed"]) == (shown.word, None, False)


def test_junit_counts_what_is_there() -> None:
    made = renderer("junit")(
        report(
            run(
                result("bad"), result("broken", Phase.ERROR), result("good", Phase.SUCCESSFUL),
                result("dry", Phase.FAILED, dry_run=True), result("undecided", Phase.INCONCLUSIVE),
                result("unfinished", Phase.RUNNING),
            )
        )
    )  # fmt: skip
    suite = ElementTree.fromstring(made).find("testsuite")
    assert suite is not None
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "verdict": ["failure"], "bad": ["failure"], "broken": ["error"], "good": ["system-out"], "dry": ["skipped"],
        "undecided": ["error"], "unfinished": ["skipped"],
    }  # fmt: skip
    counts = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "7", "failures": "2", "errors": "2", "skipped": "2", "time": "90.000"}


def test_junit_of_a_pass_has_no_failure() -> None:
    made = renderer("junit")(report(run(result("good", Phase.SUCCESSFUL), phase=Phase.SUCCESSFUL)))
    root = ElementTree.fromstring(made)
    assert root.get("failures") == "0"
    # a pass is explained, too
    said = [case.findtext("system-out") or "" for case in root.iter("testcase")]
    assert said[0].startswith("PASS  checkout: ")
    assert "0.08" in said[1]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_no_format_calls_anything_but_a_pass_passed(outcome: Outcome) -> None:
    one = judged(run(result("x")), outcome, Policies())
    passed = outcome is Outcome.PASS
    assert json.loads(renderer("json")(one))["passed"] is passed
    assert (f"passed={str(passed).lower()}\n" in github.outputs(one)) is True
    assert renderer("github")(one).startswith("::notice" if passed else "::error")
    failures = ElementTree.fromstring(renderer("junit")(one)).get("failures")
    assert (failures == "1") is passed  # the failed metric itself; the verdict's case makes it two
    assert renderer("text")(one).startswith(outcome.word.upper())
    assert renderer("text")(one).rstrip().splitlines()[-1].startswith(f"exit {outcome.value} (")


def test_ten_thousand_metrics_stay_within_limits() -> None:
    long = "x" * 3000
    one = report(run(*(result(f"metric-{n}", value=long) for n in range(10_000)), warnings=(long,) * 1000))
    summary = markdown.render(one)
    assert len(summary.encode()) <= 900 * 1024  # GitHub drops a summary beyond 1 MiB whole
    assert re.search(r"\d+ more \|", summary)
    assert "metric-0 " in summary
    assert len(github.render(one).splitlines()) == 5
    assert len(github.render(one)) < 64 * 1024
    assert len(github.outputs(one)) < 64 * 1024
    assert len(renderer("junit")(one)) < 30 << 20


def test_columns_align_with_long_and_wide_names() -> None:
    names = ("a", "日本語", "n" * 300, "plain-name")
    made = text.render(report(run(*(result(name) for name in names))))
    rows = made.splitlines()[1:5]
    starts = {row.replace("日本語", "日本語   ").index("Failed") for row in rows}  # three of them take six columns
    assert len(starts) == 1
    assert max(map(len, rows)) < 400


def test_a_name_is_not_repeated() -> None:
    """Once in the headline's sentence, once in the table."""
    made = text.render(report(run(result("error-rate"))))
    assert made.count("error-rate") == 2
    assert why(result("error-rate")) == "1 failure, failureLimit allows 0; last: 0.08"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("checkout-75868dd9580f", "checkout"),  # the service's own tail
        ("checkout-9580f", "checkout-9580f"),  # too short to be one
        ("checkout-abcdef12", "checkout-abcdef12"),  # a hash of the user's
        ("75868dd9580f", "75868dd9580f"),
        ("", ID),
    ],
)
def test_title(name: str, shown: str) -> None:
    assert title(run(name=name)) == shown


def test_colours_only_where_asked() -> None:
    one = report(run(result("x")))
    assert "\x1b[31mFAIL\x1b[0m" in text.render(one, color=True)
    plain = re.sub(r"\x1b\[\d+m", "", text.render(one, color=True))
    assert plain == text.render(one)


def test_policies_are_printed() -> None:
    policies = Policies(on_error="pass")
    broken = judged(run(result("x", Phase.ERROR), phase=Phase.ERROR), Outcome.ERROR, policies)
    assert broken.exit_code == 0
    assert "policy: error is taken as pass because of --on-error=pass" in text.render(broken)
    data = broken.data()
    assert (data["outcome"], data["outcomeBeforePolicies"]) == ("pass", "error")
    assert data["policies"] == {"onError": "pass"}
    assert "--on-error=pass" in markdown.render(broken)
    untouched = judged(run(result("x")), Outcome.FAIL, policies)
    assert "policy: --on-error=pass (changed nothing)" in text.render(untouched)
    recoded = judged(run(result("x")), Outcome.FAIL, Policies(exit_codes={Outcome.FAIL: 0}))
    assert "policy: exit 0 instead of 10 because of --exit-code" in text.render(recoded)
    other = judged(run(result("x")), Outcome.FAIL, Policies(exit_codes={Outcome.ERROR: 1}))
    assert "policy: --exit-code=error=1 (changed nothing)" in text.render(other)


# -- places ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed() -> Report:
    return report(run(result("error-rate")))


def test_files_and_small_files(failed: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = output.read_outputs(("json=" + str(tmp_path / "new/r.json"), f"junit={tmp_path}/r.xml"))
    output.write(failed, outputs, tmp_path / "results")
    assert json.loads((tmp_path / "new/r.json").read_text())["outcome"] == "fail"
    assert ElementTree.fromstring((tmp_path / "r.xml").read_text()).tag == "testsuites"
    small = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
    assert small == {
        "verdict": "fail", "phase": "Failed", "passed": "false", "run_id": ID, "exit_code": "10",
        "reason": "error-rate: 1 failure, failureLimit allows 0; last: 0.08",
    }  # fmt: skip
    assert capsys.readouterr().out.startswith("FAIL  checkout: ")  # text to standard output beside the files


def test_github_files(failed: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        (tmp_path / name).write_text("before\n")
        monkeypatch.setenv(name, str(tmp_path / name))
    output.write(failed, output.read_outputs(("github",)), None)
    assert (tmp_path / "GITHUB_OUTPUT").read_text().startswith("before\nverdict=fail\npassed=false\nreason=error-rate")
    assert "## ❌ FAIL: checkout" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()


def test_nothing_of_an_earlier_verdict_is_left(tmp_path: Path) -> None:
    """A job that dies halfway must not leave yesterday's pass where the next step looks for today's verdict."""
    (tmp_path / "r.json").write_text('{"passed": true}')
    (tmp_path / "results").mkdir()
    (tmp_path / "results/verdict").write_text("pass")
    output.prepare(output.read_outputs((f"json={tmp_path}/r.json",)), tmp_path / "results")
    assert not (tmp_path / "r.json").exists()
    assert not (tmp_path / "results/verdict").exists()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("xml",), "'xml' is no format; one of text, json"),
        (("json", "yaml"), "only one format can go to standard output"),
        (("json=",), "names no file"),
        (("json=-", "text"), "only one format can go to standard output"),
    ],
)
def test_outputs_that_cannot_be(texts: tuple[str, ...], said: str) -> None:
    import click

    with pytest.raises(click.BadParameter, match=re.escape(said)):
        output.read_outputs(texts)


def test_a_place_that_cannot_be_written(
    inside: Callable[..., object], template: Callable[..., Path], metrics: dict[str, Callable[..., object]]
) -> None:
    path = template(metrics["web"]("json/0.01"))
    done = inside("check", path, "-o", f"json={path}/no/file.json")
    assert (done.code, done.out) == (20, "")  # type: ignore[attr-defined]
    assert "cannot be written: Not a directory" in done.err  # type: ignore[attr-defined]
