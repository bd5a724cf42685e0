"""`tidegate check` without a service, as a pipeline runs it: a process, its exit code, its two streams."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Metrics = Mapping[str, Callable[..., dict[str, Any]]]
TWICE = {"interval": "50ms", "count": 2}
LONG = {"interval": "1s", "count": 100}


@pytest.mark.parametrize(
    ("kind", "path", "more", "options", "code", "said"),
    [
        ("web", "json/0.01", {}, (), 0, "PASS  checkout: The metric passed"),
        ("web", "json/0.08", {}, (), 10, "0.08 < 0.05 is false"),
        ("web", "json/0.08", {"failureCondition": "result > 0.5"}, (), 11, "INCONCLUSIVE  checkout: "),
        ("prometheus", "nothing", {"consecutiveErrorLimit": 0}, (), 12, "NO DATA  checkout: error-rate: NoData"),
        ("web", "status/404", {"consecutiveErrorLimit": 0}, (), 20, "ERROR  checkout: "),
        ("web", "json/0.01", LONG, ("--timeout", "1500ms"), 21, "no verdict within 1.5 s; error-rate: "),
    ],
)
def test_ends(
    kind: str, path: str, more: dict[str, Any], options: tuple[str, ...], code: int, said: str,
    tidegate: Callable[..., Any], template: Callable[..., Path], metrics: Metrics,
) -> None:  # fmt: skip
    done = tidegate("check", template(metrics[kind](path, **more)), *options)
    assert done.code == code, done
    assert said in done.out
    assert f"exit {code} (" in done.out.splitlines()[-1]
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("kind", "path", "more", "options", "code", "said"),
    [
        ("web", "json/0.08", {}, ("--exit-code", "fail=1"), 1, "exit 1 (FAIL)"),
        ("web", "json/0.08", {"failureCondition": "result > 0.5"}, ("--on-inconclusive", "pass"), 0, "taken as pass"),
        ("prometheus", "nothing", {"consecutiveErrorLimit": 0}, ("--on-no-data", "fail"), 10, "taken as fail"),
        ("web", "status/500", {"consecutiveErrorLimit": 0}, ("--on-error", "pass"), 0, "error is taken as pass"),
        ("web", "json/0.01", LONG, ("--timeout", "500ms", "--on-error", "fail"), 10, "timed out is taken as fail"),
        # Argo would pass with no metric that counts
        ("web", "json/0.01", {}, ("--dry-run", ".*"), 12, "NO DATA  checkout: No metric counts"),
    ],
)
def test_ends_by_policy(
    kind: str, path: str, more: dict[str, Any], options: tuple[str, ...], code: int, said: str,
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics,
) -> None:  # fmt: skip
    done = inside("check", template(metrics[kind](path, **more)), *options)
    assert done.code == code, done
    assert said in done.out


def test_streams(tidegate: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    """Standard output is the result alone; standard error one line per change, without cursor codes."""
    path = template(metrics["web"]("json/0.01", **TWICE), metrics["web"]("text/76310a", 'result == "v1\\n"', "version"))
    done = tidegate("check", path, "-o", "json", env={"TERM": "xterm"})
    data = json.loads(done.out)
    assert (done.code, data["passed"], data["run"]["title"]) == (0, True, "checkout")
    assert [metric["value"] for metric in data["metrics"]] == ["0.01", "v1\n"]
    lines = done.err.splitlines()
    assert len(lines) == 5  # three measurements, two verdicts
    assert sum(line.startswith("✔ error-rate  0.01  ") for line in lines) == 2
    assert any(line.startswith("✔ version  v1\\n  ") for line in lines)  # the value's line break is written out
    assert "\x1b" not in done.err


def test_one_run_in_every_format(
    tidegate: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, tmp_path: Path
) -> None:
    files = {name: tmp_path / f"r.{name}" for name in ("json", "yaml", "junit", "markdown")}
    extra = [f"-o{name}={file}" for name, file in files.items()]
    env = {"GITHUB_OUTPUT": str(tmp_path / "out"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    path = template(metrics["web"]("json/0.08"))
    done = tidegate("check", "-q", path, "-o", "github", *extra, "--result-dir", tmp_path / "d", "--on-error", "fail",
                    env=env)  # fmt: skip
    assert (done.code, done.err) == (10, "")
    assert done.out.startswith(f"::error file={path},title=tidegate%3A fail::FAIL  checkout: error-rate")
    data = json.loads(files["json"].read_text())
    assert (data["policies"], data["exitCode"]) == ({"onError": "fail"}, 10)
    assert ElementTree.fromstring(files["junit"].read_text()).get("failures") == "2"
    assert "passed: false" in files["yaml"].read_text()
    assert files["markdown"].read_text() == (tmp_path / "summary").read_text()
    assert "verdict=fail\n" in (tmp_path / "out").read_text()
    assert (tmp_path / "d/verdict").read_text() == "fail"


@pytest.mark.parametrize(
    ("arguments", "secrets", "code", "said"),
    [
        (("token=@tok/t", "limit=0.05"), {"TIDEGATE_SECRET_TOK__T": "s3cr3t-value"}, 0, "PASS"),
        (("token=@tok/t",), {}, 2, 'secrets "tok" not found; secrets come from the environment'),
        (("token=x", "limti=1"), {}, 2, "Did you mean 'limit'?"),
        ((), {}, 2, "args.token: required by template 'checkout', not supplied"),
    ],
)
def test_arguments(
    arguments: tuple[str, ...], secrets: dict[str, str], code: int, said: str,
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    metric = metrics["web"]("json/0.01", "result < {{args.limit}}")
    metric["provider"]["web"]["headers"] = [{"key": "X-Token", "value": "{{args.token}}"}]
    path = template(metric, args=[{"name": "token"}, {"name": "limit", "value": "0.05"}])
    done = inside("check", path, *(f"--arg={text}" for text in arguments))
    assert done.code == code, done
    assert said in done.out
    assert "s3cr3t" not in done.out + done.err


def test_settings_of_a_service_are_no_business_of_a_check(
    inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = template(metrics["web"]("json/0.01", consecutiveErrorLimit=0))
    monkeypatch.setenv("TIDEGATE_LISTEN", "0.0.0.0:7443")  # a service would refuse this without TLS
    monkeypatch.setenv("TIDEGATE_STORE", "redis:")
    assert inside("check", path).code == 0
    monkeypatch.setenv("TIDEGATE_ALLOW_LOOPBACK_ADDRESSES", "perhaps")
    for command in ("check", "render", "query"):
        done = inside(command, path)
        assert (done.code, "TIDEGATE_ALLOW_LOOPBACK_ADDRESSES: 'perhaps' is neither" in done.err) == (2, True)
    monkeypatch.setenv("TIDEGATE_ALLOW_LOOPBACK_ADDRESSES", "false")
    assert inside("check", path).code == 2  # what was denied is denied, before anything is asked


def test_a_wrong_template(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    """Where, what, what would work; a report all the same, for whoever reads the file."""
    path = template(metrics["web"]("json/0.01", "results < 1", succesCondition="x"))
    done = inside("check", path, "-o", f"json={path}.json")
    assert done.code == 2
    assert f"{path}:" in done.err
    assert "Did you mean 'successCondition'?" in done.err
    assert done.out.startswith(f"BAD SPEC  {path}: 2 errors\n")
    assert json.loads(Path(f"{path}.json").read_text())["outcome"] == "bad spec"


def test_several_templates(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    """All are named, and each metric stands where it was written."""
    good = template(metrics["web"]("json/0.01", name="a"), name="good")
    bad = template(metrics["web"]("json/0.08", name="b"), name="bad")
    done = inside("check", good, bad, "-o", "github", "-o", f"text={good}.txt")
    assert done.code == 10
    line = bad.read_text().splitlines().index('    "name": "b",') + 1
    assert f"::error file={bad},line={line},title=b::" in done.out
    assert Path(f"{good}.txt").read_text().startswith("FAIL  good, bad: b: 1 failure")


def test_a_run_document(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    """A whole AnalysisRun is taken as it is; with anything beside it, it is refused."""
    path = template(metrics["web"]("json/0.01"), name="whole")
    other = template(metrics["web"]("json/0.01"), name="other")
    path.write_text(path.read_text().replace('"AnalysisTemplate"', '"AnalysisRun"'))
    for command in ("check", "render", "query"):
        assert inside(command, path).code == 0
        refused = inside(command, path, other)
        assert refused.code == 2
        assert "an AnalysisRun stands alone" in refused.out + refused.err


def test_a_metric_without_end(inside: Callable[..., Any], template: Callable[..., Path], metrics: Metrics) -> None:
    done = inside("check", template(metrics["web"]("json/0.01", interval="5s")))
    assert done.code == 2
    assert "count" in done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(
    number: signal.Signals, code: int, start: Callable[..., "subprocess.Popen[str]"],
    template: Callable[..., Path], metrics: Metrics,
) -> None:  # fmt: skip
    path = template(metrics["web"]("json/0.01", **LONG))
    with start("check", path, "-o", f"json={path}.json") as process:
        assert process.stderr is not None
        process.stderr.readline()  # the first measurement is taken
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert out.startswith(f"INTERRUPTED  checkout: ended by {number.name} before there was a verdict")
    assert "Traceback" not in err
    data = json.loads(Path(f"{path}.json").read_text())
    assert (data["outcome"], data["passed"], data["exitCode"]) == ("interrupted", False, code)


def test_nobody_reads(
    start: Callable[..., "subprocess.Popen[str]"], template: Callable[..., Path], metrics: Metrics
) -> None:
    """A reader that went away has not seen the verdict, which is a pass."""
    with start("check", template(metrics["web"]("json/0.01"))) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(20) == 20
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_no_place_for_the_verdict(
    redirection: str, template: Callable[..., Path], metrics: Metrics, tidegate: Callable[..., Any]
) -> None:
    from shlex import quote
    from sys import executable

    path = template(metrics["web"]("json/0.01"))
    script = quote(str(Path(executable).with_name("tidegate")))
    done = subprocess.run(
        ["sh", "-c", f"{script} check {quote(str(path))} {redirection}"], capture_output=True, text=True, timeout=40
    )
    assert done.returncode == 20
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_of_ours(tidegate: Callable[..., Any], tmp_path: Path) -> None:
    """A broken installation stands for a bug: one sentence and exit code 1, which no verdict has."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nclass Broken:\n    def find_spec(self, name, *_):\n"
        "        if name == 'analysis_service.core.schema':\n            raise RuntimeError('secret detail')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    done = tidegate("schema", env={"PYTHONPATH": str(tmp_path)})
    assert (done.code, done.out) == (1, "")
    assert "tidegate met a bug of its own (RuntimeError)" in done.err
    assert "secret detail" not in done.err
    traced = tidegate("schema", env={"PYTHONPATH": str(tmp_path), "TIDEGATE_TRACEBACK": "1"})
    assert traced.code == 1
    assert "secret detail" in traced.err


