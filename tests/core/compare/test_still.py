"""An arm whose value stands still, from looks to verdict: what is dropped, what is told, and what is no freeze."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis_service.core.compare import state as fold
from analysis_service.core.compare import still, telling
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup, State, Told
from analysis_service.core.model import Cause, Metric, Phase
from analysis_service.core.model import Look as StoredLook
from analysis_service.core.statistics.frozen import FROZEN, UNCHANGED, most
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.plan import Calibration, Plan, Repeats
from analysis_service.core.statistics.verdict import VerdictState

REAL = Path(__file__).parents[3] / "benchmarks" / "data" / "nab"
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=30)
Arm = Callable[[int], ArmData | None]


def setup(shape: str = "gauge", calibration: Calibration | None = None, **fields: Any) -> Setup:
    query = {"prometheus": {"query": "{{arm.v}}"}}
    written = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        shape: {"events": query, "totals": query} if shape == "counts" else query,
        "margin": {"relative": 0.2},
        "maxDuration": "50m",
        **fields,
    }
    spec = parse(written, EVERY)
    return Setup("m", spec, plan_of(spec, 1.0, calibration))


def looks(canary: Arm, stable: Arm, number: int) -> list[Look]:
    return [Look(k, START + k * EVERY, canary(k), stable(k), elapsed_seconds=30.0 * k) for k in range(1, number + 1)]


def told_of(one: Setup, some: list[Look]) -> tuple[State, list[Told]]:
    state, found = fold.begin(one), []
    for look in some:
        state, told = fold.step(one, state, look)
        found.append(told)
    return state, found


def dropped(found: list[Told], arm: str = "canary") -> list[int]:
    return [told.look.number for told in found if told.look.gaps.get(arm) == FROZEN]


def noise(k: int, level: float = 10.0) -> float:
    """Moves at every look, by up to 4%, the same each time."""
    return level * (1.0 + 0.04 * (((k * 2654435761) % 1000) / 1000 - 0.5))


def alive(k: int) -> Gauge:
    return Gauge(noise(k))


def beside(k: int) -> Gauge:
    return Gauge(noise(k + 7))


def stops(at: int, until: int = 10**9) -> Arm:
    return lambda k: Gauge(noise(at if at < k < until else k))


def shrunk(arm: Arm, by: float) -> Arm:
    return lambda k: Gauge(by * value.value) if isinstance(value := arm(k), Gauge) else None


@pytest.mark.parametrize(
    ("canary", "stable", "fields", "calibration", "canary_from", "stable_from"),
    [
        # twenty looks of movement, then ten of the same: it is not data from there on
        (stops(20), beside, {}, None, 30, None),
        (alive, shrunk(stops(20), 2.0), {}, None, None, 30),
        # until it moves again
        (stops(20, until=35), beside, {}, None, 30, None),
        # both at once: it takes longer, as either could be how the metric is
        (stops(30), shrunk(stops(30), 2.0), {}, None, 42, 42),
        # but standing at the same value they may both be at rest
        (stops(30), stops(30), {}, None, None, None),
        # six looks are few to know it by
        (stops(6), beside, {}, None, 46, None),
        # unless the look-back knows it; even from the first look on
        (stops(5), beside, {}, Calibration(points=360, repeats=Repeats(360, 0)), 15, None),
        (stops(1), beside, {}, Calibration(points=360, repeats=Repeats(360, 0)), 21, None),
        (stops(5), beside, {}, Calibration(points=360, repeats=Repeats(360, 330, 60)), None, None),
        # nothing happens, and now and then one of them sees something: nobody uses it at night
        (
            lambda k: alive(k) if k < 20 else Gauge(0.0),
            lambda k: beside(k) if k < 20 or k % 7 == 0 else Gauge(0.0),
            {},
            None,
            None,
            None,
        ),
        # it was always so
        (lambda k: Gauge(7.0), beside, {}, None, None, None),
        # integers that move now and then
        (lambda k: Gauge(float((k * 7919) % 10 == 0)), beside, {}, None, None, None),
        (lambda k: Gauge(float((k * 7919) % 10 == 0) if k < 40 else 0.0), beside, {}, None, None, None),
        # a level that both climb to, such as a number of threads
        (lambda k: Gauge(min(k, 11.0)), lambda k: Gauge(min(k, 10.0)), {}, None, None, None),
        (lambda k: Gauge(min(k, 25.0)), lambda k: Gauge(40.0), {}, None, None, None),
        # `missing: zero`: a zero may be no series at all
        (lambda k: alive(k) if k < 20 else Gauge(0.0), beside, {"missing": "zero"}, None, None, None),
        (lambda k: alive(k) if k < 20 else Gauge(0.0), beside, {}, None, 30, None),
        # looks without data come between, and change nothing
        (lambda k: None if k % 3 == 0 else stops(30)(k), beside, {}, None, 46, None),
    ],
)
def test_which_looks_are_dropped(
    canary: Arm,
    stable: Arm,
    fields: dict[str, Any],
    calibration: Calibration | None,
    canary_from: int | None,
    stable_from: int | None,
) -> None:
    _, found = told_of(setup(calibration=calibration, until="terminated", **fields), looks(canary, stable, 60))
    for arm, first in (("canary", canary_from), ("stable", stable_from)):
        at = dropped(found, arm)
        assert at[:1] == ([] if first is None else [first])
        asked = [told.look.number for told in found if (canary if arm == "canary" else stable)(told.look.number)]
        assert [told.look.number for told in found if getattr(told.look, arm)] == [k for k in asked if k not in at]
    assert all((FROZEN in told.look.flags) == bool(told.still) for told in found)


@pytest.mark.parametrize(
    ("shape", "fields", "data", "first"),
    [
        # counters that grow are alive, by the very same amount at every look or not
        ("counts", {"cumulative": True}, lambda k: Counts(0.0, 3000.0), None),
        # a rate that somebody computes may be frozen like a gauge
        ("counts", {"cumulative": False}, lambda k: Counts(3.0, 3000.0), 30),
        ("histogram", {"cumulative": False}, lambda k: Histogram((1.0, 2.0), (30.0, 20.0, 10.0)), 30),
        ("histogram", {"cumulative": True}, lambda k: Histogram((1.0, 2.0), (30.0, 20.0, 10.0)), None),
    ],
)
def test_counts_and_histograms(shape: str, fields: dict[str, Any], data: Arm, first: int | None) -> None:
    def moving(k: int) -> ArmData:
        found = data(k)
        if isinstance(found, Counts):
            return Counts(found.events, found.total + k)
        assert isinstance(found, Histogram)
        return replace(found, counts=(found.counts[0] + k, *found.counts[1:]))

    def canary(k: int) -> ArmData | None:
        return moving(k) if k < 20 else data(k)

    _, found = told_of(setup(shape, until="terminated", **fields), looks(canary, moving, 40))
    assert dropped(found)[:1] == ([] if first is None else [first])


def test_nothing_passes_while_an_arm_stands_still_and_its_evidence_stays_as_it_was() -> None:
    """Enough for a pass from look 25 on, and the least time is over at look 40: the canary froze at look 30."""
    fields: dict[str, Any] = {"minBake": 0.4, "margin": {"relative": 0.2}}
    healthy = told_of(setup(**fields), looks(alive, beside, 60))[1]
    passed = next(told.look.number for told in healthy if told.verdict.outcome == "pass")
    assert passed == 40
    _, found = told_of(setup(**fields), looks(stops(30), beside, 60))
    assert all(told.verdict.outcome == "" for told in found)
    evidence = [told.evidence for told in found]
    assert all(one is not None and one.used == 39 for one in evidence[39:])
    # ten repeats are wanted before it is called frozen: seven are improbable, and keep a pass back
    assert [told.look.number for told in found if UNCHANGED in told.look.flags] == list(range(37, 40))
    # a minute after it moves again it may pass
    _, found = told_of(setup(**fields), looks(stops(30, until=50), beside, 60))
    assert [told.look.number for told in found if told.verdict.outcome == "pass"][:1] == [50]


@pytest.mark.parametrize("test", ["welch", "mann-whitney", "kayenta"])
def test_nor_does_a_test_of_fixed_size(test: str) -> None:
    fields: dict[str, Any] = {"test": test, "maxDuration": "30m"}
    if test == "kayenta":
        fields["margin"] = None
    one = setup(**fields)
    for canary, phase in ((alive, Phase.SUCCESSFUL), (stops(30), Phase.INCONCLUSIVE)):
        told = told_of(one, looks(canary, beside, 60))[1][-1]
        ending = telling.after_look(one, Metric("m"), told, over=True)
        assert ending.phase is phase
        assert ("has not changed for 30 looks" in ending.reason) == (phase is Phase.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("until", "policy", "phase", "cause"),
    [
        (60, "", Phase.INCONCLUSIVE, Cause.NO_DATA),
        # what may pass without data is what has none: this had some, until it froze
        (60, "pass", Phase.INCONCLUSIVE, Cause.NO_DATA),
        (60, "fail", Phase.FAILED, Cause.NO_DATA),
        (50, "pass", Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES),
    ],
)
def test_what_it_comes_to_at_the_deadline(until: int, policy: str, phase: Phase, cause: Cause) -> None:
    one = setup(margin={"relative": 0.001})  # too close to tell
    told = told_of(one, looks(stops(30, until=until), beside, 55))[1][-1]
    metric = Metric("m", on_no_data=policy) if policy else Metric("m")
    ending = telling.after_look(one, metric, told, over=True)
    assert (ending.phase, ending.cause) == (phase, cause)
    if until == 60:
        assert "Inconclusive after 55 looks: a value that stands still is no data" in ending.reason
        assert "Canary's value has not changed for 25 looks: the exporter may be frozen." in ending.reason
    else:
        assert "The canary had no data in 10 of 55 looks (its value had not changed for so long" in ending.reason


@given(
    freezes=st.tuples(st.integers(12, 40), st.integers(0, 40)),
    thaw=st.integers(1, 40),
    missed=st.frozensets(st.integers(2, 89), max_size=10),
    calibration=st.sampled_from([None, Calibration(points=360, repeats=Repeats(360, 40, 3))]),
    cut=st.integers(1, 89),
)
@settings(max_examples=15, deadline=None)
def test_replayed_and_rebuilt_looks_are_as_they_were_live(
    freezes: tuple[int, int], thaw: int, missed: frozenset[int], calibration: Calibration | None, cut: int
) -> None:
    one = setup(calibration=calibration, until="terminated")
    taken = looks(stops(freezes[0], freezes[0] + thaw), stops(freezes[1], freezes[1] + 30), 90)
    state, kept, cut_state = fold.begin(one), [], fold.begin(one)
    for look in taken:
        if look.number in missed:
            lost = Look(look.number, look.at, missed="unreachable", elapsed_seconds=look.elapsed_seconds)
            state = fold.missed(state, lost)
            kept.append(fold.stored(lost, None))
        else:
            state, told = fold.step(one, state, look)
            kept.append(fold.stored(look, told))
        if look.number == cut:
            cut_state = state
    stored = [StoredLook(look.number, look.at, msgspec.json.decode(msgspec.json.encode(look.data))) for look in kept]
    again = [fold.stored(fold.look_of(look), told) for look, told in fold.replay(one, stored)]
    assert [msgspec.json.encode(look.data) for look in again] == [msgspec.json.encode(look.data) for look in stored]
    states = [after for after, _ in fold.rebuilding(one, stored)]
    assert (states[cut - 1], states[-1]) == (cut_state, state)


@pytest.mark.parametrize("file", sorted(REAL.glob("*.csv")), ids=lambda path: path.stem[4:40])
@pytest.mark.parametrize("before", [0, 360])
def test_real_series_are_not_called_frozen(file: Path, before: int) -> None:
    """Odd points beside even points, 240 a run, 188 runs without a look-back and 147 with one: among them disks that
    rest and a keyboard at night.
    """
    with file.open() as lines:
        values = [Gauge(float(row["value"])) for row in csv.DictReader(lines)]
    one = setup(until="terminated")
    for at in range(2 * before, len(values) - 480, 480):
        repeats = most([values[at - 2 * before + odd : at : 2] for odd in (0, 1)]) if before else None
        plan = replace(one.plan, calibration=Calibration(points=before, repeats=repeats))
        seen = still.Still()
        for k in range(240):
            look = Look(k + 1, START, values[at + 2 * k + 1], values[at + 2 * k])
            seen, _ = still.screened(one.spec, plan, seen, look)
            assert not seen.now, (at, k)


def test_settings_and_states_of_before_are_read() -> None:
    plan = msgspec.json.decode(b'{"test":"sequential-t","calibration":{"points":360}}', type=Plan)
    assert plan.calibration is not None
    assert plan.calibration.repeats is None
    verdict = msgspec.convert({"looks": 3, "outcome": ""}, VerdictState)
    assert not verdict.frozen
