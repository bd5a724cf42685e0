"""Datadog: a metrics query (v1), or a scalar query with formulas and groups (v2).

Requests are made by Datadog's own client, which knows the API's paths, headers and shapes, and checks them. What it
does not do is send them: its HTTP part is replaced, by the method it offers for that, with ours (`_Transport`), since
its own transport has neither our address rules nor caps nor one deadline, and would retry by itself. Answers are
read from the body, not through the client's models: Argo accepts shapes that those refuse (a column without a
type), tells errors in its own words, and quotes the raw text of a bad value.

Source of the behaviour: metricproviders/datadog.
"""
# mypy: allow-untyped-calls
# (the client's constructors carry no annotations)

import math
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec
from datadog_api_client import AsyncApiClient, Configuration
from datadog_api_client.v1.api.metrics_api import MetricsApi as MetricsApiV1
from datadog_api_client.v2.api.metrics_api import MetricsApi as MetricsApiV2
from datadog_api_client.v2.model.metrics_aggregator import MetricsAggregator
from datadog_api_client.v2.model.metrics_data_source import MetricsDataSource
from datadog_api_client.v2.model.metrics_scalar_query import MetricsScalarQuery
from datadog_api_client.v2.model.query_formula import QueryFormula
from datadog_api_client.v2.model.scalar_formula_query_request import ScalarFormulaQueryRequest
from datadog_api_client.v2.model.scalar_formula_request import ScalarFormulaRequest
from datadog_api_client.v2.model.scalar_formula_request_attributes import ScalarFormulaRequestAttributes
from datadog_api_client.v2.model.scalar_formula_request_queries import ScalarFormulaRequestQueries
from datadog_api_client.v2.model.scalar_formula_request_type import ScalarFormulaRequestType
from yarl import URL

from providers import datadog_answers, gojson
from providers.base import Answer, AuthFailed, BadQuery, Context, Spec, Unreachable, first_problem
from providers.durations import parse_seconds
from providers.http import Http, Request, Response
from providers.specs import typed
from providers.tools import Tools

API_VERSIONS = ("v1", "v2")
AGGREGATORS = ("avg", "min", "max", "sum", "last", "percentile", "mean", "l2norm", "area")
DEFAULT_ADDRESS = "https://api.datadoghq.com"
DEFAULT_INTERVAL = "5m"
DEFAULT_TIMEOUT = "10s"
CREDENTIALS = "datadog"  # what the secret is called that holds them, unless the spec names one
VARIABLES = ("DD_ADDRESS", "DD_API_KEY", "DD_APP_KEY")

_REVIEW = "Please review the Analysis Template."


class SecretRef(msgspec.Struct, frozen=True):
    """namespaced: the secret is in the run's namespace, not in the controller's."""

    name: str = ""
    namespaced: bool = False


class DatadogSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The value under `provider.datadog`, as Argo's CRD has it. Durations are Go's."""

    interval: str = ""
    query: str = ""
    queries: dict[str, str] = {}
    formula: str = ""
    api_version: str = "v1"
    aggregator: str = ""
    secret_ref: SecretRef = SecretRef()
    request_timeout: str = ""


class Credentials(msgspec.Struct, frozen=True):
    address: str
    api_key: str
    app_key: str


class Window(msgspec.Struct, frozen=True):
    """What the query covers, in whole unix seconds."""

    start: int
    end: int


class Datadog:
    """The provider. Shared by all runs."""

    name = "datadog"

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http

    def check(self, spec: Spec) -> list[str]:
        try:
            return problems(read(spec))
        except BadQuery as error:
            return [str(error)]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {}

    def timeout_seconds(self, spec: Spec) -> float:
        return parse_seconds(read(spec).request_timeout or DEFAULT_TIMEOUT)

    def credentials(self, spec: Spec, context: Context) -> str:
        ref = read(spec).secret_ref
        if ref.name:
            return f"secret {context.namespace if ref.namespaced else context.controller_namespace}/{ref.name}"
        return "environment" if _in_environment(context) else f"secret {context.controller_namespace}/{CREDENTIALS}"

    async def query(self, spec: Spec, context: Context) -> Answer:
        asked = read(spec)
        first_problem(problems(asked))
        deadline = self._http.deadline(min(context.deadline_seconds, self.timeout_seconds(spec)))
        credentials = await find_credentials(asked, context)
        covered = window(asked, context.at)
        client = _Client(_Transport(self._http, deadline, (credentials.api_key, credentials.app_key)), credentials)
        try:
            if asked.api_version == "v1":
                response = await ask_v1(client, asked, covered)
                return datadog_answers.parse_v1(response, start=covered.start, end=covered.end)
            return datadog_answers.parse_v2(await ask_v2(client, asked, covered))
        except Unreachable as error:
            if "answer cut at" in str(error):  # status and headers came, the body did not: Argo's words for it
                raise Unreachable(f"Received no bytes in response: {error}", reason=error.reason) from None
            raise

    async def close(self) -> None:
        return None  # the connections are the shared client's


def read(spec: Spec) -> DatadogSpec:
    """The spec, typed. Raises BadQuery."""
    return typed("datadog", spec, DatadogSpec)


def problems(spec: DatadogSpec) -> list[str]:
    """What is wrong with a resolved spec, without any I/O. The first words are Argo's where it has any."""
    found = []
    if not spec.query and not spec.queries:
        found.append(f"Must have either a query or queries. {_REVIEW}")
    if spec.query and spec.queries:
        found.append(f"Cannot have both a query and queries. {_REVIEW}")
    if spec.api_version == "v1" and not spec.query and spec.queries:
        found.append(
            "Query is empty. API Version v1 only supports using the query parameter in your Analysis Template."
        )
    if spec.formula and not spec.queries:
        found.append(f"Formula are only valid when queries are set. {_REVIEW}")
    if spec.api_version == "v1" and spec.aggregator:
        found.append(f"Aggregator is not supported in v1. {_REVIEW}")
    if len(spec.queries) > 1 and not spec.formula:
        found.append(f"When multiple queries are provided you must include a formula. {_REVIEW}")
    if spec.api_version not in API_VERSIONS:
        found.append(f"apiVersion {spec.api_version[:20]!r} is not known: {', '.join(API_VERSIONS)}")
    if spec.aggregator and spec.aggregator not in AGGREGATORS:
        found.append(f"aggregator {spec.aggregator[:20]!r} is not known: {', '.join(AGGREGATORS)}")
    try:
        if parse_seconds(spec.request_timeout or DEFAULT_TIMEOUT) <= 0:
            found.append(f"Request timeout must be a positive duration, not {spec.request_timeout[:40]}")
    except ValueError as error:
        found.append(f"Could not parse the request timeout: {error}")
    try:
        if parse_seconds(spec.interval or DEFAULT_INTERVAL) <= 0:
            found.append(f"interval must be longer than 0, not {spec.interval[:40]}")
    except ValueError as error:
        found.append(f"Could not parse the interval: {error}")
    if spec.secret_ref.namespaced and not spec.secret_ref.name:
        found.append("secret name is required for namespaced credentials")
    return found


async def find_credentials(spec: DatadogSpec, context: Context) -> Credentials:
    """The named secret; without a name the environment (all three variables), else the controller's own secret.

    Raises AuthFailed.
    """
    ref = spec.secret_ref
    if ref.namespaced and not ref.name:
        raise AuthFailed("secret name is required for namespaced credentials")
    if not ref.name and (found := _in_environment(context)) is not None:
        return found
    name = ref.name or CREDENTIALS
    namespace = context.namespace if ref.name and ref.namespaced else context.controller_namespace
    failed = "failed to find the credentials for datadog metrics provider"
    try:
        secret = await context.secrets.read(namespace, name)
    except AuthFailed as error:
        raise AuthFailed(f"{failed}: {error}", reason=error.reason) from None
    keys = {key: secret.get(key, "") for key in ("api-key", "app-key")}
    if missing := [key for key, value in keys.items() if not value]:
        raise AuthFailed(f'{failed}: secret "{name}" has no {" and no ".join(missing)}')
    return Credentials(secret.get("address") or DEFAULT_ADDRESS, keys["api-key"], keys["app-key"])


