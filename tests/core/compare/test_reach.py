"""Which verdicts a comparison can come to at all: every test, shape, kind of margin, direction and limit.

Each is run on data that nobody could mistake, equal arms and a canary eight times as bad. What it then does not reach
must have been refused or warned of, and what is refused or warned of must not be reached.
"""

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest

from analysis_service.core.compare import reach
from analysis_service.core.compare import state as fold
from analysis_service.core.compare.spec import RAW_VALUES, TESTS, Shape, SpecError, parse, plan_of
from analysis_service.core.compare.state import Setup
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look, Samples

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
QUERY = {"prometheus": {"query": "{{arm.v}}"}}
EDGES = tuple(0.05 * 1.3**k for k in range(20))
LOOKS = 60
ABSOLUTE = {"counts": 0.02, "histogram": 0.3, "gauge": 0.3}
SHARE = 0.6  # the margin of ks: its tests know little from a hundred values
HALF_MINUTE = timedelta(seconds=30)


def written(shape: str, **fields: Any) -> dict[str, Any]:
    found = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        shape: {"events": QUERY, "totals": QUERY} if shape == "counts" else QUERY,
        "margin": {"relative": 0.5},
        "maxDuration": f"{LOOKS * 30}s",
        **fields,
    }
    return {key: value for key, value in found.items() if value is not None}


@cache
def drawn(shape: str, raw: bool, factor: float, seed: int) -> tuple[ArmData, ...]:
    """One arm's looks. Stable has a rate of .05, levels of 1 (so that .3 is an absolute margin of 30 %)."""
    rng = np.random.default_rng([seed, round(1000 * factor)])
    if shape == "counts":
        return tuple(Counts(float(x), 20_000.0) for x in rng.binomial(20_000, 0.05 * factor, size=LOOKS))
    if shape == "gauge" and raw:
        values = factor * rng.lognormal(0.0, 0.1, size=(LOOKS, 80))
        return tuple(Samples(tuple(row)) for row in values.tolist())
    if shape == "gauge":
        return tuple(Gauge(value) for value in (factor * (1.0 + rng.normal(0.0, 0.03, size=LOOKS))).tolist())
    many = factor * np.random.default_rng(0).lognormal(-1.0, 0.5, size=200_000)  # of both arms the same
    shares = np.bincount(np.searchsorted(EDGES, many), minlength=len(EDGES) + 1) / len(many)
    return tuple(
        Histogram(EDGES, tuple(row)) for row in rng.multinomial(20_000, shares, size=LOOKS).astype(float).tolist()
    )


def outcome(setup: Setup, factor: float) -> str:
    shape, raw = setup.spec.shape, setup.spec.test in RAW_VALUES
    state = fold.begin(setup)
    for number, arms in enumerate(zip(drawn(shape, raw, factor, 7), drawn(shape, raw, 1.0, 2), strict=True), start=1):
        at, elapsed = EPOCH + number * HALF_MINUTE, 30.0 * number
        state, told = fold.step(setup, state, Look(number, at, *arms, elapsed_seconds=elapsed))
        if told.verdict.outcome:
            return told.verdict.outcome
    return ""


def combinations() -> Iterator[Any]:
    shapes: tuple[Shape, ...] = ("counts", "histogram", "gauge")
    for shape in shapes:
        margins = ({"relative": 0.5}, {"relative": 1.5}, None)
        for test, margin, direction, fail_at in itertools.product(
            sorted(TESTS[shape] - {"sample-ratio"}), margins, ("increase", "decrease", "either"), ("noharm", "margin")
        ):
            margin = margin or {"absolute": SHARE if test == "ks" else ABSOLUTE[shape]}
            name = f"{shape}-{test}-{'-'.join(f'{kind}-{size}' for kind, size in margin.items())}-{direction}-{fail_at}"
            yield pytest.param(shape, test, margin, direction, fail_at, id=name)


@pytest.mark.parametrize(("shape", "test", "margin", "direction", "fail_at"), list(combinations()))
def test_what_is_not_reached_is_told(
    shape: Shape, test: str, margin: Mapping[str, float], direction: str, fail_at: str
) -> None:
    objective = {"increase": 0.1, "decrease": 0.02}.get(direction, 0.05) if test == "objective" else None
    fields = written(shape, test=test, margin=margin, direction=direction, failAt=fail_at, objective=objective)
    try:
        spec = parse(fields, HALF_MINUTE)
    except SpecError:
        return  # refused: `test_contradictions` holds why
    setup, limits = Setup("m", spec, plan_of(spec, 1.0)), list(reach.limits(spec))
    good = outcome(setup, 1.0)
    bad = [outcome(setup, factor) for factor in {"increase": (8.0,), "decrease": (0.125,)}.get(direction, (8.0, 0.125))]
    if test == "kayenta":  # its own options decide, and it has no margin to fail at
        assert (good, set(bad)) == ("pass", {"fail"}) or direction != "either"
        return
    reached = good == "pass" and set(bad) == {"fail"}
    assert reached or limits, (good, bad)
    races = fail_at == "noharm" and margin == {"relative": 1.5}  # a fall may fail before anything may pass
    assert not reached or not limits or races, limits


