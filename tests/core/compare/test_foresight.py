"""What is said of a comparison before its first look and after the first ones, as data and in words."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.core.compare import foresight
from analysis_service.core.compare import state as fold
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup, State
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Look
from analysis_service.core.statistics.plan import Calibration, Traffic

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
QUERY = {"prometheus": {"query": "{{arm.v}}"}}
EDGES = (0.1, 0.2, 0.4, 0.8)
BUSY = Traffic(events=20.0, total=2000.0, canary_share=0.25)
QUIET = Traffic(events=0.2, total=20.0, canary_share=0.25)
LATENCY = Traffic(total=500.0, canary_share=0.25, edges=EDGES, counts=(250.0, 180.0, 60.0, 8.0, 2.0))


def setup(shape: str, calibration: Calibration | None = None, **fields: Any) -> Setup:
    written = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        shape: {"events": QUERY, "totals": QUERY} if shape == "counts" else QUERY,
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
        **fields,
    }
    spec = parse({key: value for key, value in written.items() if value is not None}, timedelta(seconds=30))
    return Setup("m", spec, plan_of(spec, 1.0, calibration))


def known(**fields: Any) -> Calibration:
    return Calibration(points=360, **fields)


def data(shape: str, rng: random.Random) -> ArmData:
    if shape == "counts":
        return Counts(float(sum(rng.random() < 0.01 for _ in range(500))), 500.0)
    if shape == "gauge":
        return Gauge(10.0 + rng.gauss(0.0, 1.0))
    counts = [0.0] * (len(EDGES) + 1)
    for _ in range(200):
        value = rng.lognormvariate(-2.0, 0.7)
        counts[sum(value > edge for edge in EDGES)] += 1.0
    return Histogram(EDGES, tuple(counts))


def looked(given: Setup, looks: int) -> State:
    state, rng = fold.begin(given), random.Random(1)
    for number in range(1, looks + 1):
        canary, stable = data(given.spec.shape, rng), data(given.spec.shape, rng)
        at, elapsed = EPOCH + timedelta(seconds=30 * number), 30.0 * number
        look = Look(number, at, canary, None if given.spec.single_arm else stable, elapsed_seconds=elapsed)
        state, _ = fold.step(given, state, look)
    return state


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        (setup("counts", known(traffic=BUSY)), "Forecast from 360 intervals of history: 40 looks find harm of x1."),
        # the configured share stands for the processes' own, and for the share of a sum over processes
        (
            setup("counts", known(traffic=Traffic(20.0, 2000.0)), canaryWeight=25),
            "Forecast from 360 intervals of history: 40 looks find harm of x1.",
        ),
        (
            setup("histogram", known(traffic=LATENCY)),
            "Forecast from 360 intervals of history: 40 looks find harm of x1.",
        ),
        (
            setup("gauge", known(scale=0.1, log_ratio=True, baseline=10.0)),
            "Forecast from 360 intervals of history: 40 looks find harm of x1.",
        ),
        (
            setup("gauge", known(scale=0.1, log_ratio=True, baseline=10.0), margin={"absolute": 2.0}),
            "Forecast from 360 intervals of history: 40 looks find harm of +2.",
        ),
        (
            setup("gauge", known(scale=0.1, log_ratio=True, baseline=10.0), direction="decrease"),
            "Forecast from 360 intervals of history: 40 looks find harm of x0.4",
        ),
        (
            setup("counts", known(traffic=BUSY), direction="either"),
            "Forecast from 360 intervals of history: 40 looks find harm of x1.",
        ),
    ],
)
def test_before_the_first_look(given: Setup, begins: str) -> None:
    found = foresight.foresee(given, None)
    assert found is not None
    assert (found.basis, found.points, found.looks) == ("history", 360, 40)
    text = foresight.told(given, found)
    assert text.startswith(begins)
    assert "four times in five; without any change the chance of ending Inconclusive is " in text
    assert "Warning" not in text
    # and it stands: looks do not change it
    assert foresight.after(given, (looked(given, 3),), found) is found


@pytest.mark.parametrize(
    "given",
    [
        setup("counts"),  # no look-back
        setup("counts", Calibration(points=59, traffic=BUSY)),  # too short
        setup("counts", known()),
        setup("counts", known(traffic=Traffic(20.0, 2000.0))),  # a sum over processes, and no share configured
        setup("histogram", known(traffic=Traffic(total=500.0, canary_share=0.5))),
        setup("gauge", known()),
        setup("counts", known(traffic=BUSY), test="ks", margin={"absolute": 0.2}),  # no forecast of this test
        setup("counts", known(traffic=BUSY), until="terminated", maxDuration=None),  # an open end
    ],
)
def test_nothing_is_foretold_without_a_basis(given: Setup) -> None:
    assert foresight.foresee(given, None) is None


@pytest.mark.parametrize(
    ("given", "first", "points"),
    [
        (setup("counts"), 1, 1),
        (setup("histogram"), 1, 1),
        # the noise of a gauge shows after a few looks
        (setup("gauge"), 8, 8),
        (setup("gauge", test="welch"), 8, 8),
        (setup("gauge", test="group-sequential"), 8, 8),
        (setup("counts", test="poisson-e"), 1, 1),
        (setup("counts", test="sprt"), 1, 1),
        (setup("counts", arms={"canary": {"v": "c"}}, objective=0.02, margin=None), 1, 1),
        # the look-back's noise with the first look's traffic
        (setup("counts", known(dispersion=2.0)), 1, 1),
    ],
)
def test_from_the_first_looks(given: Setup, first: int, points: int) -> None:
    assert foresight.foresee(given, looked(given, first - 1)) is None
    found = foresight.foresee(given, looked(given, first))
    assert found is not None
    assert (found.basis, found.points) == ("looks", points)
    rests = "the first look" if points == 1 else f"the first {points} looks"
    assert foresight.told(given, found).startswith(f"Forecast from {rests}: 40 looks find ")


def test_a_forecast_from_looks_is_made_anew_while_they_are_few() -> None:
    given, state, outlook, rng, points = setup("counts"), fold.begin(setup("counts")), None, random.Random(2), []
    for number in range(1, 41):
        look = Look(number, EPOCH, data("counts", rng), data("counts", rng), elapsed_seconds=30.0 * number)
        state, _ = fold.step(given, state, look)
        outlook = foresight.after(given, (state,), outlook)
        assert outlook is not None
        points.append(outlook.points)
    assert list(dict.fromkeys(points)) == [1, 3, 9]


@pytest.mark.parametrize(
    ("given", "said", "not_said"),
    [
        (
            setup("counts", known(traffic=QUIET)),
            ["a maxDuration of about ", "a larger margin", "more traffic to the canary", "an absoluteFloor"],
            ["look-back"],
        ),
        (
            setup("counts", known(traffic=QUIET), absoluteFloor=1e-9, canaryWeight=50),
            ["more traffic."],
            ["absoluteFloor", "to the canary"],
        ),
        (
            setup("gauge", known(scale=0.5, noise_floor=0.6, log_ratio=True, baseline=10.0)),
            ["a much longer maxDuration", "a larger margin", "more pods"],
            ["traffic", "look-back"],
        ),
        (
            setup("gauge", Calibration(points=10), margin={"relative": 0.01}),
            ["a look-back (lookback, from a provider that has history)"],
            ["pods"],
        ),
    ],
)
def test_an_unlikely_verdict_is_warned_of(given: Setup, said: list[str], not_said: list[str]) -> None:
    found = foresight.foresee(given, None) or foresight.foresee(given, looked(given, 8))
    assert found is not None
    assert found.unlikely
    warning = foresight.told(given, found).partition("Warning: ")[2]
    assert warning.startswith("it will probably end Inconclusive, even if nothing is wrong; what would help: ")
    assert [text for text in said if text not in warning] == []
    assert [text for text in not_said if text in warning] == []


def test_a_summary_of_nothing_found() -> None:
    given = setup("counts", known(traffic=Traffic(1e-3, 10.0, 0.1)))
    found = foresight.foresee(given, None)
    assert found is not None
    assert foresight.told(given, found).startswith(
        "Forecast from 360 intervals of history: 40 looks find no harm up to x30; without any change the chance of "
        "ending Inconclusive is over 99.9%. Warning: "
    )
