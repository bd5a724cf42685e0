"""kill -9 at any moment: what was acknowledged is stored, and nothing is counted twice.

Workers write as a service does, together with a former owner that keeps writing late. They are killed at random and
at every named place around the commit. Then a copy of the file is opened as a restart would, and checked against
what the worker was told. With the fence switched off the same checks must fail.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from analysis_service.core.model import MetricResult, Phase
from analysis_service.stores.base import RunFilter, StoreError
from analysis_service.stores.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]

FAILPOINTS = (
    "after_create",
    "after_claim",
    "before_cas",
    "after_cas",
    "after_measurement",
    "after_looks",
    "after_event",
    "after_verdict",
    "after_delete",
    "before_commit",
    "after_commit",
    "after_notify",
    "before_checkpoint",
    "after_checkpoint",
)


class Zygote:
    """Forks workers; see kill_child.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, path: Path, acks: Path, start: int, env: dict[str, str]) -> int:
        return self._ask(json.dumps({"path": str(path), "acks": str(acks), "start": start, "env": env}))

    def wait(self, pid: int) -> int:
        return self._ask(f"wait {pid}")

    def close(self) -> str:
        _, errors = self._process.communicate()
        return errors


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@dataclass
class Told:
    """What the workers were told, over all kills of one file."""

    created: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    values: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    versions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    verdicts: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    read: int = 0

    def follow(self, acks: Path) -> bool:
        """Read what is new; whether the newest worker was ready. A line cut by the kill was never told."""
        ready = False
        data = acks.read_bytes() if acks.exists() else b""
        whole = data[self.read : data.rfind(b"\n") + 1]
        for line in whole.splitlines():
            match _told(line):
                case None:
                    pass
                case ["ready"]:
                    ready = True
                case ["created", run]:
                    self.created.add(run)
                case ["deleted", run]:
                    self.deleted.add(run)
                case ["refused", _]:
                    self.refused += 1
                case ["saved", run, ordinal, value, done, version, phase]:
                    # an unfinished one may be written again, and that may not be acknowledged before the kill
                    self.values[run][ordinal] = value if done else ""
                    self.versions[run] = max(self.versions[run], version)
                    if Phase(phase).done:
                        self.verdicts[run] = phase
        self.read += len(whole)
        return ready


def _told(line: bytes) -> list[Any] | None:
    try:
        told: list[Any] = json.loads(line)
    except ValueError:  # empty, or cut in two
        return None
    return told


@dataclass
class Seen:
    """What was stored at the checks before."""

    sequence: int = 0
    runs: dict[str, tuple[int, int, str]] = field(default_factory=dict)  # version, sequence, phase


async def violations(path: Path, told: Told, seen: Seen) -> list[str]:
    """Open the file as a restart does and compare."""
    found: list[str] = []
    try:
        store = await SqliteStore.open(path)
    except StoreError as error:
        return [f"restart: {error}"]
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    records = {record.run.id: record for record in (await store.list_runs(RunFilter(), 100_000)).items}
    facts: dict[str, Any] = {row[0]: row for row in db.execute("SELECT id, n, sequence, slots, done FROM run")}
    info = await store.info()
    if "damaged_runs" in info.detail:
        found.append(info.detail["damaged_runs"])
    if info.sequence < seen.sequence:
        found.append(f"the sequence went back from {seen.sequence} to {info.sequence}")
    seen.sequence = info.sequence
    for run_id in told.created - told.deleted - records.keys() - told.verdicts.keys():
        # a finished one may have been deleted without the acknowledgement
        found.append(f"{run_id}: created, and is not there")
    for run_id in told.deleted & records.keys():
        found.append(f"{run_id}: deleted, and is there")
    if len({fact[2] for fact in facts.values()}) != len(facts):
        found.append("two runs have one sequence")
    for run_id, record in records.items():
        _, n, sequence, slots, done = facts[run_id]
        result = record.run.results[0] if record.run.results else MetricResult("errors")
        try:
            measurements = (await store.list_measurements(run_id, "errors", 1_000)).items
        except StoreError as error:
            found.append(f"{run_id}: {error}")
            continue
        if [m.ordinal for m in measurements] != list(range(len(measurements))):
            found.append(f"{run_id}: ordinals {[m.ordinal for m in measurements]}")
        if not slots == result.taken == len(measurements):
            found.append(f"{run_id}: {slots} slots, {result.taken} taken, {len(measurements)} rows")
        if result.count != sum(m.done for m in measurements):
            found.append(f"{run_id}: counts {result.count} of {sum(m.done for m in measurements)} finished")
        epochs = [e for (e,) in db.execute("SELECT epoch FROM measurement WHERE run = ? ORDER BY ordinal", (n,))]
        if epochs != sorted(epochs):
            found.append(f"{run_id}: epochs go back: {epochs}")
        stored = {m.ordinal: m.value for m in measurements}
        for ordinal, value in told.values[run_id].items():
            if ordinal not in stored:
                found.append(f"{run_id}/{ordinal}: acknowledged, and is not there")
            elif value and stored[ordinal] != value:
                found.append(f"{run_id}/{ordinal}: acknowledged {value}, stored {stored[ordinal]}")
        if record.resource_version < told.versions[run_id]:
            found.append(f"{run_id}: version {record.resource_version}, acknowledged {told.versions[run_id]}")
        if run_id in told.verdicts and record.run.phase.value != told.verdicts[run_id]:
            found.append(f"{run_id}: verdict {told.verdicts[run_id]} became {record.run.phase}")
        if record.run.phase.done != bool(done):
            found.append(f"{run_id}: {record.run.phase}, but done is {done}")
        before = seen.runs.get(run_id)
        if before is not None:
            version, earlier, phase = before
            if (record.resource_version, sequence) < (version, earlier):
                found.append(f"{run_id}: went back from {version} to {record.resource_version}")
            if Phase(phase).done and (record.resource_version, phase) != (version, record.run.phase.value):
                found.append(f"{run_id}: changed after its verdict")
        seen.runs[run_id] = (record.resource_version, sequence, record.run.phase.value)
    latest = {event.run_id: event.sequence for event in await store.changes(0, 1_000_000)}
    if {run_id: latest.get(run_id) for run_id in facts} != {run_id: fact[2] for run_id, fact in facts.items()}:
        found.append("a watcher from the start does not see every run's last change")
    db.close()
    await store.close()
    return found


