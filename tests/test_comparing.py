"""Comparisons from the first look to the verdict: driven by hand where time matters, through the engine elsewhere."""

import asyncio
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from analysis_service.asking import Asker
from analysis_service.cli.outcome import Outcome, outcome_of
from analysis_service.core.compare import state as fold
from analysis_service.core.compare.spec import comparison_of, parse
from analysis_service.core.model import (
    Argument,
    Cause,
    DryRunRule,
    Look,
    Metric,
    OutagePolicy,
    Phase,
    Run,
    RunSpec,
    SecretKeyRef,
    ValueFrom,
)
from analysis_service.core.reconcile import Step, plan, settle, terminate
from analysis_service.core.statistics.plan import Calibration, Plan, Traffic
from analysis_service.measuring import Measurer
from analysis_service.secrets import EnvironmentSecrets, Secrets
from analysis_service.stores.base import Claim, Commit, NewRun, Store
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import Telemetry
from providers.base import Answer, Histogram, NoData, Sample, Unreachable
from tests.scripted import SCRIPTED, Scripted

START = datetime(2026, 3, 1, 12, tzinfo=UTC)

Source = Callable[[str, float], Answer]
"""(query, seconds since the start) -> the answer, or what it raises."""


@dataclass
class Time:
    """A clock that stands still until it is moved."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def wall(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()


@dataclass
class Bench:
    """One run over a store, advanced step by step in its own time. `restart` forgets all that is in memory."""

    source: Source
    metrics: tuple[Metric, ...]
    strict: bool = False
    args: tuple[Argument, ...] = ()
    dry_run: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    clock: Time = field(default_factory=Time)
    store: Store = field(default_factory=MemoryStore)
    claim: Claim | None = None
    measurer: Measurer | None = None

    async def create(self) -> None:
        self.restart()
        dry = tuple(DryRunRule(name) for name in self.dry_run)
        spec = RunSpec(metrics=self.metrics, strict=self.strict, args=self.args, dry_run=dry)
        run = Run("id", "n", "run", spec, created_at=START)
        record, _ = await self.store.create_run(NewRun(run, START, owner="me"), START)
        self.claim = Claim(record.run, 1, "me", record.resource_version)

    def restart(self) -> None:
        async def answer(query: str) -> Answer:
            return self.source(query, self.clock.monotonic())

        secrets = Secrets([EnvironmentSecrets(self.environ)])
        asker = Asker(Scripted(answer).load, secrets, self.clock, Telemetry(), bucket_seconds=0.0)
        self.measurer = Measurer(asker, self.clock)
        self.measurer.comparer.foretelling.at_once = True  # a clock that jumps must not outrun the forecasts

    @property
    def run(self) -> Run:
        assert self.claim is not None
        return self.claim.run

    async def turn(self) -> Step:
        """One reconcile, saved as the engine saves it."""
        assert self.claim is not None
        assert self.measurer is not None
        planned = plan(self.run, self.clock.now())
        taken, looks, described = await self.measurer.take(planned, self.store.list_looks)
        step = settle(planned.run, taken, self.clock.now(), described)
        recorded = {(name, measurement.ordinal) for name, measurement in step.recorded}
        commit = Commit(
            self.claim,
            step.run,
            step.wake_at,
            step.recorded,
            [(*slot, look) for slot, some in looks.items() if slot in recorded for look in some],
        )
        self.claim = await self.store.save(commit)
        return step

    async def until_done(self, *, restarts: bool = False, turns: int = 2000) -> Run:
        if self.claim is None:
            await self.create()
        for _ in range(turns):
            step = await self.turn()
            if self.run.phase.done:
                return self.run
            assert step.wake_at is not None
            self.clock.at = max(self.clock.at, step.wake_at)
            if restarts:
                self.restart()
        raise AssertionError(f"not done after {turns} turns: {self.run.results}")

    async def advance(self, until: float) -> None:
        """Every turn that is due within so many seconds of the start."""
        if self.claim is None:
            await self.create()
        while True:
            step = await self.turn()
            assert not self.run.phase.done, self.run.reason
            if step.wake_at is None or step.wake_at > START + timedelta(seconds=until):
                return
            self.clock.at = max(self.clock.at, step.wake_at)

    async def terminated(self) -> Run:
        assert self.claim is not None
        self.claim = Claim(terminate(self.run), 1, "me", self.claim.resource_version)
        await self.turn()
        return self.run

    async def looks(self, metric: str = "errors") -> list[Look]:
        return list((await self.store.list_looks("id", metric, 0, 10_000)).items)


def comparison(interval: str = "30s", **fields: Any) -> Metric:
    spec: dict[str, Any] = {
        "arms": {"canary": {"v": "canary"}, "stable": {"v": "stable"}},
        "counts": {
            "events": {SCRIPTED: {"query": "{{arm.v}} errors"}},
            "totals": {SCRIPTED: {"query": "{{arm.v}} requests"}},
        },
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
        "cumulative": True,
    }
    metric = {
        key: fields.pop(key) for key in ("consecutive_error_limit", "outage_policy", "on_no_data") if key in fields
    }
    spec.update(fields)
    spec = {key: value for key, value in spec.items() if value is not None}
    return Metric(name="errors", interval=interval, provider={"compare": spec}, **metric)


def vector(*values: tuple[str, float]) -> Answer:
    return Answer([v for _, v in values], "", tuple(Sample({"pod": pod}, v) for pod, v in values))


def traffic(canary_share: float, stable_share: float, *, rate: float = 10.0, seed: int = 1) -> Source:
    """Counters of one process per arm: `rate` requests per second each, of which a share are errors. Seeded: the same
    question at the same time always has the same answer."""

    def errors(arm: str, seconds: int) -> int:
        draw = random.Random(f"{seed} {arm}")
        share = canary_share if arm == "canary" else stable_share
        return sum(draw.random() < share for _ in range(int(seconds * rate)))

    def source(query: str, seconds: float) -> Answer:
        arm, what = query.split()
        count = int(seconds * rate) if what == "requests" else errors(arm, int(seconds))
        return vector((f"{arm}-1", 1000.0 + count))

    return source


async def test_a_canary_twice_as_bad_fails_with_a_sentence() -> None:
    bench = Bench(traffic(0.10, 0.04), (comparison(),))
    run = await bench.until_done()
    result = run.results[0]
    assert (run.phase, result.phase, result.cause) == (Phase.FAILED, Phase.FAILED, Cause.HARM_SHOWN)
    measurement = result.measurements[-1]
    assert measurement.value.startswith("x2.")
    assert "Failed at look" in run.reason
    assert "false-alarm chance" in run.reason
    looks = await bench.looks()
    assert [look.number for look in looks] == list(range(1, len(looks) + 1))
    assert measurement.metadata["looks"] == str(len(looks))
    assert looks[-1].data["verdict"]["outcome"] == "fail"


async def test_an_equal_canary_passes_once_it_is_baked() -> None:
    bench = Bench(traffic(0.04, 0.04), (comparison(),))
    run = await bench.until_done()
    assert (run.phase, run.cause, run.results[0].cause) == (Phase.SUCCESSFUL, Cause.PASSED, Cause.PASSED)
    assert "Successful at look 10" in run.reason  # a quarter of 20 minutes, at 30 s
    assert (run.results[0].count, run.results[0].successful) == (1, 1)


async def test_little_traffic_is_inconclusive_and_says_how_much_more_is_needed() -> None:
    bench = Bench(traffic(0.04, 0.04, rate=0.2), (comparison(),))
    run = await bench.until_done()
    assert (run.phase, run.cause) == (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES)
    assert bench.clock.at - START < timedelta(minutes=20, seconds=1)
    assert "needs about" in run.reason
    assert "more requests" in run.reason
    assert "the chance of ending Inconclusive is" in run.results[0].measurements[-1].metadata["forecast"]


@pytest.mark.parametrize(
    ("metric", "source", "calibration", "value"),
    [
        (comparison(), traffic(0.04, 0.04), Calibration(points=360, traffic=Traffic(24.0, 600.0, 0.5)), "x1.3"),
        (
            comparison(canaryWeight="50"),
            traffic(0.04, 0.04),
            Calibration(points=360, traffic=Traffic(24.0, 600.0)),
            "x1.3",
        ),
    ],
    ids=["pods", "a sum"],
)
async def test_what_can_be_found_is_told_before_the_first_look(
    metric: Metric, source: Source, calibration: Calibration, value: str
) -> None:
    """In the message of the first readings, in every one while it runs, and as data that stays."""

    async def calibrate(name: str, spec: Any) -> Calibration | None:
        return calibration

    bench = Bench(source, (metric,))
    await bench.create()
    assert bench.measurer is not None
    bench.measurer.comparer.settling.calibrate = calibrate
    reasons, outlooks = [], []
    for seconds in (0, 30, 60):
        await bench.advance(seconds)
        measurement = bench.run.results[0].measurements[-1]
        reasons.append(measurement.reason)
        outlooks.append(measurement.metadata["compare.forecast"])
    forecast = bench.run.results[0].measurements[-1].metadata["forecast"]
    assert forecast.startswith(f"Forecast from 360 intervals of history: 40 looks find harm of {value}")
    assert reasons[0] == f"errors: first readings taken; the first comparison follows in 30 s. {forecast}"
    assert all(reason.endswith(f" {forecast}") and reason.count("Forecast") == 1 for reason in reasons)
    assert len(set(outlooks)) == 1
    told = msgspec.json.decode(outlooks[0])
    assert (told["looks"], told["events_per_look"], told["canary_share"], told["points"]) == (40, 24.0, 0.5, 360)
    assert told["smallest_effect"] > 1.25
    run = await bench.until_done()
    assert "Forecast" not in run.reason  # the end says what came, not what was expected


async def test_an_unlikely_verdict_is_warned_of_while_it_runs() -> None:
    """Half an event in a look: twenty minutes of them cannot tell x1.5 from nothing."""
    bench = Bench(traffic(0.04, 0.04, rate=0.2), (comparison(),))
    await bench.advance(60)
    reason = bench.run.results[0].measurements[-1].reason
    assert "Forecast from the first" in reason
    assert (
        "Warning: it will probably end Inconclusive, even if nothing is wrong; what would help: a maxDuration of"
        in reason
    )
    run = await bench.until_done()
    assert run.phase is Phase.INCONCLUSIVE


async def test_no_errors_on_stable_is_told_by_what_was_counted() -> None:
    run = await Bench(traffic(0.2, 0.0, rate=1), (comparison(),)).until_done()
    assert run.phase is Phase.FAILED
    found = re.match(r"errors: (\d+) of (\d+) on the canary against 0 of (\d+) on stable \(", run.reason)
    assert found is not None, run.reason
    assert "of the ratio above x" in run.reason
    assert "Seen: canary" not in run.reason  # it has been said


async def test_late_harm_is_told_apart_from_the_whole_run() -> None:
    """Harm that begins when a quarter of an hour was healthy: the whole run says little of it."""
    early, late = traffic(0.04, 0.04), traffic(0.12, 0.04)

    def source(query: str, seconds: float) -> Answer:
        if query != "canary errors" or seconds <= 900:
            return early(query, seconds)
        before, after, until = (one(query, at).samples[0].value or 0.0 for one, at in
                                ((early, 900.0), (late, seconds), (late, 900.0)))  # fmt: skip
        return vector(("canary-1", before + after - until))

    bench = Bench(source, (comparison(until="terminated", maxDuration="40m"),))
    run = await bench.until_done()
    assert run.phase is Phase.FAILED
    looks = await bench.looks()
    since = looks[-1].data["since"]
    evidence = looks[-1].data["evidence"]
    assert 25 <= since["look"] <= 31  # 900 s are 30 looks
    assert since["at"] == looks[since["look"] - 1].at.isoformat().replace("+00:00", "Z")
    assert evidence["estimate"] < evidence["lower"] < since["estimate"]
    assert 2.2 < since["estimate"] < 4.5
    assert "of stable over the whole run, but x" in run.reason
    assert re.search(rf"since look {since['look']} \(\d\d:\d\d:\d\d UTC, 90% sequential interval above x", run.reason)
    replayed = [fold.stored(fold.look_of(look), told) for look, told in fold.replay(setup_of(run), looks)]
    assert replayed == looks


async def test_looks_are_aligned_to_the_start_whatever_a_look_takes() -> None:
    """A look that takes 12 s of a 30 s interval moves none of those that follow."""
    steady = traffic(0.04, 0.04, rate=0.2)
    bench = Bench(steady, (comparison(),))

    def slow(query: str, seconds: float) -> Answer:
        answer = steady(query, seconds)
        if query == "stable requests":
            bench.clock.at += timedelta(seconds=12)
        return answer

    bench.source = slow
    await bench.until_done()
    times = [(look.at - START).total_seconds() for look in await bench.looks()]
    assert [round(at) for at in times] == [30 * n for n in range(1, 41)]


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"interval": "30s", "maxDuration": "100s"}, [30, 60, 90, 100]),  # the deadline is a look, too
        ({"interval": "50s", "maxDuration": "100s"}, [50, 100]),
        ({"interval": "200s", "maxDuration": "100s"}, [100]),
    ],
)
async def test_the_last_look_is_at_the_deadline(fields: dict[str, Any], seconds: list[int]) -> None:
    bench = Bench(traffic(0.04, 0.04, rate=0.2), (comparison(**fields),))
    run = await bench.until_done()
    assert run.phase is Phase.INCONCLUSIVE
    assert [round((look.at - START).total_seconds()) for look in await bench.looks()] == seconds


def failing(source: Source, *when: tuple[float, float], error: Exception | None = None) -> Source:
    """The same, but unreachable in these spans of seconds."""

    def answer(query: str, seconds: float) -> Answer:
        if any(low <= seconds < high for low, high in when):
            raise error or Unreachable("connection refused")
        return source(query, seconds)

    return answer


async def test_a_missed_look_is_no_evidence_and_loses_none() -> None:
    whole = Bench(traffic(0.04, 0.04, rate=0.5), (comparison(),))
    gaps = Bench(failing(traffic(0.04, 0.04, rate=0.5), (85, 105), (300, 315)), (comparison(),))
    assert (await whole.until_done()).phase is Phase.INCONCLUSIVE
    assert (await gaps.until_done()).phase is Phase.INCONCLUSIVE
    looks = await gaps.looks()
    missed = [round((look.at - START).total_seconds()) for look in looks if look.data.get("missed")]
    assert missed == [90, 100, 300, 310]  # retried after ten seconds, as Argo retries an error
    assert all("verdict" not in look.data for look in looks if look.data.get("missed"))
    after = [round((look.at - START).total_seconds()) for look in looks if 91 < (look.at - START).total_seconds() < 160]
    assert after == [100, 110, 120, 150]  # and then at the planned times again
    last = looks[-1].data["evidence"]
    assert last["canary_total"] == (await whole.looks())[-1].data["evidence"]["canary_total"]
    assert "Unreachable: canary, events: connection refused" in looks[2].data["missed"]


@pytest.mark.parametrize(
    ("limit", "down", "phase", "errors"),
    [
        (4, (90, 10_000), Phase.ERROR, 5),  # five in a row, four are tolerated
        (0, (90, 91), Phase.ERROR, 1),
        (1, (90, 101), Phase.ERROR, 2),
        (2, (90, 101), Phase.INCONCLUSIVE, 0),
        (4, (0, 10_000), Phase.ERROR, 5),  # down from the start
    ],
)
async def test_too_many_missed_looks_in_a_row_are_an_error(
    limit: int, down: tuple[float, float], phase: Phase, errors: int
) -> None:
    metric = comparison(consecutive_error_limit=limit, maxDuration="5m")
    bench = Bench(failing(traffic(0.04, 0.04, rate=0.2), down), (metric,))
    run = await bench.until_done()
    result = run.results[0]
    assert (run.phase, result.error, result.consecutive_error) == (phase, errors, errors)
    if errors:
        assert f"consecutiveErrors ({errors}) > consecutiveErrorLimit ({limit})" in run.message
        assert "connection refused" in run.reason
        assert result.taken == 1  # no second measurement is begun
        assert result.cause is Cause.PROVIDER_UNAVAILABLE


async def test_an_outage_that_is_waited_for_costs_no_look() -> None:
    policy = OutagePolicy(mode="wait", max="10m")
    metric = comparison(consecutive_error_limit=0, outage_policy=policy)
    bench = Bench(failing(traffic(0.04, 0.04, rate=0.2), (0, 15), (100, 250)), (metric,))
    run = await bench.until_done()
    assert run.phase is Phase.INCONCLUSIVE
    assert not any(look.data.get("missed") for look in await bench.looks())


def dead_canary(source: Source) -> Source:
    """Its query finds nothing."""

    def answer(query: str, seconds: float) -> Answer:
        return vector() if query.startswith("canary") else source(query, seconds)

    return answer


LEVELS: Mapping[str, tuple[float, float]] = {"same": (100.0, 100.0), "higher": (140.0, 100.0)}


def levels(kind: str, *, pods: int = 1) -> Source:
    """A noisy gauge, the same at the same time."""

    def source(query: str, seconds: float) -> Answer:
        arm = query.split()[0]
        mean = LEVELS[kind][0 if arm == "canary" else 1]
        draw = random.Random(f"{arm} {seconds:.0f}")
        return vector(*((f"{arm}-{pod}", mean + draw.gauss(0, 5)) for pod in range(pods)))

    return source


def frozen(arm: str, at: float, until: float = math.inf, *, of: Source | None = None) -> Source:
    """Equal arms; one arm's exporter shows the same values for a while."""
    alive = of or levels("same")

    def source(query: str, seconds: float) -> Answer:
        return alive(query, at if query.startswith(arm) and at < seconds < until else seconds)

    return source


