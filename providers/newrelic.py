"""New Relic: one NRQL query through NerdGraph, its GraphQL API.

`build` makes the request, `parse` the answer. Source of the behaviour: metricproviders/newrelic and
newrelic-client-go, which Argo asks through.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from providers import gojson
from providers.base import (
    Answer,
    AuthFailed,
    BadAnswer,
    BadQuery,
    Context,
    NoData,
    ProviderError,
    Sample,
    Spec,
    Throttled,
    TimedOut,
    Unreachable,
    first_problem,
)
from providers.http import Http, Request, Response
from providers.limits import RETRY_DEFAULT
from providers.redact import Redactor
from providers.specs import typed
from providers.statuses import failure
from providers.tools import Tools

DEFAULT_SECONDS = 5
GRACE_SECONDS = 5.0  # New Relic reports its own timeout after `timeout` seconds: wait for the sentence
PROFILE = "newrelic"  # what the secret with the account is called, unless the spec names one
ENDPOINTS = {"us": "https://api.newrelic.com/graphql", "eu": "https://api.eu.newrelic.com/graphql"}
MAX_TEXT = 300  # characters of the server's own words in an error
MAX_VALUE = 65_536  # characters of the measurement's value

_NRQL = """query($query: Nrql!, $accountId: Int!, $timeout: Seconds!) {
  actor { account(id: $accountId) { nrql(query: $query, timeout: $timeout) { results } } }
}"""
_REFUSED = frozenset({"BAD_API_KEY", "UNAUTHORIZED", "FORBIDDEN", "ACCESS_DENIED"})
_SERVERS_FAULT = frozenset({"SERVER_ERROR", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"})
_SLOW_DOWN = frozenset({"TOO_MANY_REQUESTS", "RATE_LIMITED"})
_SLOW_DOWN_TEXT = ("rate limit", "too many requests", "limit exceeded")  # NRQL's own limits come without a class


class NewRelicSpec(msgspec.Struct, frozen=True):
    """The value under `provider.newRelic`, as Argo's CRD has it. `timeout` is in seconds."""

    query: str = ""
    profile: str = ""
    timeout: int | None = None

    @property
    def secret_name(self) -> str:
        return self.profile or PROFILE


class Account(msgspec.Struct, frozen=True):
    """Whose data, and how to be let in. region: "us" or "eu"."""

    key: str
    id: int
    region: str
    endpoint: str


class NewRelic:
    """The provider. Shared by all runs."""

    name = "newRelic"

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http

    def check(self, spec: Spec) -> list[str]:
        try:
            return problems(read(spec))
        except BadQuery as error:
            return [str(error)]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {"ResolvedNewRelicQuery": str(spec.get("query", ""))}

    def timeout_seconds(self, spec: Spec) -> float:
        return seconds(read(spec)) + GRACE_SECONDS

    def credentials(self, spec: Spec, context: Context) -> str:
        return f"{context.controller_namespace}/{read(spec).secret_name}"

    async def query(self, spec: Spec, context: Context) -> Answer:
        asked = read(spec)
        first_problem(problems(asked))
        deadline = self._http.deadline(min(context.deadline_seconds, self.timeout_seconds(spec)))
        account = await find_account(asked, context)
        return parse(await self._http.send(build(asked, account, self._http), deadline))

    async def close(self) -> None:
        return None  # the connections are the shared client's


def read(spec: Spec) -> NewRelicSpec:
    """The spec, typed. Raises BadQuery."""
    return typed("newRelic", spec, NewRelicSpec)


def seconds(spec: NewRelicSpec) -> int:
    return DEFAULT_SECONDS if spec.timeout is None else spec.timeout


def problems(spec: NewRelicSpec) -> list[str]:
    """What is wrong with a resolved spec, without any I/O."""
    found = [] if spec.query.strip() else ["newRelic: query is missing"]
    if seconds(spec) < 0:
        found.append("timeout value needs to be a positive value")
    return found


async def find_account(spec: NewRelicSpec, context: Context) -> Account:
    """The account in the profile's secret. Raises AuthFailed."""
    return account_of(await context.secrets.read(context.controller_namespace, spec.secret_name))


def account_of(secret: Mapping[str, str]) -> Account:
    """Raises AuthFailed, in Argo's words."""
    key, number = secret.get("personal-api-key", ""), secret.get("account-id", "")
    if not key or not number:
        raise AuthFailed("account ID or personal API key not found")
    try:
        account_id = int(number) if number.lstrip("+-").isdecimal() else None
    except ValueError:
        account_id = None
    if account_id is None:
        raise AuthFailed("could not parse account ID: it is not a whole number")
    region = secret.get("region", "").lower()
    if region not in ENDPOINTS:
        region = "us"  # an unknown one too, as Argo
    return Account(key, account_id, region, secret.get("base-url-nerdgraph") or ENDPOINTS[region])


def build(spec: NewRelicSpec, account: Account, http: Http) -> Request:
    """The POST that asks. Raises BadQuery or NotAllowed for the address in the secret."""
    variables = {"query": spec.query, "accountId": account.id, "timeout": seconds(spec)}
    return Request(
        url=http.url(account.endpoint, "base-url-nerdgraph"),
        who="New Relic",
        method="POST",
        headers={"Content-Type": "application/json", "Accept": "application/json", "Api-Key": account.key},
        body=msgspec.json.encode({"query": _NRQL, "variables": variables}),
        secrets=(account.key,),
    )


