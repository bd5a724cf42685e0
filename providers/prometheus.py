"""Prometheus: one instant or range query through its HTTP API, read as Argo reads it.

`build` makes the request from the metric's spec, `parse` the answer from the response. Source of the behaviour:
metricproviders/prometheus and client_golang's api/prometheus/v1, which Argo asks through.
"""

import math
import re
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote_plus

import msgspec
from yarl import URL

from providers import gojson
from providers.auth import NONE, Access, Authentication, Authenticator, Header
from providers.base import (
    Answer,
    AuthFailed,
    BadAnswer,
    BadQuery,
    Context,
    NotAllowed,
    ProviderError,
    Sample,
    Spec,
    TooLarge,
    Tools,
    Unreachable,
)
from providers.durations import parse_seconds
from providers.http import Http, Request, Response
from providers.redact import Redactor, masked
from providers.tls import Tls

ADDRESS_VARIABLE = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"
CONCURRENCY = 4  # queries at once to one server: it runs 20 at most, and others ask it too
MAX_SERIES = 10_000
MAX_POINTS = 11_000  # of one series: Prometheus' own limit; also how many points are given as samples
MAX_TEXT = 300  # characters of the server's own words in an error
STALE_SECONDS = 300.0  # Prometheus' own look-back

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_NUMBER = re.compile(r"(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[Ii][Nn][Ff]|[Nn][Aa][Nn])\Z")
_LONGEST_NUMBER = 350  # what the server writes: 309 digits before the point, or some 340 after it


class RangeQuery(msgspec.Struct, frozen=True):
    start: str = ""
    end: str = ""
    step: str = ""


class PrometheusSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The value under `provider.prometheus`, as Argo's CRD has it. `timeout` is in seconds."""

    address: str = ""
    query: str = ""
    authentication: Authentication = NONE
    timeout: int | None = None
    insecure: bool = False
    headers: tuple[Header, ...] = ()
    range_query: RangeQuery | None = None

    @property
    def access(self) -> Access:
        return Access(self.authentication, self.headers)


class Prometheus:
    """The provider. Shared by all runs."""

    name = "prometheus"
    type = "Prometheus"

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._evaluate_time = tools.evaluate_time
        self._auth = Authenticator(tools.http)
        self._last: tuple[Spec, PrometheusSpec] | None = None

    def check(self, spec: Spec) -> list[str]:
        try:
            return list(problems(self._read(spec), self._http))
        except BadQuery as error:
            return [str(error)]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {"ResolvedPrometheusQuery": str(spec.get("query", ""))}

    def timeout_seconds(self, spec: Spec) -> float:
        timeout = self._read(spec).timeout
        return 30.0 if timeout is None else float(timeout)

    def credentials(self, spec: Spec, context: Context) -> str:
        read = self._read(spec)
        # without an address of its own the question goes where the environment says
        return f"{context.env.get(ADDRESS_VARIABLE, '') if not read.address else ''} {read.access.fingerprint}"

    def request(self, spec: Spec, context: Context) -> Request:
        """What `query` will send, authentication aside. Raises BadQuery or NotAllowed."""
        return build(self._read(spec), context, self._http, self._evaluate_time)

    async def query(self, spec: Spec, context: Context) -> Answer:
        read = self._read(spec)
        deadline = self._http.deadline(min(context.deadline_seconds, self.timeout_seconds(spec)))
        request = self.request(spec, context)
        response = await self._auth.send(request, read.access, deadline, context.env)
        if response.status in (405, 501):  # a proxy or a backend that takes no POST
            url = request.url.update_query(parse_qsl((request.body or b"").decode("ascii")))
            request = msgspec.structs.replace(request, method="GET", url=url, headers={}, body=None)
            response = await self._auth.send(request, read.access, deadline, context.env)
        try:
            return parse(response, request.where, context.at, ranged=read.range_query is not None)
        except ProviderError as error:
            raise masked(error, response.secrets) from None

    async def close(self) -> None:
        return None  # the connections are the shared client's

    def _read(self, spec: Spec) -> PrometheusSpec:
        # check, credentials, timeout and query follow each other with one and the same object
        last = self._last
        if last is not None and last[0] is spec:
            return last[1]
        try:
            read = msgspec.convert(spec, PrometheusSpec)
        except msgspec.ValidationError as error:
            raise BadQuery(f"prometheus: {error}") from None
        self._last = (spec, read)
        return read


def problems(spec: PrometheusSpec, http: Http) -> list[str]:
    """What is wrong with a resolved spec, without any I/O. The first words are Argo's where it has any."""
    found = []
    if spec.timeout is not None and spec.timeout < 0:
        found.append("prometheus timeout should not be negative")
    found += spec.access.check()
    for address, text in ((spec.address, ""), (spec.authentication.oauth2.token_url, "authentication.oauth2.tokenUrl")):
        try:
            if address:
                http.url(address, text) if text else _base(address, http)
        except BadQuery as error:
            found.append(str(error))
        except NotAllowed:
            pass  # the operator's refusal, raised with its own class when asked
    if spec.range_query is not None:
        try:
            _step(spec.range_query)
        except BadQuery as error:
            found.append(str(error))
    return found


