"""Arguments that a Rollout or an Experiment gives to an analysis: literals, pod hashes, fields of the object."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from analysis_service.core.model import Argument
from analysis_service.core.tags import Tag, fill, tags
from analysis_service.core.timing import parse_duration

_SEPARATORS = re.compile(r"[.\[\]]+")
_SUBSCRIPT = re.compile(r"(?P<path>.+)\['(?P<key>[^']*)'\]")
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-_.a-z0-9]{0,61}[a-z0-9])?")


class BadPath(ValueError):
    """A path that leads to no usable value. The message is Argo's."""


def rollout_arguments(
    args: Sequence[Mapping[str, Any]], rollout: Mapping[str, Any], *, stable_hash: str, latest_hash: str
) -> tuple[tuple[Argument, ...], str]:
    """A Rollout's arguments as those of a run, and the error that Argo would report of them ("": none).

    A path outside `metadata` that leads nowhere gives "", and its error is lost if a later path is good: validation
    relies on that, since status fields may not be there yet. Raises BadPath for a bad path under `metadata`.
    """
    built: list[Argument] = []
    error = ""
    for arg in args:
        value = arg.get("value") or ""
        source = arg.get("valueFrom") or {}
        path = (source.get("fieldRef") or {}).get("fieldPath", "")
        if source.get("podTemplateHashValue"):
            hashes = {"Latest": latest_hash, "Stable": stable_hash}
            value = hashes.get(source["podTemplateHashValue"], value)
        elif path.startswith("metadata"):
            value, error = metadata_field(rollout, path), ""
        elif path:
            try:
                value, error = rollout_field(rollout, path), ""
            except BadPath as bad:
                value, error = "", str(bad)
        built.append(Argument(name=arg["name"], value=value))
    return tuple(built), error


def metadata_field(obj: Mapping[str, Any], path: str) -> str:
    """A field of an object's metadata, by the rules of Kubernetes' downward API. Raises BadPath."""
    metadata = obj.get("metadata") or {}
    if subscripted := _SUBSCRIPT.fullmatch(path):
        field, key = subscripted["path"], subscripted["key"]
        if field not in ("metadata.labels", "metadata.annotations"):
            raise BadPath(f'fieldPath "{path}" does not support subscript')
        if not _QUALIFIED.fullmatch(key.lower()):
            raise BadPath(f"invalid key subscript in {path}: '{key}' is not a qualified name")
        return str((metadata.get(field.removeprefix("metadata.")) or {}).get(key, ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = metadata.get(path.removeprefix("metadata.")) or {}
        return "\n".join(f'{key}="{_escape(str(entries[key]))}"' for key in sorted(entries))
    if path in ("metadata.name", "metadata.namespace", "metadata.uid"):
        return str(metadata.get(path.removeprefix("metadata.")) or "")
    raise BadPath(f"unsupported fieldPath: {path}")


def rollout_field(rollout: Mapping[str, Any], path: str) -> str:
    """A primitive value anywhere in an object. Raises BadPath."""
    current: Any = rollout
    for section in _SEPARATORS.split(path):
        if section == "":
            continue
        if isinstance(current, list):
            if not _INTEGER.fullmatch(section):
                raise BadPath(f"invalid index '{section}'")
            index = int(section)
            if not 0 <= index < len(current):
                raise BadPath(f"index {index} out of range")
            current = current[index]
        else:
            current = current.get(section) if isinstance(current, Mapping) else None
        if current is None:
            raise BadPath(f"invalid path {path} in rollout")
    if isinstance(current, Mapping | list):
        raise BadPath(f"path {path} in rollout must terminate in a primitive value")
    return _printed(current)


def experiment_argument(text: str, experiment: Mapping[str, Any] | None) -> str:
    """An argument of an Experiment's analysis with what is known of the experiment filled in.

    experiment: {"duration", "availableAt", "templates": {name: {"podTemplateHash", "replicaSet"}}}.
    Raises ArgumentError for an unknown tag, ValueError for a duration that is none.
    """
    tuple(tags(text))
    known = _experiment_values(experiment or {})
    return fill(text, lambda tag: _known(tag, known))


def _known(tag: Tag, known: Mapping[str, str]) -> str | None:
    return known.get(tag.name)


def _experiment_values(experiment: Mapping[str, Any]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, template in (experiment.get("templates") or {}).items():
        values[f"templates.{name}.podTemplateHash"] = template.get("podTemplateHash", "")
        values[f"templates.{name}.replicaset.name"] = template.get("replicaSet", "")
    available, duration = experiment.get("availableAt"), experiment.get("duration")
    if available:
        values["experiment.availableAt"] = _rfc3339(_time(available))
        if duration:
            values["experiment.finishedAt"] = _rfc3339(_time(available) + parse_duration(duration))
    return values


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _printed(value: str | int | float | bool) -> str:
    """As Go prints a decoded JSON value: numbers are float64, from 1e+06 on with an exponent."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    shortest = repr(float(value))
    if abs(float(value)) < 1e6 and "e" not in shortest:
        return shortest.removesuffix(".0")
    digits = len(shortest.partition("e")[0].replace(".0", "").replace(".", "").lstrip("-0").rstrip("0"))
    return f"{float(value):.{max(digits - 1, 0)}e}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
