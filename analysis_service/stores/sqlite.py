"""The store of a single service: one SQLite file, written by one thread, durable before it answers.

Losing power loses nothing that was acknowledged. A second process on the same file is refused. What damage does to
the file shows in digests, and costs the damaged run only.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import apsw

from analysis_service import failpoints
from analysis_service.core.model import Look, Measurement
from analysis_service.stores import rules
from analysis_service.stores.base import (
    Claim,
    Commit,
    Damaged,
    NewRun,
    NotFound,
    Page,
    RunEvent,
    RunFilter,
    RunRecord,
    StoreError,
    StoreInfo,
    TemplateRecord,
    Unavailable,
)
from analysis_service.stores.recent import Recent
from analysis_service.stores.sqlite_file import StoreFile, open_store_file
from analysis_service.stores.sqlite_rows import Rows, Specs
from analysis_service.stores.sqlite_writes import Writes
from analysis_service.stores.wakeups import Wakeups
from analysis_service.stores.writer import DISTANCE, Writer, explain

T = TypeVar("T")

READERS = 3
RECENT = 20_000  # runs kept in memory
EVENTS_KEPT = 1_000_000  # changes a watcher may be behind


class SqliteStore:
    """Implements Store. Made by `open`, used from that event loop."""

    def __init__(
        self, file: StoreFile, on_fatal: Callable[[str], None], events_kept: int, commit_distance: timedelta
    ) -> None:
        fail = failpoints.load(os.environ)
        self._file = file
        specs, self._damage = Specs(), dict[int, str]()
        self._writes = Writes(
            file.writer,
            specs,
            self._damage,
            fail,
            fenced=not failpoints.broken(os.environ, "fence"),
            events_kept=events_kept,
        )
        self._recent = Recent(self._writes.sequence, RECENT)
        self._wakeups = Wakeups(self._writes.sequence)
        self._committed = self._writes.sequence
        self._writer = Writer(
            file.writer, asyncio.get_running_loop(), self._after_commit, on_fatal, fail, commit_distance
        )
        self._readers: SimpleQueue[tuple[apsw.Connection, Rows]] = SimpleQueue()
        for _ in range(READERS):
            db = file.reader()
            self._readers.put((db, Rows(db, specs, self._damage)))
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._closed = False
        self._writer.start()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        on_fatal: Callable[[str], None] = lambda reason: None,
        allow_network_file_system: bool = False,
        events_kept: int = EVENTS_KEPT,
        commit_distance: timedelta = DISTANCE,
    ) -> "SqliteStore":
        """Opens the file, or makes it.

        on_fatal: called once, in the event loop, with a sentence, when the disk failed in a way after which no
            write can be trusted: the process should end. From then on writes raise Unavailable.
        events_kept: how many changes a watcher may be behind before it must list again.
        commit_distance: commits begin at least this far apart; a longer one saves CPU and delays answers under load.

        Raises Unavailable (in use, not writable, wrong place) or Damaged, with a sentence; the file is untouched.
        """
        file = await asyncio.to_thread(open_store_file, path, allow_network_file_system=allow_network_file_system)
        try:
            store = cls(file, on_fatal, events_kept, commit_distance)
        except apsw.Error as error:
            file.close()
            raise explain(error, "") from error
        with suppress(StoreError):  # on a full disk the leases of a process that was killed run out by themselves
            await store._write(store._writes.owners.drop_leases)
        return store

    # templates

    async def create_template(self, namespace: str, name: str, text: str, now: datetime) -> TemplateRecord:
        return await self._write(lambda: self._writes.templates.create(namespace, name, text, now))

    async def get_template(self, namespace: str, name: str, version: int | None = None) -> TemplateRecord:
        return await self._read(lambda rows: rows.templates.find(namespace, name, version))

    async def list_templates(self, namespace: str | None, limit: int, after: str = "") -> Page[TemplateRecord]:
        rules.check_limit(limit)
        return await self._read(lambda rows: rows.templates.list_latest(namespace, limit, after))

    async def list_template_versions(
        self, namespace: str, name: str, limit: int, after: str = ""
    ) -> Page[TemplateRecord]:
        rules.check_limit(limit)
        return await self._read(lambda rows: rows.templates.list_versions(namespace, name, limit, after))

    async def update_template(self, namespace: str, name: str, text: str, etag: str, now: datetime) -> TemplateRecord:
        return await self._write(lambda: self._writes.templates.update(namespace, name, text, etag, now))

    async def delete_template(self, namespace: str, name: str, etag: str) -> None:
        await self._write(lambda: self._writes.templates.delete(namespace, name, etag))

    # runs

    async def create_run(self, new: NewRun, now: datetime) -> tuple[RunRecord, bool]:
        record, is_new, _ = await self._write(lambda: self._writes.create_run(new, now), self._created)
        return record, is_new

    def _created(self, created: tuple[RunRecord, bool, int]) -> None:
        record, is_new, sequence = created
        if is_new:
            self._recent.wrote(record, sequence)
            self._committed = max(self._committed, sequence)
        else:
            self._recent.read(record, sequence, self._committed)

    async def find_request(self, namespace: str, request_id: str) -> tuple[str, str] | None:
        return await self._read(lambda rows: rows.find_request(namespace, request_id))

    async def get_run(self, namespace: str, run_id: str) -> RunRecord:
        self._check_open()
        known = self._recent.get(run_id)
        if known is not None:
            if known.run.namespace != namespace:
                raise NotFound(f"there is no run {run_id}")
            return known
        begun = self._committed
        record, sequence = await self._read(lambda rows: _found(rows, namespace, run_id))
        self._recent.read(record, sequence, begun)
        return record

    async def list_runs(self, where: RunFilter, limit: int, after: str = "") -> Page[RunRecord]:
        rules.check_limit(limit)
        return await self._read(lambda rows: rows.list_runs(where, limit, after))

    async def list_measurements(self, run_id: str, metric: str, limit: int, after: str = "") -> Page[Measurement]:
        rules.check_limit(limit)
        return await self._read(lambda rows: rows.list_measurements(run_id, metric, limit, after))

    async def list_looks(self, run_id: str, metric: str, ordinal: int, limit: int, after: str = "") -> Page[Look]:
        rules.check_limit(limit)
        return await self._read(lambda rows: rows.list_looks(run_id, metric, ordinal, limit, after))

    async def request_terminate(self, namespace: str, run_id: str, now: datetime) -> RunRecord:
        def wrote(written: tuple[RunRecord, int]) -> None:
            record, sequence = written
            if sequence > self._committed:
                self._recent.wrote(record, sequence)
                self._committed = sequence

        return (await self._write(lambda: self._writes.request_terminate(namespace, run_id, now), wrote))[0]

    async def delete_run(self, namespace: str, run_id: str, now: datetime) -> None:
        def deleted(event: RunEvent) -> None:
            self._recent.deleted(event)
            self._committed = max(self._committed, event.sequence)
            self._writer.freed = True

        await self._write(lambda: self._writes.delete_run(namespace, run_id, now), deleted)

    # the engine's side

    async def claim(self, owner: str, now: datetime, limit: int, lease: timedelta) -> list[Claim]:
        def claimed(found: list[tuple[Claim, RunRecord, int]]) -> None:
            for _, record, sequence in found:
                self._recent.read(record, sequence, self._committed)

        found = await self._write(lambda: self._writes.owners.claim(owner, now, limit, lease), claimed)
        return [claim for claim, _, _ in found]

    async def renew(self, owner: str, now: datetime, lease: timedelta) -> None:
        await self._write(lambda: self._writes.owners.renew(owner, now, lease))

    async def release(self, owner: str, now: datetime, run_id: str = "") -> None:
        await self._write(lambda: self._writes.owners.release(owner, now, run_id))

    async def save(self, commit: Commit) -> Claim:
        return (await self._write(lambda: self._writes.save(commit), self._saved))[0]

    def _saved(self, saved: tuple[Claim, int]) -> None:
        claim, sequence = saved
        self._recent.saved(claim.run, claim.resource_version, claim.terminate_requested, sequence)
        self._committed = max(self._committed, sequence)

    # watching

    async def changes(self, after: int, limit: int, where: RunFilter | None = None) -> list[RunEvent]:
        self._check_open()
        if where is None and after <= self._committed:
            events = self._recent.changes(after, limit)
            if events is not None:
                return events
        return await self._read(lambda rows: rows.changes(after, limit, where or RunFilter()))

    def wakeups(self) -> AsyncIterator[int]:
        return aiter(self._wakeups)

    def _after_commit(self) -> None:
        self._wakeups.advance(self._committed)

    # the store itself

    async def info(self) -> StoreInfo:
        live = await self._read(Rows.live_runs)
        damaged = self._damage.copy()
        detail = {"path": str(self._file.path), "sqlite": apsw.sqlite_lib_version()}
        if damaged:
            detail["damaged_runs"] = f"{len(damaged)}: {'; '.join(list(damaged.values())[:10])}"
        if self._writer.broken:
            detail["writes"] = self._writer.broken
        return StoreInfo(self._file.store_id, "sqlite", self._committed, live, detail)

    async def close(self) -> None:
        """Finishes what was asked, and leaves one file without a log."""
        if not self._closed:
            self._closed = True
            self._wakeups.close()
            await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.stop()
        self._pool.shutdown()
        for _ in range(READERS):
            self._readers.get()[0].close()
        self._file.close()

    def _write(self, work: Callable[[], T], after: Callable[[T], None] | None = None) -> "asyncio.Future[T]":
        """Once submitted it happens whole or not at all, whatever becomes of the caller."""
        self._check_open()
        return self._writer.submit(work, after)

    async def _read(self, query: Callable[[Rows], T]) -> T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._query, query)

    def _query(self, query: Callable[[Rows], T]) -> T:
        """On a reader's thread: all of one query sees one state."""
        db, rows = self._readers.get()
        try:
            db.execute("BEGIN")
            return query(rows)
        except apsw.Error as error:
            raise explain(error, "") from error
        except UnicodeDecodeError as error:
            raise Damaged("stored text is damaged: restore the store from a backup") from error
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._readers.put((db, rows))

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")


def _found(rows: Rows, namespace: str, run_id: str) -> tuple[RunRecord, int]:
    row = rows.find(run_id, namespace)
    return rows.record(row), row.sequence
