"""Reading the templates of the SQLite store: rows to records, every row against its digest."""

from collections.abc import Sequence
from typing import Any

import apsw

from analysis_service.stores import rules
from analysis_service.stores.base import Damaged, NotFound, Page, TemplateRecord
from analysis_service.stores.sqlite_digests import template_digest


class Templates:
    """Queries on one connection."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def find(self, namespace: str, name: str, version: int | None = None) -> TemplateRecord:
        """A version of a template, the latest for None. Raises NotFound, Damaged."""
        row = self._db.execute(
            "SELECT * FROM template WHERE namespace = ? AND name = ? AND (?3 IS NULL OR version = ?3) "
            "ORDER BY version DESC LIMIT 1",
            (namespace, name, version),
        ).fetchone()
        if row is not None:
            return _template(row)
        if version is not None:
            self.find(namespace, name)
            raise NotFound(f"template {rules.path(namespace, name)} has no version {version}")
        raise NotFound(f"there is no template {rules.path(namespace, name)}")

    def list_latest(self, namespace: str | None, limit: int, after: str) -> Page[TemplateRecord]:
        start = rules.parse_page_key(after, str, str) if after else (None, None)
        rows = self._db.execute(
            "SELECT t.* FROM template t WHERE (?1 IS NULL OR t.namespace = ?1) "
            "AND (?2 IS NULL OR (t.namespace, t.name) > (?2, ?3)) AND NOT EXISTS (SELECT 1 FROM template u "
            "WHERE u.namespace = t.namespace AND u.name = t.name AND u.version > t.version) "
            "ORDER BY t.namespace, t.name LIMIT ?4",
            (namespace, *start, limit + 1),
        )
        found = [_template(row) for row in rows]
        return rules.page(found, limit, lambda record: rules.page_key(record.namespace, record.name))

    def list_versions(self, namespace: str, name: str, limit: int, after: str) -> Page[TemplateRecord]:
        below = rules.ordinal_key(after)
        self.find(namespace, name)
        rows = self._db.execute(
            "SELECT * FROM template WHERE namespace = ? AND name = ? AND (?3 < 0 OR version < ?3) "
            "ORDER BY version DESC LIMIT ?4",
            (namespace, name, below, limit + 1),
        )
        return rules.page([_template(row) for row in rows], limit, lambda record: rules.page_key(record.version))


def _template(row: Sequence[Any]) -> TemplateRecord:
    namespace, name, version, text, etag, created, digest = row
    try:
        record = TemplateRecord(namespace, name, version, text, etag, rules.moment(created))
        sound = digest == template_digest(record)
    except OverflowError:  # a time out of range
        sound = False
    if not sound:
        raise Damaged(f"template {rules.path(namespace, name)} version {version} fails its digest")
    return record