EDGES = (0.01, 0.05, 0.1, 0.5, float("inf"))


def delays(canary_seconds: float, *, buckets: bool = False) -> Source:
    """Cumulative histograms of lognormal delays, ten a second."""

    def counts(arm: str, seconds: int) -> list[int]:
        draw = random.Random(f"delays {arm}")
        middle = canary_seconds if arm == "canary" else 0.04
        values = [draw.lognormvariate(0, 0.6) * middle for _ in range(seconds * 10)]
        return [sum(v <= edge for v in values) for edge in EDGES]

    def source(query: str, seconds: float) -> Answer:
        arm = query.split()[0]
        found = counts(arm, int(seconds))
        if buckets:
            names = ("0.01", "0.05", "0.1", "0.5", "+Inf")
            labels = ({"le": name, "pod": f"{arm}-1"} for name in names)
            return Answer([], "", tuple(Sample(one, float(n)) for one, n in zip(labels, found, strict=True)))
        one = Histogram({"pod": f"{arm}-1"}, EDGES, tuple(map(float, found)))
        return Answer([], "", histograms=(one,))

    return source


def gauge(**fields: Any) -> Metric:
    return comparison(**{"counts": None, "gauge": {SCRIPTED: {"query": "{{arm.v}} level"}}, **fields})


