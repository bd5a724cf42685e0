"""The gate without a service: an engine of its own, in memory, for one run. Same core, same sentences."""

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import click

from analysis_service.api.convert import run_name
from analysis_service.api.creation import CreateRun
from analysis_service.api.errors import ApiError
from analysis_service.cli.documents import joined
from analysis_service.cli.gate_request import CannotRun, Request
from analysis_service.cli.outcome import Outcome
from analysis_service.cli.report import compared
from analysis_service.cli.show import CannotWrite
from analysis_service.config import ARGO_VARIABLES, ConfigError, Settings
from analysis_service.core.model import Look, Run
from analysis_service.main import Parts, StartError, compose
from analysis_service.stores.base import StoreError
from analysis_service.telemetry import configure_logging
from providers.base import Provider

_CALLERS_MOVE = frozenset(
    {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"}
)
_DRAIN_SECONDS = 1.0
_PAGE = 500
Load = Callable[[str], Provider]
Looks = dict[str, list[Look]]
Seen = queue.SimpleQueue[Run | Looks | BaseException | None]
"""States of the run, then the looks of its comparisons; or what went wrong; at the end None."""
_VARIABLES = frozenset(
    f"TIDEGATE_{name}"
    for name in (
        "STRICT",
        "ALLOW_PRIVATE_ADDRESSES",
        "ALLOW_LOOPBACK_ADDRESSES",
        "SECRETS_DIRECTORY",
        "CONTROLLER_NAMESPACE",
        "MAX_QUESTIONS_IN_FLIGHT",
    )
)
WHERE_SECRETS_ARE = (
    "secrets come from the environment, as TIDEGATE_SECRET_<NAME>__<KEY>, "
    "or from files NAME/KEY below TIDEGATE_SECRETS_DIRECTORY"
)


class Local:
    """The engine's loop has a thread of its own, so that whoever reads the states may take its time.

    The thread ends with the process: nothing outlives the command.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._looks: Looks = {}

    def states(self) -> Iterator[Run]:
        seen: Seen = queue.SimpleQueue()
        threading.Thread(target=_work, args=(self._request, seen), daemon=True).start()
        while (state := seen.get()) is not None:
            if isinstance(state, ApiError):
                raise cannot_run(state)
            if isinstance(state, StartError):
                raise CannotRun(Outcome.BAD_SPEC, str(state))
            if isinstance(state, BaseException):
                raise state
            if isinstance(state, dict):
                self._looks = state
            else:
                yield state

    def end(self) -> str:
        return ""

    def left(self) -> str:
        return ""

    def looks(self, run: Run) -> Looks:
        return self._looks


def cannot_run(error: ApiError) -> CannotRun:
    """Every violated field, as the service would say it."""
    if error.code not in _CALLERS_MOVE:
        return CannotRun(Outcome.ERROR, error.message)
    lines = [f"{v.field}: {v.description}" if v.field else v.description for v in error.violations]
    if error.reason == "SECRET_NOT_FOUND":
        lines.append(WHERE_SECRETS_ARE)
    return CannotRun(Outcome.BAD_SPEC, "\n".join(lines) or error.message)


def settings(strict: bool, prometheus: str) -> Settings:
    """What concerns a question, from the environment; where a service listens and keeps its runs does not."""
    known = {name: value for name, value in os.environ.items() if name in ARGO_VARIABLES or name in _VARIABLES}
    if prometheus:
        known["ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"] = prometheus
    try:
        return Settings.from_environment(known, store="memory:", strict=strict or None)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _work(request: Request, seen: Seen) -> None:
    try:
        asyncio.run(_drive(request, seen))
    except BaseException as error:  # carried to the reader, which raises it
        seen.put(error)
    finally:
        seen.put(None)


async def _drive(request: Request, seen: Seen) -> None:
    configure_logging("error")
    with ExitStack() as recording:
        record = _recorder(request, recording)  # a file that cannot be written is known before anything is asked
        parts = await compose(settings(request.strict, request.prometheus))
        if record is not None:
            record(parts)
        await _run(parts, request, seen)


def _recorder(request: Request, recording: ExitStack) -> Callable[[Parts], None] | None:
    """What makes providers write down their answers, and comparisons what they learn; None if nobody asked for that."""
    if request.record is None:
        return None
    from analysis_service.history.recording import Recorder, learning, recorded

    try:
        file = recording.enter_context(request.record.open("w", encoding="utf-8"))
    except OSError as error:
        raise CannotWrite(f"{request.record} cannot be written: {error.strerror or error}") from None
    recorder = Recorder(file)

    def record(parts: Parts) -> None:
        settling = parts.engine.measurer.comparer.settling
        parts.asker.load = recorded(parts.asker.load, recorder)
        settling.calibrate = learning(parts.calibrator, recorder, parts.clock.wall)

    return record


async def _run(parts: Parts, request: Request, seen: Seen) -> None:
    engine = asyncio.create_task(parts.engine.serve())
    feeding = asyncio.create_task(parts.runs.feed.run())
    following = asyncio.create_task(_follow(parts, request, seen))
    try:
        done, _ = await asyncio.wait(
            {following, engine}, timeout=request.timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:  # nothing done: time is up
            task.result()
    finally:
        await parts.engine.drain(_DRAIN_SECONDS)
        for task in (following, engine, feeding):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        await parts.close()


async def _follow(parts: Parts, request: Request, seen: Seen) -> None:
    record = await parts.runs.create(
        CreateRun(
            namespace=request.namespace,
            run_name=request.name,
            inline_text=joined(request.files),
            args=request.args,
            strict=request.strict,
            policies=request.policies.chosen(),
            refuse_endless=True,
            dry_run_metrics=request.dry_run,
        )
    )
    async for state in parts.runs.watch("", "", "", run_name(record.run.namespace, record.run.id)):
        if state.record is not None:
            seen.put(state.record.run)
            if state.record.run.phase.done:
                seen.put(await _looks(parts, state.record.run))


async def _looks(parts: Parts, run: Run) -> Looks:
    """All looks of its comparisons: this store ends with the process. A run that is gone already has none."""
    found: Looks = {}
    with suppress(StoreError):
        for name, ordinal in compared(run).items():
            after, some = "", list[Look]()
            while True:
                page = await parts.runs.store.list_looks(run.id, name, ordinal, _PAGE, after)
                some += page.items
                after = page.next_key
                if not after:
                    break
            found[name] = some
    return found