def on_a_terminal(start: Callable[..., "subprocess.Popen[str]"], *arguments: object, **env: str) -> tuple[int, str]:
    """(exit code, everything written to the terminal)."""
    ours, theirs = pty.openpty()
    written = b""
    process = start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env={"TERM": "xterm-256color", **env})
    os.close(theirs)
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:
        pass  # Linux says so when the other end is closed
    finally:
        os.close(ours)
    return process.wait(20), written.decode()


def test_a_terminal(
    start: Callable[..., "subprocess.Popen[str]"], template: Callable[..., Path], metrics: Metrics
) -> None:
    """A live table that is gone in the end, then the result, in colours."""
    path = template(metrics["web"]("json/0.08", **TWICE))
    code, seen = on_a_terminal(start, "check", path, COLUMNS="150")
    assert code == 10
    assert "\x1b[2K" in seen  # the table is redrawn in place
    assert "\x1b[31mFAIL\x1b[0m  checkout" in seen
    assert "\x1b[?25h" in seen  # the cursor is back


def test_a_terminal_without_colours(
    start: Callable[..., "subprocess.Popen[str]"], template: Callable[..., Path], metrics: Metrics
) -> None:
    code, seen = on_a_terminal(start, "check", template(metrics["web"]("json/0.08")), "--no-color")
    assert code == 10
    assert "FAIL  checkout" in seen
    assert not [style for style in ("\x1b[31m", "\x1b[32m", "\x1b[1;31m") if style in seen]
