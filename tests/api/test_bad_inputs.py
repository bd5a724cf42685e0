"""What callers get wrong, row by row: code, reason, field, and what the sentence says.

Not in these tables: what needs signing in (foreign tenants, rights, quotas of a principal), sorting and times in
requests, which this contract does not have. No request field is an enum, so an unknown enum value cannot be sent.
"""

import socket
import uuid
from typing import Any

import grpc
import pytest

from analysis_service.v1 import analysis_pb2 as pb
from tests.api.harness import Service, create, refused, template

URL = "http://127.0.0.1:1021/v/1"
ID = "01a210c8-f2c3-734b-b070-3d3a27bc9af3"
RUN = f"namespaces/team/analysisRuns/{ID}"
TEMPLATE = "namespaces/team/analysisTemplates/shop"
TEXT = template(URL)
ARGS = "[{name: a}, {name: secret, valueFrom: {secretKeyRef: {name: dd, key: api-key}}}]"

BAD_RUN_NAMES = [
    "",
    "not-a-uuid",
    f"namespaces/team/analysisRuns/{'a' * 10_000}",
    "namespaces/team/analysisRuns/'; drop table run;--",
    f"namespaces/../analysisRuns/{ID}",
    f"namespaces/TEAM/analysisRuns/{ID}",
    f"{RUN}/x",
    f"{RUN}\n",
    f"namespaces/team/analysisRuns/{ID.upper()}",
]


@pytest.mark.parametrize("name", BAD_RUN_NAMES)
@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("GetAnalysisRun", pb.GetAnalysisRunRequest),
        ("TerminateAnalysisRun", pb.TerminateAnalysisRunRequest),
        ("DeleteAnalysisRun", pb.DeleteAnalysisRunRequest),
        ("ListMeasurements", pb.ListMeasurementsRequest),
        ("ListLooks", pb.ListLooksRequest),
        ("WatchAnalysisRuns", pb.WatchAnalysisRunsRequest),
    ],
)
def test_a_malformed_run_name(stub: Any, method: str, request_type: Any, name: str) -> None:
    if method == "WatchAnalysisRuns" and not name:
        request = request_type(name="", namespace="")  # no run and no namespace
    else:
        request = request_type(name=name)
    answer = refused(getattr(stub, method), request)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert list(answer.fields) == (["name"] if request.name else ["namespace"] if method[0] == "W" else ["name"])
    assert "want" in answer.message or "is not namespaces/<namespace>/analysisRuns/<uuid>" in answer.message
    assert len(answer.message) < 300


@pytest.mark.parametrize(
    "name", ["", "shop", "namespaces/team/analysisTemplates/", "namespaces/team/analysisTemplates/A_b",
             "namespaces/team/analysisTemplates/" + "a" * 10_000, "clusterAnalysisTemplates/../x",
             "namespaces//analysisTemplates/shop", "namespaces/T/analysisTemplates/shop"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("GetTemplate", pb.GetTemplateRequest),
        ("UpdateTemplate", pb.UpdateTemplateRequest),
        ("DeleteTemplate", pb.DeleteTemplateRequest),
        ("ListTemplateVersions", pb.ListTemplateVersionsRequest),
    ],
)
def test_a_malformed_template_name(stub: Any, method: str, request_type: Any, name: str) -> None:
    answer = refused(getattr(stub, method), request_type(name=name))
    assert (answer.code, answer.reason, list(answer.fields)) == ("INVALID_ARGUMENT", "INVALID_FIELD", ["name"])


