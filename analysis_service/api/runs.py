"""Analysis runs: create, read, watch, end, delete, and the one-shot check."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from analysis_service.api import convert
from analysis_service.api.creation import CreateRun, build_run, check_request
from analysis_service.api.errors import ApiError, invalid_field
from analysis_service.api.filters import FilterError, parse_filter
from analysis_service.api.resources import Tokens, check_namespace, page_size, run_resource
from analysis_service.api.watching import Feed
from analysis_service.clock import Clock
from analysis_service.core.model import Look, Measurement, Metric
from analysis_service.engine import Engine
from analysis_service.secrets import Secrets
from analysis_service.stores.base import NewRun, RunFilter, RunRecord, Store

CACHED_RUNS = 2048


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
    _bytes: "OrderedDict[tuple[str, int, bool], bytes]" = field(default_factory=OrderedDict)

    async def create(self, request: CreateRun) -> RunRecord:
        """The run, new or the one that the same request id made before."""
        check_request(request)
        if self.draining:
            raise ApiError("UNAVAILABLE", "DRAINING", "The service is shutting down; ask another replica.")
        if self.engine.live >= self.max_live:
            raise ApiError(
                "RESOURCE_EXHAUSTED", "OVERLOADED", f"{self.engine.live} runs are live; limit {self.max_live}"
            )
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
        record, made = await self.store.create_run(new, now)
        if made:
            self.engine.adopt(record)
        return record

    async def get(self, resource: str) -> RunRecord:
        namespace, run_id = run_resource(resource)
        held = self.engine.held(run_id)
        if held is not None and held.run.namespace == namespace:
            return held
        return await self.store.get_run(namespace, run_id)

    async def get_bytes(self, resource: str) -> bytes:
        """The serialized message, remembered per state: pollers ask for the same one again and again."""
        record = await self.get(resource)
        key = (record.run.id, record.resource_version, record.terminate_requested)
        found = self._bytes.get(key)
        if found is None:
            found = self._bytes[key] = convert.run(record).SerializeToString()
            if len(self._bytes) > CACHED_RUNS:
                self._bytes.popitem(last=False)
        return found

    async def listing(self, namespace: str, text: str, size: int, token: str) -> tuple[tuple[RunRecord, ...], str, str]:
        """(page, next page token, resume token). A watch from the resume token has no gap."""
        where = _where(namespace, text)
        purpose = f"{namespace}:{text}"
        resume = await self.tokens.resume(purpose, (await self.store.info()).sequence)
        after = await self.tokens.after(f"runs:{purpose}", token)
        page = await self.store.list_runs(where, page_size(size), after)
        return page.items, await self.tokens.page(f"runs:{purpose}", page.next_key), resume

    async def measurements(
        self, resource: str, metric: str, size: int, token: str
    ) -> tuple[tuple[Measurement, ...], str]:
        run = (await self.get(resource)).run
        _need_metric(run.spec.metrics, run.results, metric)
        purpose = f"measurements:{resource}:{metric}"
        after = await self.tokens.after(purpose, token)
        page = await self.store.list_measurements(run.id, metric, page_size(size), after)
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
        page = await self.store.list_looks(run.id, metric, ordinal, page_size(size), after)
        return page.items, await self.tokens.page(purpose, page.next_key)

    async def terminate(self, resource: str) -> RunRecord:
        """Asks the run to end; a finished one is returned unchanged."""
        namespace, run_id = run_resource(resource)
        record = await self.store.request_terminate(namespace, run_id, self.clock.now())
        self.engine.terminate(run_id)
        return record

    async def delete(self, resource: str) -> None:
        namespace, run_id = run_resource(resource)
        await self.store.delete_run(namespace, run_id, self.clock.now())

    async def check(self, request: CreateRun, wait_seconds: float) -> RunRecord:
        """Create and wait for the verdict; the run as it is when time is up."""
        record = await self.create(request)
        resource = convert.run_name(record.run.namespace, record.run.id)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                async for seen in self.watch("", "", "", resource):
                    record = seen.record or record
        return record

    async def watch(self, namespace: str, text: str, resume_token: str, resource: str) -> AsyncIterator[Seen]:
        """Changes in order. With a resource, that run alone: its present state first, its verdict (or end) last."""
        one = ""
        if resource:
            namespace, one = run_resource(resource)
            text = ""
        where = _where(namespace, text)
        purpose = f"{namespace}:{text}"
        if resume_token:
            after = await self.tokens.resume_from(purpose, resume_token)
        else:
            after = (await self.store.info()).sequence
            if one:
                record = await self.get(resource)
                yield Seen(await self.tokens.resume(purpose, after), record)
                if record.run.phase.done:
                    return
        async for batch in self.feed.follow(after, where):
            if isinstance(batch, int):
                yield Seen(await self.tokens.resume(purpose, batch))
                continue
            for event in batch:
                if one and event.run_id != one:
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

    def drain(self) -> None:
        """New runs are refused, watchers are sent away with their token."""
        self.draining = True
        self.feed.close()


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