def parse(response: Response) -> Answer:
    """The rows, or the error that the response means."""
    if not 200 <= response.status <= 299:
        raise _by_status(response)
    try:
        decoded = gojson.decode(response.body)
    except gojson.NotJson as error:
        kind = response.content_type
        why = f"expected JSON, got {kind[:60]}" if kind and "json" not in kind and response.body.strip() else error
        raise BadAnswer(f"could not parse New Relic's answer: {why}", reason="Malformed") from None
    if not isinstance(decoded.value, dict):
        raise BadAnswer("New Relic's answer is not a JSON object", reason="Malformed")
    errors = decoded.value.get("errors")
    metadata: dict[str, str] = {}
    if errors:
        failed = _by_errors(errors, response)
        if failed is not None:
            raise failed
        metadata["warnings"] = f'"{_said(errors, response)}"'
    if decoded.duplicates:
        metadata["duplicateKeys"] = ", ".join(decoded.duplicates[:10])
    return answer(_results(decoded.value), metadata)


def answer(results: list[Any], metadata: Mapping[str, str] | None = None) -> Answer:
    """One row is a map, several are a list of maps. Raises NoData, BadAnswer."""
    if not results or results == [{}]:
        raise NoData("no results returned from NRQL query", metadata=metadata)
    value = results[0] if len(results) == 1 else results
    notes = dict(metadata or {})
    try:
        text = gojson.encode(value)
    except gojson.Unsupported as error:
        raise BadAnswer(f"could not marshal results: {error}") from None
    if len(text) > MAX_VALUE:
        notes["truncated"] = f"the value shows {MAX_VALUE} of {len(text)} characters; the condition saw all"
        text = text[:MAX_VALUE]
    return Answer(value, text, _samples(results), metadata=notes)


def _results(data: Any) -> list[Any]:
    """data.actor.account.nrql.results; null anywhere on the way is no rows, as in Go."""
    place = data
    for key in ("data", "actor", "account", "nrql", "results"):
        if place is None:
            return []
        if not isinstance(place, dict):
            raise BadAnswer(f"New Relic's answer has no map around '{key}'", reason="Malformed")
        if key == "data" and key not in place:
            raise BadAnswer("New Relic's answer has neither data nor errors", reason="Malformed")
        place = place.get(key)
    if place is None:
        return []
    if not isinstance(place, list) or not all(isinstance(row, dict) for row in place):
        raise BadAnswer("New Relic's results are not a list of rows", reason="Malformed")
    return place


def _samples(results: list[dict[str, Any]]) -> tuple[Sample, ...]:
    """Every number of every row, named by its column and by the row's facet."""
    samples = []
    for row in results:
        labels = {key: value for key, value in row.items() if isinstance(value, str)}
        samples += [Sample({**labels, "field": key}, value) for key, value in row.items() if isinstance(value, float)]
    return tuple(samples)


def _by_status(response: Response) -> ProviderError:
    if response.status in (401, 403):
        return AuthFailed(f"New Relic refused the API key ({response.status}){response.asked}")
    words = ""
    try:
        body = gojson.decode(response.body).value
        words = _said(body["errors"], response) if isinstance(body, dict) and body.get("errors") else ""
    except gojson.NotJson:
        pass  # a proxy's page: nobody needs it in a measurement
    said = f"New Relic answered {response.status}" + (f": {words}" if words else "")
    return failure(response.status, said + response.asked)


def _by_errors(errors: Any, response: Response) -> ProviderError | None:
    """GraphQL errors by class; None if they only say that a field is deprecated: the answer is there then."""
    message = _said(errors, response)
    listed = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    classes = {_class_of(error) for error in listed} | {_code_of(error) for error in listed}
    if classes & _REFUSED:
        return AuthFailed(message)
    if "TIMEOUT" in classes:
        return TimedOut(message, reason="Timeout")
    if classes & _SLOW_DOWN or any(text in message.lower() for text in _SLOW_DOWN_TEXT):
        return Throttled(message, retry_after_seconds=RETRY_DEFAULT)
    if classes & _SERVERS_FAULT:
        return Unreachable(message, reason="ProviderDown")
    if listed and all(str(error.get("message", "")).startswith("This field is deprecated!") for error in listed):
        return None
    return BadQuery(message)


def _class_of(error: dict[str, Any]) -> str:
    extensions = error.get("extensions")
    return str(extensions.get("errorClass", "")).upper() if isinstance(extensions, dict) else ""


def _code_of(error: dict[str, Any]) -> str:
    extensions = error.get("extensions")
    code = extensions.get("errorCode") or extensions.get("error_code") if isinstance(extensions, dict) else ""
    return str(code or "").upper()


def _said(errors: Any, response: Response) -> str:
    """The errors' messages, joined as newrelic-client-go joins them."""
    listed = errors if isinstance(errors, list) else [errors]
    messages = [str(error.get("message") or "") if isinstance(error, dict) else str(error) for error in listed]
    text = ", ".join(filter(None, messages)) or "the query failed and New Relic does not say why"
    text = Redactor(response.secrets)(text)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."