@pytest.mark.parametrize(
    ("method", "request_message", "field", "fragment"),
    [
        # sizes and positions
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(namespace="n", page_size=-1), "page_size", "-1 is negative"),
        ("ListTemplates", pb.ListTemplatesRequest(namespace="n", page_size=-1), "page_size", "-1 is negative"),
        ("GetTemplate", pb.GetTemplateRequest(name=TEMPLATE, version=-1), "version", "-1 is negative"),
        # namespaces
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(), "namespace", "want a-z, 0-9"),
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(namespace="a b"), "namespace", "'a b' is no namespace"),
        ("ListTemplates", pb.ListTemplatesRequest(namespace="a" * 64), "namespace", "at most 63"),
        ("CreateTemplate", pb.CreateTemplateRequest(text=TEXT), "namespace", "is no namespace"),
        ("WatchAnalysisRuns", pb.WatchAnalysisRunsRequest(namespace="-a"), "namespace", "is no namespace"),
        # filters
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(namespace="n", filter="phase=Foo"), "filter", "one of Pending"),
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(namespace="n", filter="name LIKE '%'"), "filter", "operators"),
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(namespace="n", filter="a" * 10_240), "filter", "limit 2048"),
        ("ListAnalysisRuns", pb.ListAnalysisRunsRequest(namespace="n", filter="age = 1"), "filter", "unknown field"),
        ("WatchAnalysisRuns", pb.WatchAnalysisRunsRequest(namespace="n", filter="x"), "filter", "cannot read"),
        # what to create
        ("CreateAnalysisRun", create(TEXT, namespace=""), "namespace", "is no namespace"),
        ("CreateAnalysisRun", create(""), "templates", "give templates (stored ones) or inline_text"),
        ("CreateAnalysisRun", create(TEXT, run_name="A b"), "run_name", "'A b' is no name"),
        ("CreateAnalysisRun", create("", templates=[pb.TemplateReference(name="../x")]),
         "templates[0].name", "no name"),
        ("CreateAnalysisRun", create("", templates=[pb.TemplateReference(name="x", version=-2)]),
         "templates[0].version", "negative"),
        ("CreateAnalysisRun", create(TEXT, request_id="x"), "request_id", "UUID"),
        ("CreateAnalysisRun", create(TEXT, request_id=str(uuid.UUID(int=0))), "request_id", "not all zero"),
        ("CreateAnalysisRun", create(TEXT, request_id="{" + ID + "}"), "request_id", "UUID"),
        ("CreateAnalysisRun", create(TEXT, labels={"a\nb": "x"}), "labels['a\\nb']", "a-z, A-Z"),
        ("CreateAnalysisRun", create(TEXT, labels={"a": "x\ny"}), "labels.a", "at most 63"),
        ("CreateAnalysisRun", create(TEXT, labels={"a": "x" * 65_536}), "labels.a", "at most 63"),
        ("CreateAnalysisRun", create(TEXT, labels={"": "x"}), "labels.", "at most 63"),
        ("CreateAnalysisRun", create(TEXT, labels={f"l{n}": "" for n in range(1000)}), "labels", "limit 64"),
        ("CreateAnalysisRun", create(TEXT, annotations={"a": "x" * 70_000}), "annotations.a", "at most 65536 bytes"),
        # another AnalysisRun beside the first
        ("CreateAnalysisRun", create("kind: AnalysisRun\napiVersion: argoproj.io/v1alpha1\nmetadata: {name: x}\n"
                                     "spec: {metrics: [{name: m, provider: {web: {url: 'http://x'}}}]}\n---\n" + TEXT),
         "inline_text", "stands alone"),
    ],
)  # fmt: skip
def test_a_malformed_field(stub: Any, method: str, request_message: Any, field: str, fragment: str) -> None:
    answer = refused(getattr(stub, method), request_message)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert field in answer.fields or field.rstrip(".") in " ".join(answer.fields), answer.fields
    assert fragment in answer.message
    assert answer.message.startswith(tuple(answer.fields))
    assert len(answer.message) < 500


def test_all_malformed_fields_are_said_at_once(stub: Any) -> None:
    request = create("", namespace="A", run_name="B", request_id="c", labels={"d e": "f"})
    answer = refused(stub.CreateAnalysisRun, request)
    assert set(answer.fields) == {"namespace", "run_name", "request_id", "templates", "labels['d e']"}
    assert "(and 4 more)" in answer.message


@pytest.mark.parametrize("size", [0, 10**9, 2**31 - 1])
def test_a_large_page_is_a_full_page(stub: Any, size: int) -> None:
    stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace="-", page_size=size))


# arguments and secrets, at creation; strict, because what Argo accepts is only warned of otherwise


def arg(name: str, value: str | None = None, secret: tuple[str, str] | None = None) -> pb.Argument:
    message = pb.Argument(name=name)
    if value is not None:
        message.value = value
    if secret is not None:
        message.secret_key_ref.CopyFrom(pb.SecretKeyRef(name=secret[0], key=secret[1]))
    return message