def _in_environment(context: Context) -> Credentials | None:
    values = [context.env.get(name, "") for name in VARIABLES]
    return Credentials(*values) if all(values) else None


def window(spec: DatadogSpec, at: datetime) -> Window:
    end = at.timestamp()
    return Window(math.floor(end - parse_seconds(spec.interval or DEFAULT_INTERVAL)), math.floor(end))


async def ask_v1(client: AsyncApiClient, spec: DatadogSpec, covered: Window) -> Response:
    asked: object = MetricsApiV1(client).query_metrics(_from=covered.start, to=covered.end, query=spec.query)
    return await cast(Awaitable[Response], asked)  # annotated as if the client were neither async nor ours


async def ask_v2(client: AsyncApiClient, spec: DatadogSpec, covered: Window) -> Response:
    asked: object = MetricsApiV2(client).query_scalar_data(body=body_v2(spec, covered))
    return await cast(Awaitable[Response], asked)


def body_v2(spec: DatadogSpec, covered: Window) -> ScalarFormulaQueryRequest:
    """The scalar query, checked by Datadog's own model. A lone query is called `query`, as Argo calls it."""
    aggregator = MetricsAggregator(spec.aggregator or "last")
    return ScalarFormulaQueryRequest(
        data=ScalarFormulaRequest(
            type=ScalarFormulaRequestType.SCALAR_REQUEST,
            attributes=ScalarFormulaRequestAttributes(
                _from=covered.start * 1000,
                to=covered.end * 1000,
                queries=ScalarFormulaRequestQueries(
                    [
                        MetricsScalarQuery(
                            aggregator=aggregator, data_source=MetricsDataSource.METRICS, name=name, query=query
                        )
                        for name, query in (spec.queries or {"query": spec.query}).items()
                    ]
                ),
                formulas=[QueryFormula(formula=spec.formula)] if spec.formula else [],
            ),
        )
    )


class _Transport:
    """Stands where the client's own HTTP part would: sends one of its requests by our rules."""

    def __init__(self, http: Http, deadline: float, secrets: tuple[str, ...]) -> None:
        self._http = http
        self._deadline = deadline
        self._secrets = secrets

    async def request(
        self,
        method: str,
        url: str,
        query_params: list[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        **unused: Any,  # form fields, its timeout and its way of reading: all settled here
    ) -> Response:
        place = _url(url, self._http)
        if query_params:
            place = place.extend_query([(name, str(value)) for name, value in query_params])
        return await self._http.send(
            Request(
                url=place,
                who="Datadog",
                method=method,
                headers=dict(headers or {}),
                body=None if body is None else msgspec.json.encode(body),
                secrets=self._secrets,
            ),
            self._deadline,
        )

    def close(self) -> None:
        return None


class _Client(AsyncApiClient):
    """Datadog's client on our transport. Light: one is made for each question, since it holds the credentials."""

    def __init__(self, transport: _Transport, credentials: Credentials) -> None:
        self._transport = transport
        super().__init__(
            Configuration(
                host=credentials.address.rstrip("/"),
                api_key={"apiKeyAuth": credentials.api_key, "appKeyAuth": credentials.app_key},
                preload_content=False,  # hand back the response as it is
                enable_retry=False,  # the engine retries
            )
        )
        self.set_default_header("Content-Type", "application/json")

    def _build_rest_client(self) -> _Transport:
        return self._transport


def _url(text: str, http: Http) -> URL:
    try:
        return http.url(text, "address of the datadog credentials")
    except BadQuery as error:
        if error.reason == "UrlScheme" and text.startswith(":"):
            address = gojson.quote(text.partition("/api/v")[0][:80])
            raise BadQuery(f"parse {address}: missing protocol scheme", reason=error.reason) from None
        raise
