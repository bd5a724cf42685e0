"""One thread that owns all writing of a SQLite file, and commits whatever waits as one group.

A write that comes when nothing was written lately is committed at once. Under load, commits keep a distance in which
the next group gathers: a sync costs about as much CPU as ten writes, so at 1 000 writes a second one sync each would
cost more than everything else. Each write runs in a savepoint: one that fails takes no other with it. Callers are
answered after the commit, by one wake-up of their event loop per group.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import apsw

from analysis_service.failpoints import Failpoint
from analysis_service.stores.base import Damaged, StoreError, Unavailable

T = TypeVar("T")

GROUP = 64  # writes in one commit
DISTANCE = timedelta(milliseconds=10)  # between the beginnings of two commits
WAITING = 20_000  # writes that may wait; more are refused
CHECKPOINT_PAGES = 1_000  # of write-ahead log; SQLite's own default
VACUUM_PAGES = 256  # free pages given back at a time


@dataclass(slots=True)
class Job(Generic[T]):
    """`work` runs in the writer's transaction; `after` in the event loop once that is durable."""

    work: Callable[[], T]
    future: "asyncio.Future[T]"
    after: Callable[[T], None] | None = None
    value: T | None = None
    error: BaseException | None = None


class Writer:
    """Start it with `start`; it ends with `stop`, after all that was submitted."""

    def __init__(
        self,
        db: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        committed: Callable[[], None],
        failed: Callable[[str], None],
        fail: Failpoint | None,
        distance: timedelta,
    ) -> None:
        """distance: at least this long from the beginning of one commit to that of the next.
        committed: called in the loop after the answers of a group.
        failed: called in the loop, once, when the file can no longer be trusted with writes."""
        self._db = db
        self._loop = loop
        self._committed = committed
        self._failed = failed
        self._fail = fail
        self._distance = distance.total_seconds()
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._log_pages = 0
        self.freed = False  # set by a job that deleted rows
        self.broken = ""  # why writes have stopped
        db.set_wal_hook(self._logged)

    def start(self) -> None:
        self._thread.start()

    def submit(self, work: Callable[[], T], after: Callable[[T], None] | None = None) -> "asyncio.Future[T]":
        """Cancelling the future does not take the write back. Raises Unavailable."""
        if self.broken:
            raise Unavailable(self.broken)
        if self._queue.qsize() >= WAITING:
            raise Unavailable(f"{WAITING} writes are waiting for the disk already")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Job(work, future, after))
        return future

    def stop(self) -> None:
        """Blocks until everything submitted is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        begun = 0.0
        while not ended:
            waiting = [self._queue.get()]
            # asleep rather than waiting for more: to wake for every write would cost what the grouping saves
            time.sleep(max(0.0, begun + self._distance - time.monotonic()) if waiting[0] else 0.0)
            begun = time.monotonic()
            try:
                while len(waiting) < GROUP:
                    waiting.append(self._queue.get_nowait())
            except Empty:
                pass
            ended = None in waiting
            jobs = [job for job in waiting if job is not None]
            if jobs:
                self._commit(jobs)
                self._answer(jobs)
            if not self.broken:
                self._tidy()

    def _commit(self, jobs: list[Job[Any]]) -> None:
        """Run all jobs in one transaction, and leave each with its value or error."""
        if self.broken:
            self._refuse(jobs, Unavailable(self.broken))
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._do(job)
            if self._fail:
                self._fail("before_commit")
        except apsw.Error as error:
            self._abandon(jobs, error, "nothing was written")
            return
        try:
            self._db.execute("COMMIT")
        except apsw.Error as error:
            # a full disk is found out before the commit is marked in the log; after that nobody knows
            known = isinstance(error, apsw.FullError | apsw.BusyError)
            self._abandon(jobs, error, "nothing was written" if known else "whether it was written is not known")
            return
        if self._fail:
            self._fail("after_commit")

    def _do(self, job: Job[Any]) -> None:
        """Raises apsw.Error if the whole transaction is lost."""
        self._db.execute("SAVEPOINT job")
        try:
            job.value = job.work()
        except apsw.Error as error:
            # some errors end the transaction by themselves: a rollback would hide them behind its own error
            if not self._db.in_transaction or isinstance(error, apsw.FullError | apsw.IOError):
                raise
            job.error = explain(error, "nothing was written")
        except UnicodeDecodeError as error:
            job.error = Damaged(f"stored text is damaged ({error.reason}): restore the store from a backup")
        except Exception as error:
            job.error = error
        if job.error is not None:
            self._db.execute("ROLLBACK TO job")
        self._db.execute("RELEASE job")

    def _abandon(self, jobs: list[Job[Any]], error: apsw.Error, outcome: str) -> None:
        if isinstance(error, apsw.IOError | apsw.NotADBError):
            # after a failed sync the kernel may have dropped the pages: no later success can be believed
            self.broken = f"writing stopped after an I/O error ({error}): restart the service, and check the disk"
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except apsw.Error as second:
            self.broken = self.broken or f"writing stopped: a rollback failed ({second}); restart the service"
        self._refuse(jobs, explain(error, outcome))
        if self.broken:
            self._call(self._failed, self.broken)

    @staticmethod
    def _refuse(jobs: list[Job[Any]], error: StoreError) -> None:
        for job in jobs:
            job.value, job.error = None, error

    def _answer(self, jobs: list[Job[Any]]) -> None:
        self._call(self._deliver, jobs)
        if self._fail:
            self._fail("after_notify")

    def _deliver(self, jobs: list[Job[Any]]) -> None:
        for job in jobs:
            if job.error is None and job.after is not None:
                job.after(job.value)
            if not job.future.done():  # its caller may have gone away
                if job.error is None:
                    job.future.set_result(job.value)
                else:
                    job.future.set_exception(job.error)
        self._committed()

    def _call(self, function: Callable[[Any], None], argument: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, argument)

    def _logged(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._log_pages = pages
        return int(apsw.SQLITE_OK)

    def _tidy(self) -> None:
        """Between groups: copy the log into the file, give free pages back. Failing at it loses nothing."""
        try:
            if self._log_pages >= CHECKPOINT_PAGES:
                if self._fail:
                    self._fail("before_checkpoint")
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._log_pages = 0
                if self._fail:
                    self._fail("after_checkpoint")
            if self.freed and self._queue.empty():
                self.freed = False
                self._db.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
        except (apsw.BusyError, apsw.FullError):
            return  # later
        except apsw.Error as error:
            self._abandon([], error, "")


def explain(error: apsw.Error, outcome: str) -> StoreError:
    """What an error of SQLite means for whoever asked."""
    tail = f"; {outcome}" if outcome else ""
    match error:
        case apsw.FullError():
            return Unavailable(f"the disk of the store is full{tail}")
        case apsw.ReadOnlyError():
            return Unavailable(f"the store's file or folder is read-only{tail}")
        case apsw.BusyError() | apsw.LockedError():
            return Unavailable(f"another process holds the store's file{tail}")
        case apsw.CorruptError() | apsw.NotADBError():
            return Damaged(f"the store's file is damaged ({error}): restore it from a backup{tail}")
        case _:
            return Unavailable(f"the store failed: {error}{tail}")