def build(
    spec: PrometheusSpec, context: Context, http: Http, evaluate_time: Callable[[str, datetime], datetime]
) -> Request:
    """The POST that asks. Raises BadQuery (address, range) or NotAllowed (address)."""
    address = spec.address or context.env.get(ADDRESS_VARIABLE, "")
    if not address:
        raise BadQuery("prometheus address is not configured")
    base = _base(address, http)
    if spec.range_query is None:
        path, body = "api/v1/query", f"query={_form(spec.query)}&time={_unix(context.at)}"
    else:
        path, body = "api/v1/query_range", _range_form(spec, spec.range_query, context.at, evaluate_time)
    return Request(
        url=_endpoint(base, path),
        who="Prometheus",
        method="POST",
        headers=_FORM,
        body=body.encode("ascii"),
        tls=_INSECURE if spec.insecure else _VERIFIED,
        concurrency=CONCURRENCY,
    )


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
        if data is None or data.resultType not in ("scalar", "vector", "matrix"):
            kind = f" ({data.resultType} result not supported)" if data and data.resultType else ""
            raise BadAnswer(f"Prometheus metric type not supported{kind}")
        metadata = _metadata(envelope, response)
        if data.resultType == "scalar":
            return _scalar(_point.decode(data.result), metadata, at)
        series = _series.decode(data.result)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(response, where, error) from None
    if len(series) > MAX_SERIES:
        raise TooLarge(f"{_count(len(series))} series; limit {_count(MAX_SERIES)}; aggregate in the query")
    if data.resultType == "matrix":
        if not ranged:
            metadata["note"] = "the instant query returned a range: all its samples are in one list"
        return _matrix(series, metadata)
    return _vector(series, metadata, at)


class _Data(msgspec.Struct):
    resultType: str = ""  # noqa: N815
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    status: str = ""
    data: _Data | None = None
    errorType: str = ""  # noqa: N815
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

_VERIFIED = Tls()
_INSECURE = Tls(insecure=True)


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
                f"{_count(len(one.values))} points in one series; limit {_count(MAX_POINTS)}; widen the step"
            )
        values.extend([_number(text) for _, text in one.values])
    samples: tuple[Sample, ...] = ()
    if len(values) <= MAX_POINTS:
        read = iter(values)
        samples = tuple(Sample(one.metric, next(read), _when(at)) for one in series for at, _ in one.values)
    return Answer(values, _list_text(values), samples, metadata=metadata)


def _not_plain(series: _Series) -> BadAnswer:
    if series.histogram is not None or series.histograms is not None:
        return BadAnswer("native histograms are not supported; use histogram_quantile() or histogram_count()")
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
        said = _server_words(response)
        return Unreachable(f"server_error: server error: {status}{f': {said}' if said else ''}", reason="ProviderDown")
    if status in (401, 403):
        return AuthFailed(f"client_error: client error: {status} ({where} refused the credentials)")
    if status == 404:
        return BadQuery(f"client_error: client error: 404 ({where}: no Prometheus API at this path)")
    if status // 100 == 4:
        return BadQuery(f"client_error: client error: {status}")
    return BadAnswer(f"bad_response: bad response code {status}")


def _server_words(response: Response) -> str:
    try:
        envelope = _envelope.decode(response.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return ""  # a proxy's page: nobody needs it in a measurement
    return _said(envelope, response) if envelope.error else ""


def _said(envelope: _Envelope, response: Response) -> str:
    text = f"{envelope.errorType}: {envelope.error}" if envelope.errorType else envelope.error
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
        return BadQuery(f"client_error: client error: {response.status}")
    return BadAnswer(f"{where}: not an answer of the Prometheus API: {_shape(error)}", reason="Malformed")


def _shape(error: Exception) -> str:
    """msgspec's complaint (`Expected `str`, got `int` - at `$.status``): it names types and places, never values."""
    return str(error).splitlines()[0][:120] if isinstance(error, msgspec.ValidationError) else "unreadable"


@lru_cache(maxsize=1024)
def _form(query: str) -> str:
    return quote_plus(query, errors="replace")


def _base(address: str, http: Http) -> URL:
    try:
        url = http.url(address)
    except BadQuery as error:
        # the first words are Argo's, its grammar included
        raise BadQuery(f"prometheus address is not is url format: {error}", reason=error.reason) from None
    return url


@lru_cache(maxsize=1024)
def _endpoint(base: URL, path: str) -> URL:
    """The API below an address, whatever the address's own path; a query string of the address is kept, as in Go."""
    return base.with_path(f"{base.path.rstrip('/')}/{path}", keep_query=True)


def _range_form(
    spec: PrometheusSpec, asked: RangeQuery, now: datetime, evaluate_time: Callable[[str, datetime], datetime]
) -> str:
    times = []
    for field, text in (("start", asked.start), ("end", asked.end)):
        try:
            times.append(evaluate_time(text, now))
        except Exception as error:  # whatever the language raises: its text is for the user
            raise BadQuery(f"failed to parse rangeQuery.{field} as time: {error}") from None
    start, end = times
    step = _step(asked)
    if end < start:
        raise BadQuery(f"rangeQuery: end ({end.isoformat()}) is before start ({start.isoformat()})")
    points = math.floor((end - start).total_seconds() / step) + 1
    if points > MAX_POINTS:
        raise BadQuery(
            f"rangeQuery: {_count(points)} points in each series; limit {_count(MAX_POINTS)}; widen the step"
        )
    step_text = gojson.shortest(step)
    return f"end={_unix(end)}&query={_form(spec.query)}&start={_unix(start)}&step={step_text}"


def _step(asked: RangeQuery) -> float:
    try:
        step = parse_seconds(asked.step)
    except ValueError as error:
        raise BadQuery(f"failed to parse rangeQuery.step as duration: {error}") from None
    if step <= 0:
        raise BadQuery(f"rangeQuery.step must be longer than 0, not {asked.step}")
    return step


def _unix(at: datetime) -> str:
    return gojson.shortest(at.timestamp())


def _when(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None  # a time outside of the calendar


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
