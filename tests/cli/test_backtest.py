"""`tidegate backtest` over tables: verdicts as live, false-alarm rates, harm that is found, and what is refused."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from analysis_service.cli.backtest import command
from analysis_service.cli.report_command import command as report

START = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: checkout}
spec:
  args: [{name: limit, value: "0.05"}]
  metrics:
  - name: error-rate
    interval: 30s
    count: 5
    successCondition: result[0] < {{args.limit}}
    failureLimit: 1
    provider: {prometheus: {address: "http://p", query: rate}}
  - name: errors
    interval: 30s
    provider:
      compare:
        arms: {canary: {h: c}, stable: {h: s}}
        counts:
          events: {prometheus: {address: "http://p", query: 'sum by (pod) (e{h="{{arm.h}}"})'}}
          totals: {prometheus: {address: "http://p", query: 'sum by (pod) (t{h="{{arm.h}}"})'}}
        margin: {relative: 0.5}
        maxDuration: 15m
"""
GAUGE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: level}
spec:
  metrics:
  - name: p99
    interval: 5m
    provider:
      compare:
        arms: {canary: {h: c}, stable: {h: s}}
        gauge: {prometheus: {address: "http://p", query: 'p99{h="{{arm.h}}"}'}}
        margin: {relative: 0.1}
        maxDuration: 2h
"""


def indented(settings: str) -> str:
    """Further settings of the last comparison."""
    return "".join(f"        {line}\n" for line in settings.split(", "))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight hours of four stable pods and a canary with three times the errors in the last hour."""
    folder = tmp_path_factory.mktemp("past")
    (folder / "t.yaml").write_text(TEMPLATE)
    (folder / "g.yaml").write_text(GAUGE)
    rng, n = np.random.default_rng(11), 960
    times = [(START + timedelta(seconds=30 * k)).isoformat() for k in range(n)]
    rows = ["timestamp,metric,arm,part,pod,value"]
    for arm, pods in (("stable", 4), ("canary", 1)):
        for pod in range(pods):
            harm = np.where((arm == "canary") & (np.arange(n) > 840), 3.0, 1.0)
            totals = np.cumsum(rng.poisson(400, n))
            events = np.cumsum(rng.poisson(4 * harm, n))
            for part, values in (("totals", totals), ("events", events)):
                rows += [f"{t},errors,{arm},{part},{arm}{pod},{v}" for t, v in zip(times, values, strict=True)]
    rows += [f"{t},error-rate,,,,{v:.4f}" for t, v in zip(times, 0.02 + 0.001 * rng.normal(size=n), strict=True)]
    (folder / "past.csv").write_text("\n".join(rows))
    level = 100 + rng.normal(size=1200)
    lines = [f"{(START + timedelta(minutes=5 * k)).isoformat()},{v:.3f}" for k, v in enumerate(level)]
    (folder / "one.csv").write_text("\n".join(["timestamp,value", *lines]))
    return folder


def run(folder: Path, *options: str, template: str = "t.yaml", data: str = "past.csv") -> Result:
    return CliRunner().invoke(command, ["-f", str(folder / template), "--data", str(folder / data), *options])


def test_a_run_as_live(folder: Path) -> None:
    """It fails where the canary was worse, and not before; the hours before it calibrate."""
    bad = run(folder, "--start", "2026-01-01T07:02:00Z", "-o", "json")
    found = json.loads(bad.stdout)
    assert (bad.exit_code, found["phase"]) == (10, "Failed"), bad.output
    assert found["endedAt"] < "2026-01-01T07:12:00"
    assert found["looks"]["errors"][-1]["data"]["evidence"]["calibrated"] is True
    good = run(folder, "--start", "2026-01-01T04:00:00Z", "--end", "2026-01-01T06:00:00Z")
    assert good.exit_code == 0, good.output
    assert good.output.startswith("Successful at 2026-01-01T04:")
    assert re.search(r"\n  errors: Successful after \d+ looks: x[\d.]+ of stable", good.output)  # the name once


@pytest.mark.parametrize("known", [True, False])
def test_the_share_of_traffic_in_past_data(folder: Path, tmp_path: Path, known: bool) -> None:
    """A run over data that do not have it goes on without, as live."""
    (tmp_path / "t.yaml").write_text(TEMPLATE + indented("canaryWeightFrom: {web: {url: 'http://router/weight'}}"))
    rows = (folder / "past.csv").read_text().splitlines()
    times = dict.fromkeys(row.split(",")[0] for row in rows[1:])
    if known:
        rows += [f"{time},errors,,canaryWeight,,20" for time in times]
    (tmp_path / "past.csv").write_text("\n".join(rows))
    options = ("--start", "2026-01-01T04:00:00Z", "--end", "2026-01-01T06:00:00Z", "-o", "json")
    done = run(folder, *options, template=str(tmp_path / "t.yaml"), data=str(tmp_path / "past.csv"))
    assert done.exit_code == 0, done.output
    looks = [look["data"] for look in json.loads(done.stdout)["looks"]["errors"]]
    assert {look.get("weight_percent") for look in looks} == {20.0 if known else None}
    assert looks[-1]["split"].get("configured") == (0.2 if known else None)
    assert looks[-1]["split"]["canary_share"] == pytest.approx(0.2, abs=0.01)


