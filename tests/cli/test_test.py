"""`tidegate test` as people run it: what passes, what fails and says why, and which mistakes are named."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analysis_service.cli.test import command

COUNTS = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: checkout}
spec:
  args: [{name: canary}, {name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}]
  metrics:
  - name: error-rate
    interval: 30s
    count: 5
    successCondition: result[0] < 0.05
    failureLimit: 1
    provider: {prometheus: {address: "http://p", query: 'rate{h="{{args.canary}}"}'}}
  - name: errors
    interval: 30s
    provider:
      compare:
        arms: {canary: {h: "{{args.canary}}"}, stable: {h: s}}
        counts:
          events: {prometheus: {address: "http://p", query: 'sum by (pod) (e{h="{{arm.h}}"})'}}
          totals: {prometheus: {address: "http://p", query: 'sum by (pod) (t{h="{{arm.h}}"})'}}
        margin: {relative: 0.5}
        maxDuration: 20m
"""
GAUGE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: speed}
spec:
  metrics:
  - name: p99
    interval: 30s
    provider:
      compare:
        arms: {canary: {h: c}, stable: {h: s}}
        gauge: {web: {url: "http://w/{{arm.h}}", jsonPath: "{$.p99}"}}
        margin: {relative: 0.2}
        DIRECTION
        maxDuration: 30m
"""
HISTOGRAM = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: spread}
spec:
  metrics:
  - name: latency
    interval: 30s
    provider:
      compare:
        arms: {canary: {h: c}, stable: {h: s}}
        histogram: {prometheus: {address: "http://p", query: 'sum by (le) (b{h="{{arm.h}}"})'}}
        margin: {relative: 0.2}
        maxDuration: 20m
"""
WEB = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: web}
spec:
  metrics:
  - {name: ratio, interval: 30s, count: 3, successCondition: result < 0.05 || isNaN(result), failureLimit: 0,
     provider: {web: {url: "http://w/"}}}
