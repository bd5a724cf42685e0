"""Runs that this process wrote or read lately, so that reading one again costs no query.

Every write of the store passes through here after its commit, so what is here is what is stored. From the moment
of opening, the order of changes is here too: a watcher that keeps up is served from memory.
"""

from collections import OrderedDict
from dataclasses import replace

from analysis_service.core.model import Run
from analysis_service.stores.base import RunEvent, RunRecord
from analysis_service.stores.codec import join


class Recent:
    """A bounded set of records and a bounded tail of changes. Used from one event loop."""

    def __init__(self, sequence: int, capacity: int) -> None:
        self._capacity = capacity
        self._records: OrderedDict[str, tuple[int, RunRecord]] = OrderedDict()
        self._tail: OrderedDict[str, int] = OrderedDict()  # run id -> its latest sequence, ascending
        self._gone: dict[str, RunEvent] = {}
        self._floor = sequence  # what changed up to here may not be in the tail

    def get(self, run_id: str) -> RunRecord | None:
        found = self._records.get(run_id)
        if found is None:
            return None
        self._records.move_to_end(run_id)
        return found[1]

    def read(self, record: RunRecord, sequence: int, begun: int) -> None:
        """A record came from a query that saw at least what was committed up to `begun`: keep it unless the run
        has changed since, which the tail knows if it reaches back that far."""
        if self._floor <= begun and self._tail.get(record.run.id, 0) <= sequence:
            self._keep(record, sequence)

    def wrote(self, record: RunRecord, sequence: int) -> None:
        self._keep(record, sequence)
        self._change(record.run.id, sequence)

    def saved(self, run: Run, resource_version: int, terminate: bool, sequence: int) -> None:
        """A save wrote a status; what the run was created with is known only if the run is here."""
        known = self._records.get(run.id)
        if known is not None:
            record = replace(
                known[1],
                run=join(known[1].run, run),
                resource_version=resource_version,
                terminate_requested=terminate,
            )
            self._keep(record, sequence)
        self._change(run.id, sequence)

    def deleted(self, event: RunEvent) -> None:
        self._records.pop(event.run_id, None)
        self._change(event.run_id, event.sequence)
        self._gone[event.run_id] = event

    def changes(self, after: int, limit: int) -> list[RunEvent] | None:
        """The next events, or None if they are not all here."""
        if after < self._floor:
            return None
        newer: list[str] = []
        for run_id in reversed(self._tail):
            if self._tail[run_id] <= after:
                break
            newer.append(run_id)
        events: list[RunEvent] = []
        for run_id in reversed(newer[-limit:]):
            sequence = self._tail[run_id]
            if (gone := self._gone.get(run_id)) is not None:
                events.append(gone)
                continue
            known = self._records.get(run_id)
            if known is None or known[0] != sequence:
                return None
            events.append(event_of(known[1], sequence))
        return events

    def _keep(self, record: RunRecord, sequence: int) -> None:
        self._records[record.run.id] = (sequence, record)
        self._records.move_to_end(record.run.id)
        if len(self._records) > self._capacity:
            self._records.popitem(last=False)

    def _change(self, run_id: str, sequence: int) -> None:
        self._gone.pop(run_id, None)
        self._tail[run_id] = sequence
        self._tail.move_to_end(run_id)
        if len(self._tail) > self._capacity:
            oldest, self._floor = self._tail.popitem(last=False)
            self._gone.pop(oldest, None)


def event_of(record: RunRecord, sequence: int) -> RunEvent:
    return RunEvent(
        sequence,
        record.run.id,
        record.run,
        record.resource_version,
        terminate_requested=record.terminate_requested,
        template=record.template,
        namespace=record.run.namespace,
    )