def test_a_backtest_is_drawn(folder: Path) -> None:
    done = run(folder, "--start", "2026-01-01T07:02:00Z", "-o", "json")
    (folder / "result.json").write_text(done.stdout)
    drawn = CliRunner().invoke(report, [str(folder / "result.json"), "--format", "svg", "--out", "-"])
    assert drawn.exit_code == 0, drawn.output
    assert f"{len(json.loads(done.stdout)['looks']['errors'])} looks" in drawn.stdout
    assert "FAIL" in drawn.stdout


def test_data_that_end_too_early(folder: Path) -> None:
    done = run(folder, "--start", "2m", "--end", "2026-01-01T06:30:00Z")
    assert "The data ended before the run did" in done.output
    assert done.exit_code == 11  # terminated before it was through: no pass


def test_placebo_and_harm(folder: Path) -> None:
    done = run(folder, "--end", "2026-01-01T06:59:00Z", "--shift", "3", "-o", "json", "--runs", "60")
    assert done.exit_code == 0, done.output
    rows = {(row["metric"], row["effect"]): row for row in json.loads(done.stdout)["results"]}
    innocent, harmed = rows["errors", 1.0], rows["errors", 3.0]
    assert innocent["low"] <= innocent["alpha"] == 0.05
    assert innocent["passed"] > innocent["failed"]
    assert harmed["rate"] > 0.9
    assert 1 <= harmed["medianLooks"] <= harmed["p90Looks"] <= 30
    assert (rows["error-rate", 1.0]["failed"], rows["error-rate", 3.0]["rate"]) == (0, 1.0)  # .06 is over its limit
    assert rows["error-rate", 1.0]["alpha"] is None


def test_one_series_is_compared_with_itself(folder: Path) -> None:
    """A single column of numbers: every other interval plays the canary."""
    done = run(folder, "--shift", "1.2", template="g.yaml", data="one.csv")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert (lines[1][:2], lines[2][:2]) == (["p99", "none"], ["p99", "x1.2"])
    assert float(lines[1][3].rstrip("%")) <= 10
    assert float(lines[2][3].rstrip("%")) >= 80
    assert "innocent runs failed" in done.output


@pytest.mark.parametrize(
    ("settings", "alpha", "most", "looks"),
    [
        # judged once, at the deadline, whatever the look-back: alpha of the innocent runs fail
        ("test: welch, failAt: noharm, alpha: 0.2", 0.2, 1.0, 12),
        ("test: mann-whitney, failAt: noharm, alpha: 0.2", 0.2, 1.0, 12),
        # of four planned looks the first one passes what is harmless, so that less of alpha is used
        ("test: welch, failAt: noharm, alpha: 0.2, looks: 4, spending: pocock", 0.2, 0.15, 3),
        # against the margin nothing innocent fails
        ("test: welch, failAt: margin, alpha: 0.2", 0.2, 0.0, 12),
        # no false-alarm rate was promised; it is measured all the same
        ("test: kayenta, kayenta: {direction: increase}", None, 0.1, 12),
    ],
)
def test_placebos_of_tests_of_fixed_size(
    folder: Path, tmp_path: Path, settings: str, alpha: float | None, most: float, looks: int
) -> None:
    template = GAUGE.replace("maxDuration: 2h", "maxDuration: 1h") + indented(settings)
    (tmp_path / "fixed.yaml").write_text(template)
    done = run(folder, "--shift", "1.2", "-o", "json", template=str(tmp_path / "fixed.yaml"), data="one.csv")
    assert done.exit_code == 0, done.output
    innocent, harmed = json.loads(done.stdout)["results"]
    assert innocent["runs"] == innocent["calibrated"] == 50
    assert innocent["alpha"] == alpha
    assert innocent["rate"] <= most
    assert innocent["low"] <= innocent["rate"] <= innocent["high"]
    if most == 1.0 and alpha is not None:
        assert 0.5 * alpha <= innocent["rate"]
        assert innocent["low"] <= alpha <= innocent["high"]
    assert harmed["rate"] >= 0.98
    assert harmed["medianLooks"] == looks


def test_placebos_of_counts_at_the_deadline(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "once.yaml").write_text(TEMPLATE + indented("test: poisson-e"))
    options = ("--end", "2026-01-01T06:59:00Z", "--shift", "3", "-o", "json", "--runs", "60")
    done = run(folder, *options, template=str(tmp_path / "once.yaml"))
    assert done.exit_code == 0, done.output
    rows = {(row["metric"], row["effect"]): row for row in json.loads(done.stdout)["results"]}
    assert rows["errors", 1.0]["low"] <= 0.05
    assert rows["errors", 1.0]["runs"] == 60
    assert (rows["errors", 3.0]["rate"], rows["errors", 3.0]["medianLooks"]) == (1.0, 30)


