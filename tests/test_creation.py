"""What is refused before a run exists, through the same code as the service's: code, reason, field, and sentence.

A memory store, the real providers and secrets of an environment; no network is needed to refuse.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from analysis_service.api.creation import CreateRun, build_run
from analysis_service.api.errors import ApiError, from_exception
from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.core.expression import evaluate_time
from analysis_service.core.model import Argument, Run, SecretKeyRef, ValueFrom
from analysis_service.core.problem import DocumentError
from analysis_service.main import provider_table
from analysis_service.secrets import EnvironmentSecrets, Secrets
from analysis_service.stores.memory import MemoryStore
from analysis_service.telemetry import Telemetry
from providers.http import Http
from providers.tools import Tools

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENVIRON = {
    "TIDEGATE_SECRET_DD__API_KEY": "hush-hush-0123456789",
    "TIDEGATE_SECRET_DD__OTHER": "hush-hush-other",
    "TIDEGATE_SECRET_ODD__SHORT": "hu",
    "TIDEGATE_SECRET_ODD__LINE": "hush-hush-line\n",
    "TIDEGATE_SECRET_ODD__EMPTY": "",
}
IA, FP, PD = "INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED"
PROVIDER = "spec.metrics[0].provider"


def document(provider: Mapping[str, Any], *, args: Any = (), name: str = "t", refs: Any = (), **metric: Any) -> str:
    """A template as JSON, which is YAML: one metric `m`."""
    condition = "len(result) > 0 && result[0] == 1" if "prometheus" in provider else "result == 1"
    one = {"name": "m", "successCondition": condition, "provider": provider, **metric}
    spec = {"args": list(args), "templates": list(refs), "metrics": [one]}
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name}}
    return msgspec.json.encode({**head, "spec": spec}).decode()


def both(*documents: str) -> str:
    """Two documents of YAML: after one of JSON nothing may follow."""
    return "\n---\n".join(["# several", *documents])


def web(url: str = "http://x/", **spec: Any) -> dict[str, Any]:
    return {"web": {"url": url, **spec}}


def prometheus(query: str = "up", **spec: Any) -> dict[str, Any]:
    return {"prometheus": {"address": "http://prometheus:9090", "query": query, **spec}}


def secret(name: str, key: str, argument: str = "a") -> Argument:
    return Argument(argument, value_from=ValueFrom(secret_key_ref=SecretKeyRef(name, key)))


@pytest.fixture
async def asker() -> AsyncIterator[Asker]:
    http = Http()
    secrets = Secrets([EnvironmentSecrets(ENVIRON)])
    yield Asker(provider_table(Tools(http, evaluate_time)), secrets, SystemClock(), Telemetry())
    await http.close()


async def made(asker: Asker, text: str, *args: Argument, store: MemoryStore | None = None, **more: Any) -> Run:
    request = CreateRun("team", inline_text=text, args=args, **more)
    run, _ = await build_run(
        request, store or MemoryStore(), NOW, strict=False, check_provider=asker.check, secrets=asker.secrets
    )
    return run


async def refused(asker: Asker, text: str, *args: Argument, **more: Any) -> ApiError:
    with pytest.raises((ApiError, DocumentError)) as caught:
        await made(asker, text, *args, **more)
    return from_exception(caught.value)


A = {"name": "a"}
row = pytest.mark.bad_input


@pytest.mark.parametrize(
    ("text", "args", "code", "reason", "field", "fragment"),
    [
        # arguments
        pytest.param(document(web(), args=[A]), [], IA, "INVALID_ARGUMENT_VALUE", "args.a",
                     "required by template 't', not supplied", marks=row(57)),
        pytest.param(document(web("http://x/{{args.a}}"), args=[A]), [Argument("a", "1"), Argument("aa", "2")], IA,
                     "INVALID_ARGUMENT_VALUE", "args.aa", "Did you mean 'a'?", marks=row(58)),
        pytest.param(document(prometheus("up{a='{{args.typo}}'}"), args=[A]), [Argument("a", "1")], IA,
                     "INVALID_TEMPLATE", f"{PROVIDER}.prometheus.query", "{{args.typo}} is not declared",
                     marks=row(61)),
        pytest.param(document(web("http://x/{{ args.a"), args=[A]), [Argument("a", "1")], IA, "INVALID_TEMPLATE",
                     f"{PROVIDER}.web.url", "'{{' at character 10 is never closed", marks=row(62)),
        pytest.param(document(web("http://x/{{args.a}}"), args=[A]), [Argument("a", "x\0y")], IA,
                     "INVALID_ARGUMENT_VALUE", "args.a", "U+0000", marks=row(66)),
        pytest.param(document(web("http://x/{{args.a}}"), args=[A]), [Argument("a", "x" * (1 << 20))], IA,
                     "INVALID_ARGUMENT_VALUE", "args.a", "value is 1 048 576 bytes; limit 16 384", marks=row(67)),
        # templates
        pytest.param(document(web(), refs=[{"templateName": "other"}]), [], FP, "TEMPLATE_NOT_FOUND",
                     "templates[0].spec.templates[0]", "AnalysisTemplate 'other' not found", marks=row(52)),
        pytest.param(document(web(), refs=[{"templateName": "t"}]), [], IA, "INVALID_TEMPLATE",
                     "templates[0].spec.templates[0]", "TemplateCycle: t -> t", marks=row(51)),
        pytest.param(both(document(web()), document(web(), name="u")), [], IA, "INVALID_TEMPLATE", "",
                     "two metrics have the same name 'm' (Given by t and by u.)", marks=row(54)),
        # secrets: the name is told, the content never
        pytest.param(document(web(), args=[A]), [secret("nothing", "k")], FP, "SECRET_NOT_FOUND", "args",
                     'secrets "nothing" not found', marks=row(70)),
        pytest.param(document(web(), args=[A]), [secret("dd", "absent")], FP, "SECRET_NOT_FOUND", "args",
                     "key 'absent' does not exist in secret 'dd'; 2 other keys exist", marks=row(71)),
        pytest.param(document(web(), args=[A]), [secret("other/dd", "k")], PD, "SECRET_FORBIDDEN", "args.a",
                     "outside", marks=row(72)),
        # what only a provider knows to be wrong
        pytest.param(document({"job": {"spec": {"template": {"spec": {}}}}}, successCondition=""), [], IA,
                     "INVALID_TEMPLATE", PROVIDER, "no provider is called 'job'; installed are: ", marks=row(135)),
        pytest.param(document({"plugin": {"../../bin/sh": {}}}), [], IA, "INVALID_TEMPLATE",
                     f"{PROVIDER}.plugin['../../bin/sh']", "no plugin name", marks=row(134)),
        pytest.param(document({"prometheus": {"address": "prometheus:9090", "query": "up"}}), [], IA,
                     "INVALID_TEMPLATE", f"{PROVIDER}.prometheus.address", "needs http:// or https://",
                     marks=row(107)),
        # an operator's rule, and no mistake in the template
        pytest.param(document(web("http://169.254.169.254/latest")), [], PD, "DESTINATION_FORBIDDEN", PROVIDER,
                     "the destination '169.254.169.254' is not allowed", marks=row(109)),
        pytest.param(document({"prometheus": {"address": "http://100.100.100.200", "query": "up"}}), [], PD,
                     "DESTINATION_FORBIDDEN", PROVIDER, "the destination '100.100.100.200' is not allowed",
                     marks=row(115)),
        pytest.param(document({"scrape": {"targets": ["http://x:6379/metrics"], "query": "up"}},
                              successCondition="true"), [], PD,
                     "DESTINATION_FORBIDDEN", PROVIDER, "port 6379 is not allowed", marks=row(118)),
        pytest.param(document(web("http://2852039166/")), [], IA, "INVALID_TEMPLATE", PROVIDER,
                     "IP literals are not allowed here", marks=row(110)),
        pytest.param(document(web(jsonPath="{$.")), [], IA, "INVALID_TEMPLATE", PROVIDER,
                     "column 4: unclosed action", marks=row(124)),
        pytest.param(document(web(timeoutSeconds=100_000)), [], IA, "INVALID_TEMPLATE",
                     PROVIDER, "timeoutSeconds is 100000: 1..300 is allowed", marks=row(126)),
        pytest.param(document(prometheus(authentication={"basicAuth": {"username": "u"}})), [], IA,
                     "INVALID_TEMPLATE", f"{PROVIDER}.prometheus.authentication.basicAuth.password", "",
                     marks=row(127)),
        pytest.param(document(prometheus(rangeQuery={"start": "now()", "end": "now()", "step": "0s"})), [], IA,
                     "INVALID_TEMPLATE", PROVIDER, "rangeQuery.step must be longer than 0", marks=row(133)),
        # conditions
        pytest.param(document(web(), successCondition="result >"), [], IA, "INVALID_TEMPLATE",
                     "spec.metrics[0].successCondition", "nexpected end at column 9", marks=row(79)),
        pytest.param(document(web(), successCondition="results > 1"), [], IA, "INVALID_TEMPLATE",
                     "spec.metrics[0].successCondition", "id you mean 'result'?", marks=row(90)),
        pytest.param(document(web(), successCondition="result = 1"), [], IA, "INVALID_TEMPLATE",
                     "spec.metrics[0].successCondition", "Use == to compare", marks=row(104)),
    ],
)  # fmt: skip
async def test_refused(
    asker: Asker, text: str, args: list[Argument], code: str, reason: str, field: str, fragment: str
) -> None:
    error = await refused(asker, text, *args)
    assert (error.code, error.reason) == (code, reason)
    fields = {violation.field: violation.description for violation in error.violations}
    assert any(field == name for name in fields), fields
    assert fragment in f"{error.message} {fields}"
    assert "hush-hush" not in f"{error.message} {fields}"


@pytest.mark.parametrize(
    ("text", "args", "field", "fragment"),
    [
        pytest.param(document(web(), args=[A], successCondition="result < {{args.a}}"), [Argument("a", "0 || true")],
                     "spec.metrics[0].successCondition", "args.a must be a number literal here; got '0 || true'",
                     marks=row(64)),
        pytest.param(document(prometheus('up{a="{{args.a}}"}'), args=[A]), [Argument("a", '"} or vector(1) #')],
                     f"{PROVIDER}.prometheus.query", "would end the quoted text it stands in", marks=row(65)),
        pytest.param(document(web(), args=[A], count="{{args.a}}", interval="5s"), [Argument("a", "ten")],
                     "spec.metrics[0].count", "'ten' from args.a is not an integer", marks=row(68)),
        pytest.param(document(web(), args=[A], interval="{{args.a}}"), [Argument("a", "")],
                     "spec.metrics[0].interval", "args.a is empty", marks=row(69)),
        pytest.param(document(prometheus("up{t='{{args.a}}'}"), args=[A]), [secret("dd", "api-key")],
                     f"{PROVIDER}.prometheus.query", "secret", marks=row(75)),
        pytest.param(document(web(), count=3, failureLimit=3, interval="5s"), [],
                     "spec.metrics[0].failureLimit", "the metric can never fail", marks=row(39)),
        pytest.param(document(web(), successCondition=""), [], "spec.metrics[0]", "every measurement is Successful",
                     marks=row(49)),
        pytest.param(document(prometheus(), successCondition="result < 0.05"), [],
                     "spec.metrics[0].successCondition", "use result[0]", marks=row(81)),
    ],
)  # fmt: skip
async def test_a_trap_is_a_warning_and_an_error_in_strict_mode(
    asker: Asker, text: str, args: list[Argument], field: str, fragment: str
) -> None:
    run = await made(asker, text, *args)
    assert any(warning.startswith(field) and fragment in warning for warning in run.warnings), run.warnings
    error = await refused(asker, text, *args, strict=True)
    assert error.code == IA
    assert any(v.field == field and fragment in v.description for v in error.violations), error.violations


@pytest.mark.parametrize(
    ("key", "warning", "strict"),
    [
        pytest.param("short", "too short to be masked safely", "", marks=row(76)),
        pytest.param("line", "ends with a line break", "", marks=row(73)),
        pytest.param("empty", "is empty", FP, marks=row(74)),
    ],
)
async def test_odd_secrets(asker: Asker, key: str, warning: str, strict: str) -> None:
    text = document(web(headers=[{"key": "A", "value": "{{args.a}}"}]), args=[A])
    run = await made(asker, text, secret("odd", key))
    assert warning in str(run.warnings)
    assert "hush" not in str(run)
    if strict:
        error = await refused(asker, text, secret("odd", key), strict=True)
        assert (error.code, error.reason, error.violations[0].field) == (strict, "SECRET_NOT_FOUND", "args.a")


@row(63)
async def test_a_tag_in_a_value_is_text_and_a_warning(asker: Asker) -> None:
    args = [A, {"name": "b"}]
    text = document(web("http://x/{{args.a}}{{args.b}}"), args=args)
    run = await made(asker, text, Argument("a", "{{args.b}}"), Argument("b", "2"))
    assert any(warning.startswith("args.a") for warning in run.warnings)


@row(31)
async def test_a_gate_wants_an_end(asker: Asker) -> None:
    text = document(web(), interval="10s")
    error = await refused(asker, text, refuse_endless=True)
    assert (error.code, error.reason) == (FP, "RUNS_FOREVER")
    assert [v.field for v in error.violations] == ["spec.metrics[0].count"]
    assert "metric 'm' never ends" in error.message
    assert (await made(asker, text)).spec.metrics[0].interval == "10s"


@row(52)
async def test_similar_names_are_told(asker: Asker) -> None:
    store = MemoryStore()
    await store.create_template("team", "checkout", document(web(), name="checkout"), NOW)
    error = await refused(asker, "", store=store, templates=(("chekout", False, 0),))
    assert (error.code, error.reason) == (FP, "TEMPLATE_NOT_FOUND")
    assert "did you mean checkout?" in error.violations[0].description


@row(59)
async def test_two_templates_that_disagree_on_an_argument(asker: Asker) -> None:
    args = [[{"name": "a", "value": value}] for value in ("1", "2")]
    text = both(document(web(), args=args[0]), document(web(), name="u", args=args[1]).replace('"m"', '"n"'))
    error = await refused(asker, text)
    assert (error.code, error.violations[0].field) == (IA, "args.a")
    assert "'1', '2'" in error.message


@row(60)
async def test_a_value_beside_a_reference(asker: Asker) -> None:
    both = Argument("a", "1", ValueFrom(secret_key_ref=SecretKeyRef("dd", "api-key")))
    error = await refused(asker, document(web(), args=[A]), both, strict=True)
    assert (error.code, error.violations[0].field) == (IA, "args.a")
    assert "xactly one" in error.violations[0].description


async def test_what_is_good_is_taken(asker: Asker) -> None:
    """The same harness lets a good template through: what was refused was refused for its own reason."""
    text = document(web(headers=[{"key": "A", "value": "{{args.a}}"}]), args=[A])
    run = await made(asker, text, secret("dd", "api-key"), strict=True)
    assert run.warnings == ()
    assert run.created_at == NOW
    assert NOW - timedelta(seconds=1) < run.created_at
