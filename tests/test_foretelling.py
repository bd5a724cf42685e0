"""Forecasts between looks: none is made in the loop's thread, no look waits for one, and none is lost or changed."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from analysis_service.core.compare import foresight
from analysis_service.core.compare.state import Setup, State
from analysis_service.core.model import Measurement, Metric, Phase
from analysis_service.core.statistics.outlook import Outlook
from analysis_service.core.statistics.plan import Calibration, Traffic
from analysis_service.measured import SOON
from tests.test_comparing import START, Bench, Source, comparison, delays, gauge, histogram, levels, traffic

WAIT = 20.0  # seconds until a test that hangs fails instead


@dataclass
class Gate:
    """Makes forecasts where it is called, once it is open. looks: after which looks it was asked, call by call."""

    opened: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    threads: set[int] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0
    looks: list[list[int]] = field(default_factory=list)

    def __call__(self, setup: Setup, states: Sequence[State | None], known: Outlook | None) -> Outlook | None:
        self.threads.add(threading.get_ident())
        self.looks.append([state.looks if state is not None else 0 for state in states])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        assert self.opened.wait(WAIT)
        self.at_once -= 1
        return foresight.after(setup, states, known)


async def watched(gate: Gate, metric: Metric | None = None, *, rate: float = 10.0, calibration: bool = False) -> Bench:
    """A run whose forecasts go through the gate; between looks, as they are in a service."""
    bench = Bench(traffic(0.04, 0.04, rate=rate), (metric or comparison(),))
    await bench.create()
    bring(bench, gate)
    if calibration:

        async def calibrate(name: str, spec: object) -> Calibration | None:
            return Calibration(points=360, traffic=Traffic(24.0, 600.0, 0.5))

        assert bench.measurer is not None
        bench.measurer.comparer.settling.calibrate = calibrate
    return bench


def bring(bench: Bench, gate: Gate) -> None:
    assert bench.measurer is not None
    bench.measurer.comparer.foretelling.at_once = False
    bench.measurer.comparer.foretelling.foresee = gate


def open_measurement(bench: Bench) -> Measurement:
    return bench.run.results[0].measurements[-1]


async def at(bench: Bench, seconds: float) -> Measurement:
    """The measurement after every turn that is due by then. Nothing waits for a forecast: the gate may be closed."""
    async with asyncio.timeout(WAIT):
        await bench.advance(seconds)
    return open_measurement(bench)


async def made(bench: Bench) -> None:
    """Until there is nothing more to foretell."""
    assert bench.measurer is not None
    for held in bench.measurer.comparer.keeping._held.values():
        if held.foretold.work is not None:
            await asyncio.wait_for(asyncio.shield(held.foretold.work), WAIT)


async def test_looks_are_taken_and_kept_while_a_forecast_is_made_in_another_thread() -> None:
    gate = Gate()
    bench = await watched(gate)
    measurement = await at(bench, 125)
    assert await asyncio.to_thread(gate.begun.wait, WAIT)
    assert len(await bench.looks()) == 4
    assert "forecast" not in measurement.metadata
    gate.opened.set()
    await made(bench)
    assert threading.get_ident() not in gate.threads
    measurement = await at(bench, 155)
    assert measurement.metadata["forecast"].startswith("Forecast from the first 3 looks: ")
    assert measurement.metadata["forecast"] in measurement.reason


COUNTS = (traffic(0.04, 0.04), comparison(maxDuration="5m", minBake=1.0))
HISTOGRAM = (delays(0.04), histogram(maxDuration="3m", minBake=1.0))
GAUGE = (levels("same"), gauge(maxDuration="5m", minBake=1.0))
NEVER = 10_000.0


@pytest.mark.parametrize(
    ("case", "made_at", "restarts"),
    [
        (COUNTS, 0, ()),
        (COUNTS, 95, ()),  # after three looks, which are due for one
        (COUNTS, NEVER, ()),  # before the end, all at once
        (COUNTS, 0, (65,)),
        (COUNTS, 95, (65,)),
        (COUNTS, 200, (65, 125)),
        (COUNTS, NEVER, (125, 215)),
        (HISTOGRAM, 0, (65,)),
        (HISTOGRAM, NEVER, (95,)),
        # the noise of a gauge shows after eight looks
        (GAUGE, 0, (245,)),
        (GAUGE, NEVER, (275,)),
    ],
)
async def test_a_forecast_says_the_same_whenever_it_is_made(
    case: tuple[Source, Metric], made_at: float, restarts: tuple[float, ...]
) -> None:
    """Late, or again after a restart that lost it: at the end there stands what waiting for it would have noted."""
    source, metric = case
    prompt = Bench(source, (metric,))
    expected = await prompt.until_done()
    gate, bench = Gate(), Bench(source, (metric,))
    await bench.create()
    bring(bench, gate)
    for seconds in sorted({made_at, *restarts} - {NEVER}):
        await at(bench, seconds)
        if seconds == made_at:
            gate.opened.set()
            await made(bench)
        if seconds in restarts:
            bench.restart()
            bring(bench, gate)
    gate.opened.set()
    run = await bench.until_done()
    assert (run.phase, run.reason, await bench.looks()) == (expected.phase, expected.reason, await prompt.looks())
    assert open_measurement(bench).metadata == expected.results[0].measurements[-1].metadata
    assert open_measurement(bench).metadata["compare.forecast"]


async def test_the_first_forecast_comes_before_the_next_look() -> None:
    """The measurement is resumed once in between; no look is taken then, and the next one comes on time."""
    gate = Gate()
    gate.opened.set()
    bench = await watched(gate)
    await at(bench, 5)
    while not await bench.looks():
        bench.clock.at = open_measurement(bench).resume_at or bench.clock.at
        step = await bench.turn()
    first = open_measurement(bench)
    assert first.resume_at == START + timedelta(seconds=30) + SOON
    assert "forecast" not in first.metadata
    await made(bench)
    assert step.wake_at is not None
    bench.clock.at = step.wake_at
    await bench.turn()
    between = open_measurement(bench)
    assert between.metadata["forecast"] in between.reason
    assert (between.resume_at, between.phase) == (START + timedelta(seconds=60), Phase.RUNNING)
    assert "compare.nextLook" not in between.metadata
    assert len(await bench.looks()) == 1
    await at(bench, 65)
    assert [(look.at - START).total_seconds() for look in await bench.looks()] == pytest.approx([30, 60], abs=0.001)


async def test_a_process_that_ends_before_the_forecast_is_noted_makes_it_again() -> None:
    gate = Gate()
    bench = await watched(gate)
    await at(bench, 30.5)
    assert await asyncio.to_thread(gate.begun.wait, WAIT)
    gate.opened.set()  # it is lost all the same: another process goes on
    again = Gate()
    again.opened.set()
    bench.restart()
    bring(bench, again)
    await bench.turn()
    measurement = await at(bench, 45)
    assert measurement.metadata["forecast"].startswith("Forecast from the first look: ")
    assert again.looks == [[1]]
    assert len(await bench.looks()) == 1


async def test_what_history_foretells_is_told_with_the_first_readings() -> None:
    gate = Gate()
    gate.opened.set()
    bench = await watched(gate, calibration=True)
    measurement = await at(bench, 5)
    assert "first readings taken" in measurement.reason
    assert "Forecast from 360 intervals of history" in measurement.reason
    await at(bench, 215)
    assert gate.looks == [[0]]  # it stands


async def test_an_end_waits_for_its_forecast_and_for_nobody_else() -> None:
    """One comparison's forecast is under way; another's, which waits for its turn, is wanted at once."""
    gate, other = Gate(), Gate()
    other.opened.set()
    bench = await watched(gate)

    def foresee(setup: Setup, states: Sequence[State | None], known: Outlook | None) -> Outlook | None:
        return (gate if setup.name == "errors" else other)(setup, states, known)

    assert bench.measurer is not None
    await at(bench, 35)
    assert await asyncio.to_thread(gate.begun.wait, WAIT)
    second = Bench(
        traffic(0.5, 0.01), (Metric("quick", interval="30s", provider=comparison().provider),), clock=bench.clock
    )
    await second.create()
    assert second.measurer is not None
    bench.measurer.comparer.foretelling.foresee = foresee
    second.measurer.comparer.foretelling = bench.measurer.comparer.foretelling
    second.measurer.comparer.keeping.foretelling = bench.measurer.comparer.foretelling
    async with asyncio.timeout(WAIT):
        run = await second.until_done()
    assert run.phase is Phase.FAILED
    assert run.results[0].measurements[-1].metadata["forecast"].startswith("Forecast from the first ")
    gate.opened.set()
    await made(bench)


async def test_one_forecast_is_made_at_a_time() -> None:
    gate = Gate()
    names = ("a", "b", "c", "d")
    metrics = tuple(Metric(name, interval="30s", provider=comparison().provider) for name in names)
    bench = Bench(traffic(0.04, 0.04), metrics)
    await bench.create()
    bring(bench, gate)
    await at(bench, 35)
    assert await asyncio.to_thread(gate.begun.wait, WAIT)
    gate.opened.set()
    await made(bench)
    assert (gate.most_at_once, len(gate.looks)) == (1, 4)
