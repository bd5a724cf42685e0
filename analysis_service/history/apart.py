"""Look-backs are learnt from, and forecasts made, in processes of their own: the loop never waits for the interpreter.

Learning is seconds of Python: in a thread it would hold up every look of every run, by the fifth of a second. Forecasts
are milliseconds, but thousands of them; a turn of the loop takes the interpreter several times over, and each time it
waits up to 5 ms for a thread that has it, longer where that thread waits for a core. A child is begun with the first
question and told one after the other; it ends when it is idle, and with its parent, whose end of the pipe it reads.
(Workers of concurrent.futures outlive a parent that is killed: each holds both ends of the queue it waits on.) Where no
child can be had the work is done in the thread that asks.
"""

import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import msgspec

from analysis_service.history.calibrating import Past, learn
from analysis_service.history.season import Days

if TYPE_CHECKING:
    from analysis_service.core.compare.state import Setup, State
    from analysis_service.core.statistics.outlook import Outlook
    from analysis_service.core.statistics.plan import Calibration

IDLE_SECONDS = 300.0  # after which a child gives its memory back
MOST_WORKERS = 4
NICENESS = 10  # the loop comes first, also where there is one core
_SIZE = struct.Struct("<Q")


def workers() -> int:
    """How many children are worth while: one core is the loop's."""
    return max(1, min((os.cpu_count() or 1) - 1, MOST_WORKERS))


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a forecast follows from: see `foresight.after`."""

    setup: "Setup"
    states: "tuple[State | None, ...]"
    known: "Outlook | None"


class Apart:
    """`learn` and `foresight.after` in a child: one for each thread that asks. Blocking.

    What they answer is the same as without.
    """

    def __init__(self, command: tuple[str, ...] = ()) -> None:
        self._command = command or _command()
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def __call__(self, past: Past | Days) -> "Calibration":
        from analysis_service.core.statistics.plan import Calibration

        answer = self._answer(past)
        if answer is not None:
            return msgspec.json.decode(answer, type=Calibration)
        # at the end nobody waits for what would be learnt, and everybody for the thread
        return Calibration() if self._closed else learn(past)

    def foresee(self, setup: "Setup", states: "Sequence[State | None]", known: "Outlook | None") -> "Outlook | None":
        from analysis_service.core.compare import foresight
        from analysis_service.core.statistics.outlook import Outlook

        answer = self._answer(Ahead(setup, tuple(states), known))
        if answer is not None:
            return msgspec.json.decode(answer, type=Outlook | None)
        return known if self._closed else foresight.after(setup, states, known)

    def close(self) -> None:
        """Ends the children, also those at work."""
        with self._lock:
            self._closed = True
            children = [*self._idle, *self._busy]
            self._idle.clear()
        for child in children:
            child.kill()
        for child in children:
            _end(child)

    def _answer(self, question: Past | Days | Ahead) -> bytes | None:
        """None where no child can be had."""
        asked = pickle.dumps(question, protocol=pickle.HIGHEST_PROTOCOL)
        for _ in range(2):  # a child that had gone idle ends while it is asked
            child = self._child()
            if child is None:
                return None
            answer = _ask(child, asked)
            self._back(child, alive=answer is not None)
            if answer is not None:
                return answer
        return None

    def _child(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:
            if self._closed:
                return None
            if self._idle:
                child = self._idle.pop()
            else:
                try:
                    child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 ourselves
                except OSError:
                    return None
            self._busy.add(child)
            return child

    def _back(self, child: "subprocess.Popen[bytes]", *, alive: bool) -> None:
        with self._lock:
            self._busy.discard(child)
            if alive and not self._closed:
                self._idle.append(child)
                return
        _end(child)


def _command() -> tuple[str, ...]:
    """A child with the very modules that we have, and with none from a folder that we merely happen to be in."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from analysis_service.history import apart; apart.child()"
    return sys.executable, "-P", "-c", code


def _ask(child: "subprocess.Popen[bytes]", question: bytes) -> bytes | None:
    """None where the child has ended before it had answered."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        _write(child.stdin, question)
        return _read(child.stdout)
    except (OSError, ValueError):  # the pipe is closed, there or here
        return None


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was still to be written has nobody to read it
                pipe.close()


def _write(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(_SIZE.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def _read(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    size = _SIZE.unpack(head)[0]
    message = pipe.read(size)
    return message if len(message) == size else None


def child() -> None:
    """Answer what comes in until nothing does. What is printed goes to standard error: the answers are on the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent's to end: both hear of Ctrl-C
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        while selector.select(IDLE_SECONDS):
            question = _read(asked)
            if question is None:
                return
            _write(answers, msgspec.json.encode(_found(pickle.loads(question))))  # noqa: S301 from our parent


def _found(question: Past | Days | Ahead) -> "Calibration | Outlook | None":
    if not isinstance(question, Ahead):
        return learn(question)
    from analysis_service.core.compare import foresight

    return foresight.after(question.setup, question.states, question.known)