def histogram(**fields: Any) -> Metric:
    return comparison(**{"counts": None, "histogram": {SCRIPTED: {"query": "{{arm.v}} delays"}}, **fields})


HARM, SAFE, OPEN = Phase.FAILED, Phase.SUCCESSFUL, Phase.INCONCLUSIVE
WHOLE: list[tuple[str, Source, Metric, Phase]] = [
    ("rate-ratio harm", traffic(0.10, 0.04), comparison(), HARM),
    ("rate-ratio safe", traffic(0.04, 0.04), comparison(), SAFE),
    ("rate-ratio open", traffic(0.04, 0.04, rate=0.2), comparison(), OPEN),
    ("odds-ratio harm", traffic(0.40, 0.20), comparison(test="sequential-odds-ratio"), HARM),
    ("sprt harm", traffic(0.10, 0.04), comparison(test="sprt"), HARM),
    ("group-sequential harm", traffic(0.10, 0.04), comparison(test="group-sequential", looks=5), HARM),
    ("group-sequential safe", traffic(0.04, 0.04), comparison(test="group-sequential", looks=5), SAFE),
    ("objective harm", traffic(0.10, 0), comparison(test="objective", objective=0.05, margin=None), HARM),
    ("objective safe", traffic(0.0, 0), comparison(test="objective", objective=0.05, margin=None), SAFE),
    ("histogram harm", delays(0.09), histogram(margin={"relative": 0.2}), HARM),
    ("histogram safe", delays(0.04), histogram(margin={"relative": 0.5}), SAFE),
    ("buckets harm", delays(0.09, buckets=True), histogram(margin={"relative": 0.2}), HARM),
    ("gauge harm", levels("higher"), gauge(margin={"relative": 0.1}), HARM),
    ("gauge safe", levels("same"), gauge(margin={"relative": 0.2}), SAFE),
    ("a canary frozen too early", frozen("canary", 450), gauge(margin={"relative": 0.2}, minBake=0.7), OPEN),
    ("a stable frozen until late", frozen("stable", 450, 900), gauge(margin={"relative": 0.2}, minBake=0.7), SAFE),
    # counters that stand still are no traffic
    ("frozen counters", frozen("canary", 95, of=traffic(0.04, 0.04)), comparison(maxDuration="10m"), OPEN),
    ("frozen counters of stable", frozen("stable", 95, of=traffic(0.04, 0.04)), comparison(maxDuration="10m"), OPEN),
    (
        "frozen buckets",
        frozen("canary", 35, of=delays(0.04)),
        histogram(margin={"relative": 0.5}, maxDuration="5m"),
        OPEN,
    ),
    ("welch frozen", frozen("canary", 450), gauge(test="welch"), OPEN),
    ("pods harm", levels("higher", pods=5), gauge(margin={"relative": 0.1}), HARM),
    ("quantile harm", levels("higher", pods=20), gauge(test="sequential-quantile", failAt="noharm"), HARM),
    (
        "ks harm",
        levels("higher", pods=20),
        gauge(test="sequential-ks", failAt="noharm", margin={"absolute": 0.2}),
        HARM,
    ),
    ("mean harm", levels("higher"), gauge(test="sequential-mean", failAt="noharm", margin={"absolute": 10}), HARM),
    ("welch harm", levels("higher"), gauge(test="welch", failAt="noharm"), HARM),
    ("welch safe", levels("same"), gauge(test="welch"), SAFE),
    ("mann-whitney harm", levels("higher"), gauge(test="mann-whitney", failAt="noharm"), HARM),
    (
        "mann-whitney in five looks",
        levels("higher"),
        gauge(test="mann-whitney", failAt="noharm", looks=5, spending="obrien-fleming"),
        HARM,
    ),
    ("brunner-munzel harm", levels("higher"), gauge(test="brunner-munzel", failAt="noharm"), HARM),
    ("fixed ks harm", levels("higher"), gauge(test="ks", failAt="noharm", margin={"absolute": 0.1}), HARM),
    ("tost safe", levels("same"), gauge(test="tost", margin={"relative": 0.2}), SAFE),
    ("fisher harm", traffic(0.10, 0.04), comparison(test="fisher-exact"), HARM),
    ("poisson-e safe", traffic(0.04, 0.04), comparison(test="poisson-e"), SAFE),
    ("rates by welch", traffic(0.10, 0.04), comparison(test="welch"), HARM),
    ("kayenta harm", levels("higher"), gauge(test="kayenta", margin=None, kayenta={"direction": "increase"}), HARM),
    ("kayenta safe", levels("same"), gauge(test="kayenta", margin=None), SAFE),
]
NAMES = [name for name, *_ in WHOLE]


