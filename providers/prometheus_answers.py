"""What Prometheus' HTTP API answers: the values with their labels, or the error a response means.

Pure. Source of the shapes and of the first words of errors: client_golang's api/prometheus/v1.
"""

import re
from array import array
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from providers import gojson
from providers.base import Answer, AuthFailed, BadAnswer, BadQuery, ProviderError, Sample, TooLarge, Unreachable
from providers.http import Response
from providers.redact import Redactor

MAX_SERIES = 10_000
MAX_POINTS = 11_000  # of one series: Prometheus' own limit; also how many points are given as samples
MAX_TEXT = 300  # characters of the server's own words in an error
STALE_SECONDS = 300.0  # Prometheus' own look-back

_NUMBER = re.compile(r"(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[Ii][Nn][Ff]|[Nn][Aa][Nn])\Z")
_LONGEST_NUMBER = 350  # what the server writes: 309 digits before the point, or some 340 after it


def parse(response: Response, where: str, at: datetime, *, ranged: bool = False) -> Answer:
    """The answer, or the error that the response means.

    where: the server as messages name it. Numbers come as strings, and NaN and the infinities are numbers here:
    conditions decide what they mean. Raises BadQuery, AuthFailed, Unreachable, BadAnswer or TooLarge.
    """
    if response.status // 100 != 2 and response.status not in (400, 422):
        raise _by_status(response, where)
    try:
        envelope = _envelope.decode(response.body)
        if envelope.status != "success":
            raise BadQuery(_said(envelope, response))
        data = envelope.data
        if data is None or data.result_type not in ("scalar", "vector", "matrix"):
            kind = f" ({data.result_type} result not supported)" if data and data.result_type else ""
            raise BadAnswer(f"Prometheus metric type not supported{kind}")
        metadata = _metadata(envelope, response)
        if data.result_type == "scalar":
            return _scalar(_point.decode(data.result), metadata, at)
        series = _series.decode(data.result)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(response, where, error) from None
    if len(series) > MAX_SERIES:
        raise TooLarge(f"{spaced(len(series))} series; limit {spaced(MAX_SERIES)}; aggregate in the query")
    if data.result_type == "matrix":
        if not ranged:
            metadata["note"] = "the instant query returned a range: all its samples are in one list"
        return _matrix(series, metadata)
    return _vector(series, metadata, at)


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct, rename="camel"):
    status: str = ""
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] | None = None


_Point = tuple[float, str]


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: _Point | None = None
    values: list[_Point] = []
    histogram: object = None
    histograms: object = None


_envelope = msgspec.json.Decoder(_Envelope)
_point = msgspec.json.Decoder(_Point)
_series = msgspec.json.Decoder(list[_Series])


def _scalar(point: _Point, metadata: dict[str, str], at: datetime) -> Answer:
    value = _number(point[1])
    _mark_stale(point[0], at, metadata)
    return Answer(value, gojson.shortest(value), (Sample({}, value, _when(point[0])),), metadata=metadata)


def _vector(series: list[_Series], metadata: dict[str, str], at: datetime) -> Answer:
    points = []
    for one in series:
        if one.value is None:
            raise _not_plain(one)
        points.append((one.metric, one.value[0], _number(one.value[1])))
    if points:
        _mark_stale(points[0][1], at, metadata)
    values = array("d", [value for _, _, value in points])
    samples = tuple(Sample(labels, value, _when(seconds)) for labels, seconds, value in points)
    return Answer(values, _list_text(values), samples, metadata=metadata)


def _matrix(series: list[_Series], metadata: dict[str, str]) -> Answer:
    """One flat list over all series. Above MAX_POINTS points the samples are left out: nobody reads them singly."""
    values = array("d")
    for one in series:
        if one.histogram is not None or one.histograms is not None:
            raise _not_plain(one)
        if len(one.values) > MAX_POINTS:
            raise TooLarge(
                f"{spaced(len(one.values))} points in one series; limit {spaced(MAX_POINTS)}; widen the step"
            )
        values.extend([_number(text) for _, text in one.values])
    samples: tuple[Sample, ...] = ()
    if len(values) <= MAX_POINTS:
        read = iter(values)
        samples = tuple(Sample(one.metric, next(read), _when(at)) for one in series for at, _ in one.values)
    return Answer(values, _list_text(values), samples, metadata=metadata)


