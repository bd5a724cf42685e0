"""Analysis runs over the wire: created in every way, read, listed, ended, deleted, and checked in one call."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from analysis_service.v1 import analysis_pb2 as pb
from tests.api.harness import Backend, create, finished, refused, template, until

RUN = """apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata: {{name: whole, labels: {{from: document}}}}
spec:
  args: [{{name: path, value: v/2}}]
  metrics:
  - name: value
    successCondition: result == 1
    provider: {{web: {{url: "{}/{{{{args.path}}}}", jsonPath: "{{$.v}}"}}}}
"""


def name_of(run: pb.AnalysisRun) -> pb.GetAnalysisRunRequest:
    return pb.GetAnalysisRunRequest(name=run.name)


# created


def test_an_inline_template_becomes_a_run_and_gets_its_verdict(stub: Any, namespace: str, backend: Backend) -> None:
    request = create(template(f"{backend.address}/v/1"), namespace=namespace, labels={"team": "pay"},
                     annotations={"why": "a release"}, policies={"onError": "fail"})  # fmt: skip
    run = stub.CreateAnalysisRun(request)
    assert run.name == f"namespaces/{namespace}/analysisRuns/{run.id}"
    assert uuid.UUID(run.id).version == 7
    assert run.run_name.startswith("shop-")
    done = finished(stub, run.name)
    assert (done.phase, done.cause) == (pb.SUCCESSFUL, "Passed")
    assert done.reason
    assert (dict(done.labels), dict(done.annotations)) == ({"team": "pay"}, {"why": "a release"})
    assert dict(done.policies) == {"onError": "fail"}
    (result,) = done.metric_results
    assert (result.name, result.successful, [m.value for m in result.measurements]) == ("value", 1, ["1"])
    assert stub.GetAnalysisRun(name_of(run)) == done


def test_a_run_document_stands_alone_and_takes_arguments(stub: Any, namespace: str, backend: Backend) -> None:
    text = RUN.format(backend.address)
    run = stub.CreateAnalysisRun(create(text, namespace=namespace, args=[pb.Argument(name="path", value="v/1")]))
    assert (run.run_name, dict(run.labels)) == ("whole", {"from": "document"})
    assert finished(stub, run.name).phase == pb.SUCCESSFUL
    twin = refused(stub.CreateAnalysisRun, create(text, namespace=namespace))
    assert (twin.code, twin.reason) == ("ALREADY_EXISTS", "RUN_EXISTS")
    both = create(text + "---\n" + template("http://127.0.0.1:1021/"), namespace=namespace)
    mixed = refused(stub.CreateAnalysisRun, both)
    assert (mixed.code, list(mixed.fields)) == ("INVALID_ARGUMENT", ["inline_text"])


def test_stored_inline_and_cluster_templates_are_composed(stub: Any, namespace: str, backend: Backend) -> None:
    url = f"{backend.address}/v/{{{{args.want}}}}"
    own, wide = template(url, "own", args="[{name: want}]"), template(f"{backend.address}/v/1", f"wide-{namespace}")
    wide = wide.replace("kind: AnalysisTemplate", "kind: ClusterAnalysisTemplate").replace("name: value", "name: wide")
    inline = template(f"{backend.address}/v/1", "inline").replace("name: value", "name: inline")
    stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=own))
    stub.CreateTemplate(pb.CreateTemplateRequest(text=wide))
    references = [pb.TemplateReference(name="own"), pb.TemplateReference(name=f"wide-{namespace}", cluster_scope=True)]
    request = create(inline, namespace=namespace, templates=references, args=[pb.Argument(name="want", value="1")])
    done = finished(stub, stub.CreateAnalysisRun(request).name)
    assert {r.name for r in done.metric_results} == {"value", "wide", "inline"}
    assert done.phase == pb.SUCCESSFUL
    # the same metric twice names both templates
    twice = create(template(url, "again", args="[{name: want}]"), namespace=namespace, templates=references[:1])
    answer = refused(stub.CreateAnalysisRun, twice)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_TEMPLATE")
    assert "own" in answer.message
    assert "again" in answer.message


def test_templates_that_refer_to_others_bring_them_along(stub: Any, namespace: str, backend: Backend) -> None:
    leaf = template(f"{backend.address}/v/1", "leaf")
    root = f"""apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: root}}
