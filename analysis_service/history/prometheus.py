"""Past data from Prometheus: the metric's own query as a range query, step by step what it would have answered.

Asked through prometheus-api-client, with a session of ours (see `guarded`). Long ranges are asked in pieces: the
server takes at most 11 000 points of one series, and a piece of more than a quarter of a megabyte would hold the
interpreter, and with it the service's loop, for longer than it may.
"""

import asyncio
import math
from array import array
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from analysis_service.history.base import Asked, Frame, Series, is_scalar
from providers.addresses import OPEN, AddressPolicy
from providers.auth import ANYONE, Authenticator
from providers.base import AuthFailed, BadAnswer, BadQuery, NoData, ProviderError, TimedOut, TooLarge, Unreachable
from providers.destinations import is_literal, parse_url
from providers.http import Http, Request
from providers.prometheus import PrometheusSpec
from providers.redact import Redactor

TIMEOUT_SECONDS = 30.0
MAX_POINTS = 10_000  # of one series in one request
FIRST_POINTS = 60  # of the first request, which shows how large an answer is
PIECE_BYTES = 256 << 10
MAX_SERIES = 5_000
MAX_FRAME = 4_000_000  # points of one frame


class PrometheusHistory:
    """Asks the server that a metric's spec names, or `address`. Safe to use from several threads."""

    def __init__(
        self,
        address: str = "",
        *,
        policy: AddressPolicy = OPEN,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._address, self._policy, self._env, self._timeout = address, policy, env or {}, timeout_seconds

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        name, raw = _unwrap(asked.provider)
        if name != "prometheus":
            raise NoData(
                f"{asked}: {name or '(none)'} cannot be asked for past data here, only prometheus can; "
                "a table (--data) or a recording (check --record, then --recording) can stand in for it"
            )
        try:
            spec = msgspec.convert(raw, PrometheusSpec)
        except msgspec.ValidationError as error:
            raise BadQuery(f"prometheus: {error}") from None
        address = spec.address or self._address
        if not address:
            raise BadQuery("prometheus address is not configured")
        for problem in spec.access.check():
            raise BadQuery(problem)
        url = parse_url(address, policy=self._policy)
        host = url.raw_host or ""
        if not is_literal(host):
            _resolve(host, url.port or 80, self._policy)
        if spec.insecure and not self._policy.allow_insecure_tls:
            raise BadQuery("insecure: true is not allowed here")
        secrets = spec.access.secrets
        seconds = min(float(spec.timeout or self._timeout), self._timeout)
        try:
            found = _Client(str(url).rstrip("/"), spec, self._policy, self._env, seconds).ask(start, end, step)
        except ProviderError as error:
            raise type(error)(Redactor(secrets)(str(error)), reason=error.reason) from None
        return Frame(found, start, end, step, step, is_scalar(asked.provider))

    def close(self) -> None:
        return None


class _Client:
    """One question's connection: history is asked rarely, and a session is not safe to share by threads."""

    def __init__(
        self, base: str, spec: PrometheusSpec, policy: AddressPolicy, env: Mapping[str, str], seconds: float
    ) -> None:
        from prometheus_api_client import PrometheusConnect

        from analysis_service.history import guarded

        self._base, self._spec, self._policy, self._env, self._seconds = base, spec, policy, env, seconds
        self._deadline = guarded.Deadline(seconds)
        self._session = guarded.session(policy, self._deadline, headers={}, verify=not spec.insecure)
        self._sizes: list[int] = []
        self._session.hooks["response"].append(lambda response, **_: self._sizes.append(len(response.content)))
        self._client = PrometheusConnect(
            base,
            session=self._session,
            timeout=seconds,  # of connecting, and between two reads; the whole answer has the deadline
            auth=_Auth(spec, policy, env, seconds) if spec.access != ANYONE else None,
            method="POST",
        )
        self._session.mount(base, guarded.adapter(policy))  # the client has mounted one that knows no rules

    def ask(self, start: datetime, end: datetime, step: timedelta) -> tuple[Series, ...]:
        try:
            return self._pieces(math.floor(start.timestamp()), math.floor(end.timestamp()), step.total_seconds())
        finally:
            self._session.close()

    def _pieces(self, start: float, end: float, step: float) -> tuple[Series, ...]:
        if step <= 0 or end < start:
            raise BadQuery("history: want an end after the start and a step longer than 0")
        points = math.floor((end - start) / step) + 1
        found: dict[tuple[tuple[str, str], ...], Series] = {}
        done, size, total = 0, min(FIRST_POINTS, points), 0
        while done < points:
            size = min(size, points - done)
            first = start + done * step
            total += self._piece(found, first, first + (size - 1) * step, step)
            if len(found) > MAX_SERIES:
                raise TooLarge(f"more than {MAX_SERIES} series of history; aggregate in the query")
            if total > MAX_FRAME:
                raise TooLarge(f"more than {MAX_FRAME} points of history; aggregate, or widen the step")
            done += size
            each = max(self._sizes[-1] / size, 1.0)
            size = max(1, min(int(PIECE_BYTES / each), MAX_POINTS))
        return tuple(found.values())

    def _piece(self, found: dict[tuple[tuple[str, str], ...], Series], first: float, last: float, step: float) -> int:
        count = 0
        for one in self._range(first, last, step):
            metric, values = one.get("metric"), one.get("values")
            if not isinstance(metric, dict) or not isinstance(values, list):
                raise BadAnswer("Prometheus history: native histograms are not supported; use buckets")
            key = tuple(sorted(metric.items()))
            series = found.get(key)
            if series is None:
                series = found[key] = Series(metric, array("d"), array("d"))
            try:
                series.times.extend([float(t) for t, _ in values])
                series.values.extend([float(v) for _, v in values])
            except (TypeError, ValueError):
                raise BadAnswer("Prometheus history: a sample that is no pair of time and number") from None
            count += len(values)
        return count

    def _range(self, first: float, last: float, step: float) -> list[Mapping[str, Any]]:
        """One range query; everything that can go wrong as a ProviderError."""
        import requests
        import urllib3
        from prometheus_api_client.exceptions import PrometheusApiClientException

        from analysis_service.history.guarded import Refused

        where = f"Prometheus at {self._base}"
        self._deadline.restart()
        try:
            found = self._client.custom_query_range(
                self._spec.query, datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC), f"{step:g}"
            )
        except Refused as error:
            raise error.error() from None
        except requests.exceptions.TooManyRedirects:
            raise BadAnswer(f"{where}: redirected; name the address it redirects to") from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise TimedOut(f"{where}: no answer in {self._seconds:g}s") from None
        except requests.exceptions.SSLError:
            raise Unreachable(f"{where}: TLS certificate is not accepted", reason="TlsCertificate") from None
        except requests.exceptions.JSONDecodeError:
            raise BadAnswer(f"{where}: not JSON") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError):
            raise Unreachable(f"{where}: cannot connect, or the connection broke off") from None
        except PrometheusApiClientException as error:
            raise _said(where, str(error)) from None
        except (KeyError, TypeError):
            raise BadAnswer(f"{where}: not an answer of the Prometheus API") from None
        if not isinstance(found, list):
            raise BadAnswer(f"{where}: not an answer of the Prometheus API")
        return found


