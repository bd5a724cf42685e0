"""What a file, a disk or a second process can do to the SQLite store: a clear sentence, and nothing lost."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 - nothing else runs in these loops

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace as with_fields

from analysis_service.core.model import Cause, Look, Phase, Run
from analysis_service.stores import codec, sqlite_file
from analysis_service.stores.base import (
    Commit,
    Damaged,
    NewRun,
    NotFound,
    NotTerminal,
    Page,
    RelistRequired,
    RunFilter,
    StoreError,
    Unavailable,
)
from analysis_service.stores.sqlite import SqliteStore
from analysis_service.stores.sqlite_digests import run_digest
from tests.stores.rewriting import another_build_wrote_the_spec, origins
from tests.stores.suite import (
    LEASE,
    NOW,
    a_measurement,
    a_run,
    claimed,
    commit,
    created,
    finished,
    later,
    took,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """In memory where that is possible, for what opens a store hundreds of times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Path(folder) / "store.db"


async def closed_store(path: Path, runs: int = 1) -> None:
    """A file with some runs, properly closed."""
    store = await SqliteStore.open(path)
    for i in range(runs):
        claim = await claimed(store, a_run(f"r{i}"), owner=f"o{i}")
        await store.save(commit(claim, a_measurement(0)))
    await store.close()


# what is not a store is refused and left alone


async def _sqlite(path: Path, *statements: str) -> None:
    db = apsw.Connection(str(path))
    for statement in ("CREATE TABLE t (x)", *statements):
        db.execute(statement)
    db.close()


async def _newer(path: Path) -> None:
    await closed_store(path)
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 14")
    db.close()


async def _bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    "make, message",
    [
        pytest.param(lambda p: _bytes(p, b""), "it is empty (0 bytes): delete it", id="0 bytes"),
        pytest.param(lambda p: _bytes(p, b"\x89PNG\r\n\x1a\n" + b"\0" * 5000), "it is not a SQLite file", id="PNG"),
        pytest.param(lambda p: _bytes(p, b"SQLite format 3\0"), "it is not a SQLite file", id="cut header"),
        pytest.param(_folder, "this is a folder: name a file in it", id="folder"),
        pytest.param(_sqlite, "of another application (application_id 0x0, not 0x54474154)", id="other application"),
        pytest.param(
            lambda p: _sqlite(p, "PRAGMA application_id = 0x54474154"), "it has schema 0, this build knows 1", id="old"
        ),
        pytest.param(_newer, "it has schema 14, this build knows 1: upgrade, or restore a backup", id="newer schema"),
    ],
)
async def test_a_wrong_file_is_refused_untouched(path: Path, make: Callable[[Path], Any], message: str) -> None:
    await make(path)
    before = path.read_bytes() if path.is_file() else None
    listing = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(Damaged) as caught:
        await SqliteStore.open(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert sorted(p.name for p in path.parent.iterdir()) == listing


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"there is no folder .*/nowhere: make it"):
        await SqliteStore.open(tmp_path / "nowhere" / "store.db")


@pytest.mark.parametrize(
    "version, refused",
    [("3.40.1", True), ("3.51.2", True), ("3.51.3", False), ("3.52.0", False), ("3.54.1", False), ("4.0.0", False)],
)
def test_a_sqlite_that_corrupts_is_refused(version: str, refused: bool) -> None:
    why = sqlite_file.refuse_library(version)
    assert bool(why) == refused
    assert not why or (version in why and "3.51.3" in why)


@pytest.mark.parametrize(
    "kind, name",
    [
        (0x6969, "NFS"),
        (0xFF534D42, "CIFS"),
        (0xFF534D42 - (1 << 32), "CIFS"),  # a signed long on some systems
        (0x65735546, "FUSE"),
        (0xEF53, ""),  # ext4
        (0x01021994, ""),  # tmpfs
        (0x794C7630, ""),  # overlay: local underneath
        (0x58465342, ""),  # XFS
        (0x9123683E, ""),  # btrfs
    ],
)
def test_network_file_systems_are_refused_by_their_type(kind: int, name: str) -> None:
    why = sqlite_file.refuse_file_system(kind)
    assert why == "" if not name else f"a store on {name} can be corrupted" in why


def test_the_type_of_a_real_folder_is_read(tmp_path: Path) -> None:
    kind = sqlite_file.file_system_type(tmp_path)
    if sys.platform.startswith("linux"):
        assert kind is not None
        shown = subprocess.run(["stat", "-f", "-c", "%t", str(tmp_path)], capture_output=True, text=True, check=True)
        assert kind & 0xFFFFFFFF == int(shown.stdout, 16)


