"""The seam that live comparisons calibrate through: what a look-back gives them, what it costs, and what it cannot."""

import asyncio
import gc
import shutil
import threading
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis_service.core.compare.spec import Spec, parse
from analysis_service.history.base import Asked, Frame, Series
from analysis_service.history.calibrating import Calibrator, look_back
from analysis_service.history.prometheus import PrometheusHistory
from providers.base import NoData, Unreachable

END = datetime(2026, 1, 1, tzinfo=UTC)
HALF_MINUTE = timedelta(seconds=30)
COUNTS: dict[str, Any] = {
    "arms": {"canary": {"h": "c"}, "stable": {"h": "s"}},
    "counts": {
        "events": {"prometheus": {"query": 'sum by (pod) (e{h="{{arm.h}}"})'}},
        "totals": {"prometheus": {"query": 'sum by (pod) (t{h="{{arm.h}}"})'}},
    },
    "margin": {"relative": 0.5},
    "maxDuration": "20m",
}


def spec_of(written: dict[str, Any]) -> Spec:
    return parse(written, HALF_MINUTE)


class Made:
    """Counters of five stable pods and one canary, resets and bursts included."""

    def __init__(self, burst: float = 0.0) -> None:
        self.burst = burst
        self.asked: list[tuple[str, timedelta]] = []

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        self.asked.append((asked.arm, end - start))
        n = round((end - start) / step) + 1
        times = array("d", [start.timestamp() + k * step.total_seconds() for k in range(n)])
        series = []
        for pod in range(5 if asked.arm == "stable" else 1):
            rng = np.random.default_rng([pod, asked.part == "totals"])
            noise = rng.gamma(1 / self.burst**2, self.burst**2, n) if self.burst and asked.part == "events" else 1.0
            grown = np.cumsum(rng.poisson((300 if asked.part == "totals" else 4) * noise, n)).astype(float)
            grown[n // 2 :] -= grown[n // 2]  # every pod restarts once
            series.append(Series({"pod": f"{asked.arm}-{pod}"}, times, array("d", grown.tolist())))
        return Frame(tuple(series), start, end, step, step)

    def close(self) -> None:
        return None


@pytest.mark.parametrize(("burst", "low", "high"), [(0.0, 1.0, 1.3), (1.0, 2.5, 12.0)])
def test_a_look_back_of_counters(burst: float, low: float, high: float) -> None:
    spec = spec_of(COUNTS)
    found = look_back(Made(burst), "errors", spec, timedelta(hours=6), END)
    assert found.sufficient
    assert found.points >= 700  # the restart costs nothing but its own interval
    assert low <= found.dispersion <= high
    assert found.baseline == pytest.approx(4 / 300, rel=0.1)
    assert found.placebo_false_alarm is not None
    assert found.placebo_false_alarm <= 0.1
    assert found.traffic is not None  # of five processes, and one canary beside them
    assert (found.traffic.events, found.traffic.total) == pytest.approx((5 * 4, 5 * 300), rel=0.1)
    assert found.traffic.canary_share == pytest.approx(1 / 6)


async def test_the_seam() -> None:
    spec = spec_of({**COUNTS, "lookback": "2h"})
    history = Made()
    calibrator = Calibrator(history, lambda: END)
    found = await calibrator("errors", spec)
    assert found is not None
    assert found.points >= 238  # an interval may be lost to the restarts
    assert ("stable", timedelta(hours=2)) in history.asked
    assert await calibrator("errors", spec) == found  # the same history, the same answer
    calibrator.pool.close()


async def test_equal_questions_are_learnt_about_once() -> None:
    """Of twenty comparisons that begin together and ask the same; not of another metric, lookback or limit."""
    spec, later = spec_of(COUNTS), END
    history = Made()
    calibrator = Calibrator(history, lambda: later)
    found = await asyncio.gather(*(calibrator("errors", spec_of(COUNTS)) for _ in range(20)))
    assert found == [found[0]] * 20
    once = len(history.asked)
    assert once == 3  # events and totals of stable, and once the canary, for its pods
    later = END + timedelta(seconds=20)
    assert await calibrator("errors", spec) is found[0]
    assert len(history.asked) == once
    for other in ({"lookback": "3h"}, {"alpha": 0.01}, {"margin": {"relative": 0.2}}):
        before = len(history.asked)
        await calibrator("errors", spec_of({**COUNTS, **other}))
        assert len(history.asked) == before + once
    later = END + timedelta(seconds=31)  # the canary may have grown
    before = len(history.asked)
    await calibrator("errors", spec)
    assert len(history.asked) == before + once
    calibrator.pool.close()


class Slow:
    """A history that answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.asked: list[str] = []

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        self.asked.append(asked.metric)
        self.let.wait(10)
        raise NoData("nothing")

    def close(self) -> None:
        return None


async def test_nobody_waits_for_ever_and_a_turn_that_is_not_wanted_goes_to_the_next() -> None:
    told: list[str] = []
    history = Slow()
    calibrator = Calibrator(history, lambda: END, told=told.append, patience=timedelta(seconds=0.05))
    first = asyncio.ensure_future(calibrator("first", spec_of(COUNTS)))
    await asyncio.sleep(0)
    assert await calibrator("second", spec_of(COUNTS)) is None
    assert await first is None
    assert told == [f"{name}: uncalibrated: the look-back was not done in 0.05 s" for name in ("first", "second")]
    await asyncio.sleep(0.01)  # the place in the queue is given up in the loop's next turns
    history.let.set()
    calibrator.patience = timedelta(seconds=10)
    assert await calibrator("third", spec_of(COUNTS)) is None
    assert "second" not in history.asked
    calibrator.pool.close()


@pytest.mark.parametrize(
    ("longest", "seconds"),
    [("20m", 300), ("24h", 300), ("8m", 120), ("2m", 30), ("30s", 15), ("5s", 15), (None, 300)],
)
def test_how_long_a_look_back_is_waited_for(longest: str | None, seconds: float) -> None:
    """A quarter of the run, in which nothing could have passed anyway, and five minutes at most."""
    settings = {"until": "terminated"} if longest is None else {}
    written = {**COUNTS, "maxDuration": longest, **settings}
    spec = spec_of({key: value for key, value in written.items() if value is not None})
    calibrator = Calibrator(Made(), lambda: END)
    assert calibrator._patience(spec).total_seconds() == seconds
    calibrator.pool.close()


async def test_one_that_gives_up_leaves_the_others_waiting() -> None:
    history = Slow()
    calibrator = Calibrator(history, lambda: END)
    one, other = (asyncio.ensure_future(calibrator("errors", spec_of(COUNTS))) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait({one})
    history.let.set()
    assert await other is None
    assert history.asked == ["errors"]
    calibrator.pool.close()


async def test_at_the_end_what_waits_is_let_go_and_nobody_hears_of_it() -> None:
    """One is under way and one waits for its turn: neither asks any more, and neither leaves an error behind."""
    history, unheard = Slow(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    calibrator = Calibrator(history, lambda: END)
    waiting = [asyncio.ensure_future(calibrator(name, spec_of(COUNTS))) for name in ("first", "second")]
    while not history.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    calibrator.close()
    await asyncio.wait(waiting)
    history.let.set()
    assert all(one.cancelled() for one in waiting)
    del waiting
    gc.collect()  # what nobody asked for is told of when it goes
    assert (history.asked, unheard) == (["first"], [])


class Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        raise self.error

    def close(self) -> None:
        return None


@pytest.mark.parametrize("error", [Unreachable("down"), NoData("the provider web keeps no history")])
async def test_without_history_it_says_why_and_goes_on(error: Exception) -> None:
    spec = spec_of(COUNTS)
    told: list[str] = []
    calibrator = Calibrator(Broken(error), lambda: END, told=told.append)
    assert await calibrator("errors", spec) is None
    assert told == [f"errors: uncalibrated: {error}"]
    calibrator.pool.close()


@pytest.mark.parametrize(
    "written",
    [
        {**COUNTS, "lookback": "0s"},
        {**COUNTS, "test": "fisher-exact"},  # looks once: nothing to calibrate
        {key: value for key, value in COUNTS.items() if key not in ("margin",)}
        | {"arms": {"canary": {"h": "c"}}, "objective": 0.01},
    ],
)
async def test_where_there_is_nothing_to_learn(written: dict[str, Any]) -> None:
    spec = spec_of(written)
    history = Made()
    calibrator = Calibrator(history, lambda: END)
    assert await calibrator("errors", spec) is None
    assert history.asked == []
    calibrator.pool.close()


async def test_the_loop_is_not_held() -> None:
    """Six hours of five pods are learnt from in a thread; meanwhile the loop turns, as often as it likes."""
    spec = spec_of(COUNTS)
    calibrator = Calibrator(Made(), lambda: END)
    await calibrator("errors", spec)  # what is imported is imported once
    work, turns = asyncio.ensure_future(calibrator("others", spec)), 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 10
    calibrator.pool.close()


@pytest.mark.requires("prometheus", "promtool")
def test_a_real_prometheus(series: Path, run_prometheus: Callable[..., Any], tmp_path: Path) -> None:
    """Two pods that count 60 and 120 a minute: their share of themselves never varies."""
    written = {
        **COUNTS,
        "counts": {
            "events": {"prometheus": {"query": 'sum by (pod) (requests_total{code="200", pod!="{{arm.h}}"}) * 0.1'}},
            "totals": {"prometheus": {"query": 'sum by (pod) (requests_total{pod!="{{arm.h}}"})'}},
        },
    }
    spec = parse(written, timedelta(minutes=1))
    shutil.copytree(series / "data", tmp_path / "data", ignore=shutil.ignore_patterns("lock", "queries.active"))
    prometheus = run_prometheus()
    end = datetime(2024, 1, 1, 1, 50, tzinfo=UTC)
    found = look_back(PrometheusHistory(prometheus.address), "errors", spec, timedelta(minutes=100), end)
    assert found.points == 100
    assert found.baseline == pytest.approx(0.1)
    assert found.placebo_false_alarm == 0.0