class _Auth:
    """Puts the metric's authentication on a prepared request, by the same code as a live query."""

    def __init__(self, spec: PrometheusSpec, policy: AddressPolicy, env: Mapping[str, str], seconds: float) -> None:
        self._spec, self._policy, self._env, self._seconds = spec, policy, env, seconds

    def __call__(self, prepared: Any) -> Any:
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        url = parse_url(prepared.url, policy=self._policy)
        request = Request(url=url, who="Prometheus", method=prepared.method, body=body)

        async def dressed() -> Mapping[str, str]:
            http = Http(policy=self._policy)
            try:
                authenticator = Authenticator(http)
                return await authenticator.headers(request, self._spec.access, http.deadline(self._seconds), self._env)
            finally:
                await http.close()

        prepared.headers.update(asyncio.run(dressed()))
        return prepared


def _said(where: str, text: str) -> ProviderError:
    """The client's one exception carries the status and the body as text."""
    status = int(text[17:20]) if text[17:20].isdigit() else 0
    body = text[21:].strip()
    said = ""
    if '"error":"' in body:
        said = body.partition('"error":"')[2].partition('"')[0][:300]
    message = f"{where}: status {status}{f': {said}' if said else ''}"
    if status in (401, 403):
        return AuthFailed(message)
    if status in (400, 404, 422):
        return BadQuery(message)
    return Unreachable(message) if status >= 500 or status == 429 else BadAnswer(message)


def _unwrap(union: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    name, spec = next(iter(union.items()), ("", {}))
    if name == "plugin" and isinstance(spec, Mapping) and len(spec) == 1:
        name, spec = next(iter(spec.items()))
    return name, spec if isinstance(spec, Mapping) else {}


def _resolve(host: str, port: int, policy: AddressPolicy) -> None:
    """Every address the name has is judged before anything is sent; the connected one is judged again."""
    import socket

    from providers.destinations import not_allowed

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise Unreachable(f"the host '{host}' cannot be resolved") from None
    if not all(policy.allows(str(address[4][0]), host) for address in found):
        raise not_allowed(host)