"""
HEAD = "template: t.yaml\nargs: {canary: c}\nstep: 30s\ntests:\n"
RATE = "error-rate: 0.01x10"
LITTLE = "canary: {events: 0x40, totals: 0+2x40}, stable: {events: 0+1x40, totals: 0+90x40}"
RESTARTED = "canary: {events: {a: 0+10x15 0+10x25}, totals: {a: 0+1000x15 0+1000x25}}"
GOOD = "canary: {events: {a: 0+10x40}, totals: {a: 0+1000x40}}"
STABLE = "stable: {events: {b: 0+50x40, c: 0+40x40}, totals: {b: 0+5000x40, c: 0+4000x40}}"


def run(folder: Path, tests: str, *options: str, template: str = COUNTS) -> Result:
    (folder / "t.yaml").write_text(template)
    if "args:" not in template:
        tests = tests.replace("args: {canary: c}\n", "")
    (folder / "tests.yaml").write_text(tests)
    return CliRunner().invoke(command, [str(folder / "tests.yaml"), *options])


def case(series: str, expect: str, more: str = "") -> str:
    return f"{HEAD}- name: it\n  series: {{{series}}}\n  expect: {expect}\n{more}"


@pytest.mark.parametrize(
    ("series", "expect"),
    [
        # both metrics pass
        (f"{RATE}, errors: {{{GOOD}, {STABLE}}}", "{phase: Successful, metrics: {errors: {phase: pass}}}"),
        # three times the errors, counters of all processes together
        (
            f"{RATE}, errors: {{canary: {{events: 0+30x40, totals: 0+1000x40}}, {STABLE}}}",
            "{phase: Failed, reason: 'errors: x3', metrics: {errors: {phase: fail, looks: 3}}}",
        ),
        # the plain metric fails; its condition is quoted
        (f"error-rate: 0.01 0.09x9, errors: {{{GOOD}, {STABLE}}}", r"{phase: Failed, reason: '0\.09 < 0.05'}"),
        # no answer at all from the plain metric's second value on: an index out of range is an error
        (f"error-rate: 0.01 _x40, errors: {{{GOOD}, {STABLE}}}", "{metrics: {error-rate: {phase: Error}}}"),
        # a restart of one process is no harm
        (
            f"{RATE}, errors: {{{RESTARTED}, {STABLE}}}",
            "{phase: Successful}",
        ),
        # too little traffic to tell
        (
            f"{RATE}, errors: {{{LITTLE}}}",
            "{phase: Inconclusive}",
        ),
    ],
)  # fmt: skip
def test_counts(tmp_path: Path, series: str, expect: str) -> None:
    done = run(tmp_path, case(series, expect), "-v")
    assert done.exit_code == 0, done.output
    assert "all passed" in done.output


WAVE = " ".join(str(100 + k % 7) for k in range(61))
WORSE = " ".join(str(150 + k % 5) for k in range(61))


@pytest.mark.parametrize(
    ("direction", "canary", "phase"),
    [
        ("", WAVE, "Successful"),
        ("", WORSE, "Failed"),
        ("direction: decrease", WORSE, "Successful"),  # more is better
    ],
)
def test_gauge(tmp_path: Path, direction: str, canary: str, phase: str) -> None:
    stable = " ".join(str(100 + k * 3 % 7) for k in range(61))
    tests = case(f"p99: {{canary: {canary}, stable: {{a: {stable}, b: {stable}}}}}", f"{{phase: {phase}}}")
    done = run(tmp_path, tests, "-v", template=GAUGE.replace("DIRECTION", direction))
    assert done.exit_code == 0, done.output
    assert "in the canary's place: Failed, as it must" in done.output
    assert ("x0.4" if direction else "x2.4") in done.output  # harm in the direction that is bad


@pytest.mark.parametrize(("share", "phase"), [("9", "Successful"), ("3", "Failed")])
def test_histogram(tmp_path: Path, share: str, phase: str) -> None:
    stable = '{"0.1": 0+9000x40, "0.5": 0+9900x40, "+Inf": 0+10000x40}'
    canary = f'{{"0.1": 0+{share}00x40, "0.5": 0+990x40, "+Inf": 0+1000x40}}'
    done = run(
        tmp_path, case(f"latency: {{canary: {canary}, stable: {stable}}}", f"{{phase: {phase}}}"), template=HISTOGRAM
    )
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("values", "phase"), [("0.01x5", "Successful"), ("0.01 NaN 0.01", "Successful"), ("0.2x5", "fail")]
)
def test_an_answer_that_is_one_number(tmp_path: Path, values: str, phase: str) -> None:
    """A web metric's result is a number and no list; NaN is a value, `_` is none."""
    done = run(tmp_path, case(f"ratio: {values}", f"{{phase: {phase}}}"), template=WEB)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("series", "expect", "words"),
    [
        (f"{RATE}, errors: {{{GOOD}, {STABLE}}}", "{phase: Failed}", "expected Failed, got Successful: All 2 metrics"),
        (f"{RATE}, errors: {{{GOOD}, {STABLE}}}", "{reason: x9}", "no match for 'x9' in: All 2"),
        (f"{RATE}, errors: {{{GOOD}, {STABLE}}}", "{metrics: {errors: {looks: 2}}}", "took 10 looks, at most 2"),
        (f"{RATE}, errors: {{{GOOD}, {STABLE}}}", "{metrics: {error: {phase: fail}}}", "was never measured; measured"),
    ],
)
def test_unmet_expectations(tmp_path: Path, series: str, expect: str, words: str) -> None:
    done = run(tmp_path, case(series, expect))
    assert done.exit_code == 10
    assert words in done.output
    assert "1 test: 1 failed" in done.output


def test_a_control_that_finds_nothing_says_why(tmp_path: Path) -> None:
    """Nothing to multiply: the control cannot find harm, and says so without failing the test."""
    series = (
        f"{RATE}, errors: {{canary: {{events: 0x40, totals: 0+100x40}}, stable: {{events: 0x40, totals: 0+900x40}}}}"
    )
    done = run(tmp_path, case(series, "{phase: Inconclusive}"))
    assert done.exit_code == 0, done.output
    assert "harm of x3 in the canary's place was not found: errors: " in done.output
    assert "control of" not in run(tmp_path, case(series, "{phase: Inconclusive}", "  control: false\n"), "-v").output


