"""A service's worth of writing, made to be killed: what it was told is durable it notes in a side file.

Started once; then it forks one worker per line of its input ({"path", "acks", "start", "env"}), so that a kill does
not cost a start of the interpreter. "wait PID" gives the exit status of a worker.
"""

import asyncio
import json
import os
import random
import sys
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from msgspec.structs import replace as with_fields

from analysis_service.core.model import Look, Measurement, Metric, MetricResult, Phase, Run, RunSpec
from analysis_service.stores.base import Claim, Commit, Fenced, NewRun
from analysis_service.stores.sqlite import SqliteStore

LEASE = timedelta(seconds=15)
SPEC = RunSpec(metrics=(Metric(name="errors", provider={"prometheus": {"query": "up"}}),))
LIVE = 6
LENGTH = 8  # measurements until the verdict
KEPT = 8  # finished runs, before the oldest is deleted


class Worker:
    def __init__(self, store: SqliteStore, acks: int, now: datetime) -> None:
        self.store = store
        self.acks = acks
        self.now = now
        self.owner = f"owner-{os.getpid()}"
        self.finished: list[str] = []

    def ack(self, *what: object) -> None:
        """In the page cache at once: killing the process does not take it back.

        The kill may cut a line in two, which then tells nothing; the line break before each keeps it apart from the
        next worker's first.
        """
        os.write(self.acks, f"\n{json.dumps(what)}\n".encode())

    async def run(self) -> None:
        stale = await self.store.claim("zombie", self.now, 100, LEASE)
        while len(stale) < LIVE:
            stale += await self.create("zombie")
        self.now += timedelta(seconds=100)
        claims = await self.store.claim(self.owner, self.now, 100, LEASE)
        zombies = {claim.run.id: claim for claim in stale}
        self.ack("ready")
        while True:
            stepped = await asyncio.gather(*(self.step(claim, zombies) for claim in claims))
            claims = [claim for claim in stepped if claim is not None]
            while len(claims) < LIVE:
                await self.create("")
                claims += await self.store.claim(self.owner, self.now, 100, LEASE)
            while len(self.finished) > KEPT:
                await self.store.delete_run("ns", self.finished[0], self.now)
                self.ack("deleted", self.finished.pop(0))

    async def create(self, owner: str) -> list[Claim]:
        run_id = uuid4().hex
        run = Run(run_id, "ns", run_id, SPEC, created_at=self.now)
        new = NewRun(run, self.now, request_id=run_id, body_digest="d")
        await asyncio.gather(*(self.store.create_run(new, self.now) for _ in range(3)))
        self.ack("created", run_id)
        return await self.store.claim(owner, self.now, 100, LEASE) if owner else []

    async def step(self, claim: Claim, zombies: dict[str, Claim]) -> Claim | None:
        zombie = zombies.get(claim.run.id)
        if zombie is not None and random.random() < 0.5:
            await self.write_late(zombie, claim)
        ordinal = claim.run.results[0].taken if claim.run.results else 0
        if random.random() < 0.3:  # a long one: written unfinished first
            claim = await self.measure(claim, ordinal, Phase.RUNNING, Look(1, self.now, {"n": 1}))
        claim = await self.measure(claim, ordinal, Phase.SUCCESSFUL)
        if not claim.run.phase.done:
            return claim
        self.finished.append(claim.run.id)
        return None

    async def measure(self, claim: Claim, ordinal: int, phase: Phase, look: Look | None = None) -> Claim:
        measurement = Measurement(phase, ordinal, value=uuid4().hex)
        old = claim.run.results[0] if claim.run.results else MetricResult("errors")
        shown = {m.ordinal: m for m in (*old.measurements, measurement)}
        result = with_fields(
            old, taken=ordinal + 1, count=old.count + measurement.done, measurements=tuple(shown.values())[-3:]
        )
        ended = measurement.done and ordinal == LENGTH - 1
        run = with_fields(claim.run, phase=Phase.FAILED if ended else Phase.RUNNING, results=(result,))
        looks = [("errors", ordinal, look)] if look else []
        due = None if ended else self.now + timedelta(seconds=60)
        after = await self.store.save(Commit(claim, run, due, [("errors", measurement)], looks))
        self.ack("saved", run.id, ordinal, measurement.value, measurement.done, after.resource_version, run.phase.value)
        return after

    async def write_late(self, zombie: Claim, current: Claim) -> None:
        """The former owner wakes up: with what it measured meanwhile, or with the state it remembers."""
        try:
            if random.random() < 0.5:
                await self.measure(replace(zombie, run=current.run), self.taken(current), Phase.SUCCESSFUL)
            else:
                await self.store.save(Commit(zombie, with_fields(zombie.run, phase=Phase.RUNNING), self.now))
        except Fenced:
            self.ack("refused", zombie.run.id)

    @staticmethod
    def taken(claim: Claim) -> int:
        return claim.run.results[0].taken if claim.run.results else 0


async def work(order: dict[str, str]) -> None:
    acks = os.open(order["acks"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    store = await SqliteStore.open(Path(order["path"]))
    worker = Worker(store, acks, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=int(order["start"])))
    while True:
        try:
            await worker.run()
        except Exception:
            # without the fence anything may happen to a worker: it starts over
            if os.environ.get("TIDEGATE_BROKEN") != "fence":
                raise
            worker.now += timedelta(seconds=1000)


def child(order: dict[str, str]) -> NoReturn:
    try:
        asyncio.run(work(order))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def main() -> None:
    for line in sys.stdin:
        if line.startswith("wait "):
            _, status = os.waitpid(int(line.split()[1]), 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.environ.update(order["env"])
            child(order)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