spec: {{templates: [{{templateName: leaf}}, {{templateName: wide-{namespace}, clusterScope: true}}]}}
"""
    stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=leaf))
    missing = refused(stub.CreateAnalysisRun, create(root, namespace=namespace))
    assert (missing.code, missing.reason) == ("FAILED_PRECONDITION", "TEMPLATE_NOT_FOUND")
    assert list(missing.fields) == ["templates[0].spec.templates[1]"]
    wide = template(f"{backend.address}/v/1", f"wide-{namespace}", kind="ClusterAnalysisTemplate")
    stub.CreateTemplate(pb.CreateTemplateRequest(text=wide.replace("name: value", "name: wide")))
    run = stub.CreateAnalysisRun(create(root, namespace=namespace))
    assert {r.name for r in finished(stub, run.name).metric_results} == {"value", "wide"}


def test_a_misspelt_template_is_told_what_is_near(stub: Any, namespace: str) -> None:
    stub.CreateTemplate(
        pb.CreateTemplateRequest(namespace=namespace, text=template("http://127.0.0.1:1021/", "checkout"))
    )
    request = pb.CreateAnalysisRunRequest(namespace=namespace, templates=[pb.TemplateReference(name="chekout")])
    answer = refused(stub.CreateAnalysisRun, request)
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "TEMPLATE_NOT_FOUND")
    assert "did you mean checkout?" in answer.fields["templates[0]"]


def test_a_gate_refuses_a_metric_that_never_ends(stub: Any, namespace: str, backend: Backend) -> None:
    endless = template(f"{backend.address}/v/1", interval="10s")
    answer = refused(stub.CreateAnalysisRun, create(endless, namespace=namespace, refuse_endless=True))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "RUNS_FOREVER")
    assert list(answer.fields) == ["spec.metrics[0]"] or "count" in next(iter(answer.fields))
    run = stub.CreateAnalysisRun(create(endless, namespace=namespace))  # as a background analysis it may
    stub.TerminateAnalysisRun(pb.TerminateAnalysisRunRequest(name=run.name))
    assert finished(stub, run.name).phase == pb.SUCCESSFUL


def test_a_dry_run_metric_decides_nothing(stub: Any, namespace: str, backend: Backend) -> None:
    failing = template(f"{backend.address}/v/2", "failing").replace("name: value", "name: failing")
    text = template(f"{backend.address}/v/1") + "---\n" + failing
    run = stub.CreateAnalysisRun(create(text, namespace=namespace, dry_run_metrics=["fail.*"]))
    done = finished(stub, run.name)
    assert done.phase == pb.SUCCESSFUL
    assert {r.name: r.dry_run for r in done.metric_results} == {"value": False, "failing": True}
    assert (done.dry_run_summary.count, done.dry_run_summary.failed) == (1, 1)


# the same request again


def test_a_thousand_creates_of_one_request_make_one_run(stub: Any, namespace: str, backend: Backend) -> None:
    request = create(template(f"{backend.address}/wait/{namespace}/1"), namespace=namespace,
                     request_id=str(uuid.uuid4()))  # fmt: skip
    with ThreadPoolExecutor(50) as pool:
        names = list(pool.map(lambda _: stub.CreateAnalysisRun(request, timeout=30).name, range(1000)))
    assert len(names) == 1000
    assert len(set(names)) == 1
    assert len(stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace)).runs) == 1
    backend.release(namespace)
    assert finished(stub, names[0]).run_summary.successful == 1
    assert stub.CreateAnalysisRun(request).phase == pb.SUCCESSFUL  # as it is now


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inline_text": template("http://127.0.0.1:1021/v/2")}, "inline_text"),
        ({"args": [pb.Argument(name="a", value="2")]}, "args"),
        ({"labels": {"a": "2"}}, "labels"),
        ({"strict": True}, "strict"),
        ({"run_name": "other", "strict": True}, "run_name"),  # the first one
    ],
)
def test_another_body_under_the_same_id_names_the_field(
    stub: Any, namespace: str, change: dict[str, Any], field: str
) -> None:
    base = {
        "namespace": namespace,
        "inline_text": template("http://127.0.0.1:1021/v/1", args="[{name: a, value: '0'}]"),
        "args": [pb.Argument(name="a", value="1")],
        "labels": {"a": "1"},
        "request_id": str(uuid.uuid4()),
    }
    run = stub.CreateAnalysisRun(pb.CreateAnalysisRunRequest(**base))
    answer = refused(stub.CreateAnalysisRun, pb.CreateAnalysisRunRequest(**(base | change)))
    assert (answer.code, answer.reason, list(answer.fields)) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED", [field])
    assert answer.metadata == {"run_id": run.id}


def test_racing_creates_with_two_bodies_make_one_run(stub: Any, namespace: str) -> None:
    requests = [
        create(template(f"http://127.0.0.1:1021/v/{n % 2}"), namespace=namespace, request_id=str(uuid.UUID(int=1)))
        for n in range(100)
    ]

    def attempt(request: pb.CreateAnalysisRunRequest) -> str:
        try:
            return str(stub.CreateAnalysisRun(request, timeout=30).id)
        except grpc.RpcError as error:
            return "" if error.code() is grpc.StatusCode.ALREADY_EXISTS else f"unexpected: {error}"

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(attempt, requests)) - {""}) == 1


def test_a_retry_finds_its_run_when_the_template_is_gone(stub: Any, namespace: str, backend: Backend) -> None:
    text = template(f"{backend.address}/v/1")
    made = stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=text))
    request = pb.CreateAnalysisRunRequest(
        namespace=namespace, templates=[pb.TemplateReference(name="shop")], request_id=str(uuid.uuid4())
    )
    run = stub.CreateAnalysisRun(request)
    stub.DeleteTemplate(pb.DeleteTemplateRequest(name=made.name, etag=made.etag))
    assert stub.CreateAnalysisRun(request).id == run.id


def test_a_request_whose_run_was_deleted_makes_no_second_one(stub: Any, namespace: str, backend: Backend) -> None:
    request = create(template(f"{backend.address}/v/1"), namespace=namespace, request_id=str(uuid.uuid4()))
    run = stub.CreateAnalysisRun(request)
    finished(stub, run.name)
    stub.DeleteAnalysisRun(pb.DeleteAnalysisRunRequest(name=run.name))
    answer = refused(stub.CreateAnalysisRun, request)
    assert (answer.code, answer.reason) == ("NOT_FOUND", "RUN_NOT_FOUND")


# listed


def test_runs_are_listed_newest_first_in_pages_and_by_filter(stub: Any, namespace: str, backend: Backend) -> None:
    stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=template(f"{backend.address}/v/1")))
    made = []
    for n in range(7):
        request = create(
            template(f"{backend.address}/v/{1 + n % 2}") if n else "", namespace=namespace,
            templates=[] if n else [pb.TemplateReference(name="shop")], labels={"n": str(n), "team": "pay"},
        )  # fmt: skip
        made.append(stub.CreateAnalysisRun(request))
    for run in made:
        finished(stub, run.name)
    newest_first = [run.id for run in reversed(made)]

    def listed(text: str = "", size: int = 3) -> list[str]:
        ids, token = [], ""
        while True:
            request = pb.ListAnalysisRunsRequest(namespace=namespace, filter=text, page_size=size, page_token=token)
            page = stub.ListAnalysisRuns(request)
            assert len(page.runs) <= size
            ids += [run.id for run in page.runs]
            token = page.next_page_token
            if not token:
                return ids

    assert listed() == newest_first
    assert listed("phase = Failed") == [r.id for r in reversed(made) if int(r.labels["n"]) % 2]
    assert listed("phase in (Failed, Successful)", 500) == newest_first
    assert listed("phase = Running") == []
    assert listed('labels.n = "3" AND labels.team = "pay"') == [made[3].id]
    assert listed(f'template = "namespaces/{namespace}/analysisTemplates/shop"') == [made[0].id]
    everywhere = stub.ListAnalysisRuns(
        pb.ListAnalysisRunsRequest(namespace="-", filter='labels.n = "6"', page_size=500)
    ).runs
    assert made[6].id in {run.id for run in everywhere}


def test_a_page_token_fits_only_its_own_listing(stub: Any, namespace: str, backend: Backend) -> None:
    for _ in range(3):
        stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"), namespace=namespace))
    token = stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace, page_size=1)).next_page_token
    altered = token[:5] + ("A" if token[5] != "A" else "B") + token[6:]
    for fields in (
        {"page_token": altered},
        {"page_token": token + "A"},
        {"page_token": "x"},
        {"page_token": "\N{SNOWMAN}"},
        {"page_token": "A" * 10_000},
        {"page_token": token, "filter": "phase = Failed"},
        {"page_token": token, "namespace": "-"},
    ):
        request = pb.ListAnalysisRunsRequest(**{"namespace": namespace, "page_size": 1, **fields})
        answer = refused(stub.ListAnalysisRuns, request)
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "BAD_PAGE_TOKEN"), fields
    of_templates = pb.ListTemplatesRequest(namespace=namespace, page_token=token)
    assert refused(stub.ListTemplates, of_templates).reason == "BAD_PAGE_TOKEN"


def test_a_page_never_outgrows_an_answer(stub: Any, namespace: str) -> None:
    """Twelve templates of 200 KB are more than one answer can carry: the pages get shorter, nothing is lost."""
    filler = "# " + "x" * 1000 + "\n"
    for n in range(12):
        text = filler * 200 + template("http://127.0.0.1:1021/", f"big-{n:02}")
        stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=text))
    seen, token, pages = [], "", 0
    while token or not pages:
        page = stub.ListTemplates(pb.ListTemplatesRequest(namespace=namespace, page_size=500, page_token=token))
        seen += [t.name.rpartition("/")[2] for t in page.templates]
        token, pages = page.next_page_token, pages + 1
    assert seen == [f"big-{n:02}" for n in range(12)]
    assert pages > 1


def test_all_measurements_can_be_read_in_pages(stub: Any, namespace: str, backend: Backend) -> None:
    """Also those that the run itself no longer carries."""
    text = template(f"{backend.address}/v/1", interval="1ms", count="25")
    run = stub.CreateAnalysisRun(create(text, namespace=namespace))
    done = finished(stub, run.name)
    assert len(done.metric_results[0].measurements) < 25
    seen: list[int] = []
    token = ""
    while len(seen) < 25:
        page = stub.ListMeasurements(
            pb.ListMeasurementsRequest(name=run.name, metric="value", page_size=10, page_token=token)
        )
        seen += [m.ordinal for m in page.measurements]
        token = page.next_page_token
    assert seen == list(range(25))
    assert token == ""
    looks = stub.ListLooks(pb.ListLooksRequest(name=run.name, metric="value", ordinal=0))
    assert not looks.looks  # an ordinary metric takes none
    for method, request in (
        (stub.ListMeasurements, pb.ListMeasurementsRequest(name=run.name, metric="other")),
        (stub.ListLooks, pb.ListLooksRequest(name=run.name, metric="other")),
    ):
        answer = refused(method, request)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "MISSING_METRIC")
        assert "it has value" in answer.message


# ended


def test_terminating_twice_changes_nothing_the_second_time(stub: Any, namespace: str, backend: Backend) -> None:
    text = template(f"{backend.address}/v/1", interval="1h", count='"3"')
    run = stub.CreateAnalysisRun(create(text, namespace=namespace))
    until(lambda: stub.GetAnalysisRun(name_of(run)).metric_results, "a first measurement")
    stub.TerminateAnalysisRun(pb.TerminateAnalysisRunRequest(name=run.name))
    done = finished(stub, run.name)
    assert done.terminate_requested
    assert stub.TerminateAnalysisRun(pb.TerminateAnalysisRunRequest(name=run.name)) == done
    assert stub.GetAnalysisRun(name_of(run)) == done


def test_only_a_finished_run_can_be_deleted(stub: Any, namespace: str, backend: Backend) -> None:
    run = stub.CreateAnalysisRun(create(template(f"{backend.address}/wait/{namespace}/1"), namespace=namespace))
    live = refused(stub.DeleteAnalysisRun, pb.DeleteAnalysisRunRequest(name=run.name))
    assert (live.code, live.reason) == ("FAILED_PRECONDITION", "RUN_NOT_FINISHED")
    assert "terminate" in live.message
    backend.release(namespace)
    finished(stub, run.name)
    stub.DeleteAnalysisRun(pb.DeleteAnalysisRunRequest(name=run.name))
    for method, request in (
        (stub.GetAnalysisRun, name_of(run)),
        (stub.DeleteAnalysisRun, pb.DeleteAnalysisRunRequest(name=run.name)),
        (stub.TerminateAnalysisRun, pb.TerminateAnalysisRunRequest(name=run.name)),
        (stub.ListMeasurements, pb.ListMeasurementsRequest(name=run.name, metric="value")),
        (stub.WatchAnalysisRuns, pb.WatchAnalysisRunsRequest(name=run.name)),
    ):
        answer = refused(method, request)
        assert (answer.code, answer.reason) == ("NOT_FOUND", "RUN_NOT_FOUND")


def test_a_run_of_another_namespace_is_not_there(stub: Any, namespace: str, backend: Backend) -> None:
    run = stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"), namespace=namespace))
    elsewhere = f"namespaces/{namespace}-other/analysisRuns/{run.id}"
    finished(stub, run.name)
    for method, request in (
        (stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name=elsewhere)),
        (stub.TerminateAnalysisRun, pb.TerminateAnalysisRunRequest(name=elsewhere)),
        (stub.DeleteAnalysisRun, pb.DeleteAnalysisRunRequest(name=elsewhere)),
    ):
        assert refused(method, request).code == "NOT_FOUND"


# checked in one call


@pytest.mark.parametrize(("path", "passed"), [("v/1", True), ("v/2", False)])
def test_a_check_gives_the_verdict(stub: Any, namespace: str, backend: Backend, path: str, passed: bool) -> None:
    request = pb.CheckRequest(run=create(template(f"{backend.address}/{path}"), namespace=namespace))
    answer = stub.Check(request, timeout=30)
    assert (answer.done, answer.passed) == (True, passed)
    assert answer.run.phase == (pb.SUCCESSFUL if passed else pb.FAILED)


@pytest.mark.parametrize(
    ("wait_seconds", "timeout"),
    [
        (0, 30),  # no waiting at all
        (0.2, 30),  # the caller's patience
        (0.2, None),  # without a deadline
        (None, 2),  # the call's deadline: an answer comes before it ends
    ],
)
def test_a_check_waits_no_longer_than_it_may(
    stub: Any, namespace: str, backend: Backend, wait_seconds: float | None, timeout: float | None
) -> None:
    request = pb.CheckRequest(
        run=create(template(f"{backend.address}/wait/{namespace}/1"), namespace=namespace,
                   request_id=str(uuid.uuid4())),
    )  # fmt: skip
    if wait_seconds is not None:
        request.wait.FromNanoseconds(int(wait_seconds * 1e9))
    answer = stub.Check(request, timeout=timeout)
    assert (answer.done, answer.passed) == (False, False)
    threading.Timer(0.1, backend.release, [namespace]).start()
    request.wait.FromSeconds(30)
    joined = stub.Check(request, timeout=30)  # the same request joins the same run
    assert (joined.run.id, joined.passed) == (answer.run.id, True)


def test_a_check_that_cannot_be_created_is_refused(stub: Any, namespace: str) -> None:
    answer = refused(stub.Check, pb.CheckRequest(run=create("kind: [", namespace=namespace)))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_TEMPLATE")
    for nanos in (-1, 3_600_000_000_001):
        request = pb.CheckRequest(run=create(template("http://127.0.0.1:1021/"), namespace=namespace))
        request.wait.FromNanoseconds(nanos)
        answer = refused(stub.Check, request)
        assert (answer.code, list(answer.fields)) == ("INVALID_ARGUMENT", ["wait"])
    assert not stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace=namespace)).runs


# deadlines


def test_a_millisecond_is_too_short_and_leaves_nothing_half_done(stub: Any, namespace: str, backend: Backend) -> None:
    """Whatever was stored is driven to its verdict, although its caller had gone by then."""
    for n in range(40):
        try:
            request = create(template(f"{backend.address}/v/1"), namespace=namespace)
            stub.CreateAnalysisRun(request, timeout=0.001 + n / 4000)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # noqa: PT017
    listing = pb.ListAnalysisRunsRequest(namespace=namespace, page_size=500)
    for run in stub.ListAnalysisRuns(listing).runs:
        assert finished(stub, run.name).phase == pb.SUCCESSFUL
