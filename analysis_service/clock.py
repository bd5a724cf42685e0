"""Two kinds of time, kept apart.

Schedules and a run's own timestamps follow the monotonic clock, anchored to the wall clock once at start: a step
of the system clock neither skips nor repeats a measurement, and times within a run never go back. What a backend
is asked about is the wall clock's present.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Steady UTC time for schedules and timestamps; never goes back."""
        ...

    def wall(self) -> datetime:
        """What the system clock says, for questions to backends and credentials."""
        ...

    def monotonic(self) -> float:
        """Seconds, comparable with the event loop's time."""
        ...


class SystemClock:
    """The clock of a real process."""

    def __init__(self) -> None:
        self._wall = datetime.now(UTC)
        self._start = time.monotonic()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._start)

    def wall(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()