def test_a_blind_template_fails_its_control(tmp_path: Path) -> None:
    """A margin so wide that tripled errors pass: the expected phase is met, and the test still fails."""
    blind = COUNTS.replace("relative: 0.5", "relative: 20").replace(
        "maxDuration: 20m", "maxDuration: 20m\n        failAt: margin"
    )
    series = f"{RATE}, errors: {{{GOOD}, {STABLE}}}"
    done = run(tmp_path, case(series, "{phase: Successful}", "  control: 3\n"), template=blind)
    assert done.exit_code == 10
    assert "harm of x3 in the canary's place was passed" in done.output


def test_formats(tmp_path: Path) -> None:
    series = f"{RATE}, errors: {{{GOOD}, {STABLE}}}"
    tests = case(series, "{phase: Failed}")
    data = json.loads(run(tmp_path, tests, "-o", "json").output)
    (found,) = data["files"][0]["tests"]
    assert (data["passed"], found["phase"], found["line"], len(found["controls"])) == (False, "Successful", 5, 2)
    suite = ET.fromstring(run(tmp_path, tests, "-o", "junit").output)[0]
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "expected Failed" in str(suite[0][0].get("message"))


def test_tables_and_recordings(tmp_path: Path) -> None:
    rows = [f"2026-01-01T00:{m:02}:{s:02}Z,{0.01 if m < 5 else 0.2}" for m in range(10) for s in (0, 30)]
    (tmp_path / "past.csv").write_text("\n".join(["timestamp,ratio", *rows]))
    tests = f"{HEAD}- {{name: early, data: past.csv, expect: {{phase: pass}}}}\n"
    tests += "- {name: late, data: past.csv, start: 2026-01-01T00:06:00Z, expect: {phase: fail}}\n"
    done = run(tmp_path, tests, template=WEB)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("tests: []", "template is missing"),
        ("template: t.yaml", "tests is missing"),
        (f"{HEAD}- {{}}", "exactly one of series, data, recording; found none"),
        (f"{HEAD}- {{series: {{}}, serie: 1, expect: {{}}}}", "tests.yaml:5: test: unknown field 'serie'"),
        (case("error-rate: 1..2", "{}"), "error-rate: '1..2' is no series"),
        (case(RATE, "{phase: Broken}"), "phase: 'Broken' is none; want one of"),
        (case(RATE, "{reason: '('}"), "reason: no regular expression"),
        (case(RATE, "{}", "  control: 1\n"), "control: want true, false, or how many times worse"),
        (case("eror-rate: 1x5", "{}"), "series eror-rate: the template asks for no such; it asks for error-rate"),
        (case(RATE, "{}").replace("canary: c", "canry: c"), "canry"),
        (case(RATE, "{}").replace("t.yaml", "none.yaml"), "none.yaml does not exist"),
        (case(RATE, "{}").replace("step: 30s", "step: soon"), "step: "),
        (f"{HEAD}- {{data: no.csv, expect: {{}}}}", "no.csv does not exist"),
        ("a: [", "tests.yaml:"),
    ],
)
def test_mistakes(tmp_path: Path, tests: str, words: str) -> None:
    done = run(tmp_path, tests)
    assert done.exit_code == 2
    assert words in done.output
    assert "Traceback" not in done.output


def test_every_mistake_is_told_once_in_its_place(tmp_path: Path) -> None:
    """Two tests share a step that is none; what is misspelt is not missing, too."""
    tests = "template: t.yaml\nstep: 2\ntests:\n"
    tests += "- {series: {error-rate: 1x5}, expct: {phase: Failed}}\n- {serie: {error-rate: 1x5}, expect: {}}\n"
    lines = run(tmp_path, tests).output.replace(f"{tmp_path}/", "").removeprefix("Error: ").splitlines()
    assert [line.split(";")[0] for line in lines] == [
        'tests.yaml:2: step: time: missing unit in duration "2"',
        "tests.yaml:4: test: unknown field 'expct'",
        "tests.yaml:5: test: unknown field 'serie'",
    ]
    assert lines[1].endswith("did you mean 'expect'?")


def test_only(tmp_path: Path) -> None:
    done = run(tmp_path, case(RATE, "{phase: Failed}"), "-k", "other")
    assert done.exit_code == 2
    assert "no test's name matches 'other'" in done.output


def test_help_shows_the_format() -> None:
    done = CliRunner().invoke(command, ["--help"])
    assert "canary: {events: 0+9x40, totals: {pod-a: 0+100x40, pod-b: 0+100x40}}" in done.output
