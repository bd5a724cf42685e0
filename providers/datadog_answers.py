"""What Datadog's answers mean: the last point of the first series (v1), the number column and its groups (v2)."""

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from providers import gojson
from providers.base import Answer, BadAnswer, BadQuery, Sample, TooLarge
from providers.http import Response
from providers.redact import Redactor
from providers.statuses import failure

MAX_ROWS = 10_000
MAX_GROUPS = 100  # in the metadata; conditions see all
MAX_TEXT = 300  # characters of the server's own words in an error
STALE_SECONDS = 60  # how far outside of the asked window a point may lie: series are aligned to their rollup


class Columns(msgspec.Struct, frozen=True):
    """values: every number that is not null, in order. groups: its label, one for each; None if nothing is grouped."""

    values: list[float]
    groups: list[str] | None


class Column(msgspec.Struct):
    """values: the raw text of each, because an error quotes it."""

    name: str = ""
    type: str = ""
    values: list[msgspec.Raw] | None = None


class _Series(msgspec.Struct):
    pointlist: list[list[float | None] | None] | None = None
    tag_set: Any = None


class _BodyV1(msgspec.Struct):
    series: list[_Series] | None = None
    status: Any = None
    error: Any = None


class _Attributes(msgspec.Struct):
    columns: list[Column] | None = None


class _Data(msgspec.Struct):
    attributes: _Attributes | None = None
    errors: Any = None


class _BodyV2(msgspec.Struct):
    data: _Data | None = None
    errors: Any = None


_v1 = msgspec.json.Decoder(_BodyV1)
_v2 = msgspec.json.Decoder(_BodyV2)
_number = msgspec.json.Decoder(float)
_labels = msgspec.json.Decoder(list[str | None])


def parse_v1(response: Response, *, start: int, end: int) -> Answer:
    """The last point's value. start, end: the window that was asked for, in unix seconds."""
    body = _decode(_v1, response)
    if body.status == "error":
        raise BadQuery(f"There were errors in your query: {_said(body.error, response)}")
    metadata = _duplicates(response)
    series = body.series
    points = (series[0].pointlist or []) if series else []
    if not points:
        # what Argo writes down: the series as it decoded them
        empty = None if series is None else [{"pointlist": one.pointlist} for one in series]
        return Answer(None, gojson.encode(empty), metadata=metadata)
    point = points[-1] or []
    if len(point) != 2:
        raise BadAnswer(f"Datapoint does not have 2 values (it has {len(point)})", reason="Malformed")
    at, value = point
    if value is None:
        value = 0.0
        metadata["null"] = "the last point has no value; it counts as 0, as in Argo Rollouts"
    if at is not None and not start - STALE_SECONDS <= at / 1000 <= end + STALE_SECONDS:
        metadata["stale"] = f"the last point is {abs(end - at / 1000):.0f}s {'old' if at / 1000 < end else 'ahead'}"
    labels = _tags(series[0].tag_set) if series else {}
    return Answer(value, gojson.shortest(value), (Sample(labels, value, _when(at)),), metadata=metadata)


def parse_v2(response: Response) -> Answer:
    """The first number, or the list of all if the query groups."""
    body = _decode(_v2, response)
    errors = (body.data.errors if body.data else None) or body.errors
    if errors:
        raise BadQuery(f"There were errors in your query: {_said(errors, response)}")
    metadata = _duplicates(response)
    attributes = body.data.attributes if body.data else None
    found = extract((attributes.columns or []) if attributes else [])
    if not found.values:
        return Answer(None, "[]", metadata=metadata)
    if found.groups is None:
        value = found.values[0]
        return Answer(value, gojson.shortest(value), (Sample({}, value),), metadata=metadata)
    rows = list(zip(found.groups, found.values, strict=True))
    metadata |= groups_metadata(rows)
    samples = tuple(Sample({"group": name}, value) for name, value in rows)
    text = f"[{','.join(map(gojson.shortest, found.values))}]"
    return Answer(array("d", found.values), text, samples, metadata=metadata)


