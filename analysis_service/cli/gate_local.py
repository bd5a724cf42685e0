"""The gate without a service: an engine of its own, in memory, for one run. Same core, same sentences."""

import asyncio
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import click

from analysis_service.api.convert import arguments as from_messages
from analysis_service.api.convert import run_name
from analysis_service.api.creation import CreateRun
from analysis_service.api.errors import ApiError
from analysis_service.cli.client import arguments
from analysis_service.cli.documents import joined
from analysis_service.cli.gate import Request
from analysis_service.config import Settings
from analysis_service.core.model import Run
from analysis_service.main import Parts, compose
from analysis_service.telemetry import configure_logging


def states(request: Request) -> Iterator[Run]:
    """The run's states, newest last. A signal ends the command with 128 + its number; nothing outlives it.

    The engine's loop has a thread of its own, so that whoever reads the states may take its time.
    """
    seen: queue.SimpleQueue[Run | BaseException | None] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()

    def work() -> None:
        try:
            loop.run_until_complete(_drive(request, seen))
        except BaseException as error:  # carried to the reader, which raises it
            seen.put(error)
        finally:
            loop.close()
            seen.put(None)

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
    threading.Thread(target=work, daemon=True).start()
    while (state := seen.get()) is not None:
        if isinstance(state, ApiError):
            raise click.UsageError("\n".join(f"{v.field}: {v.description}" for v in state.violations) or state.message)
        if isinstance(state, BaseException):
            raise state
        yield state


async def _drive(request: Request, seen: "queue.SimpleQueue[Run | BaseException | None]") -> None:
    configure_logging("error")
    environ = dict(os.environ)
    if request.prometheus:
        environ["ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"] = request.prometheus
    parts = await compose(Settings.from_environment(environ, store="memory:", strict=request.strict))
    engine = asyncio.create_task(parts.engine.serve())
    feeding = asyncio.create_task(parts.runs.feed.run())
    try:
        await asyncio.wait_for(_follow(parts, request, seen), request.timeout_seconds)
    except TimeoutError:
        return
    finally:
        await parts.engine.drain(1.0)
        for task in (engine, feeding):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await parts.close()


async def _follow(parts: Parts, request: Request, seen: "queue.SimpleQueue[Run | BaseException | None]") -> None:
    record = await parts.runs.create(
        CreateRun(
            namespace=request.namespace,
            run_name=request.name,
            inline_text=joined(request.files),
            args=from_messages(arguments(request.args)),
            strict=request.strict,
            policies=request.policies.chosen(),
            refuse_endless=True,
            dry_run_metrics=request.dry_run,
        )
    )
    async for state in parts.runs.watch("", "", "", run_name(record.run.namespace, record.run.id)):
        if state.record is not None:
            seen.put(state.record.run)