@pytest.mark.parametrize(("name", "source", "metric", "phase"), WHOLE, ids=NAMES)
async def test_every_test_decides_and_a_restart_at_every_look_changes_nothing(
    name: str, source: Source, metric: Metric, phase: Phase
) -> None:
    """The verdict, its sentence and every stored look are the same, to the last bit, and so is their replay."""
    calm, shaken = Bench(source, (metric,)), Bench(source, (metric,))
    run = await calm.until_done()
    assert run.phase is phase, run.reason
    assert run.reason.count("errors") >= 1
    assert await shaken.until_done(restarts=True) == run
    looks = await calm.looks()
    assert await shaken.looks() == looks

    setup = setup_of(run)
    replayed = [fold.stored(fold.look_of(look), told) for look, told in fold.replay(setup, looks)]
    assert replayed == looks
    *_, (state, _) = fold.rebuilding(setup, looks)
    assert state.verdict.outcome == {HARM: "fail", SAFE: "pass", OPEN: ""}[phase]


async def test_a_frozen_exporter_is_told_while_it_lasts_and_keeps_a_pass_back() -> None:
    """The same arms pass at look 29 where both go on; here the canary's value is the same from look 16 on."""
    metric = gauge(margin={"relative": 0.2}, minBake=0.7, on_no_data="pass")
    healthy = await Bench(levels("same"), (metric,)).until_done()
    assert "Successful at look 29" in healthy.reason
    bench = Bench(frozen("canary", 450), (metric,))
    await bench.advance(725)
    assert "canary's value" not in bench.run.results[0].measurements[-1].reason  # nine times: not sure yet
    await bench.advance(815)
    reason = bench.run.results[0].measurements[-1].reason
    assert "Canary's value has not changed for 12 looks: the exporter may be frozen." in reason
    run = await bench.until_done()
    assert (run.phase, run.results[0].cause) == (Phase.INCONCLUSIVE, Cause.NO_DATA)
    assert "a value that stands still is no data" in run.reason
    looks = await bench.looks()
    lost = [look.number for look in looks if look.data.get("gaps") == {"canary": "frozen"}]
    assert lost == list(range(26, looks[-1].number + 1))
    assert all("canary" not in look.data or look.data["canary"] is None for look in looks[25:])
    assert {look.data["evidence"]["used"] for look in looks[25:]} == {25}


def setup_of(run: Run) -> fold.Setup:
    """What a replay needs, from nothing but the stored run."""
    written = comparison_of(run.spec.metrics[0].provider)
    assert written is not None
    measurement = run.results[0].measurements[-1]
    plan = msgspec.json.decode(measurement.metadata["compare.plan"], type=Plan)
    return fold.Setup("errors", parse(written, timedelta(seconds=30)), plan)


@pytest.mark.parametrize(
    ("source", "fields", "seconds", "phase", "cause", "said"),
    [
        # undecided, and a verdict was wanted
        (traffic(0.04, 0.04), {}, 100, Phase.INCONCLUSIVE, Cause.TERMINATED, "before there was a verdict"),
        # watched until the end: no harm shown
        (
            traffic(0.04, 0.04),
            {"until": "terminated"},
            100,
            Phase.SUCCESSFUL,
            Cause.TERMINATED,
            "without harm shown (until: terminated)",
        ),
        # the same, when it had passed already, and went on
        (
            traffic(0.04, 0.04),
            {"until": "terminated"},
            700,
            Phase.SUCCESSFUL,
            Cause.PASSED,
            "shown to be within the margin at look 10",
        ),
        # no maxDuration is needed then
        (
            traffic(0.04, 0.04),
            {"until": "terminated", "maxDuration": None},
            4000,
            Phase.SUCCESSFUL,
            Cause.PASSED,
            "shown to be within the margin",
        ),
        # before anything could be compared
        (
            traffic(0.04, 0.04),
            {"until": "terminated"},
            5,
            Phase.SUCCESSFUL,
            Cause.NO_EVIDENCE,
            "for want of evidence",
        ),
        (traffic(0.04, 0.04), {}, 5, Phase.INCONCLUSIVE, Cause.NO_EVIDENCE, "before there was a verdict"),
        # looks, and none of them with anything to compare
        (
            dead_canary(traffic(0.04, 0.04)),
            {"until": "terminated"},
            100,
            Phase.SUCCESSFUL,
            Cause.NO_EVIDENCE,
            "(its query returned nothing)",
        ),
    ],
)
async def test_termination(
    source: Source, fields: dict[str, Any], seconds: float, phase: Phase, cause: Cause, said: str
) -> None:
    bench = Bench(source, (comparison(**fields),))
    await bench.advance(seconds)
    run = await bench.terminated()
    result = run.results[0]
    assert (run.phase, result.phase, result.cause) == (phase, phase, cause)
    assert said in result.reason
    assert result.measurements[-1].message == "Metric Terminated"
    if cause is Cause.NO_EVIDENCE:
        assert run.cause is cause
        assert outcome_of(run) is Outcome.NO_DATA
        assert ("Successful without evidence" in "".join(run.warnings)) == (phase is Phase.SUCCESSFUL)


async def test_termination_without_evidence_is_inconclusive_in_strict_mode() -> None:
    bench = Bench(traffic(0.04, 0.04), (comparison(until="terminated"),), strict=True)
    await bench.advance(5)
    run = await bench.terminated()
    assert (run.phase, run.results[0].cause) == (Phase.INCONCLUSIVE, Cause.NO_EVIDENCE)


async def test_a_background_comparison_that_passed_still_fails_on_later_harm() -> None:
    """Harm from minute 15 on; `until: terminated` had shown safety at minute 5 and went on."""
    early, late = traffic(0.04, 0.04), traffic(0.04, 0.04)

    def source(query: str, seconds: float) -> Answer:
        answer = early(query, seconds)
        if query == "canary errors" and seconds > 900:
            return vector(("canary-1", answer.samples[0].value + (seconds - 900) * 1.5))
        return late(query, seconds)

    bench = Bench(source, (comparison(until="terminated", maxDuration=None),))
    run = await bench.until_done()
    looks = await bench.looks()
    assert run.phase is Phase.FAILED
    assert looks[-1].data["verdict"]["passed_at"] > 0
    assert looks[-1].data["verdict"]["failed_at"] == len(looks)


async def test_a_sibling_that_fails_ends_a_comparison() -> None:
    other = comparison(maxDuration="20m")
    bench = Bench(
        lambda query, seconds: (
            traffic(0.2, 0.04)(query.removeprefix("b "), seconds)
            if query.startswith("b ")
            else traffic(0.04, 0.04)(query, seconds)
        ),
        (
            other,
            replace(
                comparison(
                    counts={
                        "events": {SCRIPTED: {"query": "b {{arm.v}} errors"}},
                        "totals": {SCRIPTED: {"query": "b {{arm.v}} requests"}},
                    }
                ),
                name="bad",
            ),
        ),
    )
    run = await bench.until_done()
    assert run.phase is Phase.FAILED
    assert {r.name: r.phase for r in run.results} == {"errors": Phase.INCONCLUSIVE, "bad": Phase.FAILED}
    assert run.results[1].measurements[-1].metadata["compare.plan"].count('"alpha":0.025') == 1  # half of it each


