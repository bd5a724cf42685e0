"""Opening a store's file, or refusing to with a sentence. Nothing is written until everything has been checked.

Beside the file lies FILE.lock: locked by the one process that uses the store, it says which one that is, and
whether the last one closed the store or left its log behind.
"""

import ctypes
import fcntl
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import apsw
import msgspec

from analysis_service.stores.base import Damaged, StoreError, Unavailable
from analysis_service.stores.writer import explain

APPLICATION_ID = 0x54474154  # "TGAT"
SCHEMA_VERSION = 1
OLDEST_SQLITE = (3, 51, 3)  # 3.7.0 to 3.51.2 can corrupt a file when a checkpoint races with a write (WAL reset)

_MAGIC = b"SQLite format 3\0"

NETWORK_FILE_SYSTEMS = {  # statfs(2), linux/magic.h
    0x6969: "NFS",
    0x517B: "SMB",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x01021997: "9P",
    0x00C36400: "Ceph",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x0BD00BD0: "Lustre",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x47504653: "GPFS",
    0x013111A8: "IBRIX",
    0x65735546: "FUSE",  # sshfs, s3fs, gluster; one that is local must be allowed by name
}


class _Owner(msgspec.Struct, frozen=True):
    """What the side file says."""

    pid: int = 0
    host: str = ""
    open: bool = False
    store_id: str = ""


@dataclass(slots=True)
class Lock:
    """The held side file."""

    descriptor: int
    path: Path
    before: _Owner

    def note(self, store_id: str, *, is_open: bool) -> None:
        """Durable, because the next start believes it."""
        data = msgspec.json.encode(_Owner(os.getpid(), socket.gethostname(), is_open, store_id))
        os.pwrite(self.descriptor, data.ljust(256) + b"\n", 0)
        os.fsync(self.descriptor)

    def release(self) -> None:
        os.close(self.descriptor)


@dataclass(slots=True)
class StoreFile:
    path: Path
    lock: Lock
    writer: apsw.Connection
    store_id: str

    def reader(self) -> apsw.Connection:
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        _configure(db)
        db.execute("PRAGMA query_only = 1")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        return db

    def close(self) -> None:
        """All is in the file and no log is left; if that fails, the log stays and is read at the next start."""
        try:
            self.writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self.lock.note(self.store_id, is_open=False)
            self.writer.close()
        except (apsw.Error, OSError):
            self.writer.close(True)
        finally:
            self.lock.release()


def refuse_library(version: str) -> str:
    """Why this SQLite is not used; "" if it is."""
    if tuple(int(part) for part in version.split(".")) >= OLDEST_SQLITE:
        return ""
    oldest = ".".join(map(str, OLDEST_SQLITE))
    return f"SQLite {version} can corrupt a store that is read while it is written: install apsw with {oldest} or newer"


def refuse_file_system(kind: int) -> str:
    """Why a store is not kept on a file system of this statfs type; "" if it is."""
    name = NETWORK_FILE_SYSTEMS.get(kind & 0xFFFFFFFF)
    if name is None:
        return ""
    return f"a store on {name} can be corrupted, because its locks are not reliable: use a local disk"


def file_system_type(folder: Path) -> int | None:
    """statfs's f_type; None where there is no statfs."""
    if not sys.platform.startswith("linux"):
        return None
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(folder), buffer) != 0:
        return None
    return int(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_long))[0])


def refuse_header(header: bytes) -> str:
    """Why a file with these first 100 bytes is not a store that this build opens; "" if it is."""
    if not header:
        return "it is empty (0 bytes): delete it to start a new store there, or restore a backup"
    if not header.startswith(_MAGIC) or len(header) < 100:
        return "it is not a SQLite file"
    application = int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        return f"it is a SQLite file of another application (application_id {application:#x}, not {APPLICATION_ID:#x})"
    return refuse_schema(int.from_bytes(header[60:64], "big"))


def refuse_schema(version: int) -> str:
    if version == SCHEMA_VERSION:
        return ""
    remedy = "upgrade, or restore a backup of this version" if version > SCHEMA_VERSION else "it was never released"
    return f"it has schema {version}, this build knows {SCHEMA_VERSION}: {remedy}"


def open_store_file(path: Path, *, allow_network_file_system: bool = False) -> StoreFile:
    """Checks, locks, creates if it is not there, and checks what is inside.

    Raises Unavailable (in use, no permission, wrong place) or Damaged (not a store, or a broken one). The file is
    untouched then.
    """
    if why := refuse_library(apsw.sqlite_lib_version()):
        raise Unavailable(why)
    folder = path.parent
    if not folder.is_dir():
        raise Unavailable(f"{path}: there is no folder {folder}: make it, or name another file")
    kind = file_system_type(folder)
    if kind is not None and not allow_network_file_system and (why := refuse_file_system(kind)):
        raise Unavailable(f"{path}: {why}")
    _check_header(path)
    lock = _lock(path)
    try:
        if not path.exists():
            _create(path)
        _check_header(path)  # it may have been made or changed before the lock was ours
        log = path.with_name(path.name + "-wal")
        if lock.before.open and not log.exists():
            raise Damaged(
                f"{path}: its log {log.name} is missing though the store was not closed: acknowledged measurements "
                f"may be lost. Restore a backup, or delete {lock.path.name} to accept the loss"
            )
        return _open(path, lock)
    except BaseException:
        lock.release()
        raise


