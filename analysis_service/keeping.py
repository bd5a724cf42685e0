"""What is kept of a comparison between two looks: its settings, its state, and what has been foretold.

It is kept here, and rebuilt from the stored looks where it is not: after a restart, and where another engine looked in
between. The mark of the last look, in the measurement's metadata, says which state belongs to it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from analysis_service import notes
from analysis_service.core.compare.spec import Spec, comparison_of, parse
from analysis_service.core.model import Look, Measurement, Metric, Run
from analysis_service.core.reconcile import Task
from analysis_service.core.statistics.plan import Plan
from analysis_service.foretelling import Foretelling, Foretold
from analysis_service.notes import LAST_LOOK
from analysis_service.settling import Settling, Slot
from analysis_service.stores.base import Page

if TYPE_CHECKING:
    from analysis_service.core.compare.state import Setup, State

KEPT_STATES = 20_000  # comparisons whose state is kept in memory; beyond that it is read from the store again
PAGE = 500


class StoredLooks(Protocol):
    """A page of a measurement's looks, oldest first: `Store.list_looks`."""

    def __call__(
        self, run_id: str, metric: str, ordinal: int, limit: int, after: str = ""
    ) -> Awaitable[Page[Look]]: ...


@dataclass(frozen=True, slots=True)
class Held:
    """One comparison between two looks. `looked` must be the measurement's LAST_LOOK, else `state` is not its own."""

    provider: Mapping[str, Any]
    setup: "Setup"
    state: "State"
    looked: str
    foretold: Foretold


@dataclass(slots=True)
class Keeping:
    """Shared by all runs of the process."""

    settling: Settling
    foretelling: Foretelling
    _held: "OrderedDict[Slot, Held]" = field(default_factory=OrderedDict)

    async def find(self, run: Run, task: Task, metric: Metric, base: Measurement, stored: StoredLooks) -> Held | Spec:
        """The comparison as it stood after the last saved look; what is asked for, while its settings are not known.

        Raises SpecError, StoreError.
        """
        from analysis_service.core.compare import state as fold

        slot = (run.id, task.name, task.ordinal)
        looked = base.metadata.get(LAST_LOOK, "")
        held = self._held.get(slot)
        if held is not None and held.looked == looked and held.provider is metric.provider:
            self._held.move_to_end(slot)
            return held
        spec = parse(comparison_of(metric.provider) or {}, task.metric.interval)
        if held is not None and held.setup.spec == spec:
            plan: Plan | None = held.setup.plan
        else:  # settings never change between looks, not even those learnt from history
            plan = notes.plan(base) or await self.settling.settled(run, task, spec, base)
        if plan is None:
            return spec
        if held is not None and held.looked == looked:
            return Held(metric.provider, fold.Setup(task.name, spec, plan), held.state, looked, held.foretold)
        return await self.rebuilt(run, task, metric, fold.Setup(task.name, spec, plan), base, stored)

    async def rebuilt(
        self, run: Run, task: Task, metric: Metric, setup: "Setup", base: Measurement, stored: StoredLooks
    ) -> Held:
        """From the looks as they were saved. A forecast that was not noted is made again."""
        looked = base.metadata.get(LAST_LOOK, "")
        state, first = await _rebuilt(run, task, setup, looked, stored)
        foretold = Foretold(notes.outlook(base.metadata))
        self.foretelling.consider(foretold, setup, first)
        return Held(metric.provider, setup, state, looked, foretold)

    async def whole(self, run: Run, task: Task, held: Held, stored: StoredLooks) -> Held:
        """With a state that can be judged, where it was shortened."""
        from analysis_service.core.compare import state as fold

        if fold.is_whole(held.setup, held.state):
            return held
        state, _ = await _rebuilt(run, task, held.setup, held.looked, stored)
        return Held(held.provider, held.setup, state, held.looked, held.foretold)

    def keep(self, slot: Slot, held: Held) -> None:
        from analysis_service.core.compare import state as fold

        state = fold.shortened(held.setup, held.state)
        self._held[slot] = Held(held.provider, held.setup, state, held.looked, held.foretold)
        self._held.move_to_end(slot)
        if len(self._held) > KEPT_STATES:
            self._held.popitem(last=False)

    def miss(self, slot: Slot, before: str, look: Look, mark: str, *, done: bool) -> None:
        """A look was missed, maybe the last. A state that does not belong to the look before it is forgotten."""
        from analysis_service.core.compare import state as fold

        held = self._held.pop(slot, None)
        if held is not None and held.looked == before and not done:
            state = fold.missed(held.state, fold.look_of(look))
            self.keep(slot, Held(held.provider, held.setup, state, mark, held.foretold))

    def forget(self, slot: Slot) -> None:
        self._held.pop(slot, None)


async def _rebuilt(
    run: Run, task: Task, setup: "Setup", looked: str, stored: StoredLooks
) -> "tuple[State, list[State]]":
    """The whole state; and those after the first of the looks that were not missed."""
    from analysis_service.core.compare import state as fold

    if not looked:
        return fold.begin(setup), []
    page = await stored(run.id, task.name, task.ordinal, PAGE)
    looks = list(page.items)
    while page.next_key:
        page = await stored(run.id, task.name, task.ordinal, PAGE, page.next_key)
        looks += page.items
    return await asyncio.to_thread(_rebuild, setup, looks)


def _rebuild(setup: "Setup", looks: Sequence[Look]) -> "tuple[State, list[State]]":
    from analysis_service.core.compare import foresight
    from analysis_service.core.compare import state as fold

    first: list[State] = []
    state = fold.begin(setup)
    for state, look in fold.rebuilding(setup, looks):
        if not look.missed and len(first) < foresight.PATIENCE:
            first.append(state)
    return state, first
