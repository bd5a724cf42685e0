"""Reading the runs of the SQLite store: rows to values, every row against its digest, on whatever connection.

A row that fails its digest is Damaged and takes nothing else with it. Rows that are missing show by their number:
slots and looks are numbered without holes, and the run knows how many there are.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import apsw
import msgspec

from analysis_service.core.model import Cause, Look, Measurement, Run, RunSpec
from analysis_service.stores import codec, rules
from analysis_service.stores.base import (
    Damaged,
    NotFound,
    Page,
    RelistRequired,
    RunEvent,
    RunFilter,
    RunRecord,
    Unread,
)
from analysis_service.stores.recent import event_of
from analysis_service.stores.sqlite_digests import (
    TERMINATE,
    Gone,
    event_mark,
    gone_digest,
    label_text,
    look_digest,
    origin_digest,
    request_digest,
    run_digest,
    slot_digest,
    spec_digest,
)
from analysis_service.stores.sqlite_templates import Templates

SPECS_KEPT = 1_024  # equal specs are one object in memory

_RUN = """SELECT r.n, r.id, r.resource_version, r.sequence, r.due, r.done, r.phase, r.terminate, r.status, r.digest,
    o.namespace, o.name, o.template, o.created, o.labels, o.head, o.spec_digest, o.digest,
    r.epoch, r.crashes, r.slots, r.mix, r.looks
    FROM run r LEFT JOIN origin o ON o.n = r.n """


class RunRow(NamedTuple):
    n: int
    id: str
    resource_version: int
    sequence: int
    due: int
    done: int
    phase: str
    terminate: int
    status: bytes
    digest: bytes
    namespace: str
    name: str
    template: str
    created: int
    labels: str
    head: bytes
    spec_digest: bytes
    origin_digest: bytes
    epoch: int
    crashes: int
    slots: int
    mix: int
    looks: int


_gone = msgspec.msgpack.Decoder(tuple[Gone, bytes])


class Specs:
    """Equal frozen specs as one object. Shared by all threads: every step is one dictionary call."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, RunSpec] = OrderedDict()

    def get(self, digest: bytes) -> RunSpec | None:
        return self._known.get(digest)

    def share(self, digest: bytes, spec: RunSpec) -> RunSpec:
        spec = self._known.setdefault(digest, spec)
        while len(self._known) > SPECS_KEPT:
            try:
                self._known.popitem(last=False)
            except KeyError:
                break
        return spec


