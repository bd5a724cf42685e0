"""What one durable measurement costs in the SQLite store, next to what the disk itself asks for.

    python -m benchmarks.store [--rounds N] [--runs N]

In turns within one run: commits of 1, 8 and 64 measurements of different runs, and a plain write of the same bytes
with fdatasync. Then 1 000 measurements a second through the whole store for some seconds, and a restart with all runs
live. The last line is one JSON object.

    cpu_us_per_save      CPU per measurement, by group size; the sync's own share is in it
    sync_cpu_us          CPU of the plain write and fdatasync of a group of 8
    commit_per_sync      time of a commit per time of its plain write with fdatasync, by group size (median)
    paced_cpu_us         CPU per measurement at 1 000 a second: event loop, threads, commits, checkpoints
    paced_memory_cpu_us  the same on the store that keeps nothing: what is left is the price of durability
    restart_seconds      opening the file, claiming and loading all runs
    bytes_per_run        memory that a loaded run with its 10 measurements takes
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from analysis_service.core.model import Measurement, Metric, MetricResult, Phase, Run, RunSpec
from analysis_service.stores.base import Claim, Commit, NewRun, Store
from analysis_service.stores.memory import MemoryStore
from analysis_service.stores.sqlite import SqliteStore
from analysis_service.stores.sqlite_file import StoreFile, open_store_file
from analysis_service.stores.sqlite_rows import Specs
from analysis_service.stores.sqlite_writes import Writes

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=15)
GROUPS = (1, 8, 64)
COMMITS = 48  # per group size and round
PACED_SECONDS = 4
SPEC = RunSpec(metrics=(Metric(name="errors", interval="10s", count=10, provider={"prometheus": {"query": "up"}}),))


def a_run(number: int) -> Run:
    return Run(f"01930000-0000-7000-8000-{number:012d}", "default", f"run-{number}", SPEC, created_at=NOW)


def next_commit(claim: Claim) -> Commit:
    """The next measurement of a run, as the engine would record it."""
    old = claim.run.results[0] if claim.run.results else MetricResult("errors", Phase.RUNNING)
    measurement = Measurement(
        Phase.SUCCESSFUL,
        old.taken,
        value="[0.0123]",
        started_at=NOW,
        finished_at=NOW,
        metadata={"ResolvedPrometheusQuery": 'sum(rate(http_requests_total{code=~"5.."}[1m]))'},
        reason="errors is 0.0123, at most 0.05 is allowed",
    )
    result = replace(
        old,
        count=old.count + 1,
        successful=old.successful + 1,
        taken=old.taken + 1,
        measurements=(*old.measurements, measurement)[-10:],
    )
    run = replace(claim.run, phase=Phase.RUNNING, results=(result,))
    return Commit(claim, run, NOW + timedelta(seconds=10), [("errors", measurement)])


def chunks(items: list[int], size: int) -> Iterable[list[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))


class Disk:
    """A file that is written over and over, as the store's log is."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._descriptor, bytes(4 << 20), 0)
        os.fsync(self._descriptor)

    def sync(self, size: int) -> tuple[float, float]:
        """CPU and wall seconds of writing so many bytes durably."""
        data = os.urandom(size)
        cpu, wall = time.process_time(), time.perf_counter()
        os.pwrite(self._descriptor, data, 0)
        os.fdatasync(self._descriptor)
        return time.process_time() - cpu, time.perf_counter() - wall


def commit_group(file: StoreFile, writes: Writes, group: list[Commit]) -> list[Claim]:
    """As the writer's thread does it."""
    db = file.writer
    db.execute("BEGIN IMMEDIATE")
    claims = []
    for commit in group:
        db.execute("SAVEPOINT job")
        claims.append(writes.save(commit)[0])
        db.execute("RELEASE job")
    db.execute("COMMIT")
    return claims


