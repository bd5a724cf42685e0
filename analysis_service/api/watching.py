"""One reader of the store's changes for all watchers of this process.

The feed keeps the last few thousand events; a watcher reads from there at its own pace and falls back to the store
when it is further behind. Events carry states, so a watcher that lags sees the latest state of each run, once, and a
verdict is never skipped. Nothing is queued per watcher: a slow one costs nothing but its place.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import structlog

from analysis_service.api.filters import matches
from analysis_service.stores.base import RunEvent, RunFilter, Store, StoreError

KEPT_EVENTS = 4096
BATCH = 256
BOOKMARK_SECONDS = 10.0
_log = structlog.get_logger()


class Feed:
    """Call `run()` once as a task; `follow` as often as there are watchers."""

    def __init__(self, store: Store, bookmark_seconds: float = BOOKMARK_SECONDS) -> None:
        self._store = store
        self._bookmark_seconds = bookmark_seconds
        self._events: deque[RunEvent] = deque(maxlen=KEPT_EVENTS)
        self._sequence = -1  # the newest sequence the feed has seen
        self._news = asyncio.Event()
        self._closed = False

    def close(self) -> None:
        """Every follower's stream ends now."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        self._sequence = (await self._store.info()).sequence
        async for _ in self._store.wakeups():
            try:
                while events := await self._store.changes(self._sequence, BATCH):
                    self._events.extend(events)
                    self._sequence = events[-1].sequence
                    news, self._news = self._news, asyncio.Event()
                    news.set()
            except StoreError as error:
                _log.warning("feed cannot read changes", error=str(error))

    async def follow(self, after: int, where: RunFilter) -> AsyncIterator[list[RunEvent] | int]:
        """Lists of events in order; an int is a bookmark: nothing up to that sequence was left out.

        Ends when the feed is closed. Raises RelistRequired if `after` is too old or of another store.
        """
        if after > max(self._sequence, (await self._store.info()).sequence):
            # The store decides what an impossible position means.
            await self._store.changes(after, 1)
        while not self._closed:
            news, batch = self._news, self._since(after)
            if batch is None:
                batch = await self._store.changes(after, BATCH)
            if batch:
                after = batch[-1].sequence
                selected = [e for e in batch if _selected(e, where)]
                if selected:
                    yield selected
                continue
            try:
                async with asyncio.timeout(self._bookmark_seconds):
                    await news.wait()
            except TimeoutError:
                yield after

    def _since(self, after: int) -> list[RunEvent] | None:
        """Events after a position from memory, or None where memory does not reach back so far."""
        if after >= self._sequence:
            return []
        if not self._events or self._events[0].sequence > after + 1:
            return None
        return [e for e in self._events if e.sequence > after][:BATCH]


def _selected(event: RunEvent, where: RunFilter) -> bool:
    if event.run is None:  # of a deleted run only the namespace is left
        return where.namespace in (None, event.namespace)
    return matches(where, event.run, event.template)
