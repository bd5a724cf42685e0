"""The store that forgets: for one-off checks and tests. Same promises as the others, but for durability.

All on one event loop and without an await inside, so each call is one transaction. Values are immutable, so what
was stored is what is returned.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec

from analysis_service.core.model import Look, Measurement, Run, RunSpec
from analysis_service.stores import codec, rules
from analysis_service.stores.base import (
    AlreadyExists,
    Claim,
    Commit,
    Fenced,
    NewRun,
    NotFound,
    NotTerminal,
    Page,
    RelistRequired,
    RequestIdReused,
    RunEvent,
    RunFilter,
    RunRecord,
    StoreInfo,
    TemplateRecord,
    Unavailable,
)
from analysis_service.stores.memory_templates import Templates
from analysis_service.stores.recent import event_of
from analysis_service.stores.wakeups import Wakeups

EVENTS_KEPT = 100_000  # deletions remembered for watchers


@dataclass(slots=True)
class _Entry:
    """A run and the state of its fence. `due` None sorts last."""

    run: Run
    template: str
    created: int
    due: datetime | None
    owner: str
    epoch: int
    sequence: int = 0
    resource_version: int = 1
    terminate: bool = False
    crashes: int = 0
    slots: dict[str, list[Measurement]] = field(default_factory=dict)
    looks: dict[tuple[str, int], list[Look]] = field(default_factory=dict)

    def record(self) -> RunRecord:
        return RunRecord(self.run, self.resource_version, self.terminate, self.template)


@dataclass(frozen=True, slots=True)
class _Request:
    body_digest: str
    run_id: str
    at: datetime


class MemoryStore:
    """Implements Store."""

    def __init__(self) -> None:
        self._id = uuid4().hex
        self._templates = Templates()
        self._runs: dict[str, _Entry] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._requests: dict[tuple[str, str], _Request] = {}
        self._leases: dict[str, datetime] = {}
        self._changed: OrderedDict[str, int] = OrderedDict()  # run id -> its latest sequence, oldest first
        self._gone: dict[str, RunEvent] = {}
        self._gone_labels: dict[str, Run] = {}
        self._floor = 0
        self._wakeups = Wakeups(0)
        self._closed = False

    # templates

    async def create_template(self, namespace: str, name: str, text: str, now: datetime) -> TemplateRecord:
        self._check_open()
        return self._templates.create(namespace, name, text, now)

    async def get_template(self, namespace: str, name: str, version: int | None = None) -> TemplateRecord:
        self._check_open()
        return self._templates.get(namespace, name, version)

    async def list_templates(self, namespace: str | None, limit: int, after: str = "") -> Page[TemplateRecord]:
        self._check_open()
        rules.check_limit(limit)
        return self._templates.list_latest(namespace, limit, after)

    async def list_template_versions(
        self, namespace: str, name: str, limit: int, after: str = ""
    ) -> Page[TemplateRecord]:
        self._check_open()
        rules.check_limit(limit)
        return self._templates.list_versions(namespace, name, limit, after)

    async def update_template(self, namespace: str, name: str, text: str, etag: str, now: datetime) -> TemplateRecord:
        self._check_open()
        return self._templates.update(namespace, name, text, etag, now)

    async def delete_template(self, namespace: str, name: str, etag: str) -> None:
        self._check_open()
        self._templates.delete(namespace, name, etag)

    # runs

    async def create_run(self, new: NewRun, now: datetime) -> tuple[RunRecord, bool]:
        self._check_open()
        run = new.run
        if new.request_id and (known := self._requests.get((run.namespace, new.request_id))):
            if known.body_digest != new.body_digest:
                raise RequestIdReused(f"request id {new.request_id} came before with another body", known.run_id)
            if known.run_id in self._runs:
                return self._runs[known.run_id].record(), False
            if now - known.at < rules.REQUEST_KEPT:
                raise NotFound(f"the run of request {new.request_id} ({known.run_id}) was deleted")
        rules.check_new(run)
        codec.encode_spec(run.spec), codec.encode_head(run, new.template), codec.encode_status(run)
        if (run.namespace, run.name) in self._names or run.id in self._runs:
            raise AlreadyExists(f"run {rules.path(run.namespace, run.name)} exists already")
        if run.created_at is None:
            run = msgspec.structs.replace(run, created_at=now)
        entry = _Entry(
            run=run,
            template=new.template,
            created=rules.micros(run.created_at or now),
            due=new.due_at,
            owner=new.owner,
            epoch=1 if new.owner else 0,
        )
        self._runs[run.id] = entry
        self._names[run.namespace, run.name] = run.id
        if new.request_id:
            self._requests[run.namespace, new.request_id] = _Request(new.body_digest, run.id, now)
        self._touch(entry)
        return entry.record(), True

    async def find_request(self, namespace: str, request_id: str) -> tuple[str, str] | None:
        self._check_open()
        known = self._requests.get((namespace, request_id))
        return None if known is None else (known.run_id, known.body_digest)

    async def get_run(self, namespace: str, run_id: str) -> RunRecord:
        self._check_open()
        return self._run(run_id, namespace).record()

    async def list_runs(self, where: RunFilter, limit: int, after: str = "") -> Page[RunRecord]:
        self._check_open()
        rules.check_limit(limit)
        below = rules.parse_page_key(after, int, str) if after else None
        found = sorted(
            (
                entry
                for entry in self._runs.values()
                if rules.matches(where, entry.run, entry.template)
                and (below is None or (entry.created, entry.run.id) < below)
            ),
            key=lambda entry: (entry.created, entry.run.id),
            reverse=True,
        )
        page = rules.page(found[: limit + 1], limit, lambda entry: rules.page_key(entry.created, entry.run.id))
        return Page(tuple(entry.record() for entry in page.items), page.next_key)

    async def list_measurements(self, run_id: str, metric: str, limit: int, after: str = "") -> Page[Measurement]:
        self._check_open()
        rules.check_limit(limit)
        start = rules.ordinal_key(after) + 1
        slots = self._run(run_id).slots.get(metric, [])
        return rules.page(slots[start : start + limit + 1], limit, lambda m: rules.page_key(m.ordinal))

    async def list_looks(self, run_id: str, metric: str, ordinal: int, limit: int, after: str = "") -> Page[Look]:
        self._check_open()
        rules.check_limit(limit)
        start = max(rules.ordinal_key(after), 0)
        looks = self._run(run_id).looks.get((metric, ordinal), [])
        return rules.page(looks[start : start + limit + 1], limit, lambda look: rules.page_key(look.number))

    async def request_terminate(self, namespace: str, run_id: str, now: datetime) -> RunRecord:
        self._check_open()
        entry = self._run(run_id, namespace)
        if not entry.run.phase.done and not entry.terminate:
            entry.terminate = True
            entry.due = now
            self._touch(entry)
        return entry.record()

    async def delete_run(self, namespace: str, run_id: str, now: datetime) -> None:
        self._check_open()
        entry = self._run(run_id, namespace)
        if not entry.run.phase.done:
            raise NotTerminal(f"run {rules.path(namespace, entry.run.name)} is not finished: terminate it first")
        del self._runs[run_id], self._names[entry.run.namespace, entry.run.name]
        for key in [k for k, r in self._requests.items() if r.run_id not in self._runs]:
            if now - self._requests[key].at >= rules.REQUEST_KEPT:
                del self._requests[key]
        self._touch(entry)
        self._gone[run_id] = RunEvent(
            entry.sequence,
            run_id,
            None,
            entry.resource_version,
            deleted=True,
            terminate_requested=entry.terminate,
            template=entry.template,
            namespace=namespace,
        )
        self._gone_labels[run_id] = msgspec.structs.replace(entry.run, spec=_NO_SPEC, results=())
        if len(self._gone) > EVENTS_KEPT:
            oldest = next(iter(self._gone))
            self._floor = self._gone.pop(oldest).sequence
            del self._gone_labels[oldest], self._changed[oldest]

    def _run(self, run_id: str, namespace: str | None = None) -> _Entry:
        entry = self._runs.get(run_id)
        if entry is None or namespace not in (None, entry.run.namespace):
            raise NotFound(f"there is no run {run_id}")
        return entry

    # the engine's side

    async def claim(self, owner: str, now: datetime, limit: int, lease: timedelta) -> list[Claim]:
        self._check_open()
        self._leases[owner] = now + lease
        free = [
            entry
            for entry in self._runs.values()
            if not entry.run.phase.done
            and entry.owner != owner
            and not (entry.owner and rules.lease_holds(self._leases.get(entry.owner), now, lease))
        ]
        free.sort(key=lambda entry: (entry.due is None, entry.due))
        claims = []
        for entry in free[:limit]:
            entry.owner = owner
            entry.epoch += 1
            claims.append(Claim(entry.run, entry.epoch, owner, entry.resource_version, entry.terminate, entry.crashes))
            entry.crashes += 1
        return claims

    async def renew(self, owner: str, now: datetime, lease: timedelta) -> None:
        self._check_open()
        self._leases[owner] = now + lease

    async def release(self, owner: str, now: datetime, run_id: str = "") -> None:
        self._check_open()
        if not run_id:
            self._leases.pop(owner, None)
        for entry in self._runs.values():
            if entry.owner == owner and not entry.run.phase.done and run_id in ("", entry.run.id):
                entry.owner, entry.crashes = "", 0

    async def save(self, commit: Commit) -> Claim:
        self._check_open()
        rules.check_commit(commit)
        claim, run = commit.claim, commit.run
        entry = self._runs.get(run.id)
        if (
            entry is None
            or entry.run.phase.done
            or (entry.epoch, entry.owner, entry.resource_version) != (claim.epoch, claim.owner, claim.resource_version)
        ):
            raise Fenced(f"run {run.id} is no longer held at version {claim.resource_version} by {claim.owner}")
        codec.encode_status(run)
        slots, looks = self._slots(entry, commit), self._looks(entry, commit)
        entry.slots.update(slots)
        entry.looks.update(looks)
        entry.run = codec.join(entry.run, run)
        entry.due = commit.due_at
        entry.resource_version += 1
        entry.crashes = 0
        if run.phase.done:
            entry.owner = ""
        self._touch(entry)
        return replace(
            claim, run=run, resource_version=entry.resource_version, terminate_requested=entry.terminate, crashes=0
        )

    def _slots(self, entry: _Entry, commit: Commit) -> dict[str, list[Measurement]]:
        changed: dict[str, list[Measurement]] = {}
        for metric, measurement in commit.taken:
            codec.encode_measurement(measurement)
            slots = changed.setdefault(metric, list(entry.slots.get(metric, ())))
            if measurement.ordinal == len(slots):
                slots.append(measurement)
            elif measurement.ordinal < len(slots) and not slots[measurement.ordinal].done:
                slots[measurement.ordinal] = measurement
            else:
                raise Fenced(f"slot {metric}/{measurement.ordinal} of run {entry.run.id} is not free")
        return changed

    def _looks(self, entry: _Entry, commit: Commit) -> dict[tuple[str, int], list[Look]]:
        changed: dict[tuple[str, int], list[Look]] = {}
        for metric, ordinal, look in commit.looks:
            codec.encode_look(look)
            looks = changed.setdefault((metric, ordinal), list(entry.looks.get((metric, ordinal), ())))
            if look.number != len(looks) + 1:
                raise Fenced(f"look {metric}/{ordinal}/{look.number} of run {entry.run.id} is not the next one")
            looks.append(look)
        return changed

    # watching

    def _touch(self, entry: _Entry) -> None:
        entry.sequence = self._wakeups.sequence + 1
        self._changed[entry.run.id] = entry.sequence
        self._changed.move_to_end(entry.run.id)
        self._wakeups.advance(entry.sequence)

    async def changes(self, after: int, limit: int, where: RunFilter | None = None) -> list[RunEvent]:
        self._check_open()
        if not self._floor <= after <= self._wakeups.sequence:
            raise RelistRequired(f"nothing is known of position {after}: list again")
        newer = []
        for run_id in reversed(self._changed):
            if self._changed[run_id] <= after:
                break
            newer.append(run_id)
        where = replace(where or RunFilter(), phases=frozenset())
        events: list[RunEvent] = []
        for run_id in reversed(newer):
            if (entry := self._runs.get(run_id)) is not None:
                event, run = event_of(entry.record(), entry.sequence), entry.run
            else:
                event, run = self._gone[run_id], self._gone_labels[run_id]
            if rules.matches(where, run, event.template):
                events.append(event)
                if len(events) == limit:
                    break
        return events

    def wakeups(self) -> AsyncIterator[int]:
        return aiter(self._wakeups)

    async def info(self) -> StoreInfo:
        self._check_open()
        live = sum(not entry.run.phase.done for entry in self._runs.values())
        return StoreInfo(self._id, "memory", self._wakeups.sequence, live)

    async def close(self) -> None:
        self._closed = True
        self._wakeups.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")


_NO_SPEC = RunSpec(metrics=())  # what is remembered of a deleted run is small
