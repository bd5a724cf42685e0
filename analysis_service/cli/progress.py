"""Progress on standard error: a live table on a terminal, one line per change in a pipe."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import click

from analysis_service.cli.formats.text import MARKS
from analysis_service.cli.report import latest_value, plain, tally
from analysis_service.core.model import MetricResult, Run

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table


class Progress(Protocol):
    def __enter__(self) -> Any: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def update(self, run: Run) -> None: ...


def progress(*, quiet: bool, color: bool) -> Progress:
    if quiet:
        return Silent()
    return LiveTable(color) if sys.stderr.isatty() else Lines()


class Silent:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, run: Run) -> None:
        return None


class Lines(Silent):
    """One line per finished measurement and per verdict; no cursor codes."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}
        self._phases: dict[str, str] = {}

    def update(self, run: Run) -> None:
        for result in run.results:
            said = self._said.get(result.name, 0)
            for m in result.measurements:
                if m.done and m.ordinal >= said:
                    mark = MARKS.get(m.phase, "◌")
                    click.echo(f"{mark} {plain(m.reason or m.message or result.name)}", err=True)
                    self._said[result.name] = m.ordinal + 1
            if result.phase.done and self._phases.get(result.name) != result.phase:
                click.echo(f"{MARKS.get(result.phase, '◌')} {plain(result.name)}: {result.phase.value}", err=True)
            self._phases[result.name] = result.phase


class LiveTable:
    """The table of metrics, redrawn in place."""

    def __init__(self, color: bool) -> None:
        self._color = color
        self._live: Live | None = None

    def __enter__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, no_color=not self._color or None, highlight=False)
        self._live = Live(console=console, refresh_per_second=5, transient=True)
        self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, run: Run) -> None:
        if self._live is not None:
            self._live.update(_table(run))


_STYLES = {"Successful": "green", "Failed": "red", "Error": "yellow", "Inconclusive": "magenta"}


def _table(run: Run) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(plain(f"{run.name or run.id}  {run.phase.value or 'Pending'}")), title_justify="left", box=None
    )
    for heading in ("", "metric", "phase", "value", "measurements", "last"):
        table.add_column(heading, overflow="fold")
    for result in run.results:
        phase = result.phase.value or "Pending"
        style = _STYLES.get(phase, "")
        table.add_row(
            Text(MARKS.get(result.phase, "◌"), style=style),
            Text(plain(result.name)),
            Text(phase, style=style),
            Text(plain(latest_value(result))[:40]),
            Text(tally(result)),
            Text(plain(_last(result))[:160]),
        )
    return table


def _last(result: MetricResult) -> str:
    if result.reason:
        return result.reason
    last = result.measurements[-1] if result.measurements else None
    return (last.reason or last.message) if last is not None else ""
