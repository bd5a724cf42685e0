"""A canary without a stable version beside it, from its past to its verdict."""

import json
import math
import random
import subprocess
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from analysis_service.asking import Asker
from analysis_service.cli.backtest import command as backcases_command
from analysis_service.cli.render import command as render_command
from analysis_service.cli.test import command as cases_command
from analysis_service.core.compare import state as fold
from analysis_service.core.compare.spec import Spec, comparison_of, parse
from analysis_service.core.model import Cause, Look, Metric, Phase, Run, RunSpec
from analysis_service.core.prepare import prepare
from analysis_service.core.reconcile import plan as planned
from analysis_service.core.reconcile import settle
from analysis_service.core.statistics.plan import Plan
from analysis_service.history.apart import Apart
from analysis_service.history.backtest import backtest
from analysis_service.history.base import Asked, Frame, History, Series
from analysis_service.history.calibrating import Calibrator
from analysis_service.history.prometheus import PrometheusHistory
from analysis_service.history.replay import FrameProvider, JumpingClock, questions, replay
from analysis_service.history.season import days_of, learn, reach_of
from analysis_service.measuring import Measurer
from analysis_service.notes import PLAN
from analysis_service.report.comparison import charts
from analysis_service.report.facts import facts
from analysis_service.report.reading import comparison
from analysis_service.secrets import Secrets
from analysis_service.stores.base import Page
from analysis_service.telemetry import Telemetry
from providers.base import BadQuery, NoData, Unreachable

START = datetime(2026, 3, 10, 12, tzinfo=UTC)
HALF_MINUTE = timedelta(seconds=30)
DAY = timedelta(days=1)


def metric(**fields: Any) -> Metric:
    written: dict[str, Any] = {
        "arms": {"canary": {"v": "new"}, "history": {"v": ".+"}},
        "gauge": {"prometheus": {"address": "http://x", "query": 'latency{version=~"{{arm.v}}"}'}},
        "seasonalBaseline": "24h",
        "margin": {"relative": 0.3},
        "maxDuration": "20m",
        "lookback": "1h",
        **fields,
    }
    on_no_data = written.pop("on_no_data", "")
    provider = {"compare": {key: value for key, value in written.items() if value is not None}}
    return Metric("latency", interval="30s", provider=provider, on_no_data=on_no_data)


@cache
def level(at: float) -> float:
    """A service's latency: a wave over the day, each day a little different, and noise. Always the same at one time."""
    day, second = divmod(at, DAY.total_seconds())
    lasting = random.Random(f"day {day}").gauss(0, 0.02)
    noise = random.Random(f"at {at}").gauss(0, 0.05)
    return 100 * (1 + 0.4 * math.sin(2 * math.pi * second / DAY.total_seconds())) * math.exp(lasting + noise)


@dataclass
class Service:
    """A history of so many days before START, without those that are missing."""

    days: int = 30
    missing: tuple[int, ...] = ()
    breaks: Exception | None = None
    asked: list[Asked] = field(default_factory=list)

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        self.asked.append(asked)
        if self.breaks is not None:
            raise self.breaks
        before = math.ceil((START - end) / DAY)
        times = []
        if before <= self.days and before not in self.missing:
            count = math.floor((end - start) / step) + 1
            times = [start.timestamp() + k * step.total_seconds() for k in range(count)]
        series = Series({"version": "old"}, array("d", times), array("d", map(level, times)))
        return Frame((series,) if times else (), start, end, step, step)

    def close(self) -> None:
        return None


def canary(spec: RunSpec, effect: float, minutes: int = 30, start: datetime = START) -> dict[str, Frame]:
    times = [start.timestamp() + 30 * k for k in range(2 * minutes)]
    series = Series({"version": "new"}, array("d", times), array("d", [effect * level(t) for t in times]))
    frame = Frame((series,), start, start + timedelta(minutes=minutes), HALF_MINUTE, HALF_MINUTE)
    return {questions(spec)[0].key: frame}


