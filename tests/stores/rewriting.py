"""A SQLite store's file, changed behind the store's back: what only another build or a bad disk would do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from analysis_service.stores import codec
from analysis_service.stores.sqlite_digests import origin_digest, spec_digest


@contextmanager
def origins(path: Path) -> Iterator[apsw.Connection]:
    """What runs were created with, open to writing, which the store's own triggers forbid."""
    db = apsw.Connection(str(path))
    query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'origin'"
    triggers = db.execute(query).fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    yield db
    for _, sql in triggers:
        db.execute(str(sql))
    db.close()


def another_build_wrote_the_spec(path: Path, run_id: str) -> None:
    """Into the store at `path`, for that run: digests and all."""
    spec = codec.encode({"metrics": [{"name": 5}]})
    with origins(path) as db:
        row: Any = db.execute(
            "SELECT namespace, name, template, created, labels, head FROM origin WHERE id = ?", (run_id,)
        ).fetchone()
        *known, head = row
        digest = origin_digest(run_id, *known, spec_digest(spec), head)
        db.execute(
            "UPDATE origin SET spec = ?, spec_digest = ?, digest = ? WHERE id = ?",
            (spec, spec_digest(spec), digest, run_id),
        )
