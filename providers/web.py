"""Any HTTP endpoint: the value at a JSONPath of its JSON, or its text.

`build` makes the request from the metric's spec, `parse` the answer from the response. Source of the behaviour:
metricproviders/webmetric. What differs, each time because Argo's way helps nobody:

* `authentication.basicAuth` is sent; Argo accepts and ignores it. The measurement carries a warning.
* redirects are not followed (the headers of a template would go wherever the server says)
* a body that may be JSON but that we do not read (not UTF-8, nested too deep, a number out of range) is an error and
  not a text
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from yarl import URL

from providers import gojson, jsonpath
from providers.auth import NONE, Access, Authentication, Authenticator, Header
from providers.base import Answer, BadAnswer, BadQuery, Context, NotAllowed, Spec, TooLarge, first_problem, problem_of
from providers.http import Http, Request, Response
from providers.jsonpath import JsonPath, JsonPathError, TooMuchWork
from providers.specs import typed
from providers.statuses import failure
from providers.tls import Tls
from providers.tools import Tools

METHODS = ("GET", "POST", "PUT")
DEFAULT_SECONDS = 10
LONGEST_SECONDS = 300
MAX_TEXT = 4096  # characters of a body that is no JSON, as the measurement's value
MAX_VALUE = 65_536  # characters of JSON, as the measurement's value

_JSON = Header("Content-Type", "application/json")


class WebSpec(msgspec.Struct, frozen=True, rename={"json_body": "jsonBody", "json_path": "jsonPath"}):
    """The value under `provider.web`, as Argo's CRD has it.

    json_body: JSON as text is sent verbatim, any other value as JSON.
    """

    url: str = ""
    method: str = "GET"
    headers: tuple[Header, ...] = ()
    body: str = ""
    json_body: Any = None
    timeout_seconds: int = msgspec.field(default=DEFAULT_SECONDS, name="timeoutSeconds")
    json_path: str = ""
    insecure: bool = False
    authentication: Authentication = NONE

    @property
    def has_json_body(self) -> bool:
        return self.json_body is not None and self.json_body != ""

    @property
    def access(self) -> Access:
        """What `Authenticator` puts on the request. It writes headers last, so those Argo overrides are left out."""
        headers = self.headers
        if self.authentication.oauth2.token_url:
            headers = tuple(header for header in headers if header.key.lower() != "authorization")
        if self.has_json_body:
            headers = (*headers, _JSON)
        return Access(self.authentication, headers)


class Web:
    """The provider. Shared by all runs."""

    name = "web"

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._auth = Authenticator(tools.http)

    def check(self, spec: Spec) -> list[str]:
        try:
            return problems(read(spec), self._http)
        except BadQuery as error:
            return [str(error)]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {}

    def timeout_seconds(self, spec: Spec) -> float:
        seconds = read(spec).timeout_seconds
        return float(seconds if seconds > 0 else DEFAULT_SECONDS)  # Argo takes 0 and less for "not set"

    def credentials(self, spec: Spec, context: Context) -> str:
        return read(spec).access.fingerprint

    async def query(self, spec: Spec, context: Context) -> Answer:
        web = read(spec)
        first_problem(problems(web, self._http))
        deadline = self._http.deadline(min(context.deadline_seconds, self.timeout_seconds(spec)))
        response = await self._auth.send(build(web, self._http), web.access, deadline, context.env)
        return parse(response, web)

    async def close(self) -> None:
        return None  # the connections are the shared client's


def read(spec: Spec) -> WebSpec:
    """The spec, typed. Raises BadQuery."""
    return typed("web", spec, WebSpec)


def problems(spec: WebSpec, http: Http) -> list[str]:
    """What is wrong with a resolved spec, without any I/O. The first words are Argo's where it has any."""
    found = []
    method = spec.method or "GET"
    if spec.body and spec.has_json_body:
        found.append("use either Body or JSONBody; both cannot exists for WebMetric payload")
    elif (spec.body or spec.has_json_body) and method == "GET":
        found.append("Body/JSONBody can only be used with POST or PUT WebMetric Method types")
    if method not in METHODS:
        found.append(f"method {method[:20]!r} is not allowed: GET, POST, PUT")
    if spec.timeout_seconds > LONGEST_SECONDS:
        found.append(f"timeoutSeconds is {spec.timeout_seconds}: 1..{LONGEST_SECONDS} is allowed")
    found += spec.access.check()
    for place, url in (("url", spec.url), ("authentication.oauth2.tokenUrl", spec.authentication.oauth2.token_url)):
        try:
            if url:
                _url(url, place, http)
        except (BadQuery, NotAllowed) as error:
            found.append(problem_of(error))
    try:
        path_of(spec)
    except JsonPathError as error:
        found.append(_path_problem(spec, error))
    return found