async def judged(history: History, effect: float, given: Metric | None = None) -> tuple[Run, tuple[Look, ...]]:
    spec = RunSpec(metrics=(given or metric(),))
    clock = {"at": START}
    calibrator = Calibrator(history, lambda: clock["at"], pause_seconds=0.0)
    try:
        end = START + timedelta(minutes=30)
        replayed = await replay(spec, canary(spec, effect), START, end, calibrate=calibrator)
        return replayed.run, replayed.looks.get("latency", ())
    finally:
        calibrator.pool.close()


async def test_a_clean_canary_passes_with_a_sentence_that_says_what_it_was_compared_with() -> None:
    run, looks = await judged(Service(), 1.0)
    assert (run.phase, run.results[0].cause) == (Phase.SUCCESSFUL, Cause.PASSED)
    reason = run.results[0].measurements[-1].reason
    assert "of its own past (90% sequential interval" in reason
    assert "days alone may differ by x1." in reason
    assert "false-alarm chance 5%, all looks included, as far as the noise is like the history's" in reason
    assert "Compared with its own past (the median at the same time of day, up to 7 periods back), not with" in reason
    assert ", past " in reason
    assert "stable 1" not in reason
    assert run.results[0].measurements[-1].metadata["guarantee"] == "calibrated, against its own past"
    for look in looks:  # each keeps what it was compared with
        at = round(look.at.timestamp() / 30) * 30
        days = sorted(level(float(at - 86_400 * k)) for k in range(1, 8))
        assert look.data["stable"]["value"] == pytest.approx(days[3])


async def test_a_harmful_canary_fails() -> None:
    run, looks = await judged(Service(), 2.0)
    assert (run.phase, run.results[0].cause) == (Phase.FAILED, Cause.HARM_SHOWN)
    assert "Failed at look" in run.reason
    assert len(looks) < 25
    assert looks[-1].data["evidence"]["grade"] == "calibrated"


@pytest.mark.parametrize("effect", [1.0, 2.0])
@pytest.mark.parametrize(
    ("history", "said"),
    [
        (Service(days=6), "Inconclusive after 41 looks: there is a history of 6 days, and a verdict needs 7"),
        (Service(days=1), "there is a history of 1 day"),
        (Service(days=0), "there is a history of 0 days"),
        (Service(missing=(2, 5)), "there is a history of 5 days"),  # what is missing is not made up for by older days
        (Service(breaks=NoData("nothing kept")), "its past could not be read (nothing kept)"),
        (Service(breaks=Unreachable("no way")), "its past could not be read (no way)"),
    ],
    ids=["six", "one", "none", "gaps", "no data", "unreachable"],
)
async def test_without_seven_days_nothing_is_decided(history: Service, said: str, effect: float) -> None:
    run, looks = await judged(history, effect)
    assert (run.phase, run.results[0].cause) == (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES)
    assert said in run.results[0].measurements[-1].reason
    assert "more to" not in run.results[0].measurements[-1].reason  # more time would not help
    assert len(looks) == 41
    assert {look.data["verdict"].get("outcome", "") for look in looks} == {""}
    assert run.results[0].measurements[-1].metadata["guarantee"] == "none, uncalibrated, against its own past"


@pytest.mark.parametrize(
    ("fields", "phase"),
    [
        ({"until": "terminated", "maxDuration": None}, Phase.INCONCLUSIVE),  # nothing shown is no success here
        ({"on_no_data": "Successful"}, Phase.INCONCLUSIVE),  # nor is a past that is missing
        ({"missing": "inconclusive", "on_no_data": "Successful"}, Phase.INCONCLUSIVE),
    ],
)
async def test_no_other_setting_passes_what_has_no_past(fields: dict[str, Any], phase: Phase) -> None:
    run, _ = await judged(Service(breaks=NoData("nothing kept")), 1.0, metric(**fields))
    result = run.results[0]
    assert result.measurements[-1].phase is phase
    assert "its past could not be read (nothing kept)" in result.measurements[-1].reason


async def test_seven_days_are_enough_and_a_gap_within_them_is_bridged() -> None:
    run, looks = await judged(Service(days=7), 2.0)
    assert run.phase is Phase.FAILED
    run, looks = await judged(Service(days=7), 1.0)
    assert (run.phase, len(looks)) != (Phase.FAILED, 0)


