"""Runs the PROM vectors: the real provider against a server over a real socket, its answer judged by the core.

Where a vector cans the value that Argo's API client would return (`apiValue`), the server says it in Prometheus'
own JSON; where it cans an error (`apiError`), the server reports it as an API error without a type.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from analysis_service.core.expression import evaluate_time
from analysis_service.core.judge import Answered, NotAnswered, judge
from analysis_service.core.model import Measurement, Metric
from providers.base import AuthFailed, BadQuery, Context, ProviderError
from providers.destinations import overlay_headers
from providers.http import Http, Request
from providers.prometheus import ADDRESS_VARIABLE, Prometheus
from providers.tools import Tools

PREFIXES = {"PROM"}
NOW = datetime(2024, 1, 1, tzinfo=UTC)
TOKEN = "access-token-of-the-vector"


@dataclass
class Server:
    """Answers queries with one canned response, and token requests under /token/ with another."""

    response: tuple[int, str]
    token: tuple[int, str] = (500, "")
    queries: list[web.BaseRequest] = field(default_factory=list)
    forms: list[Mapping[str, list[str]]] = field(default_factory=list)
    token_forms: list[Mapping[str, list[str]]] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        form = parse_qs((await request.read()).decode())
        if request.path.startswith("/token/"):
            self.token_forms.append(form)
            return web.Response(status=self.token[0], text=self.token[1], content_type="application/json")
        self.queries.append(request)
        self.forms.append(form)
        return web.Response(status=self.response[0], text=self.response[1], content_type="application/json")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        runner = web.ServerRunner(web.Server(self.handle))  # type: ignore[arg-type]
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class NoSecrets:
    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        raise AuthFailed(f'secrets "{name}" not found')


@asynccontextmanager
async def provider() -> AsyncIterator[Prometheus]:
    http = Http()
    try:
        yield Prometheus(Tools(http, evaluate_time))
    finally:
        await http.close()


async def run(given: dict[str, Any], expect: dict[str, Any]) -> None:
    token = given.get("tokenResponse")
    server = Server(
        canned(given["response"]),
        (token["status"], token["body"].replace("$ACCESS_TOKEN", TOKEN)) if token else (500, ""),
    )
    async with server.listening() as origin, provider() as asked:
        bound = json.dumps(given["provider"]["prometheus"]).replace("$SERVER", origin)
        spec = json.loads(bound.replace("$TOKEN", f"{origin}/token"))
        measurement = await measure(asked, spec, given, {ADDRESS_VARIABLE: origin})
    got: dict[str, Any] = {
        "phase": measurement.phase.value,
        "value": measurement.value,
        "message": measurement.message,
        "metadata": dict(measurement.metadata),
    }
    for key in ("phase", "value", "message"):
        if key in expect:
            assert got[key] == expect[key], (key, got)
    for key, value in expect.get("metadata", {}).items():
        assert got["metadata"].get(key) == value, got
    if expect.get("errorAny"):
        assert got["message"], got
    check_request(server, expect.get("request", {}))
    known = {"phase", "value", "message", "metadata", "errorAny", "request"}
    assert set(expect) <= known, f"nobody looks at {set(expect) - known}"


async def measure(asked: Prometheus, spec: dict[str, Any], given: dict[str, Any], env: dict[str, str]) -> Measurement:
    metric = Metric(
        name="m",
        success_condition=given.get("successCondition", ""),
        failure_condition=given.get("failureCondition", ""),
        provider={"prometheus": spec},
    )
    answer: Answered | NotAnswered
    try:
        for problem in asked.check(spec):
            raise BadQuery(problem)
        found = await asked.query(spec, context(env, asked.timeout_seconds(spec)))
        answer = Answered(found.value, found.text, found.metadata)
    except ProviderError as error:
        answer = NotAnswered(type(error).__name__, str(error), error.metadata)
    return judge(metric, answer, ordinal=0, started_at=NOW, finished_at=NOW)


def context(env: dict[str, str], seconds: float) -> Context:
    return Context(at=NOW, namespace="default", secrets=NoSecrets(), deadline_seconds=seconds, env=env)


def canned(response: dict[str, Any]) -> tuple[int, str]:
    if "body" in response:
        return response["status"], response["body"]
    if "apiError" in response:
        return 400, json.dumps({"status": "error", "errorType": "", "error": response["apiError"]})
    value, at = response["apiValue"], NOW.timestamp()
    data: Any = None
    if value is not None:
        result: Any
        match value["type"]:
            case "scalar":
                result = [at, value["value"]]
            case "vector":
                result = [{"metric": {"n": str(n)}, "value": [at, text]} for n, text in enumerate(value["values"])]
            case "matrix":
                result = [
                    {"metric": {"n": str(n)}, "values": [[at, text] for text in texts]}
                    for n, texts in enumerate(value["series"])
                ]
            case other:
                raise AssertionError(f"no JSON known for {other}")
        data = {"resultType": value["type"], "result": result}
    body = {"status": "success", "data": data}
    if "warnings" in response:
        body["warnings"] = response["warnings"]
    return 200, json.dumps(body)


def check_request(server: Server, expect: dict[str, Any]) -> None:
    for key, value in expect.items():
        match key:
            case "api":
                assert server.queries[0].path == f"/api/v1/{value}"
            case "start" | "end":
                assert float(server.forms[0][key][0]) == datetime.fromisoformat(value).timestamp()
            case "stepSeconds":
                assert float(server.forms[0]["step"][0]) == value
            case "headers":
                for name, text in value.items():
                    assert server.queries[0].headers[name] == text.replace("$ACCESS_TOKEN", TOKEN)
            case "tokenGrant":
                assert [form["grant_type"] for form in server.token_forms] == [[value]]
            case _:
                raise AssertionError(f"nobody looks at request.{key}")


async def construct(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """Everything before the first byte is sent: the checks, and the request for this environment.

    A vector that names no address at all constructs around a canned API; there the server of `run` would stand.
    """
    spec = given["provider"]["prometheus"]
    env = dict(given["env"])
    if not spec.get("address") and ADDRESS_VARIABLE not in env:
        env[ADDRESS_VARIABLE] = "http://127.0.0.1:9090"
    async with provider() as made:
        problems = made.check(spec)
        try:
            request = None if problems else made.request(spec, context(env, 30))
        except ProviderError as error:
            problems, request = [str(error)], None
        if "error" in expect:
            assert problems == [expect["error"]]
        elif expect.get("errorAny"):
            assert problems
        else:
            assert expect["ok"]
            assert problems == []
            assert request is not None
        if "timeoutSeconds" in expect:
            assert made.timeout_seconds(spec) == expect["timeoutSeconds"]
        if "type" in expect:
            assert made.type == expect["type"]


async def metadata(given: dict[str, Any], expect: dict[str, Any]) -> None:
    async with provider() as made:
        assert dict(made.describe(given["provider"]["prometheus"])) == expect["metadata"]


async def passthrough(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """A provider that answers at once has nothing to resume, terminate or collect: there is no such operation."""
    assert given["provider"] == "prometheus"
    assert expect.get("unchanged") or expect.get("noop")
    async with provider() as made:
        operations = {"Resume": "resume", "Terminate": "terminate", "GarbageCollect": "collect"}
        assert not hasattr(made, operations[given["op"]])


async def headers(given: dict[str, Any], expect: dict[str, Any]) -> None:
    """What arrives over the wire of a request's own headers and the configured ones."""
    server = Server((200, "{}"))
    http = Http()
    async with server.listening() as origin:
        laid = overlay_headers(given["initial"], given["configured"].items())
        await http.send(Request(url=http.url(origin), who="Prometheus", headers=laid), http.deadline(10))
        await http.close()
    sent = {name.lower(): value for name, value in server.queries[0].headers.items()}
    for always in ("host", "accept", "accept-encoding", "user-agent", "connection"):
        sent.pop(always, None)
    assert sent == {name.lower(): value for name, value in expect["sent"].items()}


RUNNERS = {
    "provider.run": run,
    "provider.construct": construct,
    "provider.metadata": metadata,
    "provider.passthrough": passthrough,
    "provider.headers": headers,
}
