"""Telling waiters that something changed, without a queue per waiter."""

import asyncio
from collections.abc import AsyncIterator


class Wakeups:
    """The newest sequence, and everyone who waits for a newer one. Used from one event loop."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self._closed = False
        self._changed = asyncio.Event()

    def advance(self, sequence: int) -> None:
        if sequence > self.sequence:
            self.sequence = sequence
            self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def __aiter__(self) -> AsyncIterator[int]:
        seen = -1
        while not self._closed:
            if self.sequence > seen:
                seen = self.sequence
                yield seen
            else:
                await self._changed.wait()
