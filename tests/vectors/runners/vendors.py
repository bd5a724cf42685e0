"""Datadog, New Relic and web metrics: asked over real sockets, judged by the condition language."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from analysis_service.core import expression
from analysis_service.core.judge import Answered, judge
from analysis_service.core.model import Metric, Phase
from providers import datadog, datadog_answers, newrelic
from providers.base import Answer, AuthFailed, Context, Provider, ProviderError
from providers.datadog import Datadog
from providers.http import Http
from providers.newrelic import NewRelic
from providers.tools import Tools
from providers.web import Web

Given = Mapping[str, Any]
PREFIXES = {"DD1", "DD2", "DDX", "NR", "WEB"}
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
PROVIDERS: dict[str, Callable[[Tools], Provider]] = {"datadog": Datadog, "newRelic": NewRelic, "web": Web}
KEYS = {"$API_KEY": "0123456789abcdef-api", "$APP_KEY": "0123456789abcdef-app", "$ACCESS_TOKEN": "t0ken-t0ken-t0ken"}


# --- the backend


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Stub:
    """Answers every request below /token with `token`, every other one with `answer`, and remembers the latter."""

    answer: bytes
    token: bytes = b""
    delay_seconds: float = 0.0
    origin: str = ""
    seen: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            if target.startswith("/token/"):
                writer.write(self.token)
            else:
                self.seen.append(Request(method, target, headers, body))
                await asyncio.sleep(self.delay_seconds)
                writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def http_answer(status: int, body: str) -> bytes:
    if body == "$READ_ERROR":
        return f"HTTP/1.1 {status} X\r\nContent-Length: 100\r\nConnection: close\r\n\r\n".encode()
    raw = body.encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n".encode() + raw


@asynccontextmanager
async def serving(stub: Stub) -> AsyncIterator[Stub]:
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield stub


# --- one measurement


class OneSecret:
    """One secret under whatever name is asked for, or none. `asked` remembers which."""

    def __init__(self, data: Mapping[str, str] | None) -> None:
        self.data = data
        self.asked: list[tuple[str, str]] = []

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        self.asked.append((namespace, name))
        if not self.data:
            raise AuthFailed(f'secrets "{name}" not found')
        return self.data


@dataclass
class Outcome:
    phase: str
    message: str = ""
    value: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    answer: Answer | None = None


def no_time(text: str, now: datetime) -> datetime:
    raise ValueError("no vector here has times")


def context(secret: Mapping[str, str] | None, given: Given = {}, env: Mapping[str, str] | None = None) -> Context:  # noqa: B006
    at = datetime.fromtimestamp(given.get("nowUnix", EPOCH.timestamp()), UTC)
    return Context(at=at, namespace="team", secrets=OneSecret(secret), env=env or {})


async def measure(name: str, spec: Given, given: Given, asked: Context) -> Outcome:
    """Checks, asks and judges one metric, as the service does."""
    http = Http()
    provider = PROVIDERS[name](Tools(http, no_time))
    try:
        if problems := provider.check(spec):
            return Outcome("Error", problems[0])
        answer = await provider.query(spec, asked)
    except ProviderError as error:
        return Outcome("Error", str(error), metadata=error.metadata)
    finally:
        await provider.close()
        await http.close()
    verdict = expression.judge(
        given.get("successCondition", ""), given.get("failureCondition", ""), answer.value, now=asked.at
    )
    value = "" if verdict.phase is Phase.ERROR else answer.text
    return Outcome(verdict.phase.value, verdict.message, value, answer.metadata, answer)


def bound(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, Mapping):
        return {key: bound(item, names) for key, item in value.items()}
    return [bound(item, names) for item in value] if isinstance(value, list) else value


def assert_text(found: str, expect: Given, field_name: str) -> None:
    if field_name in expect:
        assert found == expect[field_name]
    contained = expect.get(f"{field_name}Contains", [])
    for part in [contained] if isinstance(contained, str) else contained:
        assert part in found


def assert_outcome(outcome: Outcome, expect: Given) -> None:
    assert outcome.phase == expect["phase"], outcome
    if "value" in expect:
        assert outcome.value == expect["value"]
    assert_text(outcome.message, expect, "message")
    assert_text(outcome.message, expect, "error")
    for key, value in expect.get("metadata", {}).items():
        assert outcome.metadata[key] == value


def assert_request(seen: Request, expect: Given) -> None:
    target = urlsplit(seen.target)
    if "method" in expect:
        assert seen.method == expect["method"]
    if "path" in expect:
        assert target.path == expect["path"]
    if "query" in expect:
        assert dict(parse_qsl(target.query)) == expect["query"]
    for key, value in expect.get("headers", {}).items():
        assert seen.headers[key.lower()] == value
    if "body" in expect:
        assert seen.body.decode() == expect["body"]
    if "jsonBody" in expect:
        assert unordered(json.loads(seen.body)) == unordered(expect["jsonBody"])


def unordered(body: Any) -> Any:
    """A scalar query with its queries in the order of their names."""
    attributes = body["data"]["attributes"]
    queries = sorted(attributes["queries"], key=lambda query: str(query["name"]))
    return {"data": {**body["data"], "attributes": {**attributes, "queries": queries}}}


# --- provider.run


async def run_datadog(given: Given, expect: Given) -> None:
    response = given.get("response", {"status": 200, "body": ""})
    async with serving(Stub(http_answer(response["status"], response["body"]))) as stub:
        address = given.get("secretAddress", stub.origin)
        keys = {"api-key": KEYS["$API_KEY"], "app-key": KEYS["$APP_KEY"], "address": address}
        if given.get("credentials") == "env":
            env = {"DD_API_KEY": KEYS["$API_KEY"], "DD_APP_KEY": KEYS["$APP_KEY"], "DD_ADDRESS": address}
            asked = context(None, given, env)
        else:
            asked = context(keys, given)
        outcome = await measure("datadog", given["provider"]["datadog"], given, asked)
    assert_outcome(outcome, expect)
    if "request" in expect:
        assert len(stub.seen) == 1
        assert_request(stub.seen[0], bound(expect["request"], KEYS))


async def run_newrelic(given: Given, expect: Given) -> None:
    spec, response = given["provider"]["newRelic"], given["response"]
    rows = response.get("results", [])
    if any("$UNMARSHALABLE" in row.values() for row in rows):
        assert_outcome(unmarshalable(rows), expect)  # no JSON on a wire can hold such a value
        return
    body: Any = {"data": {"actor": {"account": {"nrql": {"results": rows}}}}}
    if "apiError" in response:
        body = {"data": None, "errors": [{"message": response["apiError"]}]}
    async with serving(Stub(http_answer(200, json.dumps(body)))) as stub:
        outcome = await measure("newRelic", spec, given, context(account(stub), given))
    assert_outcome(outcome, expect)
    if "metricMetadata" in expect:
        assert NewRelic(Tools(Http(), no_time)).describe(spec) == expect["metricMetadata"]


def account(stub: Stub, number: int = 1234567) -> dict[str, str]:
    return {
        "personal-api-key": KEYS["$API_KEY"],
        "account-id": str(number),
        "base-url-nerdgraph": f"{stub.origin}/graphql",
    }


def unmarshalable(rows: list[dict[str, Any]]) -> Outcome:
    real = [{key: print if value == "$UNMARSHALABLE" else value for key, value in row.items()} for row in rows]
    try:
        newrelic.answer(real)
    except ProviderError as error:
        return Outcome("Error", str(error))
    return Outcome("Successful")


async def run_web(given: Given, expect: Given) -> None:
    response = given.get("response", {"status": 200, "body": "{}"})
    token = given.get("tokenResponse", {"status": 200, "body": ""})
    answer = http_answer(response["status"], response["body"])
    async with serving(Stub(answer, http_answer(token["status"], bound(token["body"], KEYS)))) as stub:
        names = {**KEYS, "$SERVER": f"{stub.origin}/", "$TOKEN": f"{stub.origin}/token"}
        outcome = await measure("web", bound(given["provider"]["web"], names), given, context(None, given))
    assert_outcome(outcome, expect)
    if "request" in expect:
        assert len(stub.seen) == 1
        assert_request(stub.seen[0], bound(expect["request"], names))


# --- provider.construct, provider.passthrough


async def construct_newrelic(given: Given, expect: Given) -> None:
    secrets = OneSecret(given["secretData"])
    asked = Context(at=EPOCH, namespace="team", secrets=secrets)
    error, found = "", None
    try:
        found = await newrelic.find_account(newrelic.read(given["provider"]["newRelic"]), asked)
    except ProviderError as failure:
        error = str(failure)
    assert bool(error) == (not expect.get("ok"))
    assert_text(error, expect, "error")
    if "secretName" in expect:
        assert secrets.asked == [("argo-rollouts", expect["secretName"])]
    if "region" in expect:
        assert found is not None
        assert found.region == expect["region"]


def construct_web(given: Given, expect: Given) -> None:
    problems = Web(Tools(Http(), no_time)).check(given["provider"]["web"])
    assert problems[:1] == ([] if expect.get("ok") else [expect["error"]])


async def passthrough(given: Given, expect: Given) -> None:
    """A measurement ends with its one question: there is nothing to resume, and nobody who would."""
    assert given["op"] == "Resume"
    assert expect == {"unchanged": True}
    provider = PROVIDERS[given["provider"]](Tools(Http(), no_time))
    assert not any(hasattr(provider, name) for name in ("resume", "terminate", "garbage_collect"))
    taken = newrelic.answer([{"count": 10.0}])
    metric = msgspec.convert({"name": "m", "provider": {"newRelic": {"query": "q"}}}, Metric)
    later = EPOCH + timedelta(seconds=1)
    measurement = judge(metric, Answered(taken.value, taken.text), ordinal=1, started_at=EPOCH, finished_at=later)
    assert measurement.phase.done
    assert measurement.resume_at is None


# --- datadog.*


async def credentials(given: Given, expect: Given) -> None:
    spec = datadog.read({"query": "q", "secretRef": given["secretRef"]})
    error = ""
    try:
        found = await datadog.find_credentials(spec, context(given["secretData"]))
        assert found.address == expect["address"]
    except AuthFailed as failure:
        error = str(failure)
    assert bool(error) == (not expect.get("ok"))


def validate(given: Given, expect: Given) -> None:
    problems = Datadog(Tools(Http(), no_time)).check(given["datadog"])
    if expect.get("ok"):
        assert problems == []
    else:
        assert_text(problems[0], expect, "error")


def columns(given: Given) -> list[datadog_answers.Column]:
    return msgspec.json.decode(json.dumps(given["columns"]), type=list[datadog_answers.Column])


def extract(given: Given, expect: Given) -> None:
    if "errorContains" in expect:
        with pytest.raises(ProviderError) as caught:
            datadog_answers.extract(columns(given))
        assert_text(str(caught.value), expect, "error")
        return
    found = datadog_answers.extract(columns(given))
    assert (found.groups is not None) == expect["grouped"]
    if "values" in expect:
        assert found.values == expect["values"]
    pairs = None if found.groups is None else [list(p) for p in zip(found.groups, found.values, strict=True)]
    assert pairs == expect["groups"]


def group_name(given: Given, expect: Given) -> None:
    assert datadog_answers.group_name(columns(given), given["index"]) == expect["name"]


async def groups_metadata(given: Given, expect: Given) -> None:
    generated = given.get("generate")
    rows = [(name, float(value)) for name, value in given.get("groups", [])]
    if generated:
        rows = [(generated["name"].replace("{i}", str(i)), float(i)) for i in range(generated["n"])]
    metadata: Mapping[str, str] = datadog_answers.groups_metadata(rows)
    if given.get("endToEnd"):
        body = {
            "data": {
                "attributes": {
                    "columns": [
                        {"name": "g", "type": "group", "values": [[name] for name, _ in rows]},
                        {"name": "query", "type": "number", "values": [value for _, value in rows]},
                    ]
                }
            }
        }
        outcome = await ask_datadog({"apiVersion": "v2"}, http_answer(200, json.dumps(body)))
        assert outcome.answer is not None
        assert len(outcome.answer.value) == expect["valueCount"]
        assert outcome.metadata.items() >= metadata.items()
        metadata = outcome.metadata
    assert len(json.loads(metadata["groups"])) == expect["kept"]
    assert ("groups_truncated" in metadata) == expect["truncated"]
    for key, value in expect.get("metadata", {}).items():
        assert metadata[key] == value


async def ask_datadog(spec: Given, answer: bytes, delay_seconds: float = 0.0) -> Outcome:
    async with serving(Stub(answer, delay_seconds=delay_seconds)) as stub:
        keys = {"api-key": KEYS["$API_KEY"], "app-key": KEYS["$APP_KEY"], "address": stub.origin}
        return await measure("datadog", {"query": "avg:m{*}", **spec}, {}, context(keys))


async def body_read_error(given: Given, expect: Given) -> None:
    for version in ("v1", "v2"):
        outcome = await ask_datadog({"apiVersion": version}, http_answer(given["status"], given["body"]))
        assert_outcome(outcome, expect)


async def timeout(given: Given, expect: Given) -> None:
    body = '{"series": [{"pointlist": [[1704067200000, 0.5]]}]}'
    spec = {"requestTimeout": given["requestTimeout"]}
    outcome = await ask_datadog(spec, http_answer(200, body), given["serverDelayMs"] / 1000)
    assert_outcome(outcome, expect)


Runner = Callable[[Given, Given], Awaitable[None] | None]

RUNNERS_BY_PROVIDER: dict[tuple[str, str], Runner] = {
    ("provider.run", "datadog"): run_datadog,
    ("provider.run", "newRelic"): run_newrelic,
    ("provider.run", "web"): run_web,
    ("provider.construct", "newRelic"): construct_newrelic,
    ("provider.construct", "web"): construct_web,
    ("provider.passthrough", "newRelic"): passthrough,
}


def by_provider(kind: str) -> Runner:
    def run(given: Given, expect: Given) -> Awaitable[None] | None:
        provider = given["provider"]
        name = provider if isinstance(provider, str) else next(iter(provider))
        return RUNNERS_BY_PROVIDER[kind, name](given, expect)

    return run


async def newrelic_query(given: Given, expect: Given) -> None:
    response = given["response"]
    body: Any = {"data": {"actor": {"account": {"nrql": {"results": response}}}}}
    if isinstance(response, str):
        body = {"errors": [{"message": response}]}
    spec = {"query": given["query"]} | ({} if given["timeout"] is None else {"timeout": given["timeout"]})
    async with serving(Stub(http_answer(200, json.dumps(body)))) as stub:
        outcome = await measure("newRelic", spec, {}, context(account(stub, given["accountId"])))
    assert_text(outcome.message, expect, "error")
    if "variables" in expect:
        assert json.loads(stub.seen[0].body)["variables"] == expect["variables"]
    if "results" in expect:
        assert outcome.answer is not None
        assert [outcome.answer.value] == expect["results"]


RUNNERS: dict[str, Runner] = {
    "provider.run": by_provider("provider.run"),
    "provider.construct": by_provider("provider.construct"),
    "provider.passthrough": by_provider("provider.passthrough"),
    "datadog.bodyReadError": body_read_error,
    "datadog.credentials": credentials,
    "datadog.extract": extract,
    "datadog.groupName": group_name,
    "datadog.groupsMeta": groups_metadata,
    "datadog.timeout": timeout,
    "datadog.validate": validate,
    "newrelic.query": newrelic_query,
}
