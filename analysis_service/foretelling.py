"""Forecasts are made between looks: no look waits for one, and the service's loop makes none itself.

A forecast takes some milliseconds of Python, and thousands may be due at once. Looks leave the states behind that it
follows from (core.compare.foresight), which are considered one comparison at a time, elsewhere; what is found is noted
with a later look. It rests on the looks alone, so it says the same whenever it was made, after a restart too. Only an
end waits for it: it is the last that is noted.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis_service.core.compare.state import Setup, State
    from analysis_service.core.statistics.outlook import Outlook

Foresee = Callable[["Setup", "Sequence[State | None]", "Outlook | None"], "Outlook | None"]
"""`foresight.after`, here or elsewhere. Blocking: it is asked in a thread."""


@dataclass(slots=True)
class Foretold:
    """The forecast of one comparison. states: after looks, or before the first (None); not considered yet."""

    known: "Outlook | None" = None
    states: "list[State | None]" = field(default_factory=list)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    work: "asyncio.Task[None] | None" = None  # while there is some
    awaited: bool = False  # its measurement was resumed before the next look, for the first forecast


def here(setup: "Setup", states: "Sequence[State | None]", known: "Outlook | None") -> "Outlook | None":
    """In this process: for a single run, whose loop nobody else waits for."""
    from analysis_service.core.compare import foresight

    return foresight.after(setup, states, known)


@dataclass(slots=True)
class Foretelling:
    """Shared by all runs of the process. at_once: a look waits for its forecast, as under a clock that jumps."""

    foresee: Foresee = here
    at_once: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def consider(self, foretold: Foretold, setup: "Setup", states: "Iterable[State | None]") -> None:
        """States after looks, in their order; each once. Waits for nothing."""
        from analysis_service.core.compare import foresight

        for state in states:
            # while others are under way nobody knows what will be due
            under_way = foretold.states or foretold.making.locked()
            if len(foretold.states) < foresight.PATIENCE and (
                under_way or foresight.is_due(setup, state, foretold.known)
            ):
                foretold.states.append(state)
        if foretold.states and foretold.work is None:
            foretold.work = asyncio.create_task(self._in_turn(foretold, setup))

    async def settled(self, foretold: Foretold, seconds: float) -> None:
        """The forecast has been made as far as it can be, or so much time has gone by."""
        if foretold.work is not None:
            await asyncio.wait({foretold.work}, timeout=seconds)

    async def finished(self, foretold: Foretold, setup: "Setup") -> None:
        """The forecast has been made as far as it can be; it does not wait for its turn."""
        async with foretold.making:
            if foretold.states:
                states, foretold.states = tuple(foretold.states), []
                foretold.known = await asyncio.to_thread(self.foresee, setup, states, foretold.known)

    async def _in_turn(self, foretold: Foretold, setup: "Setup") -> None:
        try:
            async with self._turn:
                while foretold.states:
                    await self.finished(foretold, setup)
        finally:
            foretold.work = None