# a second process

_HOLD = """
import asyncio, sys
from pathlib import Path
from analysis_service.stores.sqlite import SqliteStore
async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    print("open", flush=True)
    sys.stdin.read()
    await store.close()
asyncio.run(main())
"""


async def test_a_second_process_is_told_who_has_the_file(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(Unavailable, match=rf"in use by pid {other.pid} on host \S+"):
            await SqliteStore.open(path)
        other.stdin.close()
    store = await SqliteStore.open(path)
    await store.close()


async def test_a_second_store_in_this_process_is_refused_too(path: Path) -> None:
    store = await SqliteStore.open(path)
    with pytest.raises(Unavailable, match=f"in use by pid {os.getpid()}"):
        await SqliteStore.open(path)
    await created(store)
    await store.close()


async def test_who_writes_past_the_lock_is_fenced(path: Path) -> None:
    """Another process that ignored the lock and claimed the run: the epoch keeps the first one out."""
    store = await SqliteStore.open(path)
    claim = await claimed(store)
    db = apsw.Connection(str(path))
    db.execute("UPDATE run SET epoch = epoch + 1, owner = 'intruder'")
    db.close()
    with pytest.raises(StoreError, match="no longer held"):
        await store.save(commit(claim, a_measurement(0)))
    await store.close()


# restart


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    store = await SqliteStore.open(path)
    template = await store.create_template("ns", "t", "text", NOW)
    live = await store.save(commit(await claimed(store, a_run("live")), a_measurement(0)))
    done = await finished(store, a_run("done"))
    await finished(store, a_run("gone"))
    await store.delete_run("ns", "run-ns-gone", NOW)
    info, events = await store.info(), await store.changes(0, 100)
    await store.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["store.db", "store.db.lock"]

    store = await SqliteStore.open(path)
    again = await store.info()
    assert (again.store_id, again.sequence, again.live_runs) == (info.store_id, info.sequence, 1)
    assert await store.get_template("ns", "t") == template
    assert (await store.get_run("ns", "run-ns-live")).run == live.run
    assert (await store.get_run("ns", "run-ns-done")).run == done.run
    assert await store.changes(0, 100) == events
    with pytest.raises(NotFound):
        await store.get_run("ns", "run-ns-gone")
    (claim,) = await store.claim("next", later(100), 10, LEASE)
    assert (claim.run, claim.epoch, claim.resource_version) == (live.run, 2, 2)
    await store.save(commit(claim, a_measurement(1)))
    await store.close()


async def test_equal_specs_are_one_object(path: Path) -> None:
    await closed_store(path, runs=5)
    store = await SqliteStore.open(path)
    records = (await store.list_runs(RunFilter(), 10)).items
    assert len({id(record.run.spec) for record in records}) == 1
    await store.close()


async def test_the_status_row_does_not_grow_with_the_run(path: Path) -> None:
    store = await SqliteStore.open(path)
    claim = await claimed(store)
    sizes = []
    for ordinal in range(50):
        claim = await store.save(commit(claim, a_measurement(ordinal), keep=50))
        sizes.append(apsw.Connection(str(path)).execute("SELECT length(status) FROM run").get)
    assert sizes[-1] - sizes[0] < 8
    await store.close()


async def test_old_events_are_dropped_and_an_old_position_relists(path: Path) -> None:
    store = await SqliteStore.open(path, events_kept=1000)
    claim = await claimed(store)
    for i in range(8):
        await asyncio.gather(*(created(store, a_run(f"{i}-{j}")) for j in range(1000)))
    claim = await store.save(commit(claim, a_measurement(0)))
    await store.close()
    store = await SqliteStore.open(path, events_kept=1000)
    newest = (await store.info()).sequence
    with pytest.raises(RelistRequired):
        await store.changes(1, 10)
    events = await store.changes(newest - 1, 10)
    assert [e.run for e in events] == [claim.run]
    await store.close()


# the database itself refuses


@pytest.mark.parametrize(
    "statement, refused",
    [
        ("UPDATE run SET phase = 'Successful' WHERE id = 'run-ns-done'", "the verdict of a run is final"),
        ("UPDATE run SET status = x'00' WHERE id = 'run-ns-done'", "the verdict of a run is final"),
        ("UPDATE run SET done = 0 WHERE id = 'run-ns-done'", "the verdict of a run is final"),
        ("UPDATE run SET owner = 'me', epoch = 9 WHERE id = 'run-ns-done'", "the verdict of a run is final"),
        ("REPLACE INTO run SELECT * FROM run WHERE id = 'run-ns-done'", "a run is not replaced"),
        ("DELETE FROM run WHERE id = 'run-ns-live'", "a live run is not deleted"),
        ("UPDATE origin SET spec = x'00'", "what a run was created with is final"),
        ("UPDATE measurement SET body = x'00' WHERE done = 1", "a finished measurement is final"),
        ("UPDATE measurement SET done = 0", "a finished measurement is final"),
        ("DELETE FROM measurement", "measurements live as long as their run"),
        ("DELETE FROM look", "looks live as long as their run"),
        ("UPDATE look SET body = x'00'", "a look is final"),
        ("INSERT INTO measurement SELECT * FROM measurement", "UNIQUE constraint failed"),
    ],
)
async def test_raw_sql_cannot_change_what_is_final(path: Path, statement: str, refused: str) -> None:
    store = await SqliteStore.open(path)
    await finished(store, a_run("done"), Phase.FAILED)
    claim = await claimed(store, a_run("live"))
    run = took(claim.run, "errors", a_measurement(0))
    await store.save(Commit(claim, run, NOW, [("errors", a_measurement(0))], [("errors", 0, Look(1, NOW, {}))]))
    await store.close()
    db = apsw.Connection(str(path))
    with pytest.raises(apsw.ConstraintError, match=refused):
        db.execute(statement)
    db.close()
    store = await SqliteStore.open(path)
    assert (await store.get_run("ns", "run-ns-done")).run.phase is Phase.FAILED
    await store.close()


# disks that are full or not writable


@pytest.fixture
def small_disk(tmp_path: Path, mount_tmpfs: Callable[..., None]) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    mount_tmpfs(folder, "size=1500k")
    return folder


async def test_a_full_disk_refuses_writes_and_loses_nothing(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 500_000)
    fatal: list[str] = []
    store = await SqliteStore.open(small_disk / "store.db", on_fatal=fatal.append)
    claim = await claimed(store)
    big = {"padding": "x" * 2_000}
    refused = None
    for ordinal in range(2_000):
        measurement = with_fields(a_measurement(ordinal), metadata=big)
        try:
            claim = await store.save(commit(claim, measurement, keep=1))
        except Unavailable as error:
            refused = str(error)
            break
    assert refused is not None
    assert "the disk of the store is full; nothing was written" in refused
    # reading goes on, and so does writing once there is room
    record = await store.get_run("ns", claim.run.id)
    assert (record.run, record.resource_version) == (claim.run, claim.resource_version)
    filler.unlink()
    claim = await store.save(commit(claim, a_measurement(claim.resource_version - 1), keep=1))
    assert fatal == []
    await store.close()
    store = await SqliteStore.open(small_disk / "store.db")
    assert (await store.get_run("ns", claim.run.id)).run == claim.run
    page = await store.list_measurements(claim.run.id, "errors", 5_000)
    assert [m.ordinal for m in page.items] == list(range(claim.resource_version - 1))
    await store.close()


async def test_of_a_group_that_met_a_full_disk_nothing_is_half_there(small_disk: Path) -> None:
    store = await SqliteStore.open(small_disk / "store.db")
    outcomes: list[object] = []
    labels = {"padding": "x" * 2_000}
    for i in range(20):
        runs = [a_run(f"{i}-{j}", labels=labels) for j in range(50)]
        outcomes += await asyncio.gather(
            *(store.create_run(NewRun(run, due_at=NOW), NOW) for run in runs), return_exceptions=True
        )
    told = {outcome[0].run.name for outcome in outcomes if isinstance(outcome, tuple)}
    assert 0 < len(told) < 1_000
    assert all(isinstance(o, tuple | Unavailable) for o in outcomes)
    await store.close()
    store = await SqliteStore.open(small_disk / "store.db")
    assert {r.run.name for r in (await store.list_runs(RunFilter(), 2_000)).items} == told
    await store.close()


_LIMITED = """
import asyncio, resource, sys
from pathlib import Path
sys.path.insert(0, ".")
from tests.stores.suite import *
from analysis_service.stores.sqlite import SqliteStore
async def main():
    fatal = []
    store = await SqliteStore.open(Path(sys.argv[1]), on_fatal=fatal.append)
    claim = await claimed(store)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    try:
        while True:
            claim = await store.save(commit(claim, a_measurement(claim.resource_version - 1), keep=1))
    except Unavailable as error:
        print(error)
    await asyncio.sleep(0)
    print(fatal[0])
    try:
        await store.save(commit(claim, a_measurement(claim.resource_version - 1), keep=1))
    except Unavailable as error:
        print(error)
    print((await store.get_run("ns", claim.run.id)).resource_version)
    await store.close()
asyncio.run(main())
"""


async def test_after_an_io_error_nothing_is_written_any_more(path: Path) -> None:
    """A write that fails with another error than `no space`: the disk is not to be trusted."""
    ran = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    first, fatal, second, version = ran.stdout.splitlines()
    assert "the store failed: disk I/O error" in first
    assert fatal.startswith("writing stopped after an I/O error")
    assert second == fatal
    # what was acknowledged is there, and perhaps the one whose outcome was not known
    store = await SqliteStore.open(path)
    record = await store.get_run("ns", "run-ns-a")
    assert record.resource_version in (int(version), int(version) + 1)
    assert len((await store.list_measurements("run-ns-a", "errors", 5_000)).items) == record.resource_version - 1
    await store.close()


@pytest.mark.parametrize("exists", [True, False], ids=["with a store", "empty"])
async def test_a_read_only_folder_is_refused(tmp_path: Path, exists: bool, request: pytest.FixtureRequest) -> None:
    folder = tmp_path / "ro"
    folder.mkdir()
    root = os.geteuid() == 0  # who may write anywhere but to a disk that is read-only
    if root:
        request.getfixturevalue("mount_tmpfs")(folder)
    if exists:
        await closed_store(folder / "store.db")
        (folder / "store.db.lock").unlink()
    if root:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        folder.chmod(0o500)
    with pytest.raises(Unavailable, match=r"cannot be locked.*(Read-only|Permission)"):
        await SqliteStore.open(folder / "store.db")
    if not root:
        folder.chmod(0o700)


# logs that are missing, or of another file

_CRASH = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, ".")
from tests.stores.suite import *
from analysis_service.stores.sqlite import SqliteStore
async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    claim = await claimed(store)
    for i in range(5):
        claim = await store.save(commit(claim, a_measurement(i)))
    os._exit(9)
