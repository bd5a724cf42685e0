"""What is wrong with a provider's part of a metric, as far as the text alone can tell (no name is looked up here)."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from analysis_service.core.compare.spec import SpecError, parse
from analysis_service.core.model import Metric
from analysis_service.core.problem import echo
from analysis_service.core.tags import OPEN
from analysis_service.core.timing import parse_duration
from analysis_service.core.wire_providers import PLUGIN

Finding = tuple[str, str, str, str]
Spec = Mapping[str, Any]

MAX_TIMEOUT_SECONDS = 300
_HOP_BY_HOP = frozenset({"host", "transfer-encoding", "content-length", "connection", "metadata-flavor", "upgrade"})
_NO_MARGIN = frozenset({"objective", "sample-ratio", "kayenta"})  # they do not use one
_FIXED_SIZE = frozenset({"mann-whitney", "brunner-munzel", "welch", "ks", "fisher-exact", "poisson-e", "tost"})


def provider_findings(metric: Metric, path: str) -> Iterator[Finding]:
    """Problems of the metric's provider; `path` is the metric's."""
    for name, spec, where in _specs(metric.provider, f"{path}.provider"):
        yield from _findings(name, spec, where)
        if name == "compare":
            found = list(_compare(metric, spec, where, path))
            yield from found
            told = {place for code, place, *_ in found if code not in ("SingleLook", "CannotFail")}
            yield from (one for one in _as_a_whole(metric, spec, where) if one[1] not in told)


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


def _compare(metric: Metric, spec: Spec, path: str, metric_path: str) -> Iterator[Finding]:
    test = str(spec.get("test", ""))
    margin, objective = spec.get("margin"), spec.get("objective")
    if not margin and objective is None and test not in _NO_MARGIN:
        hint = "Add one, such as margin: {relative: 0.5}: at most 1.5 times the stable value."
        yield "MarginRequired", f"{path}.margin", "a comparison needs a margin: how much worse is acceptable", hint
    if "stable" not in (spec.get("arms") or {}) and objective is None and test != "objective":
        yield "Required", f"{path}.arms.stable", "required unless the canary is held to an objective", ""
    if not spec.get("maxDuration") and spec.get("until") != "terminated":
        hint = "Add one, such as maxDuration: 20m; undecided then is Inconclusive."
        yield "Required", f"{path}.maxDuration", "a comparison must end", hint
    if not metric.interval:
        yield "Required", f"{metric_path}.interval", "a comparison needs an interval: how often it looks", ""
    if metric.count is not None and str(metric.count) not in ("1", "0"):
        text = "a comparison is one measurement with many looks"
        yield "ComparisonCount", f"{metric_path}.count", text, "Leave count out; set maxDuration and interval."
    if test in _FIXED_SIZE and spec.get("looks") is None:
        text = f"{test} looks once, at maxDuration; more looks need looks and spending"
        yield "SingleLook", f"{path}.test", text, ""
    for field in ("maxDuration", "warmUp", "lookback"):
        length = spec.get(field)
        if isinstance(length, str) and OPEN not in length and not _is_duration(length):
            yield "BadDuration", f"{path}.{field}", f"want a Go duration such as 20m; got '{echo(length)}'", ""
    limits = (("alpha", 0.0, 0.5), ("beta", 0.0, 0.5), ("minBake", 0.0, 1.0), ("canaryWeight", 0.0, 100.0))
    for field, low, high in limits:
        number = _number(spec.get(field))
        if number is not None and not low <= number <= high:
            yield "OutOfRange", f"{path}.{field}", f"want {low:g}..{high:g}, got {number:g}", ""
    failures = metric.failure_limit
    if failures is not None and str(failures) not in ("0", ""):
        text = f"a comparison is one measurement: with failureLimit {echo(str(failures))} it can never fail"
        yield "CannotFail", f"{metric_path}.failureLimit", text, "Leave failureLimit out."
    for data in ("histogram", "gauge", "canaryWeightFrom"):
        if isinstance(spec.get(data), Mapping):
            yield from _nested(spec[data], f"{path}.{data}")
    for part, union in (spec.get("counts") or {}).items():
        if isinstance(union, Mapping):
            yield from _nested(union, f"{path}.counts.{part}")


def _as_a_whole(metric: Metric, spec: Spec, path: str) -> Iterator[Finding]:
    """What only shows when the comparison is read; an argument that is not filled in yet may be anything."""
    every = parse_duration(metric.interval) if _is_duration(metric.interval) else None
    timed = every is not None and every.total_seconds() > 0
    try:
        notes = parse(spec, every if timed else timedelta(minutes=1)).notes
    except SpecError as error:
        for where, text in error.mistakes:
            # an arm that lacks a value is told where the value is used: see argument_problems
            if not where.startswith("arms.") and not _is_open(spec, where):
                yield "BadComparison", f"{path}.{where}" if where else path, text, ""
        return
    for note in notes if timed else ():
        yield "OverlappingLooks", path, note, ""


def _is_open(spec: Spec, where: str) -> bool:
    """Whether an argument could still mend what stands at this path."""
    if where == "arms":
        return False  # what is the same in both is so whatever is filled in
    if f"{OPEN}args." in str(spec.get("test", "")):
        return True  # anything may follow from the test
    found: Any = spec
    for name in where.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return f"{OPEN}args." in str(found)


def _nested(union: Spec, path: str) -> Iterator[Finding]:
    for name, spec, where in _specs(union, path):
        yield from _findings(name, spec, where)


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def _positive(text: str) -> bool:
    return _is_duration(text) and parse_duration(text).total_seconds() > 0


_CHECKS: Mapping[str, Callable[[Spec, str], Iterator[Finding]]] = {
    "prometheus": _prometheus,
    "web": _web,
    "datadog": _datadog,
    "scrape": _scrape,
}
