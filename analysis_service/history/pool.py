"""Where history is asked and worked on: a few threads, so that the loop only ever waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import ParamSpec, TypeVar

from analysis_service.history.base import Asked, Frame, History

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4


class Pool:
    """Bounded threads for work on past data. Waiting work costs nothing but its turn."""

    def __init__(self, threads: int = THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="history")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `work`, done in a thread. Cancelling stops waiting, not the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def range(self, history: History, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        return await self.run(history.range, asked, start, end, step)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Turns:
    """So many at once; of those that wait the lowest rank goes first, and the earliest of a rank."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = 0

    @asynccontextmanager
    async def wait(self, rank: int) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._number += 1
            heappush(self._waiting, (rank, self._number, mine))
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._next()  # the turn came with the cancellation
                raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
