"""The templates of the SQLite store: rows to records, every row against its digest; and new versions of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import apsw

from analysis_service.stores import rules
from analysis_service.stores.base import AlreadyExists, Damaged, NotFound, Page, TemplateRecord
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


class TemplateWrites(Templates):
    """Writing them too: used on the writer's thread only, inside its transaction."""

    def create(self, namespace: str, name: str, text: str, now: datetime) -> TemplateRecord:
        path = rules.path(namespace, name)
        if self._db.execute("SELECT 1 FROM template WHERE namespace = ? AND name = ?", (namespace, name)).fetchone():
            raise AlreadyExists(f"template {path} exists already")
        (last,) = self._db.execute(
            "SELECT version FROM template_last WHERE namespace = ? AND name = ?", (namespace, name)
        ).fetchone() or (0,)
        return self._version(TemplateRecord(namespace, name, int(last), "", "", now), text, now)

    def update(self, namespace: str, name: str, text: str, etag: str, now: datetime) -> TemplateRecord:
        current = self.find(namespace, name)
        rules.check_etag(current, etag)
        return current if text == current.text else self._version(current, text, now)

    def delete(self, namespace: str, name: str, etag: str) -> None:
        rules.check_etag(self.find(namespace, name), etag)
        self._db.execute("DELETE FROM template WHERE namespace = ? AND name = ?", (namespace, name))

    def _version(self, before: TemplateRecord, text: str, now: datetime) -> TemplateRecord:
        version = before.version + 1
        record = replace(before, version=version, text=text, etag=rules.etag(version, text), created_at=now)
        self._db.execute(
            "INSERT INTO template VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                record.namespace,
                record.name,
                version,
                text,
                record.etag,
                rules.micros(now),
                template_digest(record),
            ),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO template_last VALUES (?, ?, ?)", (record.namespace, record.name, version)
        )
        return record


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
