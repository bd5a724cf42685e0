"""The gate behind `tidegate check`: the same run, the same sentences, with or without a service."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace as copy
from typing import Protocol

from msgspec.structs import replace

from analysis_service.cli.documents import BadDocuments, refuse_bad_documents
from analysis_service.cli.gate_request import NOTHING, CannotRun, Request
from analysis_service.cli.outcome import Outcome, Policies, outcome_of
from analysis_service.cli.progress import Progress
from analysis_service.cli.report import NOWHERE, Origin, Report, judged
from analysis_service.core.model import Look, Run
from analysis_service.core.prepare import prepare
from analysis_service.core.reason import progress
from analysis_service.core.template import read_all

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NAMED = 5  # templates, and undecided metrics, that a sentence names


class Interrupted(BaseException):
    """A signal asked the gate to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Driver(Protocol):
    """What runs the templates: the engine inside this process, or a service."""

    def states(self) -> Iterator[Run]:
        """The run's states, newest last; ends with the verdict, or when time is up. Raises CannotRun."""
        ...

    def end(self) -> str:
        """Nobody waits any more: end the run. Returns what became of it, "" if that is nothing worth saying."""
        ...

    def left(self) -> str:
        """Time is up: what becomes of the run, "" if it is gone."""
        ...

    def looks(self, run: Run) -> Mapping[str, Sequence[Look]]:
        """The looks of the finished run's comparisons, by metric, as far as they can be had. Never raises."""
        ...


def run(request: Request, show: Progress) -> tuple[Report, str]:
    """(the report, what else to say on standard error). Runs to the verdict; a signal ends the run too."""
    try:
        refuse_bad_documents(request.files, strict=request.strict, gate=True)
    except BadDocuments as error:
        nothing = replace(request.nothing(), reason=error.short)
        return judged(nothing, Outcome.BAD_SPEC, request.policies, Origin(file=request.source)), error.message
    return follow(
        _driver(request), show, request.policies, request.timeout_seconds, request.nothing(), _origin(request)
    )


def follow(
    driver: Driver,
    show: Progress,
    policies: Policies,
    timeout_seconds: float,
    last: Run = NOTHING,
    origin: Origin = NOWHERE,
) -> tuple[Report, str]:
    """Follow a run to its verdict, a signal, or the end of the time there is.

    last: what to report where there is no run.
    """

    def without(outcome: Outcome, reason: str) -> Report:
        return judged(replace(last, reason=reason), outcome, policies, origin)

    try:
        with _signals(), show:
            for last in driver.states():
                show.update(last)
    except CannotRun as error:
        said = str(error).splitlines()
        return without(error.outcome, "; ".join(said)), "\n".join(said) if len(said) > 1 else ""
    except Interrupted as stop:
        name = signal.Signals(stop.number).name
        interrupted = without(Outcome.INTERRUPTED, f"ended by {name} before there was a verdict")
        return copy(interrupted, exit_code=128 + stop.number), driver.end()
    seen = outcome_of(last)
    if seen is Outcome.TIMED_OUT:
        return without(seen, f"no verdict within {timeout_seconds:g} s; {_progress(last)}"), driver.left()
    return copy(judged(last, seen, policies, origin), looks=driver.looks(last)), ""


def _origin(request: Request) -> Origin:
    """The templates' names, and where each metric stands."""
    names = [name for name, _ in request.stored]
    places: dict[str, tuple[str, int]] = {}
    for file, data in request.files:
        for parsed in read_all(data, skip_foreign=True):
            names.append(parsed.template.name)
            for index, metric in enumerate(parsed.template.metrics):
                places[metric.name] = (file, parsed.source.locate(f"spec.metrics[{index}].name").line)
    names = [name for name in dict.fromkeys(names) if name]
    several = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return Origin(several if len(names) > 1 and not request.name else "", request.source, places)


def _driver(request: Request) -> Driver:
    if request.server:
        from analysis_service.cli.gate_remote import Remote

        return Remote(request)
    from analysis_service.cli.gate_local import Local

    return Local(request)


def _progress(run: Run) -> str:
    """How far the undecided metrics are."""
    if not run.id:
        return "the run was not created"
    ready = {metric.name: metric for metric in prepare(run.spec).metrics}
    open_ = [progress(ready[r.name], r) for r in run.results if not r.phase.done and r.name in ready]
    more = f"; and {len(open_) - _NAMED} more metrics" if len(open_) > _NAMED else ""
    return "; ".join(open_[:_NAMED]) + more or f"the run is {run.phase.value or 'Pending'}"


@contextmanager
def _signals() -> Iterator[None]:
    """The first signal raises Interrupted; the next one ends the process as it always does."""

    def interrupt(number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        if all(signal.getsignal(number) is interrupt for number in _SIGNALS):
            for number, handler in before.items():
                signal.signal(number, handler)
