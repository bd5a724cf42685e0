"""Analysis runs: create, read, watch, end, delete, and the one-shot check."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from analysis_service.api import convert
from analysis_service.api.creation import CreateRun, build_run, check_request, first_difference
from analysis_service.api.errors import ApiError, Violation, invalid_field
from analysis_service.api.filters import FilterError, parse_filter
from analysis_service.api.lanes import COME_BACK_SECONDS
from analysis_service.api.resources import Tokens, check_namespace, fitting, page_size, run_resource
from analysis_service.api.watching import Feed
from analysis_service.clock import Clock
from analysis_service.core.model import Look, Measurement, Metric, Run
from analysis_service.engine import Engine
from analysis_service.secrets import Secrets
from analysis_service.stores.base import NewRun, NotFound, RequestIdReused, RunFilter, RunRecord, Store
from analysis_service.v1 import analysis_pb2 as pb

CACHED_RUNS = 2048
CHANGES = 500
T = TypeVar("T")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing a watcher is told. record None: a bookmark, or a deletion (`deleted_id`)."""

    token: str
    record: RunRecord | None = None
    deleted_id: str = ""
    deleted_namespace: str = ""


@dataclass(slots=True)
class Runs:
    """strict: whether every run is strict. check_provider: what is wrong with a provider union, without asking it."""

    store: Store
    engine: Engine
    feed: Feed
    clock: Clock
    tokens: Tokens
    strict: bool
    max_live: int
    check_provider: Callable[[Mapping[str, Any]], list[str]]
    secrets: Secrets
    draining: bool = False
    _bytes: dict[str, tuple[Run, int, bool, bytes]] = field(default_factory=dict)

    async def create(self, request: CreateRun) -> RunRecord:
        """The run, new or the one that the same request id made before."""
        check_request(request)
        if request.request_id:
            known = await self.store.find_request(request.namespace, request.request_id)
            if known is not None and (record := await self._joined(request, *known)) is not None:
                return record
        if self.draining:
            raise ApiError("UNAVAILABLE", "DRAINING", "The service is shutting down; ask another replica.")
        if self.engine.live >= self.max_live:
            text = f"{self.engine.live} runs are live; limit {self.max_live}"
            raise ApiError("RESOURCE_EXHAUSTED", "OVERLOADED", text, retry_after_seconds=COME_BACK_SECONDS)
        now = self.clock.now()
        run, template = await build_run(
            request,
            self.store,
            now,
            strict=self.strict,
            check_provider=self.check_provider,
            secrets=self.secrets,
        )
        new = NewRun(
            run=run,
            due_at=now,
            request_id=request.request_id,
            body_digest=request.digest(),
            template=template,
            owner=self.engine.owner,
        )
        # Whole, whatever becomes of the caller: a stored run that the engine does not know would never be driven.
        return await _whole(self._store_and_adopt(request, new))

    async def _store_and_adopt(self, request: CreateRun, new: NewRun) -> RunRecord:
        try:
            record, made = await self.store.create_run(new, self.clock.now())
        except RequestIdReused as error:
            known = await self.store.find_request(request.namespace, request.request_id)
            if known is None:
                raise
            raise _reused(request, *known) from error
        if made:
            self.engine.adopt(record)
            _log.info("run created", run_id=record.run.id, namespace=record.run.namespace, run=record.run.name)
        return record

    async def _joined(self, request: CreateRun, run_id: str, body_digest: str) -> RunRecord | None:
        """The first request's run as it is now. None: it was deleted, and the store has to say what that means."""
        if body_digest != request.digest():
            raise _reused(request, run_id, body_digest)
        try:
            return await self.store.get_run(request.namespace, run_id)
        except NotFound:
            return None

    async def get(self, resource: str) -> RunRecord:
        namespace, run_id = run_resource(resource)
        held = self.engine.held(run_id)
        if held is not None and held.run.namespace == namespace:
            return held
        return await self.store.get_run(namespace, run_id)

    def get_bytes(self, resource: str) -> bytes | Awaitable[bytes]:
        """The serialized message, remembered per state: pollers ask for the same one again and again.

        At once for a run that this process drives; otherwise the store has to be asked.
        """
        namespace, run_id = run_resource(resource)
        held = self.engine.held(run_id)
        if held is not None and held.run.namespace == namespace:
            return self._serialized(held)
        return self._read(namespace, run_id)

    async def _read(self, namespace: str, run_id: str) -> bytes:
        return self._serialized(await self.store.get_run(namespace, run_id))

    def _serialized(self, record: RunRecord) -> bytes:
        run, version, ending = record.run, record.resource_version, record.terminate_requested
        known = self._bytes.get(run.id)
        if known is not None and known[0] is run and known[1] == version and known[2] == ending:
            return known[3]
        made = convert.run(record).SerializeToString()
        self._bytes[run.id] = (run, version, ending, made)
        if len(self._bytes) > CACHED_RUNS:
            del self._bytes[next(iter(self._bytes))]
        return made

    async def listing(
        self, namespace: str, text: str, size: int, token: str
    ) -> tuple[Sequence[pb.AnalysisRun], str, str]:
        """(page, next page token, resume token). A watch from the resume token has no gap."""
        where = _where(namespace, text)
        purpose = f"{namespace}:{text}"
        resume = await self.tokens.resume(purpose, (await self.store.info()).sequence)
        after = await self.tokens.after(f"runs:{purpose}", token)
        messages: dict[str, pb.AnalysisRun] = {}

        def weigh(record: RunRecord) -> int:
            made = messages[record.run.id] = convert.run(record)
            return int(made.ByteSize())

        page = await fitting(lambda limit: self.store.list_runs(where, limit, after), page_size(size), weigh)
        runs = [messages[record.run.id] for record in page.items]
        return runs, await self.tokens.page(f"runs:{purpose}", page.next_key), resume

    async def measurements(
        self, resource: str, metric: str, size: int, token: str
    ) -> tuple[tuple[Measurement, ...], str]:
        run = (await self.get(resource)).run
        _need_metric(run.spec.metrics, run.results, metric)
        purpose = f"measurements:{resource}:{metric}"
        after = await self.tokens.after(purpose, token)
        page = await fitting(
            lambda limit: self.store.list_measurements(run.id, metric, limit, after), page_size(size), _weight
        )
        return page.items, await self.tokens.page(purpose, page.next_key)

    async def looks(
        self, resource: str, metric: str, ordinal: int, size: int, token: str
    ) -> tuple[tuple[Look, ...], str]:
        run = (await self.get(resource)).run
        _need_metric(run.spec.metrics, run.results, metric)
        if ordinal < 0:
            raise invalid_field("ordinal", f"{ordinal} is negative; the first measurement is 0")
        purpose = f"looks:{resource}:{metric}:{ordinal}"
        after = await self.tokens.after(purpose, token)
        page = await fitting(
            lambda limit: self.store.list_looks(run.id, metric, ordinal, limit, after),
            page_size(size),
            lambda look: int(convert.look(look).ByteSize()),
        )
        return page.items, await self.tokens.page(purpose, page.next_key)

    async def terminate(self, resource: str) -> RunRecord:
        """Asks the run to end; a finished one is returned unchanged."""
        namespace, run_id = run_resource(resource)

        async def asked_and_told() -> RunRecord:
            record = await self.store.request_terminate(namespace, run_id, self.clock.now())
            if not record.run.phase.done:
                self.engine.terminate(run_id)
            return record

        return await _whole(asked_and_told())

    async def delete(self, resource: str) -> None:
        namespace, run_id = run_resource(resource)
        await self.store.delete_run(namespace, run_id, self.clock.now())

    async def check(self, request: CreateRun, wait_seconds: float) -> RunRecord:
        """Create and wait for the verdict; the run as it is when time is up, or when the service shuts down."""
        record = await self.create(request)
        resource = convert.run_name(record.run.namespace, record.run.id)
        try:
            async with asyncio.timeout(wait_seconds):
                async for seen in self.watch("", "", "", resource):
                    record = seen.record or record
        except TimeoutError:
            pass
        except ApiError as error:
            if error.reason != "DRAINING":
                raise
        return record

    async def watch(self, namespace: str, text: str, resume_token: str, resource: str) -> AsyncIterator[Seen]:
        """Changes in order. With a resource, that run alone: its present state first, its verdict (or end) last."""
        one = ""
        if resource:
            (namespace, one), text = run_resource(resource), ""
        where = _where(namespace, text)
        purpose = f"{namespace}:{text}"
        shown = (0, False)  # version and termination of the first state: up to here the feed has no news
        if resume_token:
            after = await self.tokens.resume_from(purpose, resume_token)
            if one and (ended := await self._ended_before(namespace, one, after)) is not None:
                yield Seen(resume_token, ended)
                return
        else:
            after = (await self.store.info()).sequence
            if one:
                # From the store: the engine learns of its own save a moment after the sequence shows it.
                record = await self.store.get_run(namespace, one)
                shown = (record.resource_version, record.terminate_requested)
                yield Seen(await self.tokens.resume(purpose, after), record)
                if record.run.phase.done:
                    return
            else:
                yield Seen(await self.tokens.resume(purpose, after))
        async for batch in self.feed.follow(after, where):
            if isinstance(batch, int):
                yield Seen(await self.tokens.resume(purpose, batch))
                continue
            for event in batch:
                state = (event.resource_version, event.terminate_requested)
                if one and (event.run_id != one or (event.run is not None and state <= shown)):
                    continue
                token = await self.tokens.resume(purpose, event.sequence)
                if event.run is None:
                    yield Seen(token, None, event.run_id, event.namespace)
                else:
                    record = RunRecord(event.run, event.resource_version, event.terminate_requested, event.template)
                    yield Seen(token, record)
                if one and (event.run is None or event.run.phase.done):
                    return
        raise ApiError("UNAVAILABLE", "DRAINING", "The service is shutting down; go on from resume_token elsewhere.")

    async def _ended_before(self, namespace: str, run_id: str, after: int) -> RunRecord | None:
        """The run, if its verdict is older than the token: no change will come that could end the stream.

        Raises NotFound if the run is gone and its deletion is older too.
        """
        position, record = after, None
        with suppress(NotFound):
            record = await self.store.get_run(namespace, run_id)
            if not record.run.phase.done:
                return None
        while events := await self.store.changes(position, CHANGES):
            if any(event.run_id == run_id for event in events):
                return None
            position = events[-1].sequence
        if record is None:
            raise NotFound(f"there is no run {run_id}")
        return record

    def drain(self) -> None:
        """New runs are refused, watchers are sent away with their token."""
        self.draining = True
        self.feed.close()


def _weight(measurement: Measurement) -> int:
    return int(convert.measurement(measurement).ByteSize())


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Let the work finish whatever becomes of whoever waits for it."""
    return await asyncio.shield(asyncio.ensure_future(work))


def _reused(request: CreateRun, run_id: str, body_digest: str) -> ApiError:
    name = first_difference(body_digest, request.digest())
    text = f"request id {request.request_id} came before with another body: {name} differs"
    violation = Violation(name, "differs from the first request of this id", "Differs")
    return ApiError("ALREADY_EXISTS", "REQUEST_ID_REUSED", text, [violation], {"run_id": run_id})


def _where(namespace: str, text: str) -> RunFilter:
    if namespace != "-":
        check_namespace(namespace)
    try:
        return parse_filter(text, None if namespace == "-" else namespace)
    except FilterError as error:
        raise invalid_field("filter", str(error)) from None


def _need_metric(metrics: Sequence[Metric], results: Sequence[Any], name: str) -> None:
    known = [result.name for result in results] or [metric.name for metric in metrics]
    if name not in known:
        raise ApiError(
            "NOT_FOUND",
            "MISSING_METRIC",
            f"metric: the run has no metric {name[:80]!r}; it has {', '.join(known)[:300]}",
        )
