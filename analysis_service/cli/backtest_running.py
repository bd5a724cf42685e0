"""What `tidegate backtest` does: the history is opened, the range is read, the work is done under a progress bar."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click
from msgspec.structs import replace

from analysis_service.cli.documents import File
from analysis_service.cli.resolved import compose
from analysis_service.core.compare.spec import LOOKBACK, comparison_of, parse
from analysis_service.core.model import Argument, RunSpec
from analysis_service.core.prepare import prepare
from analysis_service.core.secret_arguments import needed, with_secrets
from analysis_service.core.timing import format_duration, parse_duration
from analysis_service.history.backtest import Tally, backtest
from analysis_service.history.base import Asked, Frame, History
from analysis_service.history.calibrating import Calibrator
from analysis_service.history.recording import RecordingHistory
from analysis_service.history.replay import Replayed, begins, ends, questions, replay, without_secrets
from analysis_service.history.season import reach_of
from analysis_service.telemetry import configure_logging
from providers.base import NoData, ProviderError

T = TypeVar("T")


class CannotBacktest(click.ClickException):
    exit_code = 2


class NoHistory(click.ClickException):
    """The history could not be had."""

    exit_code = 20


@dataclass(frozen=True, slots=True)
class Asking:
    files: tuple[File, ...]
    args: tuple[Argument, ...]
    data: tuple[Path, ...]
    recording: Path | None
    prometheus: str
    start: str
    end: str
    step: float
    strict: bool
    runs: int
    quiet: bool


def run_once(asking: Asking) -> Replayed:
    """One run over the data. Raises click exceptions."""

    async def work(history: History, spec: RunSpec, start: datetime, end: datetime, earliest: datetime) -> Replayed:
        frames: dict[str, Frame] = {}
        asked = questions(spec)
        recording = history if isinstance(history, RecordingHistory) else None
        if recording is not None and not asking.start:
            start = begins(asked, start)
        for question in asked:
            every = question.every or timedelta(minutes=1)
            try:
                frames[question.key] = history.range(question.asked, start, end, every)
            except NoData:
                if not question.optional:
                    raise
        if recording is not None and not asking.end:
            end = ends(frames.values(), end)
        back = _Bounded(history, earliest)
        clock = {"at": start}
        calibrator = Calibrator(back, lambda: clock["at"])
        # what a recorded run knew was recorded with it
        known = recording.calibrate if recording is not None and not asking.start else calibrator
        try:
            return await replay(spec, frames, start, end, calibrate=known)
        finally:
            calibrator.pool.close()

    return _worked(asking, work)


def run_placebos(asking: Asking, factors: Sequence[float]) -> list[Tally]:
    """Tallies of all metrics and factors. Raises click exceptions."""
    from analysis_service.cli.backtest_progress import bar

    async def work(history: History, spec: RunSpec, start: datetime, end: datetime, earliest: datetime) -> list[Tally]:
        with bar("windows", quiet=asking.quiet) as progress:
            return await backtest(history, spec, start, end, factors, most_runs=asking.runs, progress=progress)

    return _worked(asking, work)


def _worked(asking: Asking, work: Callable[[History, RunSpec, datetime, datetime, datetime], Awaitable[T]]) -> T:
    configure_logging("error")
    spec = compose(asking.files, asking.args, strict=asking.strict).spec
    try:
        spec = asyncio.run(_with_secrets(spec)) if asking.prometheus else without_secrets(spec)
        if asking.step:
            every = format_duration(timedelta(seconds=asking.step))
            spec = replace(spec, metrics=tuple(replace(metric, interval=every) for metric in spec.metrics))
        history, first, last = _history(asking)
        end = _time(asking.end, "--end", last) if asking.end else last
        start = _time(asking.start, "--start", end) if asking.start else first
        if start is None:
            raise click.UsageError("--prometheus needs --start: a time, or how long before the end, as 24h")
        if not start < end:
            raise click.UsageError(f"--start ({start.isoformat()}) is not before --end ({end.isoformat()})")
        return asyncio.run(_awaited(work(history, spec, start, end, first or start - _reach(spec))))
    except NoData as error:
        raise CannotBacktest(str(error)) from None
    except ProviderError as error:
        raise (NoHistory if error.retryable else CannotBacktest)(str(error)) from None


def _reach(spec: RunSpec) -> timedelta:
    """How far before its start a run reads."""
    found = [LOOKBACK]
    for ready in prepare(spec).metrics:
        written = comparison_of(ready.metric.provider)
        if written is not None:
            found.append(reach_of(parse(written, ready.interval)))
    return max(found)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def _history(asking: Asking) -> tuple[History, datetime | None, datetime]:
    """(the history, its first time if it has one, its last)."""
    sources = [bool(asking.data), asking.recording is not None, bool(asking.prometheus)]
    if sum(sources) != 1:
        raise click.UsageError("Where are the past data? Give exactly one of --data, --recording, --prometheus.")
    if asking.prometheus:
        from analysis_service.history.prometheus import PrometheusHistory

        return PrometheusHistory(asking.prometheus, env=os.environ), None, datetime.now(UTC)
    if asking.recording is not None:
        recording = RecordingHistory(asking.recording)
        return recording, *_span(recording.span)
    from analysis_service.history.files import FileHistory

    files = FileHistory(asking.data)
    return files, *_span(files.span)


def _span(span: tuple[float, float]) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(span[0], UTC), datetime.fromtimestamp(span[1], UTC)


def _time(text: str, option: str, end: datetime) -> datetime:
    """A time, or a duration before `end`."""
    try:
        return end - parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; want 2026-01-02T03:04:05Z, or how long before the end, as 24h", param_hint=option
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


async def _with_secrets(spec: RunSpec) -> RunSpec:
    """Real secrets, for a server that wants them: from the environment, as `tidegate check` reads them."""
    from analysis_service.secrets import EnvironmentSecrets, SecretError, Secrets

    secrets = Secrets([EnvironmentSecrets(os.environ)])
    found: dict[str, Mapping[str, str]] = {}
    for name in needed(spec.args, strict=spec.strict):
        try:
            found[name] = await secrets.read("default", name)
        except SecretError as error:
            raise CannotBacktest(str(error)) from None
    args, _ = with_secrets(spec.args, found, strict=spec.strict)
    return replace(spec, args=tuple(replace(argument, value_from=None) for argument in args))


@dataclass(frozen=True, slots=True)
class _Bounded:
    """A look-back reaches no further than the data."""

    history: History
    earliest: datetime

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        if end < self.earliest:
            raise NoData(f"the data begin at {self.earliest.isoformat()}")
        return self.history.range(asked, max(start, self.earliest), end, step)

    def close(self) -> None:
        self.history.close()