def with_query(query: str, args: str = "[{name: a}]") -> str:
    return template(f"http://127.0.0.1:1021/{query}", args=args)


COMPARED = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: shop}
spec:
  args: [{name: a}]
  metrics:
    - name: latency
      interval: 30s
      provider:
        compare:
          arms: {canary: {pod: canary}, stable: {pod: stable}}
          gauge: {prometheus: {address: "{{args.a}}", query: 'latency{pod="{{arm.pod}}"}'}}
          margin: {relative: 0.5}
          maxDuration: 20m
"""
IA, FP, PD = "INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED"
ARGUMENT, DOCUMENT = "INVALID_ARGUMENT_VALUE", "INVALID_TEMPLATE"


@pytest.mark.parametrize(
    ("text", "args", "code", "reason", "field", "fragment"),
    [
        # missing (Argo hangs)
        (with_query("x"), [], IA, ARGUMENT, "args.a", "required by template 'shop', not supplied"),
        # declared by no template
        (with_query("x"), [arg("a", "1"), arg("aa", "2")], IA, ARGUMENT, "args.aa", "Did you mean 'a'?"),
        # twice
        (with_query("x"), [arg("a", "1"), arg("a", "2")], IA, "INVALID_FIELD", "args.a", "given 2 times"),
        # no name
        (with_query("x"), [arg("", "1")], IA, "INVALID_FIELD", "args", "has no name"),
        # a value and a reference
        (with_query("x"), [arg("a", "1", ("s", "k"))], IA, ARGUMENT, "args.a", "xactly one"),
        # a tag that nobody declares
        (with_query("{{args.typo}}"), [arg("a", "1")], IA, DOCUMENT, "spec.metrics[0].provider.web.url", "typo"),
        # a tag without an end
        (with_query("{{ args.a"), [arg("a", "1")], IA, DOCUMENT, "spec.metrics[0].provider.web.url", "never closed"),
        # a false pass by argument
        (template(URL, args="[{name: a}]", successCondition="'result < {{args.a}}'"), [arg("a", "0 || true")], IA,
         DOCUMENT, "spec.metrics[0].successCondition", "number"),
        # control characters
        (with_query("{{args.a}}"), [arg("a", "x\0y")], IA, ARGUMENT, "args.a", "U+0000"),
        # too long
        (with_query("{{args.a}}"), [arg("a", "x" * 20_000)], IA, ARGUMENT, "args.a", "16"),
        # numbers and durations that are none
        (template(URL, args="[{name: a}]", count='"{{args.a}}"', interval="5s"), [arg("a", "ten")], IA, DOCUMENT,
         "spec.metrics[0].count", "ten"),
        (template(URL, args="[{name: a}]", count='"2"', interval='"{{args.a}}"'), [arg("a", "")], IA, DOCUMENT,
         "spec.metrics[0].interval", ""),
        # secrets: absent, without that key, of elsewhere (name yes, content never)
        (with_query("x"), [arg("a", secret=("nothing", "k"))], FP, "SECRET_NOT_FOUND", "args", '"nothing" not found'),
        (with_query("x"), [arg("a", secret=("dd", "other"))], FP, "SECRET_NOT_FOUND", "args",
         "key 'other' does not exist in secret 'dd'; 2 other keys exist"),
        (with_query("x"), [arg("a", secret=("other/dd", "k"))], PD, "SECRET_FORBIDDEN", "args.a", "outside"),
        (with_query("x"), [arg("a", secret=("../dd", "k"))], PD, "SECRET_FORBIDDEN", "args.a", "outside"),
        # an operator's rule and no mistake in the template, wherever the address comes from
        (template("{{args.a}}", args="[{name: a}]"), [arg("a", "http://169.254.169.254/latest")], PD,
         "DESTINATION_FORBIDDEN", "spec.metrics[0].provider", "'169.254.169.254' is not allowed"),
        (COMPARED, [arg("a", "http://169.254.169.254")], PD, "DESTINATION_FORBIDDEN", "spec.metrics[0].provider",
         "level: the destination '169.254.169.254' is not allowed"),
        # a mistake beside it goes first: it is the caller's move
        (template("{{args.a}}", args="[{name: a}]").replace("{$.v}", "{$."), [arg("a", "http://169.254.169.254/")], IA,
         DOCUMENT, "spec.metrics[0].provider", "'169.254.169.254' is not allowed"),
    ],
)  # fmt: skip
def test_arguments(
    secretive: Service, text: str, args: list[pb.Argument], code: str, reason: str, field: str, fragment: str
) -> None:
    answer = refused(secretive.stub.CreateAnalysisRun, create(text, args=args, strict=True))
    assert (answer.code, answer.reason) == (code, reason)
    assert any(name.startswith(field) for name in answer.fields), answer.fields
    assert fragment in str(answer.fields)
    assert b"hush-hush" not in answer.raw


@pytest.mark.parametrize(
    ("secret", "warning"),
    [
        (("dd", "short"), "too short to be masked safely"),
        (("dd", "api-key"), ""),
        (("line", "end"), "ends with a line break"),
    ],
)
def test_odd_secrets_are_warned_of(secretive: Service, secret: tuple[str, str], warning: str) -> None:
    run = secretive.stub.CreateAnalysisRun(create(with_query("x"), args=[arg("a", secret=secret)]))
    assert warning in " ".join(run.warnings)
    assert "hush-hush" not in str(run)


def test_an_empty_secret_is_refused_in_strict_mode(secretive: Service) -> None:
    request = create(with_query("x"), args=[arg("a", secret=("line", "empty"))])
    assert "is empty" in " ".join(secretive.stub.CreateAnalysisRun(request).warnings)
    request.strict = True
    answer = refused(secretive.stub.CreateAnalysisRun, request)
    assert (answer.code, answer.reason, list(answer.fields)) == (FP, "SECRET_NOT_FOUND", ["args.a"])


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.api.harness import serve

    folder = tmp_path_factory.mktemp("secrets")
    env = {
        "TIDEGATE_SECRET_DD__API_KEY": "hush-hush-0123456789",
        "TIDEGATE_SECRET_DD__SHORT": "hu",
        "TIDEGATE_SECRET_LINE__END": "hush-hush-line\n",
        "TIDEGATE_SECRET_LINE__EMPTY": "",
    }
    running = serve(folder / "log", env=env)
    yield running
    running.close()


# the transport's own refusals


def test_a_message_over_the_limit(stub: Any, service: Service) -> None:
    request = create("x" * (1 << 20))
    with pytest.raises(grpc.RpcError) as caught:
        stub.CreateAnalysisRun(request, timeout=30)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1048576" in error.details()


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 40,
        TEXT.encode(),
        create(TEXT).SerializeToString()[:-3],  # cut short
        b"\x1b" * 400,  # groups within groups
        b"\x0a\x02\xff\xfe",  # not UTF-8
    ],
    ids=["noise", "yaml", "cut", "nested", "not-utf8"],
)
@pytest.mark.parametrize("method", ["CreateAnalysisRun", "WatchAnalysisRuns"])
def test_bytes_that_are_no_message(service: Service, method: str, body: bytes) -> None:
    kind = service.channel.unary_stream if method.startswith("Watch") else service.channel.unary_unary
    answer = refused(kind(f"/analysis_service.v1.AnalysisService/{method}"), body)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert f"not a message of type {method}Request" in answer.message


def test_fields_of_a_later_version_are_ignored(service: Service) -> None:
    call = service.channel.unary_unary("/analysis_service.v1.AnalysisService/ValidateTemplate")
    body = pb.ValidateTemplateRequest(text=TEXT).SerializeToString() + b"\xa2\x06\x01x"  # field 100
    assert pb.ValidateTemplateResponse.FromString(call(body, timeout=30)).valid


def test_an_unknown_method(service: Service) -> None:
    call = service.channel.unary_unary("/analysis_service.v1.AnalysisService/DropTables")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=30)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_huge_header(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=RUN), metadata=(("x", "y" * 65_536),), timeout=30)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_other_protocols_on_the_port(service: Service) -> None:
    """HTTP/1.1, TLS and noise are hung up on; the service goes on."""
    host, _, port = service.address.rpartition(":")
    for noise in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(noise)
            raw.settimeout(30)
            while raw.recv(4096):
                pass
    service.stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace="-"))