async def test_a_phase_that_the_past_does_not_have_is_told() -> None:
    """Ten minutes that no day before has."""

    class Gapped(Service):
        def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
            whole = super().range(asked, start, end, step)
            hole = [not 300 <= (t - START.timestamp()) % 86_400 < 900 for t in whole.series[0].times]
            kept = [
                Series(one.labels, array("d", compress(one.times, hole)), array("d", compress(one.values, hole)))
                for one in whole.series
            ]
            return Frame(tuple(kept), start, end, step, step)

    run, looks = await judged(Gapped(), 1.0, metric(margin={"relative": 0.01}))
    assert len(looks) == 41
    assert sum("stable" not in look.data for look in looks) == 20
    assert looks[-1].data["evidence"]["used"] == 21
    reason = run.results[0].measurements[-1].reason
    assert (
        "its past had no data in 20 of 41 looks (no value at the same phase of enough earlier periods)"
        in reason.lower()
    )


@pytest.mark.parametrize(
    ("broken", "error", "asked", "phase"),
    [
        (2, Unreachable("no way"), 2 + 14, Phase.SUCCESSFUL),  # away for a moment
        (3, Unreachable("no way"), 3, Phase.INCONCLUSIVE),
        (1, BadQuery("no query"), 1, Phase.INCONCLUSIVE),  # the same whenever it is asked
    ],
)
async def test_a_server_that_was_away_is_asked_again(broken: int, error: Exception, asked: int, phase: Phase) -> None:
    class Shaky(Service):
        def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
            self.breaks = error if len(self.asked) < broken else None
            return super().range(asked, start, end, step)

    history = Shaky()
    run, _ = await judged(history, 1.0)
    assert (run.phase, len(history.asked)) == (phase, asked)
    if phase is Phase.INCONCLUSIVE:
        assert f"its past could not be read ({error})" in run.results[0].measurements[-1].reason


def test_a_child_learns_the_same() -> None:
    spec = parse(comparison_of(metric().provider) or {}, HALF_MINUTE)
    past = days_of(Service(), "latency", spec, START)
    apart = Apart()
    try:
        assert apart(past) == learn(past)
    finally:
        apart.close()


async def test_only_the_past_is_asked_with_the_values_of_the_past() -> None:
    history = Service()
    await judged(history, 1.0)
    assert {one.arm for one in history.asked} == {"history"}
    assert len(history.asked) == 14  # once for each period
    assert {one.provider["prometheus"]["query"] for one in history.asked} == {'latency{version=~".+"}'}


@pytest.mark.parametrize("effect", [1.0, 2.0])
async def test_replay_equals_live_and_a_restart_asks_nothing_again(effect: float) -> None:
    """Every look by an engine that has just begun, but for the first, which reads the past."""
    given = metric()
    history = Service()
    whole, looks = await judged(Service(), effect, given)
    run, kept = await restarted(history, given, effect)
    assert [look.data for look in kept] == [look.data for look in looks]
    last = run.results[0].measurements[-1]
    assert (run.phase, last.reason) == (whole.phase, whole.results[0].measurements[-1].reason)
    assert len(history.asked) == 14
    spec = parse(comparison_of(given.provider) or {}, HALF_MINUTE)
    setup = fold.Setup("latency", spec, msgspec.json.decode(last.metadata[PLAN], type=Plan))
    for stored, told in fold.replay(setup, kept):
        assert told is not None
        assert fold.stored(fold.look_of(stored), told) == stored


async def restarted(history: History, given: Metric, effect: float) -> tuple[Run, list[Look]]:
    """A run of which every step is taken by a new measurer, from what the step before it had saved."""
    spec = RunSpec(metrics=(given,))
    frames = canary(spec, effect)
    clock = JumpingClock(START)
    calibrator = Calibrator(history, clock.wall)
    run = Run(id="r", namespace="default", name="r", spec=spec, created_at=START)
    kept: list[Look] = []

    async def stored(run_id: str, metric: str, ordinal: int, limit: int, after: str = "") -> Page[Look]:
        return Page(tuple(kept))

    while not run.phase.done:
        measurer = Measurer(Asker(lambda name: FrameProvider(name, frames), Secrets([]), clock, Telemetry()), clock)
        measurer.comparer.settling.calibrate = calibrator
        measurer.comparer.settling.grace_seconds = math.inf
        step = planned(run, clock.at)
        taken, looks, described = await measurer.take(step, stored)
        for some in looks.values():
            kept.extend(some)
        step = settle(step.run, taken, clock.at, described)
        run = step.run
        clock.at = step.wake_at or clock.at
    calibrator.pool.close()
    return run, kept


