"""Stored templates over the wire: versions, etags, and what is said of a bad one."""

from typing import Any

import pytest

from analysis_service.v1 import analysis_pb2 as pb
from tests.api.harness import Backend, create, finished, refused, template

URL = "http://127.0.0.1:1021/v/1"


def stored(stub: Any, namespace: str, name: str = "shop", **fields: str) -> pb.Template:
    return stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=template(URL, name, **fields)))


def test_a_template_is_kept_as_it_was_written(stub: Any, namespace: str) -> None:
    made = stored(stub, namespace)
    assert (made.name, made.version) == (f"namespaces/{namespace}/analysisTemplates/shop", 1)
    assert made.text == template(URL)
    assert made.create_time.seconds > 0
    assert stub.GetTemplate(pb.GetTemplateRequest(name=made.name)) == made


def test_the_name_is_taken(stub: Any, namespace: str) -> None:
    stored(stub, namespace)
    again = refused(stub.CreateTemplate, pb.CreateTemplateRequest(namespace=namespace, text=template(URL)))
    assert (again.code, again.reason) == ("ALREADY_EXISTS", "TEMPLATE_EXISTS")


def test_an_update_makes_a_version_and_needs_the_etag_that_was_read(stub: Any, namespace: str) -> None:
    first = stored(stub, namespace)
    text = template(URL, interval="5s", count='"2"')
    blind = refused(stub.UpdateTemplate, pb.UpdateTemplateRequest(name=first.name, text=text))
    assert (blind.code, blind.reason) == ("FAILED_PRECONDITION", "ETAG_REQUIRED")
    second = stub.UpdateTemplate(pb.UpdateTemplateRequest(name=first.name, text=text, etag=first.etag))
    assert (second.version, second.text) == (2, text)
    assert second.etag != first.etag
    stale = refused(stub.UpdateTemplate, pb.UpdateTemplateRequest(name=first.name, text=text, etag=first.etag))
    assert (stale.code, stale.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert stale.metadata["current_etag"] == second.etag
    assert second.etag in stale.message
    assert stub.GetTemplate(pb.GetTemplateRequest(name=first.name, version=1)).text == first.text
    assert stub.GetTemplate(pb.GetTemplateRequest(name=first.name)).version == 2


def test_an_update_to_another_name_or_kind_is_refused(stub: Any, namespace: str) -> None:
    made = stored(stub, namespace)
    for text in (template(URL, "other"), template(URL, kind="ClusterAnalysisTemplate")):
        answer = refused(stub.UpdateTemplate, pb.UpdateTemplateRequest(name=made.name, text=text, etag=made.etag))
        assert (answer.code, answer.reason, list(answer.fields)) == ("INVALID_ARGUMENT", "INVALID_FIELD", ["text"])


def test_versions_are_listed_newest_first_in_pages(stub: Any, namespace: str) -> None:
    made = stored(stub, namespace)
    for n in range(2, 6):
        text = template(URL, count=f'"{n}"', interval="5s")
        made = stub.UpdateTemplate(pb.UpdateTemplateRequest(name=made.name, text=text, etag=made.etag))
    seen, token = [], ""
    while True:
        request = pb.ListTemplateVersionsRequest(name=made.name, page_size=2, page_token=token)
        page = stub.ListTemplateVersions(request)
        seen.append([t.version for t in page.versions])
        token = page.next_page_token
        if not token:
            break
    assert seen == [[5, 4], [3, 2], [1]]


def test_templates_are_listed_by_namespace(stub: Any, namespace: str) -> None:
    for name in ("b", "a", "c"):
        stored(stub, namespace, name)
    first = stub.ListTemplates(pb.ListTemplatesRequest(namespace=namespace, page_size=2))
    rest = stub.ListTemplates(
        pb.ListTemplatesRequest(namespace=namespace, page_size=2, page_token=first.next_page_token)
    )
    assert [t.name.rpartition("/")[2] for t in (*first.templates, *rest.templates)] == ["a", "b", "c"]
    assert rest.next_page_token == ""
    assert not stub.ListTemplates(pb.ListTemplatesRequest(namespace=f"{namespace}-other")).templates
    everywhere, token = [], ""
    while token or not everywhere:
        page = stub.ListTemplates(pb.ListTemplatesRequest(namespace="-", page_size=500, page_token=token))
        everywhere += [t.name for t in page.templates]
        token = page.next_page_token
    assert sum(name.startswith(f"namespaces/{namespace}/") for name in everywhere) == 3


def test_a_cluster_template_has_no_namespace(stub: Any, namespace: str) -> None:
    text = template(URL, f"c-{namespace}", kind="ClusterAnalysisTemplate")
    inside = refused(stub.CreateTemplate, pb.CreateTemplateRequest(namespace=namespace, text=text))
    assert (inside.code, list(inside.fields)) == ("INVALID_ARGUMENT", ["namespace"])
    made = stub.CreateTemplate(pb.CreateTemplateRequest(text=text))
    assert made.name == f"clusterAnalysisTemplates/c-{namespace}"
    assert stub.GetTemplate(pb.GetTemplateRequest(name=made.name)) == made
    assert made in stub.ListTemplates(pb.ListTemplatesRequest(page_size=500)).templates


def test_deleting_needs_the_etag_and_says_how_many_runs_go_on(stub: Any, namespace: str, backend: Backend) -> None:
    text = template(f"{backend.address}/wait/{namespace}/1")
    made = stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=text))
    run = stub.CreateAnalysisRun(
        pb.CreateAnalysisRunRequest(namespace=namespace, templates=[pb.TemplateReference(name="shop")])
    )
    blind = refused(stub.DeleteTemplate, pb.DeleteTemplateRequest(name=made.name))
    assert (blind.code, blind.reason) == ("FAILED_PRECONDITION", "ETAG_REQUIRED")
    gone = stub.DeleteTemplate(pb.DeleteTemplateRequest(name=made.name, etag=made.etag))
    assert gone.live_runs == 1
    missing = refused(stub.GetTemplate, pb.GetTemplateRequest(name=made.name))
    assert (missing.code, missing.reason) == ("NOT_FOUND", "TEMPLATE_NOT_FOUND")
    backend.release(namespace)
    assert finished(stub, run.name).phase == pb.SUCCESSFUL  # it had its own copy