def restarting(source: Source, at: float, arm: str) -> Source:
    """Counters of one arm begin anew at that second."""

    def answer(query: str, seconds: float) -> Answer:
        found = source(query, seconds)
        if not query.startswith(arm) or seconds < at:
            return found
        lost = source(query, at - 1).samples[0].value
        return vector((found.samples[0].labels["pod"], found.samples[0].value - lost))

    return answer


@pytest.mark.parametrize("arm", ["canary", "stable"])
async def test_a_process_that_restarts_costs_the_rest_of_its_interval_and_is_flagged(arm: str) -> None:
    bench = Bench(restarting(traffic(0.04, 0.04), 100, arm), (comparison(),))
    run = await bench.until_done()
    looks = await bench.looks()
    assert run.phase is Phase.SUCCESSFUL
    assert [look.number for look in looks if "counter-reset" in look.data.get("flags", ())] == [4]
    # 30 s at 10 a second; of the look with the restart only what came after it is known
    totals = [look.data[arm]["total"] for look in looks]
    assert totals[2] == 300
    assert 190 <= totals[3] <= 220
    assert totals[4] == 300


async def test_pods_come_and_go() -> None:
    """Stable has two pods; one is replaced at second 100. Nothing of its past counts for the new one."""
    steady = traffic(0.04, 0.04)

    def source(query: str, seconds: float) -> Answer:
        value = steady(query, seconds).samples[0].value
        if query.startswith("canary"):
            return vector(("c", value))
        second = ("new", value * 50) if seconds >= 100 else ("old", value)
        return vector(("s", value), second)

    bench = Bench(source, (comparison(),))
    run = await bench.until_done()
    looks = await bench.looks()
    assert run.phase is Phase.SUCCESSFUL
    assert [look.data["stable"]["total"] for look in looks[:3]] == [600, 600, 600]
    assert looks[3].data["stable"]["total"] == 300  # of the new pod nothing is known yet
    assert "first-seen" in looks[3].data["flags"]
    assert looks[4].data["stable"]["total"] == 300 + 300 * 50


def nothing(query: str, seconds: float) -> Answer:
    return Answer([], "[]")


def not_a_number(query: str, seconds: float) -> Answer:
    return vector(("p", float("nan")))


def standing(query: str, seconds: float) -> Answer:
    return vector(("p", 1000.0))


def absent(query: str, seconds: float) -> Answer:
    raise NoData("no series matches")


def only_stable(query: str, seconds: float) -> Answer:
    return traffic(0.04, 0.04)(query, seconds) if query.startswith("stable") else Answer([], "[]")


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        (nothing, "no-data"),
        (absent, "no-data"),
        (not_a_number, "bad-value"),
        (standing, "zero-traffic"),  # 0 of 0 is not 0
        (only_stable, ""),
    ],
)
@pytest.mark.parametrize("metric", [comparison(maxDuration="5m"), histogram(maxDuration="5m"), gauge(maxDuration="5m")])
async def test_no_data_decides_nothing(source: Source, flag: str, metric: Metric) -> None:
    bench = Bench(source, (metric,))
    run = await bench.until_done()
    assert run.phase is Phase.INCONCLUSIVE
    assert run.results[0].cause in (Cause.NO_DATA, Cause.INCONCLUSIVE_VALUES)


@pytest.mark.parametrize(
    ("policy", "phase", "cause"),
    [
        ("", Phase.INCONCLUSIVE, Cause.NO_DATA),
        ("fail", Phase.FAILED, Cause.NO_DATA),
        ("inconclusive", Phase.INCONCLUSIVE, Cause.NO_DATA),
        ("pass", Phase.SUCCESSFUL, Cause.PASSED),
    ],
)
async def test_on_no_data_decides_a_comparison_that_had_none(policy: str, phase: Phase, cause: Cause) -> None:
    bench = Bench(nothing, (comparison(on_no_data=policy, maxDuration="2m"),))
    run = await bench.until_done()
    assert (run.phase, run.results[0].cause) == (phase, cause)
    assert "no data" in run.results[0].reason


async def test_missing_inconclusive_ends_at_the_first_gap() -> None:
    gap = failing(traffic(0.04, 0.04), (80, 100), error=NoData("no series"))
    bench = Bench(gap, (comparison(missing="inconclusive"),))
    run = await bench.until_done()
    assert (run.phase, run.cause) == (Phase.INCONCLUSIVE, Cause.NO_DATA)
    assert len(await bench.looks()) == 3


async def test_misrouted_traffic_is_said() -> None:
    def source(query: str, seconds: float) -> Answer:
        answer = traffic(0.04, 0.04)(query, seconds)
        return vector(("c", answer.samples[0].value)) if query.startswith("canary") else answer

    bench = Bench(source, (comparison(canaryWeight=20),))  # it gets half
    run = await bench.until_done()
    assert run.phase is Phase.SUCCESSFUL
    assert "The canary gets 50% of the traffic; configured are 20%" in run.results[0].reason
    assert (await bench.looks())[-1].data["split"]["canary_share"] == 0.5


def routed(weight: Callable[[float], float | None], delivered: Callable[[float], float]) -> Source:
    """A hundred requests a second, of which the canary gets `delivered` percent; the router tells `weight`."""

    def source(query: str, seconds: float) -> Answer:
        if query == "weight":
            told = weight(seconds)
            if told is None:
                raise Unreachable("connection refused")
            return Answer(told, f"{told:g}")
        arm, what = query.split()
        shares = (delivered(second) / 100 for second in range(int(seconds)))
        requests = sum(100 * (share if arm == "canary" else 1 - share) for share in shares)
        return vector((f"{arm}-1", requests if what == "requests" else 0.04 * requests))

    return source


def steps(*at: tuple[float, float]) -> Callable[[float], float]:
    """Percent by second: the last step that has begun."""
    return lambda second: [percent for begin, percent in at if begin <= second][-1]


ROLLOUT = steps((0, 5), (95, 20), (210, 50))
FROM_ROUTER = {SCRIPTED: {"query": "weight"}}


@pytest.mark.parametrize(
    ("weight", "delivered", "said", "percents", "unused"),
    [
        # as configured, whatever the steps: no look's traffic is held against another step's share
        (ROLLOUT, ROLLOUT, "evidence against that none", [5, 5, 5, 20, 20, 20, 50, 50, 50, 50], [4, 7]),
        # the second step never reached the router
        (
            ROLLOUT,
            steps((0, 5), (210, 50)),
            "evidence against that 1 in more than a million",
            [5, 5, 5, 20, 20, 20, 50, 50, 50, 50],
            [4, 7],
        ),
        # the router cannot be asked for a while: looks go on without
        (
            lambda second: None if 100 <= second < 190 else ROLLOUT(second),
            ROLLOUT,
            "evidence against that none",
            [5, 5, 5, None, None, None, 50, 50, 50, 50],
            [7],
        ),
        # nor ever
        (lambda second: None, ROLLOUT, "no configured share known", [None] * 10, []),
        # nor with an answer that is no share
        (lambda second: 250.0, ROLLOUT, "no configured share known", [None] * 10, []),
    ],
    ids=["delivered", "a step is lost", "a gap", "never", "nonsense"],
)
@pytest.mark.parametrize("restarts", [False, True])
async def test_a_share_that_changes_is_asked_for_at_every_look(
    weight: Callable[[float], float | None],
    delivered: Callable[[float], float],
    said: str,
    percents: list[float | None],
    unused: list[int],
    restarts: bool,
) -> None:
    metric = comparison(canaryWeightFrom=FROM_ROUTER, maxDuration="5m", minBake=1, failAt="margin")
    bench = Bench(routed(weight, delivered), (metric,))
    run = await bench.until_done(restarts=restarts)
    looks = await bench.looks()
    assert run.phase is Phase.SUCCESSFUL, run.reason
    assert [look.data.get("weight_percent") for look in looks] == percents
    assert [look.number for look in looks if "weight-changed" in look.data.get("flags", ())] == unused
    assert not any(look.data.get("missed") for look in looks)
    measurement = run.results[0].measurements[-1]
    assert said in measurement.metadata["sampleRatio"]
    assert ("The canary gets" in run.reason) == ("million" in said)
    replayed = [fold.stored(fold.look_of(look), told) for look, told in fold.replay(setup_of(run), looks)]
    assert replayed == looks