class Rows:
    """Queries on one connection. Its user sees to it that several of them see one state."""

    def __init__(self, db: apsw.Connection, specs: Specs, damage: dict[int, str]) -> None:
        """damage: where runs that were left out because they are damaged are noted, by number."""
        self._db = db
        self._specs = specs
        self.templates = Templates(db)
        self.damage = damage

    # runs

    def find(self, run_id: str, namespace: str | None = None) -> RunRow:
        """The row of a run, checked. Raises NotFound."""
        row = self._row("WHERE r.id = ?", run_id)
        if row is None or namespace not in (None, row.namespace):
            raise NotFound(f"there is no run {run_id}")
        return row

    def numbered(self, n: int) -> RunRow:
        """The row of a run that an index or an event names, checked."""
        row = self._row("WHERE r.n = ?", n)
        if row is None:
            raise Damaged(f"run number {n} is missing")
        return row

    def _row(self, where: str, value: str | int) -> RunRow | None:
        try:
            found = self._db.execute(_RUN + where, (value,)).fetchone()
        except UnicodeDecodeError as error:
            raise Damaged(f"run {value} is damaged: its text is not text") from error
        if found is None:
            return None
        row = RunRow._make(found)
        self._check(row)
        return row

    def _check(self, row: RunRow) -> None:
        """Raises Damaged if the row is not what was written."""
        if row.digest != run_digest(
            row.id, row.resource_version, row.sequence, row.due, row.done, row.phase, row.status
        ) or row.terminate not in (0, TERMINATE):
            raise Damaged(f"the status of run {row.id} fails its digest")
        if row.head is None or row.origin_digest != origin_digest(
            row.id, row.namespace, row.name, row.template, row.created, row.labels, row.spec_digest, row.head
        ):
            raise Damaged(f"what run {row.id} was created with fails its digest")

    def record(self, row: RunRow, *, any_spec: bool = False) -> RunRecord:
        """The run of a checked row.

        any_spec: put up with a spec that this build cannot read, and leave it out. So it is with a run that was
        ended for that reason: it has no verdict that the spec would explain.
        """
        status = codec.decode_status(row.status, f"the status of run {row.id}")
        shown = [
            self._shown(row, result.name, ranges) if ranges else ()
            for result, ranges in zip(status.run.results, status.shown, strict=True)
        ]
        head = codec.decode_head(row.head, f"run {row.id}")
        try:
            spec = self._spec(row)
        except Unread:
            if not any_spec and status.run.cause is not Cause.QUARANTINED:
                raise
            spec = codec.NO_SPEC
        run = codec.build(row.id, head, spec, status, shown)
        return RunRecord(run, row.resource_version, row.terminate == TERMINATE, row.template)

    def _spec(self, row: RunRow) -> RunSpec:
        known = self._specs.get(row.spec_digest)
        if known is not None:
            return known
        (data,) = self._db.execute("SELECT spec FROM origin WHERE n = ?", (row.n,)).fetchone() or (b"",)
        if spec_digest(data) != row.spec_digest:
            raise Damaged(f"the spec of run {row.id} fails its digest")
        return self._specs.share(row.spec_digest, codec.decode_spec(data, f"the spec of run {row.id}"))

    def _shown(self, row: RunRow, metric: str, ranges: Sequence[int]) -> tuple[Measurement, ...]:
        wanted = codec.slots_of(ranges)
        found = {m.ordinal: m for m in self._slots(row, metric, wanted[0], wanted[-1] + 1)}
        try:
            return tuple([found[ordinal] for ordinal in wanted])
        except KeyError as error:
            raise Damaged(f"measurement {metric}/{error.args[0]} of run {row.id} is missing") from error

    def _slots(self, row: RunRow, metric: str, first: int, stop: int) -> Iterator[Measurement]:
        for ordinal, epoch, done, body, digest in self._db.execute(
            "SELECT ordinal, epoch, done, body, digest FROM measurement "
            "WHERE run = ? AND metric = ? AND ordinal >= ? AND ordinal < ? ORDER BY ordinal",
            (row.n, metric, first, stop),
        ):
            if digest != slot_digest(row.id, metric, ordinal, epoch, done, body):
                raise Damaged(f"measurement {metric}/{ordinal} of run {row.id} fails its digest")
            yield codec.decode_measurement(body, f"measurement {metric}/{ordinal} of run {row.id}")

    def check_slots(self, row: RunRow) -> None:
        """Every measurement of a run against its digest, and all of them against the run. Raises Damaged."""
        count = mix = 0
        for metric, ordinal, epoch, done, body, digest in self._db.execute(
            "SELECT metric, ordinal, epoch, done, body, digest FROM measurement WHERE run = ?", (row.n,)
        ):
            if digest != slot_digest(row.id, metric, ordinal, epoch, done, body):
                raise Damaged(f"measurement {metric}/{ordinal} of run {row.id} fails its digest")
            count += 1
            mix ^= codec.mix(digest)
        if (count, mix) != (row.slots, row.mix):
            raise Damaged(f"run {row.id} has {count} measurements that are not the {row.slots} it was given")

    def list_runs(self, where: RunFilter, limit: int, after: str) -> Page[RunRecord]:
        """A damaged run is left out, so that the others can be listed."""
        conditions: list[str] = []
        values: list[str | int] = []
        if after:
            conditions.append("(o.created, o.id) < (?, ?)")
            values += rules.parse_page_key(after, int, str)
        if where.namespace is not None:
            conditions.append("o.namespace = ?")
            values.append(where.namespace)
        if where.template is not None:
            conditions.append("o.template = ?")
            values.append(where.template)
        if where.phases:
            conditions.append(f"r.phase IN ({','.join('?' * len(where.phases))})")
            values += sorted(where.phases)
        for key, value in where.labels:
            conditions.append("instr(o.labels, ?)")
            values.append(label_text({key: value}))
        query = [
            # joined in this order it walks an index of origin and needs no sorting
            "SELECT o.n FROM origin o CROSS JOIN run r ON r.n = o.n WHERE 1",
            *conditions,
        ]
        found: list[tuple[RunRow, RunRecord]] = []
        for (n,) in self._db.execute(" AND ".join(query) + " ORDER BY o.created DESC, o.id DESC", values):
            try:
                row = self.numbered(n)
                record = self.record(row)
            except Damaged as error:
                self.damage[n] = str(error)
                continue
            if rules.matches(where, record.run, record.template):
                found.append((row, record))
                if len(found) > limit:
                    break
        page = rules.page(found, limit, lambda item: rules.page_key(item[0].created, item[0].id))
        return Page(tuple(record for _, record in page.items), page.next_key)

    def list_measurements(self, run_id: str, metric: str, limit: int, after: str) -> Page[Measurement]:
        first = rules.ordinal_key(after) + 1
        row = self.find(run_id)
        (count,) = self._one("SELECT count(*) FROM measurement WHERE run = ?", row.n)
        if count != row.slots:
            raise Damaged(f"run {run_id} has {count} measurements of the {row.slots} it was given")
        found: list[Measurement] = []
        for measurement in self._slots(row, metric, first, first + limit + 1):
            if measurement.ordinal != first + len(found):
                raise Damaged(f"measurement {metric}/{first + len(found)} of run {run_id} is missing")
            found.append(measurement)
        if len(found) <= limit and (taken := self._taken(row, metric)) != first + len(found):
            raise Damaged(f"metric {metric} of run {run_id} has not the {taken} measurements it was given")
        return rules.page(found, limit, lambda m: rules.page_key(m.ordinal))

    def _taken(self, row: RunRow, metric: str) -> int:
        status = codec.decode_status(row.status, f"the status of run {row.id}")
        return next((result.taken for result in status.run.results if result.name == metric), 0)

    def list_looks(self, run_id: str, metric: str, ordinal: int, limit: int, after: str) -> Page[Look]:
        done = max(rules.ordinal_key(after), 0)
        row = self.find(run_id)
        (count,) = self._one("SELECT count(*) FROM look WHERE run = ?", row.n)
        if count != row.looks:
            raise Damaged(f"run {run_id} has {count} looks of the {row.looks} it was given")
        found: list[Look] = []
        for number, body, digest in self._db.execute(
            "SELECT number, body, digest FROM look WHERE run = ? AND metric = ? AND ordinal = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            (row.n, metric, ordinal, done, limit + 1),
        ):
            what = f"look {metric}/{ordinal}/{number} of run {run_id}"
            if number != done + len(found) + 1:
                raise Damaged(f"{what} is not the next one: one before it is missing")
            if digest != look_digest(row.id, metric, ordinal, number, body):
                raise Damaged(f"{what} fails its digest")
            found.append(codec.decode_look(body, what))
        if len(found) <= limit:
            self._check_looks(row)  # one that should be here may be filed under another key
        return rules.page(found, limit, lambda look: rules.page_key(look.number))

    def _check_looks(self, row: RunRow) -> None:
        for metric, ordinal, number, body, digest in self._db.execute(
            "SELECT metric, ordinal, number, body, digest FROM look WHERE run = ?", (row.n,)
        ):
            if digest != look_digest(row.id, metric, ordinal, number, body):
                raise Damaged(f"look {metric}/{ordinal}/{number} of run {row.id} fails its digest")

    # watching

    def sequence(self) -> int:
        (newest,) = self._one("SELECT coalesce(max(sequence), 0) FROM event")
        return max(int(newest), self._floor())

    def _floor(self) -> int:
        (floor,) = self._one("SELECT value FROM meta WHERE name = 'floor'")
        return int(floor)

    def changes(self, after: int, limit: int, where: RunFilter) -> list[RunEvent]:
        """A damaged run is left out: its state cannot be told, and the others must not wait for it."""
        if not self._floor() <= after <= self.sequence():
            raise RelistRequired(f"nothing is known of position {after}: list again")
        where = replace(where, phases=frozenset())
        events: list[RunEvent] = []
        for sequence, n, mark, gone, current in self._db.execute(
            "SELECT e.sequence, e.n, e.mark, e.gone, r.sequence FROM event e LEFT JOIN run r ON r.n = e.n "
            "WHERE e.sequence > ? ORDER BY e.sequence",
            (after,),
        ):
            if mark != event_mark(sequence, n):
                raise RelistRequired(f"the record of changes is damaged after {sequence}: list again")
            if gone is not None:
                event, run = _deletion(sequence, gone)
            elif current == sequence:
                try:
                    record = self.record(self.numbered(n))
                except Damaged as error:
                    self.damage[n] = str(error)
                    continue
                event, run = event_of(record, sequence), record.run
            else:
                continue  # a later event has this run's state
            if rules.matches(where, run, event.template):
                events.append(event)
                if len(events) == limit:
                    break
        return events

    # requests and counts

    def find_request(self, namespace: str, request_id: str) -> tuple[str, str] | None:
        """(run id, body digest)."""
        row = self._db.execute(
            "SELECT body_digest, run_id, at, digest FROM request WHERE namespace = ? AND id = ?",
            (namespace, request_id),
        ).fetchone()
        if row is None:
            return None
        body_digest, run_id, at, digest = row
        if digest != request_digest(namespace, request_id, body_digest, run_id, at):
            raise Damaged(f"what is known of request id {request_id} fails its digest")
        return run_id, body_digest

    def live_runs(self) -> int:
        (count,) = self._one("SELECT count(*) FROM run WHERE done = 0")
        return int(count)

    def _one(self, query: str, *values: str | int) -> tuple[Any, ...]:
        row = self._db.execute(query, values).fetchone()
        if row is None:
            raise Damaged("the store's own record is missing: restore a backup")
        return tuple(row)


def _deletion(sequence: int, data: bytes) -> tuple[RunEvent, Run]:
    """The event, and as much of the run as filters look at."""
    try:
        gone, digest = _gone.decode(data)
    except msgspec.MsgspecError as error:
        raise RelistRequired(f"the record of changes is damaged at {sequence}: list again") from error
    if digest != gone_digest(sequence, gone):
        raise RelistRequired(f"the record of changes is damaged at {sequence}: list again")
    return deletion(sequence, gone), Run(gone.run_id, gone.namespace, "", RunSpec(()), labels=gone.labels)


def deletion(sequence: int, gone: Gone) -> RunEvent:
    return RunEvent(
        sequence,
        gone.run_id,
        None,
        gone.resource_version,
        deleted=True,
        terminate_requested=gone.terminate,
        template=gone.template,
        namespace=gone.namespace,
    )
