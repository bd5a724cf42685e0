"""Any sequence of calls: the memory store and the SQLite store answer as one simple model does.

The model knows nothing of leases as times or of digests: who may write is a set of facts about each run.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from msgspec.structs import replace as with_fields

from analysis_service.core.model import Look, Measurement, Phase, Run
from analysis_service.stores.base import (
    AlreadyExists,
    Claim,
    Commit,
    EtagMismatch,
    Fenced,
    NewRun,
    NotFound,
    NotTerminal,
    RequestIdReused,
    RunFilter,
    Store,
    StoreError,
)
from analysis_service.stores.memory import MemoryStore
from analysis_service.stores.sqlite import SqliteStore
from tests.stores.suite import LEASE, NOW, a_measurement, a_run, took

OWNERS = ("x", "y", "z")
# a file system in memory where there is one: what is tested here is the logic, not the disk
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@dataclass
class ModelRun:
    run: Run
    due: datetime
    owner: str = ""
    epoch: int = 0
    version: int = 1
    terminate: bool = False
    crashes: int = 0
    slots: dict[int, Measurement] = field(default_factory=dict)
    looks: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """An error is an answer too."""

    kind: type[StoreError]


class StoreMachine(RuleBasedStateMachine):
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(dir=PLACE)
        self.path = Path(self.folder.name) / "store.db"
        self.now = NOW
        self.runs: dict[str, ModelRun] = {}
        self.requests: dict[str, tuple[str, str]] = {}
        self.leases: dict[str, datetime] = {}
        self.templates: dict[str, tuple[int, str]] = {}
        self.last_version: dict[str, int] = {}
        self.changed: list[str] = []  # run names, the latest change last
        self.made = 0

    @initialize()
    def open(self) -> None:
        self.memory = MemoryStore()
        self.sqlite = self.loop.run_until_complete(SqliteStore.open(self.path, commit_distance=timedelta(0)))

    def teardown(self) -> None:
        if hasattr(self, "sqlite"):
            self.loop.run_until_complete(self.sqlite.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()

    def ask(self, call: Any) -> Any:
        """The answer of both stores, which is one."""

        async def answer(store: Store) -> Any:
            try:
                awaitable: Awaitable[Any] = call(store)
                return await awaitable
            except StoreError as error:
                return Failure(type(error))

        memory = self.loop.run_until_complete(answer(self.memory))
        sqlite = self.loop.run_until_complete(answer(self.sqlite))
        assert memory == sqlite
        return sqlite

    # time

    @rule(seconds=st.sampled_from([1, 7, 16, -20, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def sqlite_restarts(self) -> None:
        """The leases of before are of nobody who is still there."""
        for owner in OWNERS:
            self.loop.run_until_complete(self.memory.renew(owner, self.now - timedelta(days=365), timedelta(0)))
        self.leases.clear()
        self.loop.run_until_complete(self.sqlite.close())
        self.sqlite = self.loop.run_until_complete(SqliteStore.open(self.path, commit_distance=timedelta(0)))

    # runs

    @rule(name=st.sampled_from("abc"), request=st.sampled_from(["", "r", "q"]), body=st.sampled_from("12"))
    def create(self, name: str, request: str, body: str) -> None:
        self.made += 1
        run = with_fields(a_run(name, labels={"body": body}), id=f"id-{self.made}", created_at=self.now)
        new = NewRun(run, self.now, request_id=request, body_digest=body)
        answer = self.ask(lambda store: store.create_run(new, self.now))
        if request in self.requests:
            first_body, first_id = self.requests[request]
            known = next((m for m in self.runs.values() if m.run.id == first_id), None)
            if first_body != body:
                assert answer == Failure(RequestIdReused)
                return
            if known is not None:
                assert (answer[0].run, answer[0].resource_version, answer[1]) == (known.run, known.version, False)
                return
            if answer == Failure(NotFound):
                return  # the day is not over; that it ends is in the suite
        if name in self.runs:
            assert answer == Failure(AlreadyExists)
            return
        assert (answer[0].run, answer[1]) == (run, True)
        self.runs[name] = ModelRun(run, self.now)
        self.change(name)
        if request:
            self.requests[request] = (body, run.id)

    def change(self, name: str) -> None:
        if name in self.changed:
            self.changed.remove(name)
        self.changed.append(name)

    @rule(name=st.sampled_from("abc"))
    def terminate(self, name: str) -> None:
        known = self.runs.get(name)
        run_id = known.run.id if known else "nobody"
        answer = self.ask(lambda store: store.request_terminate("ns", run_id, self.now))
        if known is None:
            assert answer == Failure(NotFound)
            return
        if not known.run.phase.done and not known.terminate:
            known.terminate, known.due = True, self.now
            self.change(name)
        assert (answer.run, answer.terminate_requested) == (known.run, known.terminate)

    @rule(name=st.sampled_from("abc"))
    def delete(self, name: str) -> None:
        known = self.runs.get(name)
        run_id = known.run.id if known else "nobody"
        answer = self.ask(lambda store: store.delete_run("ns", run_id, self.now))
        if known is None:
            assert answer == Failure(NotFound)
        elif not known.run.phase.done:
            assert answer == Failure(NotTerminal)
        else:
            assert answer is None
            del self.runs[name]
            self.changed.remove(name)

    # owning

    def alive(self, owner: str) -> bool:
        until = self.leases.get(owner)
        return until is not None and self.now < until <= self.now + 2 * LEASE

    @rule(target=claims, owner=st.sampled_from(OWNERS), limit=st.integers(1, 3))
    def claim(self, owner: str, limit: int) -> Any:
        free = {
            name
            for name, known in self.runs.items()
            if not known.run.phase.done and known.owner != owner and not (known.owner and self.alive(known.owner))
        }
        answer = self.ask(lambda store: store.claim(owner, self.now, limit, LEASE))
        self.leases[owner] = self.now + LEASE
        got = [claim.run.name for claim in answer]
        assert set(got) <= free
        assert len(got) == min(limit, len(free)) == len(set(got))
        dues = [self.runs[name].due for name in got]
        assert dues == sorted(dues)
        assert all(self.runs[name].due >= dues[-1] for name in free - set(got))
        for claim in answer:
            known = self.runs[claim.run.name]
            known.owner, known.epoch = owner, known.epoch + 1
            assert claim == Claim(known.run, known.epoch, owner, known.version, known.terminate, known.crashes)
            known.crashes += 1
        return multiple(*answer)

    @rule(owner=st.sampled_from(OWNERS))
    def release(self, owner: str) -> None:
        self.ask(lambda store: store.release(owner, self.now))
        self.leases.pop(owner, None)
        for known in self.runs.values():
            if known.owner == owner:
                known.owner, known.crashes = "", 0

    @rule(owner=st.sampled_from(OWNERS))
    def renew(self, owner: str) -> None:
        self.ask(lambda store: store.renew(owner, self.now, LEASE))
        self.leases[owner] = self.now + LEASE

    # writing; claims of the past are used again and again, as a paused owner would

    @rule(
        target=claims,
        claim=claims,
        phase=st.sampled_from([Phase.SUCCESSFUL, Phase.ERROR, Phase.RUNNING]),
        verdict=st.sampled_from([Phase.RUNNING, Phase.RUNNING, Phase.RUNNING, Phase.FAILED]),
        same_slot=st.booleans(),
        look=st.booleans(),
    )
    def save(self, claim: Claim, phase: Phase, verdict: Phase, same_slot: bool, look: bool) -> Any:
        known = next((m for m in self.runs.values() if m.run.id == claim.run.id), None)
        result = claim.run.result("errors")
        taken = result.taken if result else 0
        ordinal = taken - 1 if same_slot and taken else taken
        measurement = a_measurement(ordinal, phase, message=str(self.made))
        run = took(claim.run, "errors", measurement, phase=verdict)
        number = (known.looks.get(ordinal, 0) if known else 0) + 1
        looks = [("errors", ordinal, Look(number, self.now, {"n": number}))] if look else []
        commit = Commit(claim, run, None if verdict.done else self.now, [("errors", measurement)], looks)
        answer = self.ask(lambda store: store.save(commit))
        if (
            known is None
            or known.run.phase.done
            or (known.epoch, known.owner, known.version) != (claim.epoch, claim.owner, claim.resource_version)
            or (ordinal in known.slots and known.slots[ordinal].done)
        ):
            assert answer == Failure(Fenced)
            return multiple()
        known.slots[ordinal] = measurement
        known.looks[ordinal] = number if look else number - 1
        known.version += 1
        known.run, known.crashes = run, 0
        known.due = self.now
        if verdict.done:
            known.owner = ""
        self.change(run.name)
        assert answer == replace(
            claim, run=run, resource_version=known.version, terminate_requested=known.terminate, crashes=0
        )
        return multiple(answer)

    # templates

    @rule(name=st.sampled_from("tu"), text=st.sampled_from("12"), how=st.sampled_from(["create", "update", "delete"]))
    def template(self, name: str, text: str, how: str) -> None:
        known = self.templates.get(name)
        etag = ""
        with contextlib.suppress(StoreError):
            etag = self.loop.run_until_complete(self.memory.get_template("ns", name)).etag
        if how == "create":
            answer = self.ask(lambda store: store.create_template("ns", name, text, self.now))
            if known:
                assert answer == Failure(AlreadyExists)
                return
        elif how == "update":
            answer = self.ask(lambda store: store.update_template("ns", name, text, etag, self.now))
            assert self.ask(lambda store: store.update_template("ns", name, text, "old", self.now)) == Failure(
                EtagMismatch if known else NotFound
            )
            if not known:
                assert answer == Failure(NotFound)
                return
            if known[1] == text:
                assert (answer.version, answer.text) == known
                return
        else:
            answer = self.ask(lambda store: store.delete_template("ns", name, etag))
            assert answer == (None if known else Failure(NotFound))
            self.templates.pop(name, None)
            return
        version = self.last_version.get(name, 0) + 1
        assert (answer.version, answer.text) == (version, text)
        self.templates[name] = (version, text)
        self.last_version[name] = version

    # what can be read at any time

    @invariant()
    def everything_reads_as_in_the_model(self) -> None:
        if not hasattr(self, "sqlite"):
            return
        listed = self.ask(lambda store: store.list_runs(RunFilter(), 10)).items
        assert {r.run.name: (r.run, r.resource_version, r.terminate_requested) for r in listed} == {
            name: (known.run, known.version, known.terminate) for name, known in self.runs.items()
        }
        for known in self.runs.values():
            record = self.ask(lambda store, known=known: store.get_run("ns", known.run.id))
            assert record in listed
            page = self.ask(lambda store, known=known: store.list_measurements(known.run.id, "errors", 100))
            assert {m.ordinal: m for m in page.items} == known.slots
            for ordinal, count in known.looks.items():
                looks = self.ask(
                    lambda store, known=known, ordinal=ordinal: store.list_looks(known.run.id, "errors", ordinal, 100)
                )
                assert [look.number for look in looks.items] == list(range(1, count + 1))
        for store in (self.memory, self.sqlite):
            events = self.loop.run_until_complete(store.changes(0, 100))
            assert [e.run.name for e in events if e.run is not None] == self.changed
            assert [e.sequence for e in events] == sorted({e.sequence for e in events})
            assert all(e.run == self.runs[e.run.name].run for e in events if e.run is not None)
        live = sum(not known.run.phase.done for known in self.runs.values())
        assert self.ask(lambda store: _live(store)) == live


async def _live(store: Store) -> int:
    return (await store.info()).live_runs


TestStores = StoreMachine.TestCase
TestStores.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