@pytest.mark.parametrize(
    ("shape", "fields", "where", "would_work"),
    [
        ("counts", {"test": "sprt", "failAt": "margin"}, "failAt", {"failAt": "noharm"}),
        ("counts", {"test": "sprt", "direction": "either"}, "direction", {"direction": "increase"}),
        (
            "counts",
            {"test": "objective", "direction": "either", "objective": 0.01, "margin": None},
            "direction",
            {"direction": "decrease"},
        ),
        ("gauge", {"test": "sequential-ks"}, "margin", {"margin": {"absolute": 0.1}}),
        ("gauge", {"test": "sequential-ks", "margin": {"absolute": 1.0}}, "margin", {"margin": {"absolute": 0.9}}),
        ("gauge", {"test": "sequential-ks", "margin": {"relative": 0.5}}, "margin", {"test": "sequential-quantile"}),
    ],
)
def test_contradictions(shape: str, fields: dict[str, Any], where: str, would_work: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as error:
        parse(written(shape, **fields), HALF_MINUTE)
    assert [mistake.where for mistake in error.value.mistakes] == [where]
    parse(written(shape, **{**fields, **would_work}), HALF_MINUTE)


SCRAPED = {"scrape": {"targets": ["http://x/{{arm.v}}"], "query": "q"}}


@pytest.mark.parametrize(
    ("shape", "fields", "where"),
    [
        ("counts", {"direction": "decrease", "absoluteFloor": 0.01}, ["absoluteFloor"]),
        ("counts", {"absoluteFloor": 0.01}, []),
        ("counts", {"test": "sample-ratio", "canaryWeight": 10}, ["test"]),
        ("counts", {"test": "sample-ratio", "canaryWeight": 10, "until": "terminated"}, []),
        ("counts", {"test": "sample-ratio", "canaryWeight": 10, "failAt": "margin"}, ["failAt", "test"]),
        # the margin is nothing that these use
        ("counts", {"test": "kayenta", "direction": "decrease", "margin": {"relative": 2}}, []),
        # tests of one number per look
        ("gauge", {"test": "mann-whitney", "maxDuration": "60s"}, ["maxDuration"]),  # 2 against 2: 1 in 6
        ("gauge", {"test": "mann-whitney", "maxDuration": "90s"}, []),  # 3 against 3: 1 in 20
        ("gauge", {"test": "mann-whitney", "maxDuration": "90s", "alpha": 0.04}, ["maxDuration"]),
        ("gauge", {"test": "welch", "maxDuration": "30s"}, []),  # told as a single look
        ("gauge", {"test": "welch", "maxDuration": "60s"}, []),
        ("counts", {"test": "poisson-e", "maxDuration": "30s"}, []),  # one look has all the events
        ("gauge", {"test": "ks", "margin": {"absolute": 0.3}}, ["maxDuration"]),  # 82 looks
        ("gauge", {"test": "ks", "margin": {"absolute": 0.3}, "maxDuration": "41m"}, []),
        ("gauge", {"test": "ks", "margin": {"absolute": 0.3}, "until": "terminated"}, []),  # a pass is not waited for
        # what a gauge without history takes
        ("gauge", {"maxDuration": "4m", "lookback": "0s"}, ["maxDuration"]),
        ("gauge", {"maxDuration": "4m30s", "lookback": "0s"}, []),
        ("gauge", {"maxDuration": "4m", "gauge": SCRAPED}, ["maxDuration"]),
        ("gauge", {"maxDuration": "4m"}, []),
        ("gauge", {"maxDuration": "4m", "gauge": {"plugin": SCRAPED}}, ["maxDuration"]),
        ("gauge", {"test": "sequential-mean", "maxDuration": "9m30s"}, ["maxDuration"]),
        ("gauge", {"test": "sequential-mean", "maxDuration": "10m"}, []),
        ("gauge", {"minSamples": 61}, ["minSamples"]),
        ("gauge", {"minSamples": 60}, []),
        ("gauge", {"minSamples": 61, "until": "terminated", "maxDuration": None}, []),  # an open end has any number
    ],
)
def test_limits(shape: str, fields: dict[str, Any], where: list[str]) -> None:
    found = list(reach.limits(parse(written(shape, **fields), HALF_MINUTE)))
    assert [limit.where for limit in found] == where
    assert all(limit.text and limit.hint.endswith(".") for limit in found)


@pytest.mark.parametrize(
    ("fields", "looks", "outcome_at_last"),
    [
        # however large the harm: 8 looks without history are no proof of it
        ({"test": "sequential-t"}, 8, ""),
        ({"test": "sequential-t"}, 9, "fail"),
        ({"test": "sequential-mean"}, 19, ""),
        ({"test": "sequential-mean"}, 20, "fail"),
        ({"test": "mann-whitney", "failAt": "noharm"}, 3, "fail"),  # 1 in 20 is just enough at .05
        ({"test": "mann-whitney", "failAt": "noharm", "alpha": 0.049}, 3, ""),
        ({"test": "mann-whitney", "failAt": "noharm", "alpha": 0.049}, 4, "fail"),
    ],
)
def test_the_figures_are_the_tests_own(fields: dict[str, Any], looks: int, outcome_at_last: str) -> None:
    spec = parse(written("gauge", **fields, maxDuration=f"{30 * looks}s", lookback="0s"), HALF_MINUTE)
    setup = Setup("m", spec, plan_of(spec, 1.0))
    state = fold.begin(setup)
    for number in range(1, looks + 1):
        arms = Gauge(1e6 + 1e-3 * number), Gauge(1.0 + 1e-6 * (number % 3))
        at, elapsed = EPOCH + number * HALF_MINUTE, 30.0 * number
        state, _ = fold.step(setup, state, Look(number, at, *arms, elapsed_seconds=elapsed))
    assert state.verdict.outcome == outcome_at_last
