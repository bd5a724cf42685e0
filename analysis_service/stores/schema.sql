-- The SQLite store, version 1. A change of this file is a new version with a numbered step in sqlite_file.py.
--
-- Two columns hold numbers in a form that a flipped bit does not turn into another valid one, because no digest
-- covers them: `terminate` is 0 or 'terminat' as a number, `crashes` counts in steps of 1000003.
-- Times are microseconds since 1970, UTC.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What a run is now: one small row, written by every save.
CREATE TABLE run (
    n                INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,
    resource_version INTEGER NOT NULL,
    sequence         INTEGER NOT NULL,  -- of its last change
    due              INTEGER NOT NULL,
    done             INTEGER NOT NULL,  -- 1: the verdict is given
    phase            TEXT NOT NULL,
    terminate        INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    owner            TEXT NOT NULL,     -- '': nobody
    crashes          INTEGER NOT NULL,
    slots            INTEGER NOT NULL,  -- how many rows `measurement` has for it
    mix              INTEGER NOT NULL,  -- exclusive or of their digests
    looks            INTEGER NOT NULL,  -- how many rows `look` has for it
    status           BLOB NOT NULL,
    digest           BLOB NOT NULL
) STRICT;
CREATE INDEX run_owner ON run (owner) WHERE done = 0;

-- What it was created with: never written again.
CREATE TABLE origin (
    n           INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    namespace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    template    TEXT NOT NULL,
    created     INTEGER NOT NULL,
    labels      TEXT NOT NULL,
    head        BLOB NOT NULL,
    spec_digest BLOB NOT NULL,
    digest      BLOB NOT NULL,
    spec        BLOB NOT NULL,
    UNIQUE (namespace, name)
) STRICT;
CREATE INDEX origin_created ON origin (created, id);
CREATE INDEX origin_namespace ON origin (namespace, created, id);

CREATE TABLE measurement (
    run     INTEGER NOT NULL,
    metric  TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    done    INTEGER NOT NULL,
    body    BLOB NOT NULL,
    digest  BLOB NOT NULL,
    PRIMARY KEY (run, metric, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE look (
    run     INTEGER NOT NULL,
    metric  TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    body    BLOB NOT NULL,
    digest  BLOB NOT NULL,
    PRIMARY KEY (run, metric, ordinal, number)
) STRICT, WITHOUT ROWID;

-- The order of changes. A run's earlier events are those whose sequence is no longer the run's.
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY,
    n        INTEGER NOT NULL,
    mark     INTEGER NOT NULL,  -- a check of the two before
    gone     BLOB               -- what is left to say of a deleted run
) STRICT;

CREATE TABLE request (
    namespace   TEXT NOT NULL,
    id          TEXT NOT NULL,
    body_digest TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    PRIMARY KEY (namespace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_at ON request (at);

CREATE TABLE lease (
    owner TEXT PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE template (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    version   INTEGER NOT NULL,
    text      TEXT NOT NULL,
    etag      TEXT NOT NULL,
    created   INTEGER NOT NULL,
    digest    BLOB NOT NULL,
    PRIMARY KEY (namespace, name, version)
) STRICT;

-- The last version number ever given to a name, so that a number means one text for ever.
CREATE TABLE template_last (
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER verdict_is_final
BEFORE UPDATE OF id, resource_version, sequence, due, done, phase, terminate, epoch, owner, status, digest ON run
WHEN old.done <> 0
BEGIN SELECT raise(ABORT, 'the verdict of a run is final'); END;

CREATE TRIGGER live_run_is_kept BEFORE DELETE ON run WHEN old.done = 0
BEGIN SELECT raise(ABORT, 'a live run is not deleted'); END;

CREATE TRIGGER run_is_not_replaced BEFORE INSERT ON run
WHEN EXISTS (SELECT 1 FROM run WHERE id = new.id OR n = new.n)
BEGIN SELECT raise(ABORT, 'a run is not replaced'); END;

CREATE TRIGGER origin_is_final BEFORE UPDATE ON origin
BEGIN SELECT raise(ABORT, 'what a run was created with is final'); END;

CREATE TRIGGER measurement_is_final BEFORE UPDATE ON measurement WHEN old.done <> 0
BEGIN SELECT raise(ABORT, 'a finished measurement is final'); END;

CREATE TRIGGER measurement_is_kept BEFORE DELETE ON measurement
WHEN EXISTS (SELECT 1 FROM run WHERE n = old.run)
BEGIN SELECT raise(ABORT, 'measurements live as long as their run'); END;

CREATE TRIGGER look_is_final BEFORE UPDATE ON look
BEGIN SELECT raise(ABORT, 'a look is final'); END;

CREATE TRIGGER look_is_kept BEFORE DELETE ON look
WHEN EXISTS (SELECT 1 FROM run WHERE n = old.run)
BEGIN SELECT raise(ABORT, 'looks live as long as their run'); END;