def restart_violations(path: Path, told: Told, seen: Seen) -> list[str]:
    """On a copy, so that the worker that comes next does its own recovery."""
    copy = path.with_name("copy.db")
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        if path.with_name(path.name + suffix).exists():
            shutil.copy(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
    copy.with_name("copy.db.lock").unlink(missing_ok=True)
    return asyncio.run(violations(copy, told, seen))


def kill_round(zygote: Zygote, folder: Path, plans: list[dict[str, str]], seed: int) -> tuple[list[str], Told]:
    """Kill one worker per plan on one file: at the failpoint of its environment, or at a random moment."""
    random_ = random.Random(seed)
    path, acks = folder / "store.db", folder / "acks"
    told, seen = Told(), Seen()
    for number, plan in enumerate(plans):
        pid = zygote.start(path, acks, number, {"TESTING": "1", "TIDEGATE_FAIL_AT": "", "TIDEGATE_BROKEN": "", **plan})
        if "TIDEGATE_FAIL_AT" not in plan:
            patience = time.monotonic() + 30
            while not told.follow(acks) and time.monotonic() < patience:
                time.sleep(0.005)
            time.sleep(random_.uniform(0.0, 0.12))
            os.kill(pid, signal.SIGKILL)
        status = zygote.wait(pid)
        told.follow(acks)
        if status not in (9, -signal.SIGKILL):
            return [f"worker {number} ({plan}) ended by itself with {status}"], told
        if found := restart_violations(path, told, seen):
            return [f"after kill {number} ({plan}), seed {seed}: {line}" for line in found], told
    return [], told


@pytest.mark.parametrize("seed", range(12))
def test_killed_at_random(zygote: Zygote, folder: Path, seed: int) -> None:
    """12 x 10 kills."""
    found, told = kill_round(zygote, folder, [{}] * 10, seed)
    assert found == []
    assert told.refused > 0  # or the late writer proved nothing
    assert sum(map(len, told.values.values())) > 20


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_at_every_named_place(zygote: Zygote, folder: Path, failpoint: str) -> None:
    """14 x 6 kills."""
    random_ = random.Random(failpoint)
    most = 3 if "checkpoint" in failpoint else 40
    plans = [{"TIDEGATE_FAIL_AT": f"{failpoint}:{random_.randint(1, most)}"} for _ in range(6)]
    if failpoint in ("after_verdict", "after_delete", "after_create", "after_claim"):
        plans = [{"TIDEGATE_FAIL_AT": f"{failpoint}:{1 + i % 3}"} for i in range(6)]
    found, _ = kill_round(zygote, folder, plans, 0)
    assert found == []


def test_without_the_fence_the_same_checks_fail(zygote: Zygote, folder: Path) -> None:
    """Two owners must meet for it, which a starved machine lets happen seldom: a few rounds are tried."""
    for number in range(10):
        round_folder = folder / str(number)
        round_folder.mkdir()
        found, _ = kill_round(zygote, round_folder, [{"TIDEGATE_BROKEN": "fence"}] * 20, 4)
        if any("epochs go back" in line or "taken" in line or "went back" in line for line in found):
            return
    pytest.fail("ten rounds without the fence, and nothing was noticed")
