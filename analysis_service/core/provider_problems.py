"""What is wrong with a provider's part of a metric, as far as the text alone can tell (no name is looked up here)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from analysis_service.core.comparison_problems import comparison_findings, queries
from analysis_service.core.model import Metric
from analysis_service.core.problem import echo
from analysis_service.core.tags import OPEN
from analysis_service.core.timing import is_duration, parse_duration
from analysis_service.core.wire_providers import PLUGIN

Finding = tuple[str, str, str, str]
Spec = Mapping[str, Any]

MAX_TIMEOUT_SECONDS = 300
_HOP_BY_HOP = frozenset({"host", "transfer-encoding", "content-length", "connection", "metadata-flavor", "upgrade"})


def provider_findings(metric: Metric, path: str) -> Iterator[Finding]:
    """Problems of the metric's provider; `path` is the metric's."""
    for name, spec, where in _specs(metric.provider, f"{path}.provider"):
        yield from _findings(name, spec, where)
        if name == "compare":
            yield from comparison_findings(metric, spec, where, path)
            for part, union in queries(spec):
                for inner, inner_spec, inner_where in _specs(union, f"{where}.{part}"):
                    yield from _findings(inner, inner_spec, inner_where)


def _specs(provider: Spec, path: str) -> Iterator[tuple[str, Spec, str]]:
    for name, spec in provider.items():
        if not isinstance(spec, Mapping):
            continue
        if name == PLUGIN:
            yield from _specs(spec, f"{path}.{PLUGIN}")
        else:
            yield name, spec, f"{path}.{name}"


def _findings(name: str, spec: Spec, path: str) -> Iterator[Finding]:
    check = _CHECKS.get(name)
    if check is not None:
        yield from check(spec, path)
    yield from _headers(spec, path)
    yield from _authentication(spec, path)
    for field in ("timeout", "timeoutSeconds"):
        value = spec.get(field)
        if isinstance(value, int) and not 1 <= value <= MAX_TIMEOUT_SECONDS:
            yield "TimeoutOutOfRange", f"{path}.{field}", f"want 1..{MAX_TIMEOUT_SECONDS} seconds, got {value}", ""


def _url(url: Any, path: str) -> Iterator[Finding]:
    """An address: its form only; where it may lead is the operator's decision when it is asked."""
    if not isinstance(url, str) or not url or url.startswith(OPEN):
        return
    scheme, separator, rest = url.partition("://")
    if not separator:
        hint = "" if url.startswith(("/", ".")) else f"Write http://{echo(url)} or https://{echo(url)}."
        yield "BadAddress", path, "address needs http:// or https://", hint
        return
    if scheme.lower() not in ("http", "https") and OPEN not in scheme:
        yield "BadAddress", path, f"http or https only, got {echo(scheme)}", ""
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    if "\\" in rest.split("?", 1)[0]:
        yield "BadAddress", path, "backslash in the address", ""
    elif "@" in authority:
        yield "CredentialsInUrl", path, "credentials in the address", "Use authentication, with a secret argument."
    if any(character in url for character in "\r\n"):
        yield "HeaderInjection", path, "line break in the address", ""


def _headers(spec: Spec, path: str) -> Iterator[Finding]:
    headers = spec.get("headers")
    for index, header in enumerate(headers if isinstance(headers, list | tuple) else ()):
        key, value, where = str(header.get("key", "")), str(header.get("value", "")), f"{path}.headers[{index}]"
        if any(character in key + value for character in "\r\n"):
            yield "HeaderInjection", where, "line break in a header", ""
        if key.strip().lower() in _HOP_BY_HOP:
            yield "HeaderNotAllowed", f"{where}.key", f"header {echo(key)} is set by the client itself", "Remove it."


def _authentication(spec: Spec, path: str) -> Iterator[Finding]:
    chosen = spec.get("authentication")
    if not isinstance(chosen, Mapping):
        return
    basic, oauth = chosen.get("basicAuth"), chosen.get("oauth2")
    if isinstance(basic, Mapping) and bool(basic.get("username")) != bool(basic.get("password")):
        missing = "password" if basic.get("username") else "username"
        yield "Required", f"{path}.authentication.basicAuth.{missing}", f"{missing} missing", ""
    if isinstance(oauth, Mapping) and oauth.get("tokenUrl"):
        yield from _url(oauth["tokenUrl"], f"{path}.authentication.oauth2.tokenUrl")
        for field in ("clientId", "clientSecret"):
            if not oauth.get(field):
                yield "Required", f"{path}.authentication.oauth2.{field}", f"{field} missing", ""


def _prometheus(spec: Spec, path: str) -> Iterator[Finding]:
    yield from _url(spec.get("address"), f"{path}.address")
    if not spec.get("query"):
        yield "Required", f"{path}.query", "required: PromQL", ""


def _web(spec: Spec, path: str) -> Iterator[Finding]:
    yield from _url(spec.get("url"), f"{path}.url")
    body, json_body = spec.get("body"), spec.get("jsonBody")
    if body and json_body is not None:
        yield "ExactlyOne", path, "body and jsonBody are both set", "Keep one of them."
    if (body or json_body is not None) and spec.get("method", "GET") == "GET":
        yield "BodyWithGet", f"{path}.method", "a GET has no body", "Set method: POST."


def _datadog(spec: Spec, path: str) -> Iterator[Finding]:
    query, queries, version = spec.get("query"), spec.get("queries"), spec.get("apiVersion", "v1")
    if not query and not queries:
        yield "ExactlyOne", path, "exactly one of query, queries is required; none is set", ""
    elif query and queries:
        yield "ExactlyOne", path, "exactly one of query, queries is required; both are set", ""
    if version == "v1":
        for field in ("queries", "formula", "aggregator"):
            if spec.get(field):
                yield "NeedsV2", f"{path}.{field}", f"{field} needs apiVersion v2", "Set apiVersion: v2."
    elif spec.get("formula") and not queries:
        yield "Required", f"{path}.queries", "a formula needs queries", ""
    elif isinstance(queries, Mapping) and len(queries) > 1 and not spec.get("formula"):
        yield "Required", f"{path}.formula", f"{len(queries)} queries need a formula", ""
    timeout = spec.get("requestTimeout")
    if isinstance(timeout, str) and timeout and OPEN not in timeout and not _positive(timeout):
        yield "BadDuration", f"{path}.requestTimeout", f"want a positive Go duration; got '{echo(timeout)}'", ""


def _scrape(spec: Spec, path: str) -> Iterator[Finding]:
    targets = spec.get("targets")
    if isinstance(targets, list | tuple):
        if not targets:
            yield "Required", f"{path}.targets", "at least one target is required", ""
        for index, target in enumerate(targets):
            yield from _url(target, f"{path}.targets[{index}]")


def _positive(text: str) -> bool:
    return is_duration(text) and parse_duration(text).total_seconds() > 0


_CHECKS: Mapping[str, Callable[[Spec, str], Iterator[Finding]]] = {
    "prometheus": _prometheus,
    "web": _web,
    "datadog": _datadog,
    "scrape": _scrape,
}
