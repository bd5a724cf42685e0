"""Prometheus: one instant or range query through its HTTP API, read as Argo reads it.

`build` makes the request from the metric's spec; what comes back is read in `prometheus_answers`. Source of the
behaviour: metricproviders/prometheus and client_golang's api/prometheus/v1, which Argo asks through.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote_plus

import msgspec
from yarl import URL

from providers import gojson
from providers.auth import NONE, Access, Authentication, Authenticator, Header
from providers.base import Answer, BadQuery, Context, NotAllowed, ProviderError, Spec, problem_of
from providers.durations import parse_seconds
from providers.http import Http, Request
from providers.prometheus_answers import MAX_POINTS, parse, spaced
from providers.redact import masked
from providers.specs import Reader
from providers.tls import Tls
from providers.tools import Tools

ADDRESS_VARIABLE = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS"
CONCURRENCY = 4  # queries at once to one server: it runs 20 at most, and others ask it too
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


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
        self._read = Reader("prometheus", PrometheusSpec)

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
        except (BadQuery, NotAllowed) as error:
            found.append(problem_of(error))
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


_VERIFIED = Tls()
_INSECURE = Tls(insecure=True)


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
            f"rangeQuery: {spaced(points)} points in each series; limit {spaced(MAX_POINTS)}; widen the step"
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
