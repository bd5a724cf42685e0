"""Progress on standard error: a live table on a terminal, one line per change in a pipe."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import click

from analysis_service.cli.formats.text import COLORS, MARKS, UNDECIDED
from analysis_service.cli.report import latest_value, measured, tally, title, why
from analysis_service.cli.show import MAX_CELL, colored, one_line
from analysis_service.core.digits import shorten
from analysis_service.core.model import Measurement, MetricResult, Run

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_MAX_LINE = 400
_MAX_LAST = 160
_MAX_ROWS = 40  # of the live table: a terminal has no more


class Progress(Protocol):
    def __enter__(self) -> Any: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def update(self, run: Run) -> None: ...


def progress(*, quiet: bool, no_color: bool) -> Progress:
    if quiet or sys.stderr is None:
        return Silent()
    return LiveTable(colored(sys.stderr, no_color)) if sys.stderr.isatty() else Lines()


class Silent:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, run: Run) -> None:
        return None


class Lines(Silent):
    """One line per finished measurement and per verdict of a metric; no cursor codes.

    A comparison is one measurement of many minutes: so also its forecast, its looks 1, 2, 4, 8, ..., and the first of
    looks in a row that could not be taken.
    """

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._decided: set[str] = set()
        self._next_look: dict[tuple[str, int], int] = {}
        self._forecast: set[tuple[str, int]] = set()
        self._failing: set[tuple[str, int]] = set()

    def update(self, run: Run) -> None:
        for result in run.results:
            said = self._said.get(result.name, 0)
            if result.measurements and not result.measurements[-1].phase.done:
                self._under_way(result.name, result.measurements[-1])
            for m in result.measurements:
                if m.phase.done and m.ordinal >= said:
                    parts = (result.name, shorten(m.value), measured(result.name, m))
                    line = "  ".join(one_line(part, _MAX_LINE) for part in parts if part)
                    click.echo(f"{MARKS.get(m.phase, UNDECIDED)} {line}", err=True)
                    self._said[result.name] = m.ordinal + 1
            if result.phase.done and result.name not in self._decided:
                self._decided.add(result.name)
                name = one_line(result.name, _MAX_LINE)
                click.echo(f"{MARKS.get(result.phase, UNDECIDED)} {name}: {result.phase.value}", err=True)

    def _under_way(self, name: str, m: Measurement) -> None:
        slot = (name, m.ordinal)
        forecast = m.metadata.get("forecast", "")
        if forecast and slot not in self._forecast:
            self._forecast.add(slot)
            said = forecast.removeprefix(f"{name}: ")
            click.echo(f"{UNDECIDED} {one_line(name, MAX_CELL)}  {one_line(said, _MAX_LINE)}", err=True)
        looks = int(m.metadata.get("looks", "0"))
        due = looks >= self._next_look.get(slot, 1)
        failing = m.missed > 0
        if looks and (due or (failing and slot not in self._failing)):
            news = measured(name, m).replace(forecast, "").rstrip() if forecast else measured(name, m)
            parts = (name, f"look {looks}", shorten(m.value), news)
            click.echo(f"{UNDECIDED} {'  '.join(one_line(part, _MAX_LINE) for part in parts if part)}", err=True)
            self._next_look[slot] = max(2 * looks, self._next_look.get(slot, 1)) if due else self._next_look[slot]
        (self._failing.add if failing else self._failing.discard)(slot)


class LiveTable:
    """The table of metrics, redrawn in place and gone in the end: the result says it all once more."""

    def __init__(self, color: bool) -> None:
        self._color = color
        self._live: Live | None = None

    def __enter__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, no_color=not self._color or None, highlight=False)
        self._live = Live(console=console, refresh_per_second=5, transient=True, redirect_stdout=False)
        self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, run: Run) -> None:
        if self._live is not None:
            self._live.update(_table(run))


def _table(run: Run) -> "Group":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(5):
        table.add_column(no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True)
    for result in run.results[:_MAX_ROWS]:
        color = COLORS.get(result.phase, "")
        table.add_row(
            Text(MARKS.get(result.phase, UNDECIDED), style=color),
            Text(one_line(result.name, MAX_CELL)),
            Text(result.phase.value or "Pending", style=color),
            Text(one_line(shorten(latest_value(result)), 24)),
            Text(tally(result)),
            Text(one_line(_last(result), _MAX_LAST)),
        )
    more = [Text(f"and {len(run.results) - _MAX_ROWS} more metrics")] if len(run.results) > _MAX_ROWS else []
    head = Text(f"{one_line(title(run), MAX_CELL)}  {run.phase.value or 'Pending'}")
    return Group(head, table, *more)


def _last(result: MetricResult) -> str:
    if not result.phase.done and result.measurements:
        return measured(result.name, result.measurements[-1])
    return why(result)
