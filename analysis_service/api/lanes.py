"""How many calls are worked on at once. What is over a lane's width is refused at once, so that the rest stays quick.

Three lanes, so that a crowd in one leaves the others free: `control` (read a run, end a run: always possible),
`normal` (the other calls), `waiting` (calls that mostly wait: Check and watches).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from analysis_service.api.errors import ApiError

CONTROL = frozenset({"GetAnalysisRun", "TerminateAnalysisRun"})
WAITING = frozenset({"Check", "WatchAnalysisRuns"})
COME_BACK_SECONDS = 1.0


@dataclass(slots=True)
class Lane:
    name: str
    width: int
    taken: int = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises ApiError (OVERLOADED) where there is none."""
        if self.taken >= self.width:
            raise ApiError(
                "RESOURCE_EXHAUSTED",
                "OVERLOADED",
                f"{self.taken} {self.name} calls are open; limit {self.width}",
                retry_after_seconds=COME_BACK_SECONDS,
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


@dataclass(frozen=True, slots=True)
class Lanes:
    control: Lane
    normal: Lane
    waiting: Lane

    @classmethod
    def of_width(cls, calls: int, watchers: int) -> "Lanes":
        return cls(Lane("control", calls), Lane("normal", calls), Lane("waiting", watchers))

    def lane(self, method: str) -> Lane:
        return self.control if method in CONTROL else self.waiting if method in WAITING else self.normal