def test_a_bad_template_is_refused_with_everything_that_is_wrong(stub: Any, namespace: str) -> None:
    text = template(URL, sucessCondition="'result == 1'", interval="1 day", count="five")
    answer = refused(stub.CreateTemplate, pb.CreateTemplateRequest(namespace=namespace, text=text))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "INVALID_TEMPLATE")
    assert set(answer.fields) >= {
        "spec.metrics[0].sucessCondition",
        "spec.metrics[0].interval",
        "spec.metrics[0].count",
    }
    assert "Did you mean 'successCondition'?" in answer.fields["spec.metrics[0].sucessCondition"]
    assert "(and 2 more)" in answer.message


def test_what_is_doubtful_is_said_at_creation(stub: Any, namespace: str) -> None:
    made = stored(stub, namespace, successCondition="''")
    assert any(w.severity == pb.Problem.WARNING and w.code for w in made.warnings)


@pytest.mark.parametrize(
    ("request_fields", "valid", "codes"),
    [
        ({"text": template(URL)}, True, []),
        ({"text": "kind: ["}, False, ["Syntax"]),
        ({"text": ""}, False, ["EmptyDocument"]),
        ({"text": template(URL, sucessCondition="x")}, False, ["UnknownField"]),
        # arguments are judged when they are given
        ({"text": template(URL, args="[{name: limit}]"), "args": [pb.Argument(name="limt", value="1")]}, False,
         ["UnknownArg", "MissingArg"]),
    ],
)  # fmt: skip
def test_validation_is_an_answer(stub: Any, request_fields: dict[str, Any], valid: bool, codes: list[str]) -> None:
    answer = stub.ValidateTemplate(pb.ValidateTemplateRequest(**request_fields))
    assert answer.valid is valid
    assert [p.code for p in answer.problems if p.severity == pb.Problem.SEVERE] == codes


def test_validation_stores_nothing(stub: Any, namespace: str) -> None:
    stub.ValidateTemplate(pb.ValidateTemplateRequest(text=template(URL), namespace=namespace))
    assert not stub.ListTemplates(pb.ListTemplatesRequest(namespace=namespace)).templates


def test_two_runs_from_two_versions(stub: Any, namespace: str, backend: Backend) -> None:
    """The latest unless a version is asked for; a reference looks into the run's namespace."""
    made = stub.CreateTemplate(pb.CreateTemplateRequest(namespace=namespace, text=template(f"{backend.address}/v/1")))
    stub.UpdateTemplate(
        pb.UpdateTemplateRequest(name=made.name, text=template(f"{backend.address}/v/2"), etag=made.etag)
    )
    phases = {}
    for version in (1, 0):
        reference = pb.TemplateReference(name="shop", version=version)
        run = stub.CreateAnalysisRun(create("", namespace=namespace, templates=[reference]))
        assert run.template == made.name
        phases[version] = finished(stub, run.name).phase
    assert phases == {1: pb.SUCCESSFUL, 0: pb.FAILED}
