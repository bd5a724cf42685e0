"""Who drives which run of the SQLite store: claims under a lease, inside the writer's transaction."""

from datetime import datetime, timedelta

import apsw

from analysis_service.failpoints import Failpoint
from analysis_service.stores import rules
from analysis_service.stores.base import Claim, Damaged, RunRecord
from analysis_service.stores.sqlite_digests import CRASH
from analysis_service.stores.sqlite_rows import Rows

# Owners of live runs, each looked up once in the index rather than once per run.
_OWNERS = """WITH RECURSIVE o (owner) AS (
    SELECT min(owner) FROM run WHERE done = 0
    UNION ALL
    SELECT (SELECT min(r.owner) FROM run r WHERE r.done = 0 AND r.owner > o.owner) FROM o WHERE o.owner IS NOT NULL
) SELECT o.owner, l.until FROM o LEFT JOIN lease l ON l.owner = o.owner WHERE o.owner IS NOT NULL"""


class Owners:
    """Used on the writer's thread only."""

    def __init__(self, db: apsw.Connection, rows: Rows, damage: dict[int, str], fail: Failpoint | None) -> None:
        """damage: shared with whoever else finds some. fail: for tests."""
        self._db = db
        self._rows = rows
        self._damage = damage
        self._fail = fail

    def claim(self, owner: str, now: datetime, limit: int, lease: timedelta) -> list[tuple[Claim, RunRecord, int]]:
        """Claims with the record and sequence they were made of."""
        self.renew(owner, now, lease)
        free: list[tuple[int, int]] = []
        owners: list[tuple[str, int | None]] = list(self._db.execute(_OWNERS))
        for other, until in owners:
            held = until is not None and rules.lease_holds(rules.moment(until), now, lease)
            if other != owner and not (other and held):
                free += self._db.execute(
                    "SELECT due, n FROM run WHERE done = 0 AND owner = ? ORDER BY due, n LIMIT ?",
                    (other, limit + len(self._damage)),
                )
        claims: list[tuple[Claim, RunRecord, int]] = []
        for _, n in sorted(free):
            if len(claims) == limit:
                break
            if n in self._damage:
                continue
            try:
                row = self._rows.numbered(n)
                self._rows.check_slots(row)
                record = self._rows.record(row)
                crashes, odd = divmod(row.crashes, CRASH)
                if odd or crashes < 0:
                    raise Damaged(f"the crash count of run {row.id} is damaged")
            except Damaged as error:
                self._damage[n] = str(error)
                continue
            self._db.execute(
                "UPDATE run SET owner = ?, epoch = epoch + 1, crashes = crashes + ? WHERE n = ?", (owner, CRASH, n)
            )
            claim = Claim(record.run, row.epoch + 1, owner, row.resource_version, record.terminate_requested, crashes)
            claims.append((claim, record, row.sequence))
        if self._fail:
            self._fail("after_claim")
        return claims

    def drop_leases(self) -> None:
        """At opening: the file is this process's alone, so whoever held a lease is gone."""
        self._db.execute("DELETE FROM lease")

    def renew(self, owner: str, now: datetime, lease: timedelta) -> None:
        self._db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?)", (owner, rules.micros(now + lease)))

    def release(self, owner: str, now: datetime, run_id: str) -> None:
        if run_id:
            one = "UPDATE run SET owner = '', crashes = 0 WHERE done = 0 AND owner = ? AND id = ?"
            self._db.execute(one, (owner, run_id))
            return
        # leases that ended long ago protect nothing; without this their rows would only ever grow in number
        self._db.execute(
            "DELETE FROM lease WHERE owner = ? OR until < ?", (owner, rules.micros(now - rules.REQUEST_KEPT))
        )
        self._db.execute("UPDATE run SET owner = '', crashes = 0 WHERE done = 0 AND owner = ?", (owner,))
