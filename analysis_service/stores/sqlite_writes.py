"""Writing the SQLite store: what runs inside the writer's transaction, one call per write.

`save` is the conditional write that all safety rests on. It reads nothing before it: the run's row changes only if
it is as the writer saw it, and everything else hangs on that row having changed.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

import apsw
import msgspec

from analysis_service.core.model import Run
from analysis_service.core.reconcile import end_unread
from analysis_service.failpoints import Failpoint
from analysis_service.stores import codec, rules
from analysis_service.stores.base import (
    AlreadyExists,
    Claim,
    Commit,
    Damaged,
    Fenced,
    NewRun,
    NotFound,
    NotTerminal,
    RequestIdReused,
    RunEvent,
    RunRecord,
    Unread,
)
from analysis_service.stores.sqlite_digests import (
    NEVER,
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
from analysis_service.stores.sqlite_owners import Owners
from analysis_service.stores.sqlite_rows import Rows, RunRow, Specs, deletion
from analysis_service.stores.sqlite_templates import TemplateWrites

TRIM = 4_096  # old events are deleted this many at a time

_FENCE = " AND epoch = ? AND owner = ? AND resource_version = ? AND done = 0"
_SAVE = (
    "UPDATE run SET resource_version = ?, sequence = ?, due = ?, phase = ?, crashes = 0, slots = slots + ?, "
    "mix = (mix | ?) - (mix & ?), looks = looks + ?, status = ?, digest = ?{end} WHERE id = ?{fence} "
    "RETURNING n, terminate"
)
_END = ", done = 1, owner = ''"


class Writes:
    """Used on the writer's thread only."""

    def __init__(
        self,
        db: apsw.Connection,
        specs: Specs,
        damage: dict[int, str],
        fail: Failpoint | None,
        *,
        fenced: bool,
        events_kept: int,
    ) -> None:
        """fenced: False only in tests, to see that they fail without the fence."""
        self._db = db
        self._rows = Rows(db, specs, damage)
        self._specs = specs
        self._fail = fail
        self._events_kept = events_kept
        self._save = _SAVE.format(end="", fence=_FENCE if fenced else "")
        self._save_last = _SAVE.format(end=_END, fence=_FENCE if fenced else "")
        self._fenced = fenced
        self.sequence = self._rows.sequence()  # given out last, by a commit or by one that failed
        self._damage = damage
        self.owners = Owners(db, self._rows, damage, fail)
        self.templates = TemplateWrites(db)

    def create_run(self, new: NewRun, now: datetime) -> tuple[RunRecord, bool, int]:
        """The record, whether it is new, and its sequence."""
        run = new.run
        if new.request_id and (known := self._request(new, now)) is not None:
            return self._rows.record(known), False, known.sequence
        rules.check_new(run)
        if run.created_at is None:
            run = msgspec.structs.replace(run, created_at=now)
        spec = codec.encode_spec(run.spec)
        digest = spec_digest(spec)
        shared = self._specs.share(digest, run.spec)
        if shared is not run.spec:
            run = msgspec.structs.replace(run, spec=shared)
        self._check_free(run)
        n = self._insert(run, new, spec, digest, now)
        sequence = self._event(n)
        status = codec.encode_status(run)
        due, phase = rules.micros(new.due_at), str(run.phase)
        self._db.execute(
            "INSERT INTO run VALUES (?, ?, 1, ?, ?, 0, ?, 0, ?, ?, 0, 0, 0, 0, ?, ?)",
            (
                n,
                run.id,
                sequence,
                due,
                phase,
                1 if new.owner else 0,
                new.owner,
                status,
                run_digest(run.id, 1, sequence, due, 0, phase, status),
            ),
        )
        if self._fail:
            self._fail("after_create")
        return RunRecord(run, 1, False, new.template), True, sequence

    def _check_free(self, run: Run) -> None:
        if self._db.execute(
            "SELECT 1 FROM origin WHERE namespace = ? AND name = ? UNION ALL SELECT 1 FROM run WHERE id = ?",
            (run.namespace, run.name, run.id),
        ).fetchone():
            raise AlreadyExists(f"run {rules.path(run.namespace, run.name)} exists already")

    def _insert(self, run: Run, new: NewRun, spec: bytes, digest: bytes, now: datetime) -> int:
        head = codec.encode_head(run, new.template)
        created = rules.micros(run.created_at or now)
        labels = label_text(run.labels)
        key = (run.id, run.namespace, run.name, new.template, created, labels)
        # `run` and `origin` share their number; after a deletion one may be free that the other would not give
        n: int = self._db.execute(
            "SELECT 1 + max((SELECT coalesce(max(n), 0) FROM run), (SELECT coalesce(max(n), 0) FROM origin))"
        ).get
        self._db.execute(
            "INSERT INTO origin VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (n, *key, head, digest, origin_digest(*key, digest, head), spec),
        )
        if new.request_id:
            request = (run.namespace, new.request_id, new.body_digest, run.id, rules.micros(now))
            self._db.execute(
                "INSERT OR REPLACE INTO request VALUES (?, ?, ?, ?, ?, ?)", (*request, request_digest(*request))
            )
        return n

    def _request(self, new: NewRun, now: datetime) -> RunRow | None:
        """The run that this request made before, if it did."""
        namespace = new.run.namespace
        row = self._db.execute(
            "SELECT * FROM request WHERE namespace = ? AND id = ?", (namespace, new.request_id)
        ).fetchone()
        if row is None:
            return None
        *_, body_digest, run_id, at, digest = row
        if digest != request_digest(namespace, new.request_id, body_digest, run_id, at):
            raise Damaged(f"what is known of request id {new.request_id} fails its digest")
        if body_digest != new.body_digest:
            raise RequestIdReused(f"request id {new.request_id} came before with another body", run_id)
        try:
            return self._rows.find(run_id)
        except NotFound:
            if now - rules.moment(at) < rules.REQUEST_KEPT:
                raise NotFound(f"the run of request {new.request_id} ({run_id}) was deleted") from None
            return None

    def save(self, commit: Commit) -> tuple[Claim, int]:
        """The conditional write: the new claim, and its sequence."""
        rules.check_commit(commit)
        claim, run = commit.claim, commit.run
        mix, slots = 0, []
        for metric, measurement in commit.taken:
            body, done = codec.encode_measurement(measurement), int(measurement.done)
            digest = slot_digest(run.id, metric, measurement.ordinal, claim.epoch, done, body)
            mix ^= codec.mix(digest)
            slots.append((metric, measurement.ordinal, claim.epoch, done, body, digest))
        sequence = self.sequence + 1
        version = claim.resource_version + 1
        done = int(run.phase.done)
        due = NEVER if commit.due_at is None else rules.micros(commit.due_at)
        phase = run.phase.value
        status = codec.encode_status(run)
        digest = run_digest(run.id, version, sequence, due, done, phase, status)
        values: tuple[Any, ...] = (
            version, sequence, due, phase, len(slots), mix, mix, len(commit.looks), status, digest, run.id,
        )  # fmt: skip
        if self._fenced:
            values += (claim.epoch, claim.owner, claim.resource_version)
        if self._fail:
            self._fail("before_cas")
        row = self._db.execute(self._save_last if done else self._save, values).fetchone()
        if row is None:
            raise Fenced(f"run {run.id} is no longer held at version {claim.resource_version} by {claim.owner}")
        n, terminate = row
        if self._fail:
            self._fail("after_cas")
        for slot in slots:
            self._fill(n, run.id, slot)
        if self._fail:
            self._fail("after_measurement")
        for metric, ordinal, look in commit.looks:
            body = codec.encode_look(look)
            self._db.execute(
                "INSERT INTO look VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (n, metric, ordinal, look.number, body, look_digest(run.id, metric, ordinal, look.number, body)),
            )
            if not self._db.changes():
                raise Fenced(f"look {metric}/{ordinal}/{look.number} of run {run.id} is written already")
        if self._fail:
            self._fail("after_looks")
        self._event(n)
        if self._fail:
            self._fail("after_event")
            if done:
                self._fail("after_verdict")
        return Claim(run, claim.epoch, claim.owner, version, terminate == TERMINATE), sequence

    def _fill(self, n: int, run_id: str, slot: tuple[str, int, int, int, bytes, bytes]) -> None:
        """Insert a measurement, or rewrite it while it is unfinished."""
        self._db.execute("INSERT INTO measurement VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (n, *slot))
        if self._db.changes():
            return
        metric, ordinal, *values = slot
        (was_done, old) = self._db.execute(
            "SELECT done, digest FROM measurement WHERE run = ? AND metric = ? AND ordinal = ?", (n, metric, ordinal)
        ).fetchone() or (1, b"")
        if was_done:
            raise Fenced(f"slot {metric}/{ordinal} of run {run_id} is filled")
        self._db.execute(
            "UPDATE measurement SET epoch = ?, done = ?, body = ?, digest = ? "
            "WHERE run = ? AND metric = ? AND ordinal = ?",
            (*values, n, metric, ordinal),
        )
        # the run's row counted it as a new one
        self._db.execute(
            "UPDATE run SET slots = slots - 1, mix = (mix | ?1) - (mix & ?1) WHERE n = ?2", (codec.mix(old), n)
        )

    def request_terminate(self, namespace: str, run_id: str, now: datetime) -> tuple[RunRecord, int]:
        row = self._rows.find(run_id, namespace)
        try:
            record = self._rows.record(row)
        except Unread:
            record = self._rows.record(row, any_spec=True)
            # nobody here can drive it, so there is nobody to be asked: also where it was asked before
            return (record, row.sequence) if row.done else self._end_unread(row, record, now)
        if row.done or row.terminate:
            return record, row.sequence
        sequence = self._event(row.n)
        due = rules.micros(now)
        self._db.execute(
            "UPDATE run SET terminate = ?, due = ?, sequence = ?, digest = ? WHERE n = ?",
            (
                TERMINATE,
                due,
                sequence,
                run_digest(row.id, row.resource_version, sequence, due, 0, row.phase, row.status),
                row.n,
            ),
        )
        return replace(record, terminate_requested=True), sequence

    def _end_unread(self, row: RunRow, record: RunRecord, now: datetime) -> tuple[RunRecord, int]:
        run = end_unread(record.run, now)
        sequence = self._event(row.n)
        version, phase, status = row.resource_version + 1, run.phase.value, codec.encode_status(run)
        self._db.execute(
            "UPDATE run SET resource_version = ?, sequence = ?, due = ?, phase = ?, terminate = ?, status = ?, "
            "digest = ?, done = 1, owner = '', crashes = 0 WHERE n = ?",
            (
                version,
                sequence,
                NEVER,
                phase,
                TERMINATE,
                status,
                run_digest(row.id, version, sequence, NEVER, 1, phase, status),
                row.n,
            ),
        )
        self._damage.pop(row.n, None)
        return replace(record, run=run, resource_version=version, terminate_requested=True), sequence

    def delete_run(self, namespace: str, run_id: str, now: datetime) -> RunEvent:
        row = self._rows.find(run_id, namespace)
        if not row.done:
            raise NotTerminal(f"run {rules.path(namespace, row.name)} is not finished: terminate it first")
        head = codec.decode_head(row.head, f"run {run_id}")
        gone = Gone(run_id, namespace, row.template, head.labels, row.resource_version, row.terminate == TERMINATE)
        sequence = self._event(row.n, gone)
        for statement in (
            "DELETE FROM run WHERE n = ?",  # first: the triggers keep what belongs to a run that is there
            "DELETE FROM origin WHERE n = ?",
            "DELETE FROM measurement WHERE run = ?",
            "DELETE FROM look WHERE run = ?",
        ):
            self._db.execute(statement, (row.n,))
        self._db.execute(
            "DELETE FROM request WHERE (namespace, id) IN (SELECT namespace, id FROM request WHERE at <= ? "
            "AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = request.run_id) ORDER BY at LIMIT 100)",
            (rules.micros(now - rules.REQUEST_KEPT),),
        )
        self._damage.pop(row.n, None)  # its number may be given out again
        if self._fail:
            self._fail("after_delete")
        return deletion(sequence, gone)

    def _event(self, n: int, gone: Gone | None = None) -> int:
        """Give out the next sequence, and drop the oldest events now and then."""
        self.sequence = sequence = self.sequence + 1
        data = None if gone is None else codec.encode((gone, gone_digest(sequence, gone)))
        self._db.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (sequence, n, event_mark(sequence, n), data))
        if sequence % TRIM == 0 and (floor := sequence - self._events_kept) > 0:
            self._db.execute("DELETE FROM event WHERE sequence <= ?", (floor,))
            self._db.execute("UPDATE meta SET value = ? WHERE name = 'floor'", (str(floor),))
        return sequence