async def test_the_configured_share_is_told_with_what_was_delivered() -> None:
    """Over the same requests: an average where it changed, and what it is now."""
    metric = comparison(canaryWeightFrom=FROM_ROUTER, maxDuration="5m", minBake=1, failAt="margin")
    run = await Bench(routed(ROLLOUT, ROLLOUT), (metric,)).until_done()
    # three looks of 5 %, two of 20 %, three of 50 %
    assert "Routed: 25.6% to the canary, configured 25.6% on average, 50% now." in run.reason
    constant = comparison(canaryWeight="20", maxDuration="5m", minBake=1, failAt="margin")
    bench = Bench(routed(lambda second: None, steps((0, 20))), (constant,))
    run = await bench.until_done()
    assert "Routed: 20% to the canary, configured 20%." in run.reason
    assert {look.data["weight_percent"] for look in await bench.looks()} == {20.0}
    without = await Bench(routed(lambda second: None, steps((0, 20))), (comparison(maxDuration="5m"),)).until_done()
    assert "Routed" not in without.reason
    told = without.results[0].measurements[-1].metadata["sampleRatio"]
    assert told == "20% of the traffic to the canary; no configured share known"


async def test_calibration_is_asked_once_and_kept() -> None:
    asked: list[str] = []

    async def calibrate(name: str, spec: Any) -> Calibration | None:
        asked.append(name)
        return Calibration(points=360, dispersion=1.0 + len(asked), baseline=0.04)

    bench = Bench(traffic(0.04, 0.04), (comparison(),))
    await bench.create()
    for seconds in (100, 200):
        assert bench.measurer is not None
        bench.measurer.comparer.settling.calibrate = calibrate
        await bench.advance(seconds)
        bench.restart()
    looks = await bench.looks()
    assert asked == ["errors"]
    assert {look.data["evidence"]["calibrated"] for look in looks} == {True}
    assert looks[-1].data["evidence"]["dispersion"] >= 2.0


TOKEN = Argument(name="token", value_from=ValueFrom(secret_key_ref=SecretKeyRef(name="dd", key="api-key")))
VARIABLE, VALUE = "TIDEGATE_SECRET_DD__API_KEY", "hunter2hunter2"
SECRETIVE = comparison(
    counts={
        "events": {SCRIPTED: {"query": "{{arm.v}} errors", "token": "{{args.token}}"}},
        "totals": {SCRIPTED: {"query": "{{arm.v}} requests", "token": "{{args.token}}"}},
    }
)


@dataclass
class LookBacks:
    """A look-back that is done when the bench's clock has reached a second; None: it never is."""

    bench: Bench
    done_at: float | None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, name: str, spec: Any) -> Calibration | None:
        self.asked.append(name)
        while self.done_at is None or self.bench.clock.monotonic() < self.done_at:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if spec.shape == "gauge":
            return Calibration(points=360, log_ratio=True, scale=0.05, baseline=100.0)
        return Calibration(points=360, dispersion=1.5, baseline=0.04)


async def learning(bench: Bench, done_at: float | None, *, restarts: bool) -> Run:
    """The run until its end. Between turns the loop turns, so that a look-back that is due is done."""
    await bench.create()
    back = LookBacks(bench, done_at)
    for turn in range(500):
        assert bench.measurer is not None
        bench.measurer.comparer.settling.calibrate = back
        bench.measurer.comparer.settling.grace_seconds = 0.0
        for _ in range(3):
            await asyncio.sleep(0)
        step = await bench.turn()
        if bench.run.phase.done:
            return bench.run
        assert step.wake_at is not None
        bench.clock.at = max(bench.clock.at, step.wake_at)
        if restarts and turn % 2:
            bench.restart()
    raise AssertionError("not done")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("source", "metric", "done_at", "missed", "phase"),
    [
        # gauges: each look is a value, and none is lost
        (levels("same"), gauge(margin={"relative": 0.2}), 100, (), Phase.SUCCESSFUL),
        # counters: the first readings need no settings, the looks after them wait
        (traffic(0.04, 0.04), comparison(), 100, (), Phase.SUCCESSFUL),
        # harm that the waiting looks show, and what was taken after it does not count
        (traffic(0.20, 0.02), comparison(), 290, (), Phase.FAILED),
        # a missed look keeps its place among those that wait
        (traffic(0.04, 0.04), comparison(), 100, ((55, 62),), Phase.SUCCESSFUL),
        # a look-back that is never done: at the deadline all is judged without it
        (traffic(0.04, 0.04, rate=0.2), comparison(maxDuration="5m"), None, (), Phase.INCONCLUSIVE),
        (traffic(0.20, 0.02), comparison(maxDuration="5m"), None, (), Phase.FAILED),
    ],
    ids=["gauge", "counters", "harm", "missed", "never", "never, harm"],
)
async def test_looks_wait_for_a_look_back_and_none_is_lost(
    source: Source, metric: Metric, done_at: float | None, missed: tuple[Any, ...], phase: Phase, restarts: bool
) -> None:
    """The looks, their verdicts and the run's are those of a look-back that was there at once."""
    at_once, late = Bench(failing(source, *missed), (metric,)), Bench(failing(source, *missed), (metric,))
    expected = await learning(at_once, 0 if done_at is not None else None, restarts=False)
    run = await learning(late, done_at, restarts=restarts)
    assert run.phase is expected.phase is phase, run.reason
    assert await late.looks() == await at_once.looks()
    measurement, wanted = run.results[0].measurements[-1], expected.results[0].measurements[-1]
    assert measurement.metadata == wanted.metadata
    assert measurement.value == wanted.value
    assert ("uncalibrated" in measurement.metadata["guarantee"]) == (done_at is None)
    assert "compare.waiting" not in measurement.metadata


async def test_a_waiting_comparison_says_so_and_holds_up_nobody() -> None:
    bench = Bench(
        traffic(0.04, 0.04),
        (comparison(), Metric("plain", interval="10s", count=30, provider={SCRIPTED: {"query": "stable requests"}})),
    )
    await bench.create()
    assert bench.measurer is not None
    bench.measurer.comparer.settling.calibrate = LookBacks(bench, None)
    bench.measurer.comparer.settling.grace_seconds = 0.0
    await bench.advance(95)
    compared, plain = bench.run.results
    assert compared.measurements[-1].reason == (
        "errors: 3 looks taken; judged once the look-back over the stable version has been read"
    )
    assert plain.taken == 10
    assert await bench.looks() == []
    run = await bench.terminated()
    looks = await bench.looks()
    assert (run.results[0].phase, len(looks)) == (Phase.INCONCLUSIVE, 3)
    assert "terminated after 3 looks before there was a verdict" in run.results[0].reason
    assert looks[-1].data["evidence"]["canary_total"] == 900


