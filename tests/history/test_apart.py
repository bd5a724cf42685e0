"""Learning and foreseeing in a process of its own: the same answer, and none of its troubles is anybody else's."""

import asyncio
import math
import os
import signal
import sys
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis_service.core.compare import foresight, state
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.statistics.looks import Counts, Look
from analysis_service.core.statistics.plan import Calibration
from analysis_service.history import apart
from analysis_service.history.base import Frame, Series
from analysis_service.history.calibrating import Past, learn
from analysis_service.history.pool import Turns

END = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def past() -> Past:
    """Two hours of three pods' gauges that wander."""
    written = {
        "arms": {"canary": {"h": "c"}, "stable": {"h": "s"}},
        "gauge": {"prometheus": {"query": 'level{h="{{arm.h}}"}'}},
        "margin": {"relative": 0.1},
        "maxDuration": "20m",
    }
    start = END - timedelta(hours=2)
    times = array("d", [start.timestamp() + 60 * k for k in range(121)])
    series = tuple(
        Series({"pod": f"p{pod}"}, times, array("d", [100 + 3 * math.sin((pod + 1) * k * k) for k in range(121)]))
        for pod in range(3)
    )
    frame = Frame(series, start, END, MINUTE, MINUTE)
    return Past(parse(written, MINUTE), {"level": frame}, frozenset({"c0"}), start, END)


@pytest.fixture
def children() -> Iterator[apart.Apart]:
    made = apart.Apart()
    yield made
    made.close()


def pids(children: apart.Apart) -> list[int]:
    return [child.pid for child in (*children._idle, *children._busy)]


def gone(pid: int) -> bool:
    """Within ten seconds. A process that nobody has waited for is gone, too."""
    for _ in range(1000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_a_child_learns_the_same_and_is_used_again(children: apart.Apart, past: Past) -> None:
    expected = learn(past)
    assert expected.sufficient
    assert children(past) == expected
    (child,) = pids(children)
    assert children(past) == expected
    assert pids(children) == [child]
    children.close()
    assert gone(child)
    assert children(past) == Calibration()  # nobody waits for it any more
    assert pids(children) == []


@pytest.fixture(scope="module")
def ahead() -> apart.Ahead:
    """Four looks of counts, the first of them considered already."""
    query = {"prometheus": {"query": 'n{h="{{arm.h}}"}'}}
    written = {
        "arms": {"canary": {"h": "c"}, "stable": {"h": "s"}},
        "counts": {"events": query, "totals": query},
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
    }
    spec = parse(written, MINUTE)
    setup = state.Setup("errors", spec, plan_of(spec, 1.0))
    now, states = state.begin(setup), []
    for number in range(1, 5):
        now, _ = state.step(setup, now, Look(number, END, Counts(2.0 + number, 300.0), Counts(20.0, 2700.0)))
        states.append(now)
    return apart.Ahead(setup, tuple(states[1:]), foresight.foresee(setup, states[0]))


def test_a_child_foresees_the_same(children: apart.Apart, ahead: apart.Ahead) -> None:
    expected = foresight.after(ahead.setup, ahead.states, ahead.known)
    assert expected is not None
    assert expected.points == 3
    assert children.foresee(ahead.setup, ahead.states, ahead.known) == expected
    assert children.foresee(ahead.setup, (None,), None) is None  # without history
    (child,) = pids(children)
    os.kill(child, signal.SIGKILL)
    assert gone(child)
    assert children.foresee(ahead.setup, ahead.states, ahead.known) == expected
    children.close()
    assert children.foresee(ahead.setup, ahead.states, ahead.known) == ahead.known
    assert pids(children) == []


def test_work_that_is_under_way_at_the_end_holds_up_nobody(past: Past) -> None:
    slow = (sys.executable, "-c", "import time; time.sleep(60)")
    children = apart.Apart(slow)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(children, past)
        while not pids(children):
            time.sleep(0.01)
        children.close()
        assert asked.result(10) == Calibration()


def test_a_child_that_is_killed_is_replaced(children: apart.Apart, past: Past) -> None:
    expected = children(past)
    (child,) = pids(children)
    os.kill(child, signal.SIGKILL)
    assert gone(child)
    assert children(past) == expected
    assert pids(children) != [child]


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-c", "import sys; sys.stdin.buffer.read(8)"),  # ends at the first question
        (sys.executable, "-c", "print('x' * 4, end='')"),  # and this one has nothing to say
        ("/no/such/python",),
    ],
)
def test_where_no_child_can_be_had_it_is_done_here(command: tuple[str, ...], past: Past, ahead: apart.Ahead) -> None:
    children = apart.Apart(command)
    assert children(past) == learn(past)
    assert children.foresee(ahead.setup, ahead.states, ahead.known) == foresight.after(
        ahead.setup, ahead.states, ahead.known
    )
    assert pids(children) == []
    children.close()


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """Also where the parent is killed: nobody is left to close the pipe but the system."""
    code = (
        "import subprocess, sys, time\n"
        "from analysis_service.history import apart\n"
        "made = apart.Apart()\n"
        "child = made._child()\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", code])
    told = tmp_path / "pid"
    for _ in range(1000):
        if told.exists() and told.read_text():
            break
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert gone(int(told.read_text()))


async def test_short_work_goes_first_and_a_turn_that_is_given_up_is_not_lost() -> None:
    turns, done = Turns(1), list[str]()
    free = asyncio.Event()

    async def work(name: str, rank: int) -> None:
        async with turns.wait(rank):
            await free.wait()
            done.append(name)

    started = [("first", 1), ("long", 1), ("given up", 0), ("short", 0), ("longer", 1), ("short, too", 0)]
    tasks = {name: asyncio.create_task(work(name, rank)) for name, rank in started}
    await asyncio.sleep(0)
    tasks["given up"].cancel()
    await asyncio.sleep(0)
    free.set()
    await asyncio.wait(tasks.values(), timeout=5)
    assert done == ["first", "short", "short, too", "long", "longer"]
    # a turn that comes together with the cancellation goes on to the next
    free.clear()
    one, two, three = (asyncio.create_task(work(name, 0)) for name in ("a", "b", "c"))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0)
    two.cancel()
    free.set()
    await asyncio.wait({one, two, three}, timeout=5)
    assert done[-1] == "c"


def test_a_child_takes_nothing_from_the_folder_it_is_in(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("analysis_service", "numpy", "pickle"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    children = apart.Apart()
    assert children(past) == learn(past)
    assert len(pids(children)) == 1  # it answered itself
    children.close()
