"""Twenty planted secrets, and every place where text comes to rest: none of them is found, in any spelling."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from analysis_service.v1 import analysis_pb2 as pb
from providers.redact import forms
from tests.api.harness import Backend, Service, create, finished, refused

# each awkward in its own way: for URLs, JSON, base64, logs; long enough not to stand anywhere by chance
PLANTED = {
    f"key-{n:02}": value
    for n, value in enumerate(
        [
            "Zq7-plain-text-secret", "Zq7 with spaces in it", "Zq7+plus/and=equals==", 'Zq7"quotes"and\\back\\slashes',
            "Zq7%25percent%2Fencoded", "Zq7&ampersand=value;x", "Zq7<script>alert(1)</script>", "Zq7-ünïcödé-sécrét",
            "Zq7\ttab-and\u00a0nbsp-inside", "Zq7$dollar{brace}`tick`", "Zq7'single'quotes'", "Zq7{{args.other}}-tag",
            "Zq7|pipe^caret~tilde", "Zq7#hash?question@at:colon", "eyJhbGciOiJIUzI1NiJ9.Zq7.c2lnbmF0dXJl",
            "Zq7-" + "long" * 200, "Zq7,comma,separated,list", "Zq7[1]*(x)+?.$", "\u65e5\u672c\u8a9e-Zq7-secret",
            "Zq7\u2028line-sep",
        ]
    )
}  # fmt: skip

METRIC = """
  - name: m{n}
    consecutiveErrorLimit: 0
    successCondition: "{condition}"
    provider:
      web:
        url: "{url}"
        jsonPath: "{path}"
        headers: [{{key: X-Token, value: "{{{{args.key-{n:02}}}}}"}}]
"""


def document(backend: Backend) -> str:
    """Metrics that send their secret in a header to a backend that gives everything back: as a value, and in errors."""
    metrics = ""
    for n in range(len(PLANTED)):
        url, path = f"{backend.address}/echo/{n}", ("{$.echo}", "{$.echo['X-Token']}", "{$.nothing}", "{$}")[n % 4]
        condition = ("len(result) > 0", "result == 'x' || len(result) > 3", "result == 1", "result.nothing == 1")[n % 4]
        metrics += METRIC.format(n=n, url=url, path=path, condition=condition)
    args = ", ".join(f"{{name: {key}, valueFrom: {{secretKeyRef: {{name: planted, key: {key}}}}}}}" for key in PLANTED)
    return f"""apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {{name: leaky}}
spec:
  args: [{args}]
  metrics:{metrics}"""


def needles() -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for key, value in PLANTED.items():
        for form in forms(value) | {quote(value, safe=""), json.dumps(value)[1:-1], value}:
            found[form.encode("utf-8", "surrogatepass")] = key
    return found


def hits(data: bytes, what: str, where: dict[bytes, str]) -> list[str]:
    return [f"{what}: {key} as {needle[:40]!r}" for needle, key in where.items() if needle in data]


def test_no_planted_secret_is_found_anywhere(
    start_service: Callable[..., Service], backend: Backend, tmp_path: Path
) -> None:
    for key, value in PLANTED.items():
        (file := tmp_path / "secrets" / "team" / "planted" / key).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    (tmp_path / "data").mkdir()
    service = start_service(
        "--log-level", "debug",
        env={"TIDEGATE_STORE": f"sqlite:{tmp_path}/data/store.db",
             "TIDEGATE_SECRETS_DIRECTORY": str(tmp_path / "secrets")},
    )  # fmt: skip
    stub, where, found = service.stub, needles(), list[str]()
    text = document(backend)
    template = stub.CreateTemplate(pb.CreateTemplateRequest(namespace="team", text=text))
    run = stub.CreateAnalysisRun(create("", templates=[pb.TemplateReference(name="leaky")]))
    answers = [template, run, stub.ListAnalysisRuns(pb.ListAnalysisRunsRequest(namespace="team"))]
    answers += stub.WatchAnalysisRuns(pb.WatchAnalysisRunsRequest(name=run.name), timeout=30)
    done = finished(stub, run.name)
    for n in range(len(PLANTED)):
        answers.append(stub.ListMeasurements(pb.ListMeasurementsRequest(name=run.name, metric=f"m{n}")))
    answers.append(stub.ValidateTemplate(pb.ValidateTemplateRequest(text=text, namespace="team", strict=True)))
    answers.append(done)
    for missing in ("no-such-key", "key-0"):
        request = create(
            text, args=[pb.Argument(name="key-00", secret_key_ref=pb.SecretKeyRef(name="planted", key=missing))]
        )
        found += hits(refused(stub.CreateAnalysisRun, request).raw, "a refusal", where)
    for answer in answers:
        found += hits(answer.SerializeToString(), f"an answer ({type(answer).__name__})", where)
        found += hits(str(answer).encode(), f"an answer as text ({type(answer).__name__})", where)
    for path in ("/metrics", "/readyz"):
        found += hits(service.get(path)[1].encode(), path, where)
    files = sorted((tmp_path / "data").iterdir())
    assert any(file.name.endswith("-wal") for file in files)
    for file in files:
        found += hits(file.read_bytes(), file.name, where)
    service.signal(signal.SIGTERM)
    assert service.wait() == 0
    for file in (*sorted((tmp_path / "data").iterdir()), service.log_path):
        found += hits(file.read_bytes(), f"{file.name} after the end", where)
    assert not found, "\n".join(found)
    # the test can fail: the backend was sent every secret that a header can carry, and gave it back
    sent = [h["X-Token"] for h in backend.headers if "X-Token" in h]
    assert len(set(sent)) >= 10
    shown = [m.value for a in answers if isinstance(a, pb.ListMeasurementsResponse) for m in a.measurements]
    assert any("*****" in value or "[redacted]" in value for value in shown)


@pytest.mark.parametrize("value", list(PLANTED.values())[:3])
def test_the_search_can_find(value: str) -> None:
    assert hits(b"..." + value.encode() + b"...", "x", needles())
    assert hits(quote(value, safe="").encode(), "x", needles())