def _not_plain(series: _Series) -> BadAnswer:
    if series.histogram is not None or series.histograms is not None:
        return BadAnswer("native histograms are not supported; use histogram_quantile() or histogramspaced()")
    return BadAnswer("a series without a value", reason="Malformed")


def _number(text: str) -> float:
    """A sample's value as Go's ParseFloat reads it. `1e400` is +Inf. Raises BadAnswer for all that it refuses."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.match(text):
        raise BadAnswer(f"the sample value {gojson.encode(text[:40])} is not a number", reason="Malformed")
    return float(text)


def _list_text(values: "array[float]") -> str:
    return f"[{','.join(map(gojson.shortest, values))}]"


def _mark_stale(seconds: float, at: datetime, metadata: dict[str, str]) -> None:
    age = at.timestamp() - seconds
    if abs(age) > STALE_SECONDS:
        metadata["stale"] = f"the sample is {age:.0f}s old" if age > 0 else f"the sample is {-age:.0f}s in the future"


def _metadata(envelope: _Envelope, response: Response) -> dict[str, str]:
    metadata: dict[str, str] = {}
    if envelope.warnings:
        quoted = ", ".join(f'"{warning}"' for warning in envelope.warnings)
        metadata["warnings"] = Redactor(response.secrets)(quoted)
    body = response.body
    if body.count(b'"resultType"') > 1 or body.count(b'"result"') > 1 or body.count(b'"status"') > 1:
        # also label values may look so: only now is it worth reading the text with an eye on its keys
        with suppress(gojson.NotJson):  # it reads fewer numbers than the decoder that read this answer
            if duplicates := gojson.decode(body).duplicates:
                metadata["duplicateKeys"] = ", ".join(duplicates[:10])
    return metadata


def _by_status(response: Response, where: str) -> ProviderError:
    """Any status but success and the two with which the API reports a bad query. First words as Argo's."""
    status = response.status
    if status // 100 == 5:
        said, asked = _server_words(response), response.asked
        message = f"server_error: server error: {status}{f': {said}' if said else ''}{asked}"
        return Unreachable(message, reason="ProviderDown")
    if status in (401, 403):
        return AuthFailed(f"client_error: client error: {status} ({where} refused the credentials){response.asked}")
    if status == 404:
        message = f"client_error: client error: 404 ({where}: no Prometheus API at this path){response.asked}"
        return BadQuery(message)
    if status // 100 == 4:
        return BadQuery(f"client_error: client error: {status}{response.asked}")
    return BadAnswer(f"bad_response: bad response code {status}{response.asked}")


def _server_words(response: Response) -> str:
    try:
        envelope = _envelope.decode(response.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""  # a proxy's page: nobody needs it in a measurement
    return _said(envelope, response) if envelope.error else ""


def _said(envelope: _Envelope, response: Response) -> str:
    text = f"{envelope.error_type}: {envelope.error}" if envelope.error_type else envelope.error
    text = Redactor(response.secrets)(text or "the query failed and the server does not say why")
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def _malformed(response: Response, where: str, error: Exception) -> ProviderError:
    if not response.body.strip():
        return BadAnswer(f"{where}: empty answer", reason="Malformed")
    kind = response.content_type
    try:
        gojson.decode(response.body)
    except gojson.NotJson as reason:
        deep = isinstance(error, RecursionError)
        if kind and "json" not in kind and not deep:
            return BadAnswer(f"{where}: expected JSON, got {kind[:60]}", reason="Malformed")
        return BadAnswer(f"{where}: not JSON: {reason}", reason="TooDeep" if deep else "Malformed")
    if response.status // 100 != 2:
        return BadQuery(f"client_error: client error: {response.status}{response.asked}")
    return BadAnswer(f"{where}: not an answer of the Prometheus API: {_shape(error)}", reason="Malformed")


def _shape(error: Exception) -> str:
    """msgspec's complaint (`Expected `str`, got `int` - at `$.status``): it names types and places, never values."""
    return str(error).splitlines()[0][:120] if isinstance(error, msgspec.ValidationError) else "unreadable"


def _when(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # a time outside of the calendar


def spaced(number: int) -> str:
    """Digits in groups of three: 10 001."""
    return f"{number:,}".replace(",", " ")