async def test_a_secret_is_kept_out_of_looks_that_wait() -> None:
    told = failing(traffic(0.04, 0.04), (55, 65), error=Unreachable(f'token "{VALUE}" is not wanted'))
    bench = Bench(told, (SECRETIVE,), args=(TOKEN,), environ={VARIABLE: VALUE})
    await bench.create()
    assert bench.measurer is not None
    bench.measurer.comparer.settling.calibrate = LookBacks(bench, None)
    bench.measurer.comparer.settling.grace_seconds = 0.0
    await bench.advance(95)
    assert "compare.waiting" in bench.run.results[0].measurements[-1].metadata
    assert VALUE not in repr(bench.run)
    await bench.terminated()
    looks = await bench.looks()
    assert [look.data.get("missed", "") for look in looks] == [
        "",
        'Unreachable: canary, events: token "*****" is not wanted',
        "",
        "",
    ]
    assert VALUE not in repr(bench.run) + repr(looks)


async def test_waiting_looks_are_kept_when_the_backend_goes_away() -> None:
    metric = comparison(consecutive_error_limit=1)
    bench = Bench(failing(traffic(0.04, 0.04), (80, 1000)), (metric,))
    run = await learning(bench, None, restarts=True)
    looks = await bench.looks()
    assert (run.phase, run.results[0].cause) == (Phase.ERROR, Cause.PROVIDER_UNAVAILABLE)
    assert [bool(look.data.get("missed")) for look in looks] == [False, False, True, True]
    assert [look.number for look in looks] == [1, 2, 3, 4]


async def test_a_number_from_each_backend_is_the_growth_of_one_interval() -> None:
    """Backends without counters (`cumulative` false): values are taken as they are."""
    seen: list[float] = []

    def source(query: str, seconds: float) -> Answer:
        seen.append(seconds)
        return Answer(300.0 if query.endswith("requests") else 12.0, "")

    bench = Bench(source, (comparison(cumulative=None),))
    run = await bench.until_done()
    looks = await bench.looks()
    assert run.phase is Phase.SUCCESSFUL
    assert looks[0].data["canary"] == {"type": "counts", "events": 12.0, "total": 300.0}


async def test_text_instead_of_numbers_is_a_missed_look() -> None:
    bench = Bench(lambda query, seconds: Answer("up", "up"), (comparison(consecutive_error_limit=0),))
    run = await bench.until_done()
    assert (run.phase, run.results[0].cause) == (Phase.ERROR, Cause.BAD_ANSWER)
    assert "a comparison needs numbers, got up" in run.reason


async def test_progress_is_seen_after_each_look() -> None:
    bench = Bench(traffic(0.04, 0.04, rate=1), (comparison(),))
    await bench.create()
    said = []
    for seconds in (5, 35, 65):
        await bench.advance(seconds)
        said.append(bench.run.results[0].measurements[-1].reason)
    assert "first readings taken; the first comparison follows in 30 s" in said[0]
    assert "not decided" in said[1]
    assert said[1] != said[2]
    assert bench.run.results[0].metadata["canary.events.ResolvedQuery"] == "canary errors"


async def test_the_state_in_the_record_stays_small() -> None:
    bench = Bench(delays(0.04), (histogram(until="terminated", maxDuration=None),))
    await bench.advance(1000)
    (measurement,) = bench.run.results[0].measurements
    assert sum(map(len, measurement.metadata.values())) < 4096


async def test_a_secret_is_filled_in_and_kept_out_of_what_is_stored() -> None:
    told = failing(traffic(0.04, 0.04), (100, 125), error=Unreachable(f"token {VALUE} is not wanted"))
    bench = Bench(told, (SECRETIVE,), args=(TOKEN,), environ={VARIABLE: VALUE})
    await bench.advance(121)
    looks = await bench.looks()
    assert looks[-1].data["missed"] == "Unreachable: canary, events: token ***** is not wanted"
    assert "*****" in bench.run.results[0].measurements[-1].reason
    assert VALUE not in repr(bench.run) + repr(looks)
    assert (await bench.until_done()).phase is Phase.SUCCESSFUL


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_secret_that_is_gone_is_a_missed_look_in_strict_mode(restarts: bool) -> None:
    """It is kept with its reason, costs no evidence, and the looks after it follow on its number."""
    bench = Bench(traffic(0.04, 0.04), (SECRETIVE,), strict=True, args=(TOKEN,), environ={VARIABLE: VALUE})
    await bench.advance(100)
    assert [look.number for look in await bench.looks()] == [1, 2, 3]
    bench.environ.clear()
    bench.restart()  # secrets are remembered for a while
    await bench.advance(125)
    measurement = bench.run.results[0].measurements[-1]
    assert (measurement.phase, measurement.missed, measurement.cause) == (Phase.RUNNING, 1, Cause.SECRET_NOT_FOUND)
    missed = (await bench.looks())[-1]
    assert (missed.number, measurement.metadata["looks"]) == (4, "4")
    assert missed.data["missed"].startswith("SecretNotFound: ")
    assert "dd" in missed.data["missed"]
    assert "verdict" not in missed.data
    bench.environ[VARIABLE] = VALUE
    if restarts:
        bench.restart()
    run = await bench.until_done(restarts=restarts)
    looks = await bench.looks()
    assert run.phase is Phase.SUCCESSFUL, run.reason
    assert [look.number for look in looks] == list(range(1, len(looks) + 1))
    assert looks[4].data["evidence"]["canary_total"] == pytest.approx(10 * looks[4].data["elapsed_seconds"])


@pytest.mark.parametrize(("limit", "phase"), [(0, Phase.ERROR), (4, Phase.RUNNING)])
async def test_a_secret_that_never_was_there_is_a_missed_look_too(limit: int, phase: Phase) -> None:
    """Settings are not fixed by it: the look-back that they may need waits for the secret."""
    metric = replace(SECRETIVE, consecutive_error_limit=limit)
    bench = Bench(traffic(0.04, 0.04), (metric,), strict=True, args=(TOKEN,))
    await bench.create()
    await bench.turn()
    measurement = bench.run.results[0].measurements[-1]
    (look,) = await bench.looks()
    assert (measurement.phase, measurement.cause) == (phase, Cause.SECRET_NOT_FOUND)
    assert (look.number, "SecretNotFound" in look.data["missed"]) == (1, True)
    assert "compare.plan" not in measurement.metadata
    if phase is Phase.RUNNING:
        bench.environ[VARIABLE] = VALUE
        assert (await bench.until_done()).phase is Phase.SUCCESSFUL


async def test_a_comparison_is_terminated_without_its_secret() -> None:
    bench = Bench(traffic(0.04, 0.04), (SECRETIVE,), strict=True, args=(TOKEN,), environ={VARIABLE: VALUE})
    await bench.advance(100)
    bench.environ.clear()
    bench.restart()
    run = await bench.terminated()
    assert (run.phase, run.results[0].cause) == (Phase.INCONCLUSIVE, Cause.TERMINATED)


@pytest.mark.parametrize(
    ("metric", "restart_at"),
    [
        (gauge(interval="1s", maxDuration="10000s", test="mann-whitney", failAt="noharm"), 0),
        (gauge(interval="1s", maxDuration="10000s", test="kayenta", margin=None), 7_000),
        (
            gauge(
                interval="1s", maxDuration="10000s", test="welch", looks=3, spending="pocock", margin={"relative": 1e-4}
            ),
            0,
        ),
    ],
    ids=["mann-whitney", "kayenta and a restart", "welch in three looks"],
)
async def test_ten_thousand_looks_of_a_fixed_test_need_64_kilobytes(metric: Metric, restart_at: int) -> None:
    """Its values are dropped and read again from the stored looks when they are wanted; the verdict rests on all."""
    bench = Bench(levels("same"), (metric,))
    await bench.create()
    largest = 0
    while not bench.run.phase.done:
        assert bench.measurer is not None
        step = await bench.turn()
        for held in bench.measurer.comparer.keeping._held.values():
            largest = max(largest, len(msgspec.json.encode(held.state)))
        bench.clock.at = max(bench.clock.at, step.wake_at or bench.clock.at)
        if restart_at and (bench.clock.at - START).total_seconds() == restart_at:
            bench.restart()
    assert 20_000 < largest <= 64 << 10
    looks: list[Look] = []
    page = await bench.store.list_looks("id", "errors", 0, 500)
    looks += page.items
    while page.next_key:
        page = await bench.store.list_looks("id", "errors", 0, 500, page.next_key)
        looks += page.items
    assert len(looks) == 10_001
    assert looks[-1].data["comparison"]["canary_n"] == 10_001
    *_, (last, told) = fold.replay(setup_of(bench.run), looks)
    assert told is not None
    assert fold.stored(fold.look_of(last), told) == looks[-1]