asyncio.run(main())
"""


def crashed_store(path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", _CRASH, str(path)], check=False)
    assert ran.returncode == 9
    assert path.with_name(path.name + "-wal").stat().st_size > 0


async def test_a_crash_leaves_a_log_that_is_read(path: Path) -> None:
    crashed_store(path)
    store = await SqliteStore.open(path)
    assert len((await store.list_measurements("run-ns-a", "errors", 10)).items) == 5
    await store.close()


async def test_a_missing_log_is_noticed(path: Path) -> None:
    crashed_store(path)
    path.with_name(path.name + "-wal").unlink()
    before = path.read_bytes()
    with pytest.raises(Damaged, match=r"its log store.db-wal is missing.*may be lost"):
        await SqliteStore.open(path)
    assert path.read_bytes() == before
    path.with_name(path.name + ".lock").unlink()
    store = await SqliteStore.open(path)
    await store.close()


async def test_another_store_under_the_same_name_is_noticed(path: Path, tmp_path: Path) -> None:
    await closed_store(path)
    other = tmp_path / "other.db"
    await closed_store(other)
    shutil.copy(other, path)
    before = path.read_bytes()
    with pytest.raises(Damaged, match="was here before"):
        await SqliteStore.open(path)
    assert path.read_bytes() == before


async def test_the_log_of_another_store_is_not_copied_in(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    crashed_store(other)
    await closed_store(path)
    shutil.copy(other.with_name("other.db-wal"), path.with_name("store.db-wal"))
    before = path.read_bytes()
    with pytest.raises(Damaged):
        await SqliteStore.open(path)
    assert path.read_bytes() == before


def test_the_side_file_says_who_and_whether(path: Path) -> None:
    asyncio.run(closed_store(path))
    said = json.loads(path.with_name("store.db.lock").read_bytes())
    assert (said["pid"], said["open"]) == (os.getpid(), False)


# damage


def _run_of(i: int) -> Run:
    return a_run(f"r{i}", labels={"i": str(i)}, created=later(i))


async def filled(path: Path) -> None:
    """30 runs of 12 measurements, with looks, and a template."""
    store = await SqliteStore.open(path, commit_distance=timedelta(0))
    await store.create_template("ns", "t", "text " * 200, NOW)
    for i in range(30):
        claim = await claimed(store, _run_of(i), owner=f"o{i}")
        for ordinal in range(12):
            m = a_measurement(ordinal, message=f"run {i} " * 5)
            run = took(claim.run, "errors", m, phase=Phase.RUNNING if ordinal < 11 or i % 2 else Phase.FAILED)
            look = ("errors", 0, Look(ordinal + 1, NOW, {"e": ordinal, "text": "x" * 50}))
            claim = await store.save(Commit(claim, run, later(60), [("errors", m)], [look]))
    await store.close()


async def seen(store: SqliteStore) -> dict[str, object]:
    """Everything a user can read, with what it answers."""
    view: dict[str, object] = {}

    async def ask(key: str, call: Any) -> None:
        try:
            view[key] = await call
        except StoreError as error:
            view[key] = error

    for i in range(30):
        run_id = f"run-ns-r{i}"
        await ask(f"run {i}", store.get_run("ns", run_id))
        await ask(f"measurements {i}", store.list_measurements(run_id, "errors", 100))
        await ask(f"looks {i}", store.list_looks(run_id, "errors", 0, 100))
        await ask(f"page {i}", store.list_runs(RunFilter(namespace="ns", labels=(("i", str(i)),)), 100))
    await ask("template", store.get_template("ns", "t"))
    await ask("changes", store.changes(0, 1_000))
    return view


async def test_flipped_bytes_are_seen_and_cost_one_run(quick_path: Path) -> None:
    """400 times 4 random bytes: what is answered is what was written, or says that it is damaged."""
    path = quick_path
    await filled(path)
    store = await SqliteStore.open(path)
    truth = await seen(store)
    await store.close()
    sound = path.read_bytes()
    random_ = random.Random(7)
    refused = hurt = unharmed = 0
    for _ in range(400):
        data = bytearray(sound)
        for _ in range(4):
            data[random_.randrange(len(data))] ^= random_.randrange(1, 256)
        path.write_bytes(data)
        path.with_name("store.db.lock").unlink(missing_ok=True)
        try:
            store = await SqliteStore.open(path)
        except Damaged:
            refused += 1
            continue
        view = await seen(store)
        await store.close()
        wrong = {key for key in truth if view[key] != truth[key]}
        for key in wrong - {"changes"}:
            kind, _, number = key.partition(" ")
            if kind == "page" and isinstance(view[key], Page):
                # a listing leaves it out, whoever asks for it is told
                assert view[key] == Page(())
                assert isinstance(view[f"run {number}"], Damaged)
            else:
                assert isinstance(view[key], Damaged), (key, view[key])
        if isinstance(view["changes"], list):
            # events of damaged runs are left out, the rest is as it was
            told = truth["changes"]
            assert isinstance(told, list)
            assert all(event in told for event in view["changes"])
            missing = {event.run_id for event in told} - {event.run_id for event in view["changes"]}
            assert all(isinstance(view[f"run {run_id[8:]}"], Damaged) for run_id in missing)
        hurt += bool(wrong)
        unharmed += not wrong
        if wrong and not any(key.startswith(("template", "changes")) for key in wrong):
            assert len({key.split()[1] for key in wrong if not key.startswith("page")}) <= 8
    assert hurt > 40, (refused, hurt, unharmed)  # or the test proves nothing
    assert refused > 10


async def test_a_damaged_run_is_not_claimed_and_the_others_are(path: Path) -> None:
    await filled(path)
    db = apsw.Connection(str(path))
    triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE name LIKE 'measurement_is_%'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    db.execute("UPDATE measurement SET body = zeroblob(20) WHERE run = 2 AND ordinal = 7")
    db.execute("DELETE FROM measurement WHERE run = 4 AND ordinal = 0")
    db.execute("UPDATE run SET status = zeroblob(9) WHERE n = 6")
    for _, sql in triggers:
        db.execute(str(sql))
    db.close()
    store = await SqliteStore.open(path)
    for _ in range(2):
        claims = await store.claim("me", NOW + timedelta(days=1), 100, LEASE)
        assert {c.run.name for c in claims}.isdisjoint({"r1", "r3", "r5"})
    assert (await store.info()).detail["damaged_runs"].startswith("3: ")
    for call, message in (
        (store.list_measurements("run-ns-r1", "errors", 100), "measurement errors/7 of run run-ns-r1 fails its digest"),
        (store.list_measurements("run-ns-r3", "errors", 100), "has 11 measurements of the 12"),
        (store.get_run("ns", "run-ns-r5"), "the status of run run-ns-r5 fails its digest"),
    ):
        with pytest.raises(Damaged, match=message):
            await call
    assert (await store.get_run("ns", "run-ns-r2")).run.name == "r2"
    await store.close()


async def test_a_status_of_another_build_is_damaged_not_a_crash(path: Path) -> None:
    await closed_store(path)
    db = apsw.Connection(str(path))
    status = codec.encode(((), {"id": "", "namespace": "", "name": "", "spec": {"metrics": ()}, "phase": "Promoted"}))
    row: Any = db.execute("SELECT id, resource_version, sequence, due, done, phase FROM run").fetchone()
    run_id, version, sequence, due, done, phase = row
    digest = run_digest(run_id, version, sequence, due, done, phase, status)
    db.execute("UPDATE run SET status = ?, digest = ?", (status, digest))
    db.close()
    store = await SqliteStore.open(path)
    with pytest.raises(Damaged, match="cannot be read by this build"):
        await store.get_run("ns", "run-ns-r0")
    assert await store.claim("me", later(100), 10, LEASE) == []
    await store.close()


async def test_a_spec_of_another_build_costs_its_run_alone(path: Path) -> None:
    """It stays as it is, so that a build that knows it can finish it: no verdict is made up for it here."""
    await closed_store(path, runs=2)
    another_build_wrote_the_spec(path, "run-ns-r0")
    store = await SqliteStore.open(path)
    with pytest.raises(Damaged, match="the spec of run run-ns-r0 cannot be read by this build"):
        await store.get_run("ns", "run-ns-r0")
    (claim,) = await store.claim("me", later(100), 10, LEASE)
    assert claim.run.name == "r1"
    await store.save(commit(claim, a_measurement(1), phase=Phase.SUCCESSFUL))
    assert (await store.get_run("ns", "run-ns-r1")).run.phase is Phase.SUCCESSFUL
    assert (await store.info()).detail["damaged_runs"].startswith("1: ")
    await store.close()


@pytest.mark.parametrize("asked_before", [False, True])
async def test_a_run_of_another_build_can_be_ended_and_deleted(path: Path, asked_before: bool) -> None:
    """Neither needs the spec. asked_before: the build that knew it was told to end the run, and went away."""
    await closed_store(path, runs=2)
    if asked_before:
        store = await SqliteStore.open(path)
        assert (await store.request_terminate("ns", "run-ns-r0", later(1))).terminate_requested
        await store.close()
    another_build_wrote_the_spec(path, "run-ns-r0")
    store = await SqliteStore.open(path)
    assert [claim.run.name for claim in await store.claim("me", later(100), 10, LEASE)] == ["r1"]
    assert "damaged_runs" in (await store.info()).detail
    with pytest.raises(NotTerminal):
        await store.delete_run("ns", "run-ns-r0", later(101))

    before = (await store.info()).sequence
    ended = await store.request_terminate("ns", "run-ns-r0", later(101))
    assert (ended.run.phase, ended.run.cause, ended.run.completed_at) == (Phase.ERROR, Cause.QUARANTINED, later(101))
    assert ended.run.message == "ended on request before a verdict: this build cannot read the run's spec"
    assert ended.terminate_requested
    # asking again changes nothing
    assert await store.request_terminate("ns", "run-ns-r0", later(102)) == ended
    (event,) = await store.changes(before, 10)
    assert event.run is not None
    assert event.run.phase is Phase.ERROR
    assert "damaged_runs" not in (await store.info()).detail
    await store.close()

    store = await SqliteStore.open(path)
    assert await store.get_run("ns", "run-ns-r0") == ended
    assert [record.run.name for record in (await store.list_runs(RunFilter(), 10)).items] == ["r1", "r0"]
    assert [claim.run.name for claim in await store.claim("other", later(300), 10, LEASE)] == ["r1"]
    await store.delete_run("ns", "run-ns-r0", later(301))
    with pytest.raises(NotFound):
        await store.get_run("ns", "run-ns-r0")
    await store.close()


async def test_a_spec_that_is_damaged_does_not_end_its_run(path: Path) -> None:
    """What fails its digest may be anything: only what another build wrote may be ended unread."""
    await closed_store(path)
    with origins(path) as db:
        db.execute("UPDATE origin SET spec = x'00'")
    store = await SqliteStore.open(path)
    with pytest.raises(Damaged, match="fails its digest"):
        await store.request_terminate("ns", "run-ns-r0", later(1))
    await store.close()
