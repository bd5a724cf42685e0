"""Whose data was missing, and why, from what the queries returned to the sentence."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.compare import looking, state, telling
from analysis_service.core.compare.gaps import in_words
from analysis_service.core.compare.interval import SHARED, Memory, take
from analysis_service.core.compare.reading import Reading, Series
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup
from analysis_service.core.model import Cause, Metric, Phase
from analysis_service.core.statistics.hygiene import SAME

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=30)
QUERY = {"prometheus": {"query": "{{arm.v}}"}}
ARMS = {"canary": {"v": "c"}, "stable": {"v": "s"}}
NOTHING = Reading()
NAN = float("nan")


@pytest.mark.parametrize(
    ("gaps", "looks", "said"),
    [
        ({}, 9, ""),
        ({"canary no-data": 9}, 9, "the canary had no data in 9 of 9 looks (its query returned nothing)"),
        ({"stable zero-traffic": 1}, 1, "stable had no data in 1 of 1 look (it had no traffic)"),
        # the usual first look of counters, said once for both
        (
            {"canary first-seen": 1, "stable first-seen": 1},
            8,
            "each arm had no data in 1 of 8 looks (its processes were seen for the first time)",
        ),
        # the most frequent reasons first, and no more than two
        (
            {"canary no-data": 2, "canary first-seen": 1, "canary warming-up": 5, "stable no-data": 1},
            10,
            "the canary had no data in 8 of 10 looks (5: its processes were still warming up; 2: its query returned "
            "nothing), stable had no data in 1 of 10 looks (its query returned nothing)",
        ),
        ({"missed": 1}, 3, "1 look could not be taken"),
        ({"missed": 2, "canary no-data": 1}, 3, "the canary had no data in 1 of 3 looks (its query returned nothing), "
         "2 looks could not be taken"),
        (
            {"bad-events-above-total": 4},
            5,
            "events were more than twice the totals in 4 of 5 looks: are the two queries swapped?",
        ),
        (
            {"shared-processes": 5},
            5,
            "both arms found the same processes in 5 of 5 looks: does one query match the other version too?",
        ),
        # a flag of a later version is better than no word
        ({"canary odd-flag": 1}, 2, "the canary had no data in 1 of 2 looks (odd-flag)"),
    ],
)  # fmt: skip
def test_words(gaps: Mapping[str, int], looks: int, said: str) -> None:
    assert in_words(gaps, looks) == said


def series(value: float, **labels: str) -> Reading:
    return Reading((Series({"pod": "p", **labels}, value),))


@pytest.mark.parametrize(
    ("shape", "canary", "stable", "said"),
    [
        # nothing matches the canary's query: the label is wrong, or it never started
        ("gauge", NOTHING, series(1.0), "the canary had no data in 3 of 3 looks (its query returned nothing)"),
        ("counts", NOTHING, "grows", "the canary had no data in 2 of 2 looks (its query returned nothing)"),
        ("counts", "grows", NOTHING, "stable had no data in 2 of 2 looks (its query returned nothing)"),
        ("histogram", NOTHING, "grows", "the canary had no data in 2 of 2 looks (its query returned nothing)"),
        ("counts", series(7.0), "grows", "the canary had no data in 2 of 2 looks (it had no traffic)"),
        ("gauge", series(NAN), series(1.0), "the canary had no data in 3 of 3 looks (its query returned no number)"),
        # sum by (pod) (x_bucket): the edges are gone
        ("histogram", series(5.0), "grows", "its series are no buckets: they have no label le"),
        ("gauge", NOTHING, NOTHING, "each arm had no data in 3 of 3 looks (its query returned nothing)"),
    ],
)
def test_a_comparison_without_data_says_whose(shape: str, canary: Any, stable: Any, said: str) -> None:
    data = {"counts": {"events": QUERY, "totals": QUERY}, "histogram": QUERY, "gauge": QUERY}[shape]
    spec = parse({"arms": ARMS, shape: data, "margin": {"relative": 0.5}, "maxDuration": "60s"}, EVERY)
    setup = Setup("errors", spec, plan_of(spec, 1.0))
    folded, memory, metric = state.begin(setup), Memory(), Metric("errors")
    for number in range(3):
        readings = {
            (ask.arm, ask.part): grown(number, shape) if arm == "grows" else arm
            for ask in spec.asks
            for arm in [canary if ask.arm == "canary" else stable]
        }
        found = looking.look(setup, metric, folded, memory, readings, START, START + number * EVERY)
        memory, folded = found.memory, found.state or folded
    assert found.ending is not None
    assert (found.ending.phase, found.ending.cause) == (Phase.INCONCLUSIVE, Cause.NO_DATA)
    assert f"errors: nothing could be compared in {folded.looks} looks: " in found.ending.reason
    assert said in found.ending.reason
    assert found.ending.reason.endswith("; Inconclusive: there was no data to judge.")
    ended = state.evidence_of(setup, folded)
    stopped = telling.at_termination(setup, folded, ended, "", strict=False)
    assert said.lower() in stopped.reason.lower()
    # and a restart remembers it
    assert found.look is not None
    ((again, _),) = state.rebuilding(setup, [found.look])
    assert again.gaps == dict.fromkeys(folded.gaps, 1)


@pytest.mark.parametrize(
    ("canary", "stable", "shared"),
    [
        ({"c": 100.0}, {"s": 900.0}, []),
        # stable's selector matches the canary as well, or the other way round
        ({"c": 100.0}, {"c": 100.0, "s": 900.0}, [SHARED]),
        ({"c": 100.0, "s": 900.0}, {"s": 900.0}, [SHARED]),
        # both match the same
        ({"c": 100.0, "s": 900.0}, {"c": 100.0, "s": 900.0}, [SHARED, SAME]),
        # one router counts for both versions
        ({"router": 100.0}, {"router": 900.0}, []),
        # nothing has happened yet, and sums have no names
        ({"c": 0.0}, {"c": 0.0}, []),
        ({"": 100.0}, {"": 100.0}, []),
    ],
)
@pytest.mark.parametrize("shape", ["counts", "histogram", "gauge"])
def test_arms_that_share_processes(
    shape: str, canary: Mapping[str, float], stable: Mapping[str, float], shared: list[str]
) -> None:
    data = {"counts": {"events": QUERY, "totals": QUERY}, "histogram": QUERY, "gauge": QUERY}[shape]
    spec = parse({"arms": ARMS, shape: data, "margin": {"relative": 0.5}, "maxDuration": "60s"}, EVERY)
    memory = Memory()
    for number in (1, 2):
        readings = {
            (ask.arm, ask.part): of_pods(shape, canary if ask.arm == "canary" else stable, number) for ask in spec.asks
        }
        memory, found = take(spec, memory, readings, 30.0 * number)
    assert [flag for flag in found.flags if flag in (SHARED, SAME)] == shared


@pytest.mark.parametrize(("same", "phase"), [(True, Phase.INCONCLUSIVE), (False, Phase.SUCCESSFUL)])
@pytest.mark.parametrize("shape", ["counts", "histogram", "gauge"])
def test_arms_that_are_the_same_processes_never_pass(shape: str, same: bool, phase: Phase) -> None:
    """However alike they are: the canary was not looked at. Nor does onNoData pass them."""
    data = {"counts": {"events": QUERY, "totals": QUERY}, "histogram": QUERY, "gauge": QUERY}[shape]
    spec = parse({"arms": ARMS, shape: data, "margin": {"relative": 0.9}, "maxDuration": "30m"}, EVERY)
    setup, metric = Setup("errors", spec, plan_of(spec, 1.0)), Metric("errors", on_no_data="Successful")
    folded, memory, ending = state.begin(setup), Memory(), None
    for number in range(70):
        readings = {(ask.arm, ask.part): busy(shape, ask.part, "p" if same else ask.arm, number) for ask in spec.asks}
        found = looking.look(setup, metric, folded, memory, readings, START, START + number * EVERY)
        memory, folded, ending = found.memory, found.state or folded, found.ending
        if ending is not None and ending.phase.done:
            break
    assert ending is not None
    assert ending.phase is phase, ending.reason
    if same:
        assert ending.cause is Cause.NO_DATA
        assert "looks: both arms are the same processes, so nothing was compared;" in ending.reason
        assert "Both arms found the same processes in" in ending.reason
        assert ending.reason.endswith("does one query match the other version too?")
        assert telling.at_termination(setup, folded, None, "", strict=False).phase is Phase.INCONCLUSIVE


def busy(shape: str, part: str, pod: str, number: int) -> Reading:
    """A process with much traffic that is like every other."""
    if shape == "gauge":
        return Reading(
            (Series({"pod": pod}, 10.0 + 0.1 * ((number * 7919) % 13) + (0.01 if pod == "stable" else 0.0)),)
        )
    edges = {"0.1": 0.5, "0.2": 0.9, "0.5": 0.98, "1": 0.995, "+Inf": 1.0} if shape == "histogram" else {"": 1.0}
    share = 0.1 if part == "events" else 1.0
    return Reading(
        tuple(
            Series({"pod": pod, **({"le": le} if le else {})}, 4000.0 * (number + 1) * share * below)
            for le, below in edges.items()
        )
    )


def of_pods(shape: str, pods: Mapping[str, float], number: int) -> Reading:
    edges = ("",) if shape == "counts" else ("0.1", "+Inf")
    return Reading(
        tuple(
            Series({"pod": pod, **({"le": edge} if edge else {})}, value * number)
            for pod, value in pods.items()
            for edge in edges
        )
    )


def grown(number: int, shape: str) -> Reading:
    if shape != "histogram":
        return series(100.0 * (number + 1))
    edges = {"0.1": 50.0, "1": 90.0, "+Inf": 100.0}
    return Reading(tuple(Series({"pod": "p", "le": le}, count * (number + 1)) for le, count in edges.items()))