PLAIN = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: plain}
spec:
  metrics:
  - {name: m, interval: 1m, count: 3, successCondition: "true", failureCondition: "false", provider: PROVIDER}
"""
RANGE = '{prometheus: {address: "http://p", query: q, rangeQuery: {start: "now()", end: "now()", step: 1m}}}'
WEB = '{web: {url: "http://w", jsonPath: "{$.x}"}}'
OBJECTIVE = (
    TEMPLATE.replace("margin: {relative: 0.5}", "objective: 0.01")
    .replace(", stable: {h: s}", "")
    .replace("name: errors", "name: slo")
)


@pytest.mark.parametrize(
    ("template", "options", "words"),
    [
        (PLAIN.replace("PROVIDER", RANGE), (), "m: a rangeQuery cannot be replayed"),
        (PLAIN.replace("PROVIDER", RANGE), ("--placebo",), "Ask for the same in an instant, as avg_over_time("),
        (PLAIN.replace("PROVIDER", WEB), ("SERVER",), "m: web cannot be asked for past data here, only prometheus can"),
        (PLAIN.replace("PROVIDER", WEB), ("SERVER", "--placebo"), "a table (--data) or a recording"),
        (OBJECTIVE, ("--placebo",), "slo: objective has no placebo: it holds the canary to a number"),
    ],
)
def test_what_has_no_past(folder: Path, tmp_path: Path, template: str, options: tuple[str, ...], words: str) -> None:
    (tmp_path / "t.yaml").write_text(template)
    data = ["--data", str(folder / "past.csv")]
    if "SERVER" in options:
        data = ["--prometheus", "http://127.0.0.1:9", "--start", "1h"]
    more = [option for option in options if option != "SERVER"]
    done = CliRunner().invoke(command, ["-f", str(tmp_path / "t.yaml"), *data, *more])
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_rule_that_alarms_too_often_is_called_so(folder: Path, tmp_path: Path) -> None:
    """Innocent arms that lie apart, with too little history to know it: the result says so, and the exit code."""
    level = (100 + np.random.default_rng(2).normal(size=240)) * np.where(np.arange(240) % 2, 1.4, 1.0)
    lines = [f"{(START + timedelta(minutes=5 * k)).isoformat()},{v:.3f}" for k, v in enumerate(level)]
    (tmp_path / "odd.csv").write_text("\n".join(["timestamp,value", *lines]))
    done = run(folder, "--placebo", template="g.yaml", data=str(tmp_path / "odd.csv"))
    assert done.exit_code == 10, done.output
    assert "more than the 0.05 that was asked for" in done.output
    assert "had too short a look-back" in done.output


@pytest.mark.parametrize("name", ["p.png", "p.svg"])
@pytest.mark.parametrize("mode", [("--shift", "2", "--runs", "6"), ("--start", "2026-01-01T07:02:00Z")])
def test_plots(folder: Path, tmp_path: Path, mode: tuple[str, ...], name: str) -> None:
    pytest.importorskip("matplotlib")
    run(folder, *mode, "--plot", str(tmp_path / name))
    data = (tmp_path / name).read_bytes()
    assert data.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    assert len(data) > 5000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--shift", "x"), "'x' is no factor"),
        (("--shift", "1"), "'1' is no factor"),
        (("--start", "soon"), "'soon' is no time"),
        (("--start", "2026-01-02T00:00:00Z"), "is not before --end"),
        (("--plot", "x.gif"), "want a name that ends in .png or .svg"),
        (("--prometheus", "http://p"), "exactly one of --data, --recording, --prometheus"),
        (("-a", "limt=1"), "limt"),
        (("--placebo", "--start", "5m"), "one run takes"),
    ],
)
def test_refused(folder: Path, options: tuple[str, ...], words: str) -> None:
    done = run(folder, *options)
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert "Traceback" not in done.output


def test_a_server_that_does_not_answer(folder: Path) -> None:
    options = ["-f", str(folder / "g.yaml"), "--prometheus", "http://127.0.0.1:9", "--start", "1h", "--placebo"]
    text = (folder / "g.yaml").read_text().replace('address: "http://p", ', "")
    (folder / "here.yaml").write_text(text)
    options[1] = str(folder / "here.yaml")
    done = CliRunner().invoke(command, options)
    assert done.exit_code in (2, 20), done.output
    assert "127.0.0.1:9" in done.output or "port 9" in done.output


def test_without_data(folder: Path) -> None:
    done = CliRunner().invoke(command, ["-f", str(folder / "t.yaml")])
    assert done.exit_code == 2
    assert "Where are the past data?" in done.output