def extract(columns: Sequence[Column]) -> Columns:
    """Numbers of the first number column (or the first without a type), labels of all group columns.

    A null number skips its row. Raises BadAnswer, TooLarge.
    """
    groups = [column for column in columns if column.type == "group"]
    numbers = next((column for column in columns if column.type in ("number", "")), None)
    raw_values = (numbers.values or []) if numbers else []
    if len(raw_values) > MAX_ROWS:
        raise TooLarge(f"{_count(len(raw_values))} rows; limit {_count(MAX_ROWS)}; aggregate in the query")
    values: list[float] = []
    names: list[str] = []
    for index, raw in enumerate(raw_values):
        text = bytes(raw)
        if text == b"null":
            continue
        try:
            values.append(_number.decode(text))
        except (msgspec.DecodeError, RecursionError) as error:
            shown = gojson.quote(text[:80].decode("utf-8", "replace"))
            column = gojson.quote(numbers.name[:80] if numbers else "")
            raise BadAnswer(
                f"could not parse numeric value {shown} in column {column}: {_shape(error)}", reason="Malformed"
            ) from None
        if groups:
            name = group_name(groups, index)
            if name is None:
                raise BadAnswer(f"could not parse group label at index {index}", reason="Malformed")
            names.append(name)
    return Columns(values, names if groups else None)


def group_name(groups: Sequence[Column], index: int) -> str | None:
    """The tags of all group columns in one row, joined by commas; None if one of them is missing or no list."""
    tags: list[str] = []
    for column in groups:
        values = column.values or []
        if index >= len(values):
            return None
        try:
            found = _labels.decode(bytes(values[index]))
        except (msgspec.DecodeError, RecursionError):
            return None
        if not found:
            return None
        tags += [tag or "" for tag in found]
    return ",".join(tags)


def groups_metadata(rows: Sequence[tuple[str, float]]) -> dict[str, str]:
    """`groups` as JSON; of more than MAX_GROUPS the lowest and the highest halves, and `groups_truncated`."""
    metadata = {}
    if len(rows) > MAX_GROUPS:
        ordered = sorted(rows, key=lambda row: row[1])
        rows = ordered[: MAX_GROUPS // 2] + ordered[-MAX_GROUPS // 2 :]
        metadata["groups_truncated"] = "true"
    return {"groups": gojson.encode([{"name": name, "value": value} for name, value in rows]), **metadata}


def _decode(decoder: "msgspec.json.Decoder[Any]", response: Response) -> Any:
    status = response.status
    if status in (401, 403):
        said = f"received authentication error response code: {status} {_words(response)}".rstrip()
        raise failure(status, said + response.asked)
    if status != 200:
        said = f"received non 2xx response code: {status} {_words(response)}".rstrip()
        raise failure(status, said + response.asked)
    try:
        return decoder.decode(response.body.decode("utf-8"))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadAnswer(f"Could not parse JSON body: {_why(response, error)}", reason="Malformed") from None


def _why(response: Response, error: Exception) -> str:
    if not response.body.strip():
        return "empty answer"
    try:
        gojson.decode(response.body)
    except gojson.NotJson as reason:
        kind = response.content_type
        return f"expected JSON, got {kind[:60]}" if kind and "json" not in kind else str(reason)
    return _shape(error)


def _shape(error: Exception) -> str:
    """msgspec names types and places, never values."""
    return str(error).splitlines()[0][:120] if isinstance(error, msgspec.DecodeError) else "nested too deep"


def _duplicates(response: Response) -> dict[str, str]:
    # reading the text a second time costs as much again: only where a key could stand twice in one object
    body = response.body
    if not any(body.count(key) > 1 for key in (b'"series"', b'"data"', b'"columns"', b'"attributes"', b'"pointlist"')):
        return {}
    try:
        duplicates = gojson.decode(body).duplicates
    except gojson.NotJson:
        return {}
    return {"duplicateKeys": ", ".join(duplicates[:10])} if duplicates else {}


def _words(response: Response) -> str:
    """The body, for an error: in one piece as Argo quotes it, but bounded and without our secrets."""
    return _bounded(response.body[: 4 * MAX_TEXT].decode("utf-8", "replace"), response)


def _said(errors: Any, response: Response) -> str:
    listed = errors if isinstance(errors, list) else [errors]
    text = ", ".join(item if isinstance(item, str) else gojson.encode(item) for item in listed if item)
    return _bounded(text or "the query failed and Datadog does not say why", response)


def _bounded(text: str, response: Response) -> str:
    text = Redactor(response.secrets)(text)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def _tags(tag_set: Any) -> dict[str, str]:
    tags = tag_set if isinstance(tag_set, list) else []
    return dict(tag.split(":", 1) for tag in tags if isinstance(tag, str) and ":" in tag)


def _when(milliseconds: float | None) -> datetime | None:
    if milliseconds is None:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # a time outside of the calendar


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