def _check_header(path: Path) -> None:
    try:
        if path.is_dir():
            raise Damaged(f"{path}: this is a folder: name a file in it")
        if not path.exists():
            return
        with path.open("rb") as file:
            why = refuse_header(file.read(100))
    except OSError as error:
        raise Unavailable(f"{path}: it cannot be read: {error.strerror}") from error
    if why:
        raise Damaged(f"{path}: {why}")


def _lock(path: Path) -> Lock:
    side = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(side, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"{side}: the store cannot be locked, so it is not used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner(descriptor)
        os.close(descriptor)
        raise Unavailable(f"{path}: in use by pid {owner.pid} on host {owner.host}") from error
    return Lock(descriptor, side, _owner(descriptor))


def _owner(descriptor: int) -> _Owner:
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=_Owner)
    except msgspec.MsgspecError:
        return _Owner()  # new, or from a process that ended before it wrote


def _create(path: Path) -> None:
    """The file appears whole or not at all."""
    draft = path.with_name(f"{path.name}.{uuid4().hex}.new")
    try:
        db = apsw.Connection(str(draft))
        try:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            with db:
                db.execute(_schema())
                db.execute("INSERT INTO meta VALUES ('store_id', ?), ('floor', '0')", (uuid4().hex,))
            db.execute("PRAGMA journal_mode = WAL").fetchall()
        finally:
            db.close()
        os.replace(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (apsw.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise Unavailable(f"{path}: the store cannot be created: {error}") from error


def _open(path: Path, lock: Lock) -> StoreFile:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        # until it is known to be ours and sound, a log that belongs elsewhere must not be copied into it
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _configure(db)
        store_id = _check_inside(path, db, lock)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        db.execute("PRAGMA wal_autocheckpoint = 0")  # the writer does it, after it has answered
        db.execute("PRAGMA journal_size_limit = 67108864")
        # the first write: it makes the log, so that from now on a missing log means a loss
        db.execute("INSERT OR REPLACE INTO meta VALUES ('opened', ?)", (uuid4().hex,))
        lock.note(store_id, is_open=True)
        return StoreFile(path, lock, db, store_id)
    except apsw.Error as error:
        db.close(True)
        found = explain(error, "")
        raise type(found)(f"{path}: {found}") from error
    except StoreError:
        db.close(True)
        raise
    except OSError as error:
        db.close(True)
        raise Unavailable(f"{path}: {error}") from error


def _schema() -> str:
    return files("analysis_service.stores").joinpath("schema.sql").read_text()


def _tables(db: apsw.Connection) -> Sequence[object]:
    try:
        return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name").fetchall()
    except UnicodeDecodeError:
        return ()


def _check_inside(path: Path, db: apsw.Connection, lock: Lock) -> str:
    version = int(db.pragma("user_version"))
    if why := refuse_schema(version):
        raise Damaged(f"{path}: {why}")
    expected = apsw.Connection(":memory:")
    expected.execute(_schema())
    if _tables(db) != _tables(expected):
        raise Damaged(f"{path}: its tables are not those of schema {version}: restore a backup")
    # quick_check proves the structure; of the tables that are found by an index, the indices are compared as well
    for check in ("quick_check(1)", "integrity_check(run)", "integrity_check(origin)", "integrity_check(template)"):
        ((found,),) = db.execute(f"PRAGMA {check}").fetchall()[:1]
        if found != "ok":
            raise Damaged(f"{path}: the file is damaged ({found}): restore a backup")
    row = db.execute("SELECT value FROM meta WHERE name = 'store_id'").fetchone()
    store_id = str(row[0]) if row else ""
    if not store_id or lock.before.store_id not in ("", store_id):
        raise Damaged(
            f"{path}: it is store {store_id or '?'}, but {lock.before.store_id or '?'} was here before. If you put "
            f"another file there, delete {path.name}-wal and {lock.path.name}; otherwise restore a backup"
        )
    return store_id


def _configure(db: apsw.Connection) -> None:
    db.set_busy_timeout(5_000)
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = 1",
        "mmap_size = 0",
        "trusted_schema = 0",
        "cell_size_check = 1",
        "recursive_triggers = 1",  # so that REPLACE does not slip past the triggers on deletion
        "cache_size = -32768",
    ):
        db.execute(f"PRAGMA {setting}").fetchall()