def build(spec: WebSpec, http: Http) -> Request:
    """The request, without authentication and custom headers. Raises BadQuery or NotAllowed for the URL."""
    body = None
    if spec.has_json_body:
        body = spec.json_body if isinstance(spec.json_body, str) else gojson.encode(spec.json_body)
    elif spec.body:
        body = spec.body
    method = spec.method or "GET"
    return Request(
        url=_url(spec.url, "url", http),
        who="web endpoint",
        method=method,
        body=None if body is None else body.encode("utf-8", "replace"),
        tls=Tls(insecure=spec.insecure),
        replay=method == "GET",  # what a POST does at the other end is not known
    )


def parse(response: Response, spec: WebSpec) -> Answer:
    """The value the path finds, or the body's text. Raises the error of a bad status, BadAnswer or TooLarge."""
    if not 200 <= response.status <= 299:
        raise failure(response.status, f"received non 2xx response code: {response.status}{response.asked}")
    try:
        path = path_of(spec)
    except JsonPathError as error:
        raise BadQuery(_path_problem(spec, error)) from None
    notes = _warnings(spec, path)
    try:
        decoded = gojson.decode(response.body)
    except gojson.NotRead as error:
        raise BadAnswer(f"the body of {len(response.body)} bytes cannot be read: {error}", reason="Malformed") from None
    except gojson.NotJson:
        return _text(response.body.decode("utf-8"), notes)
    if decoded.duplicates:
        notes["duplicateKeys"] = ", ".join(decoded.duplicates[:10])
    try:
        results = path.find(decoded.value)
    except TooMuchWork as error:
        raise TooLarge(f"jsonPath {spec.json_path[:80]}: {error}", reason="TooMuchWork") from None
    except JsonPathError as error:
        raise BadAnswer(f"Could not find JSONPath in body: {error}", reason="NoValue") from None
    found = [value for values in results for value in values]
    if not found:
        raise BadAnswer("result of web metric produced no value", reason="NoValue")
    if len(found) > 1:
        notes["note"] = f"{len(found)} values at {path_text(spec)[:80]}: the first is the result"
    return Answer(found[0], _cut(gojson.encode(found[0]), MAX_VALUE, notes), metadata=notes)


def _path_problem(spec: WebSpec, error: JsonPathError) -> str:
    return f"jsonPath {spec.json_path[:80]!r}, column {error.column}: {error}"


def path_text(spec: WebSpec) -> str:
    return spec.json_path or "{$}"


def path_of(spec: WebSpec) -> JsonPath:
    """The parsed path. Raises JsonPathError."""
    return _parsed(path_text(spec))


@lru_cache(maxsize=1024)
def _parsed(path: str) -> JsonPath:
    return jsonpath.parse(path)


def _url(text: str, place: str, http: Http) -> URL:
    try:
        return http.url(text, place)
    except BadQuery as error:
        if error.reason != "UrlScheme":
            raise
        scheme = text.partition("://")[0][:20] if "://" in text else ""
        raise BadQuery(f'unsupported protocol scheme "{scheme}" ({error})', reason=error.reason) from None


def _text(text: str, notes: dict[str, str]) -> Answer:
    return Answer(text, _cut(text, MAX_TEXT, notes), metadata=notes)


def _cut(text: str, limit: int, notes: dict[str, str]) -> str:
    if len(text) <= limit:
        return text
    notes["truncated"] = f"the value shows {limit} of {len(text)} characters; the condition saw all"
    return text[:limit]


def _warnings(spec: WebSpec, path: JsonPath) -> dict[str, str]:
    warnings = []
    if spec.authentication.basic_auth.username:
        warnings.append("authentication.basicAuth is sent; Argo Rollouts ignores it for web metrics")
    if path.only_text:
        warnings.append("jsonPath has no braces, so the result is the path's own text; write {$.field}")
    return {"warnings": ", ".join(f'"{warning}"' for warning in warnings)} if warnings else {}