@pytest.mark.parametrize("days", [30, 6])
async def test_a_report_names_the_past(days: int) -> None:
    run, looks = await judged(Service(days=days), 1.0)
    (ready,) = prepare(run.spec).metrics
    told = comparison(ready, [(ready.metric, False)], looks, run.results[0].measurements[-1].metadata)
    found = {one.label: one.value for one in facts(told, done=False)}
    assert "Past" in found
    assert "Stable" not in found
    assert found["Compared with"].startswith("Compared with its own past")
    assert "Noise floor between days" in found
    assert ("No verdict" in found) is (days < 7)
    assert "Still needed" not in found
    drawn = charts(told)
    assert drawn[0].title == "Canary and past over time: value"
    assert [line.label for line in drawn[0].lines] == ["canary", "past"]


@pytest.fixture
def address(server_path: Callable[[str], str], run_prometheus: Callable[..., Any], tmp_path: Path) -> str:
    """Of a Prometheus with nine days of one service; on the tenth two canaries, one of them twice as slow."""
    lines = ["# TYPE latency gauge"]
    for version, effect, days in (("old", 1.0, range(9, 0, -1)), ("clean", 1.0, (0,)), ("slow", 2.0, (0,))):
        for day in days:
            first = (START - day * DAY).timestamp()
            for k in range(-125, 45):
                lines.append(f'latency{{version="{version}"}} {effect * level(first + 30 * k)!r} {first + 30 * k:.0f}')
    (tmp_path / "past.txt").write_text("\n".join([*lines, "# EOF", ""]))
    command = ("tsdb", "create-blocks-from", "openmetrics", "past.txt", "data")
    subprocess.run([server_path("promtool"), *command], cwd=tmp_path, check=True, capture_output=True)
    return str(run_prometheus().address)


async def test_a_real_prometheus(address: str) -> None:
    history = PrometheusHistory()
    found = {}
    for version in ("clean", "slow"):
        arms = {"canary": {"v": version}, "history": {"v": "old"}}
        query = {"prometheus": {"address": address, "query": 'avg(latency{version="{{arm.v}}"})'}}
        spec = RunSpec(metrics=(metric(arms=arms, gauge=query),))
        asked = questions(spec)
        end = START + timedelta(minutes=21)
        frames = {asked[0].key: history.range(asked[0].asked, START, end, HALF_MINUTE)}
        calibrator = Calibrator(history, lambda: START)
        found[version] = await replay(spec, frames, START, end, calibrate=calibrator)
        calibrator.pool.close()
    assert {version: one.run.phase for version, one in found.items()} == {
        "clean": Phase.SUCCESSFUL,
        "slow": Phase.FAILED,
    }
    for look in found["clean"].looks["latency"]:
        at = round(look.at.timestamp() / 30) * 30
        days = sorted(level(float(at - 86_400 * k)) for k in range(1, 8))
        assert look.data["stable"]["value"] == pytest.approx(days[3])


class Young(Service):
    """A service that began at START."""

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        whole = super().range(asked, start, end, step).series[0]
        kept = [t for t in whole.times if t >= START.timestamp()]
        return Frame((Series(whole.labels, array("d", kept), array("d", map(level, kept))),), start, end, step, step)


async def test_backtest_looks_at_every_stretch_as_if_it_were_the_canary_s() -> None:
    spec = RunSpec(metrics=(metric(),))
    tallies = await backtest(Service(), spec, START - timedelta(hours=8), START, [1.0, 2.0], most_runs=12)
    same, harmed = tallies
    assert (same.runs, same.alpha, same.calibrated) == (12, 0.05, 12)
    assert same.failed <= 1
    assert harmed.failed == 12
    few = await backtest(Young(), spec, START, START + timedelta(hours=4), [2.0], most_runs=4)
    assert (few[0].runs, few[0].failed, few[0].passed, few[0].calibrated) == (4, 0, 0, 0)  # nothing before them
    with pytest.raises(NoData, match="latency: 21 intervals of data; one run takes 40"):
        await backtest(Service(), spec, START, START + timedelta(minutes=10), [1.0])


TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: speed}
spec:
  metrics:
  - name: latency
    interval: 5m
    provider:
      compare:
        arms: {canary: {v: new}, history: {v: ".*"}}
        gauge: {prometheus: {address: "http://p", query: 'latency{v="{{arm.v}}"}'}}
        seasonalBaseline: 24h
        margin: {relative: 0.3}
        maxDuration: 3h
"""
CASES = """
template: t.yaml
tests:
- name: slower than ever
  data: past.csv
  start: 2026-03-10T12:00:00Z
  expect: {phase: Failed, reason: of its own past}
- name: no past
  data: past.csv
  expect: {phase: Inconclusive, reason: 'there is a history of 0 days, and a verdict needs 7'}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of nine days of the service; from START on its canary, half as fast."""
    folder = tmp_path_factory.mktemp("season")
    (folder / "t.yaml").write_text(TEMPLATE)
    (folder / "cases.yaml").write_text(CASES)
    rows = ["timestamp,latency.canary,latency.history"]
    for k in range(9 * 288 + 40):
        at = (START - 9 * DAY).timestamp() + 300 * k
        rows.append(f"{at:.0f},{level(at) * (2.0 if k >= 9 * 288 else 1.0)},{level(at)}")
    (folder / "past.csv").write_text("\n".join(rows))
    return folder


def test_backtest_of_a_table(folder: Path) -> None:
    given = ["-f", str(folder / "t.yaml"), "--data", str(folder / "past.csv"), "-o", "json"]
    bad = CliRunner().invoke(backcases_command, [*given, "--start", "2026-03-10T12:00:00Z"])
    found = json.loads(bad.stdout)
    assert (bad.exit_code, found["phase"]) == (10, "Failed"), bad.output
    early = CliRunner().invoke(backcases_command, [*given, "--start", "2026-03-05T12:00:00Z"])
    assert early.exit_code == 11, early.output
    assert "there is a history of 4 days, and a verdict needs 7" in early.stdout


def test_what_would_be_asked(folder: Path) -> None:
    """The past's question too, which is asked before the first look."""
    done = CliRunner().invoke(render_command, [str(folder / "t.yaml")])
    assert done.exit_code == 0, done.output
    assert 'latency{v="new"}' in done.stdout
    assert 'latency{v=".*"}' in done.stdout
    assert "history level" in done.stdout


def test_a_template_s_own_test(folder: Path) -> None:
    """With negative controls, where there is a past: its own figures, and these made worse, in the canary's place."""
    done = CliRunner().invoke(cases_command, [str(folder / "cases.yaml"), "-v"])
    assert done.exit_code == 0, done.output
    slower, none = done.stdout.split("no past")
    assert "control of latency: the past's data on both sides: Successful" in slower
    assert "control of latency: harm of x2.6 in the canary's place: Failed, as it must" in slower
    assert "control" not in none


@pytest.mark.parametrize(
    ("fields", "back", "ahead"),
    [
        ({}, 120, 42),  # an hour, and twenty minutes with two spare looks
        ({"lookback": "0s"}, 0, 42),
        ({"lookback": "24h"}, 720, 42),
        ({"maxDuration": "20h", "lookback": "6h"}, 478, 2402),  # no window reaches into the next
        ({"maxDuration": "24h"}, 0, 2880),
        ({"maxDuration": None, "until": "terminated"}, 0, 2880),  # figures for a whole day, again and again
        ({"seasonalBaseline": "168h"}, 120, 42),
    ],
)
def test_windows(fields: dict[str, Any], back: int, ahead: int) -> None:
    spec: Spec = parse(comparison_of(metric(**fields).provider) or {}, HALF_MINUTE)
    history = Service(days=0)
    found = days_of(history, "latency", spec, START)
    assert found.back == back
    assert {len(day) for day in found.values} == {back + ahead}
    assert spec.season is not None
    assert reach_of(spec) == 14 * spec.season + back * HALF_MINUTE
