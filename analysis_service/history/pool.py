"""Where history is asked and worked on: a few threads, so that the loop only ever waits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
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