HARMED, EQUAL, LITTLE = traffic(0.10, 0.04), traffic(0.04, 0.04), traffic(0.04, 0.04, rate=0.2)
GONE = failing(EQUAL, (90, 10_000))


@pytest.mark.parametrize(
    ("source", "limits", "fields", "phase", "counted", "message"),
    [
        # one measurement, so that each limit knows one failure, one inconclusive, one error
        (HARMED, {}, {}, Phase.FAILED, {"failed": 1}, "failed (1) > failureLimit (0)"),
        (HARMED, {"count": 1}, {}, Phase.FAILED, {"failed": 1}, "failed (1) > failureLimit (0)"),
        (LITTLE, {}, {}, Phase.INCONCLUSIVE, {"inconclusive": 1}, "inconclusive (1) > inconclusiveLimit (0)"),
        (EQUAL, {}, {}, Phase.SUCCESSFUL, {"successful": 1}, ""),
        # a limit that tolerates the one there is lets it pass, as Argo counts; `lint` calls it CannotFail
        (HARMED, {"failure_limit": 1}, {}, Phase.SUCCESSFUL, {"failed": 1}, ""),
        (
            HARMED,
            {"failure_limit": -1, "consecutive_success_limit": 1},
            {},
            Phase.FAILED,
            {"failed": 1},
            "",
        ),
        (LITTLE, {"inconclusive_limit": 1}, {}, Phase.SUCCESSFUL, {"inconclusive": 1}, ""),
        # the limits do not mix: harm is no inconclusive, an undecided end no failure
        (HARMED, {"inconclusive_limit": 5}, {}, Phase.FAILED, {"failed": 1}, "failed (1) > failureLimit (0)"),
        (
            LITTLE,
            {"failure_limit": 5},
            {},
            Phase.INCONCLUSIVE,
            {"inconclusive": 1},
            "inconclusive (1) > inconclusiveLimit (0)",
        ),
        # a success in a row of one
        (EQUAL, {"consecutive_success_limit": 1}, {}, Phase.SUCCESSFUL, {"successful": 1}, ""),
        (
            HARMED,
            {"consecutive_success_limit": 1},
            {},
            Phase.FAILED,
            {"failed": 1},
            "failed (1) > failureLimit (0)",
        ),
        # missed looks are errors only where they end the measurement, whatever the other limits
        (
            GONE,
            {"failure_limit": 3, "inconclusive_limit": 3},
            {},
            Phase.ERROR,
            {"error": 5},
            "consecutiveErrors (5) > consecutiveErrorLimit (4)",
        ),
        (failing(EQUAL, (90, 125)), {}, {}, Phase.SUCCESSFUL, {"successful": 1, "error": 0}, ""),
        (failing(HARMED, (90, 125)), {}, {}, Phase.FAILED, {"failed": 1, "error": 0}, "failed (1) > failureLimit (0)"),
        # a look in between ends the row: four and four are no eight
        (failing(EQUAL, (90, 125), (150, 185)), {}, {"minBake": 0.5}, Phase.SUCCESSFUL, {"error": 0}, ""),
        # in the background the same limits hold; only a pass does not end it, and its deadline does
        (HARMED, {}, {"until": "terminated"}, Phase.FAILED, {"failed": 1}, "failed (1) > failureLimit (0)"),
        (EQUAL, {}, {"until": "terminated"}, Phase.SUCCESSFUL, {"successful": 1}, ""),
        (
            LITTLE,
            {},
            {"until": "terminated"},
            Phase.INCONCLUSIVE,
            {"inconclusive": 1},
            "inconclusive (1) > inconclusiveLimit (0)",
        ),
        (
            GONE,
            {"consecutive_error_limit": 1},
            {"until": "terminated", "maxDuration": None},
            Phase.ERROR,
            {"error": 2},
            "consecutiveErrors (2) > consecutiveErrorLimit (1)",
        ),
    ],
)
async def test_limits_of_argo_on_a_comparison(
    source: Source, limits: dict[str, Any], fields: dict[str, Any], phase: Phase, counted: dict[str, int], message: str
) -> None:
    bench = Bench(source, (replace(comparison(**fields), **limits),))
    run = await bench.until_done()
    result = run.results[0]
    assert (run.phase, result.phase) == (phase, phase), run.reason
    assert {name: getattr(result, name) for name in counted} == counted
    assert result.taken == 1  # whatever its limits would allow, there is no second one
    assert message in run.message
    if not message:
        assert run.message == ""


async def test_a_pass_in_the_background_goes_on_to_its_deadline() -> None:
    foreground, background = Bench(EQUAL, (comparison(),)), Bench(EQUAL, (comparison(until="terminated"),))
    await foreground.until_done()
    await background.until_done()
    assert len(await foreground.looks()) == 10
    assert len(await background.looks()) == 40


async def test_harm_in_a_dry_run_ends_the_metric_and_not_the_run() -> None:
    plain = Metric(name="plain", interval="10s", count=3, provider={SCRIPTED: {"query": "stable requests"}})
    bench = Bench(HARMED, (comparison(), plain), dry_run=("errors",))
    run = await bench.until_done()
    assert {result.name: result.phase for result in run.results} == {
        "errors": Phase.FAILED,
        "plain": Phase.SUCCESSFUL,
    }
    assert run.phase is Phase.SUCCESSFUL
    plan = msgspec.json.decode(run.results[0].measurements[-1].metadata["compare.plan"], type=Plan)
    assert plan.alpha == 0.05  # it takes nothing from the others, and has its own whole


async def test_a_sibling_that_fails_ends_a_background_comparison_with_what_it_has_shown() -> None:
    """Its metric is Successful without harm shown, and the run Failed by the sibling."""
    broken = Metric(
        name="plain",
        interval="10s",
        initial_delay="200s",
        failure_condition="result[0] > 0",
        provider={SCRIPTED: {"query": "stable requests"}},
    )
    bench = Bench(EQUAL, (comparison(until="terminated", maxDuration=None), broken))
    run = await bench.until_done()
    assert {result.name: (result.phase, result.cause) for result in run.results} == {
        "errors": (Phase.SUCCESSFUL, Cause.TERMINATED),
        "plain": (Phase.FAILED, Cause.CONDITION_FAILED),
    }
    assert run.phase is Phase.FAILED
    assert "without harm shown (until: terminated)" in run.results[0].reason


async def test_an_initial_delay_is_no_part_of_the_comparison() -> None:
    """Looks are aligned to its own start, and maxDuration counts from there."""
    metric = replace(comparison(maxDuration="5m"), initial_delay="45s")
    bench = Bench(LITTLE, (metric,))
    run = await bench.until_done()
    assert run.phase is Phase.INCONCLUSIVE
    seconds = [round((look.at - START).total_seconds()) for look in await bench.looks()]
    assert seconds == [45 + 30 * n for n in range(1, 11)]