def measure_commits(folder: Path, runs: int, rounds: int) -> dict[str, object]:
    file = open_store_file(folder / "direct.db")
    writes = Writes(file.writer, Specs(), {}, None, fenced=True, events_kept=1_000_000)
    pages = [0]

    def logged(_: object, __: str, count: int) -> int:
        pages[0] = count
        return 0

    file.writer.set_wal_hook(logged)
    with file.writer:
        for number in range(runs):
            writes.create_run(NewRun(a_run(number), NOW), NOW)
        claims = {c.run.id: c for c, _, _ in writes.owners.claim("owner", NOW, runs, LEASE)}
    disk = Disk(folder / "plain")
    cpu: dict[int, list[float]] = defaultdict(list)
    ratio: dict[int, list[float]] = defaultdict(list)
    sync_cpu: list[float] = []
    random_ = random.Random(1)
    for _ in range(rounds):
        file.writer.wal_checkpoint()
        for size in GROUPS:
            spent = 0.0
            for _ in range(COMMITS):
                group = [next_commit(claims[run_id]) for run_id in random_.sample(sorted(claims), size)]
                before, began, began_wall = pages[0], time.process_time(), time.perf_counter()
                done = commit_group(file, writes, group)
                wall = time.perf_counter() - began_wall
                spent += time.process_time() - began
                claims.update({claim.run.id: claim for claim in done})
                written = pages[0] - before if pages[0] > before else pages[0]
                plain_cpu, plain_wall = disk.sync(written * 4096)
                ratio[size].append(wall / plain_wall)
                if size == 8:
                    sync_cpu.append(plain_cpu)
            cpu[size].append(spent / COMMITS / size)
    file.close()
    return {
        "cpu_us_per_save": {str(size): round(median(cpu[size]) * 1e6, 1) for size in GROUPS},
        "sync_cpu_us": round(median(sync_cpu) * 1e6, 1),
        "commit_per_sync": {str(size): round(median(ratio[size]), 2) for size in GROUPS},
    }


async def measure_paced(store: Store, claims: list[Claim]) -> float:
    """CPU seconds per measurement at 1 000 a second."""
    loop = asyncio.get_running_loop()
    waiting: set[asyncio.Task[None]] = set()

    async def step(number: int) -> None:
        claims[number] = await store.save(next_commit(claims[number]))

    cpu, start, count = time.process_time(), loop.time(), 0
    while (passed := loop.time() - start) < PACED_SECONDS:
        while count < passed * 1_000:
            task = loop.create_task(step(count % len(claims)))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            count += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*waiting)
    return (time.process_time() - cpu) / count


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def fill(store: Store, runs: int) -> list[Claim]:
    for part in chunks(list(range(runs)), 1_000):
        await asyncio.gather(*(store.create_run(NewRun(a_run(number), NOW), NOW) for number in part))
    return await store.claim("first", NOW, runs, LEASE)


async def measure_store(folder: Path, runs: int) -> dict[str, object]:
    memory = MemoryStore()
    paced_memory = await measure_paced(memory, await fill(memory, 1_000))
    store = await SqliteStore.open(folder / "store.db")
    claims = await fill(store, runs)
    for _ in range(9):
        claims = list(await asyncio.gather(*(store.save(next_commit(claim)) for claim in claims)))
    paced = await measure_paced(store, claims)
    await store.close()
    del store, claims
    before, began = resident(), time.perf_counter()
    store = await SqliteStore.open(folder / "store.db")
    claims = []
    while got := await store.claim("second", NOW + timedelta(minutes=1), 1_000, LEASE):
        claims += got
    restart = time.perf_counter() - began
    grown = resident() - before
    assert len(claims) == runs
    await store.close()
    return {
        "paced_cpu_us": round(paced * 1e6, 1),
        "paced_memory_cpu_us": round(paced_memory * 1e6, 1),
        "restart_seconds": round(restart, 2),
        "bytes_per_run": grown // runs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--runs", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:  # on a disk, which /tmp often is not
        result = measure_commits(Path(folder), options.runs, options.rounds)
    # a process of its own, so that freed memory of the first part is not taken for memory of the second
    with tempfile.TemporaryDirectory(dir=".") as folder:
        pid = os.fork()
        if pid == 0:
            with open(Path(folder) / "result", "w") as file:
                json.dump(asyncio.run(measure_store(Path(folder), options.runs)), file)
            os._exit(0)
        if os.waitpid(pid, 0)[1]:
            print("the store's part failed", file=sys.stderr)
            return 1
        result |= json.loads((Path(folder) / "result").read_text())
    print(json.dumps({"benchmark": "store", "runs": options.runs, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
