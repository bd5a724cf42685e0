"""The templates of the store that forgets."""

from dataclasses import dataclass, field
from datetime import datetime

from analysis_service.stores import rules
from analysis_service.stores.base import AlreadyExists, NotFound, Page, TemplateRecord


@dataclass(slots=True)
class _Name:
    """A template's versions; the counter outlives deletion, so that a version number means one text for ever."""

    versions: dict[int, TemplateRecord] = field(default_factory=dict)
    last: int = 0


class Templates:
    """Every version of every template, as the Store protocol promises them."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], _Name] = {}

    def create(self, namespace: str, name: str, text: str, now: datetime) -> TemplateRecord:
        entry = self._names.get((namespace, name)) or _Name()
        if entry.versions:
            raise AlreadyExists(f"template {rules.path(namespace, name)} exists already")
        record = self._version(entry, namespace, name, text, now)
        self._names[namespace, name] = entry
        return record

    def get(self, namespace: str, name: str, version: int | None) -> TemplateRecord:
        entry = self._name(namespace, name)
        record = entry.versions.get(entry.last if version is None else version)
        if record is None:
            raise NotFound(f"template {rules.path(namespace, name)} has no version {version}")
        return record

    def list_latest(self, namespace: str | None, limit: int, after: str) -> Page[TemplateRecord]:
        start = rules.parse_page_key(after, str, str) if after else None
        found = sorted(
            key
            for key, entry in self._names.items()
            if entry.versions and namespace in (None, key[0]) and (start is None or key > start)
        )
        return rules.page(
            [self._names[key].versions[self._names[key].last] for key in found[: limit + 1]],
            limit,
            lambda record: rules.page_key(record.namespace, record.name),
        )

    def list_versions(self, namespace: str, name: str, limit: int, after: str) -> Page[TemplateRecord]:
        below = rules.ordinal_key(after)
        versions = sorted(self._name(namespace, name).versions.values(), key=lambda r: -r.version)
        return rules.page(
            [r for r in versions if below < 0 or r.version < below],
            limit,
            lambda record: rules.page_key(record.version),
        )

    def update(self, namespace: str, name: str, text: str, etag: str, now: datetime) -> TemplateRecord:
        entry = self._name(namespace, name)
        current = entry.versions[entry.last]
        rules.check_etag(current, etag)
        return current if text == current.text else self._version(entry, namespace, name, text, now)

    def delete(self, namespace: str, name: str, etag: str) -> None:
        entry = self._name(namespace, name)
        rules.check_etag(entry.versions[entry.last], etag)
        entry.versions.clear()

    def _name(self, namespace: str, name: str) -> _Name:
        entry = self._names.get((namespace, name))
        if entry is None or not entry.versions:
            raise NotFound(f"there is no template {rules.path(namespace, name)}")
        return entry

    def _version(self, entry: _Name, namespace: str, name: str, text: str, now: datetime) -> TemplateRecord:
        version = entry.last + 1
        record = TemplateRecord(namespace, name, version, text, rules.etag(version, text), now)
        entry.last = version
        entry.versions[version] = record
        return record
