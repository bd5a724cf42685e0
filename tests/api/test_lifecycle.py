"""The service as a process: it says when it is ready, drains, survives kill -9, and refuses to be unsafe."""

import datetime
import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from analysis_service.v1 import analysis_pb2 as pb
from tests.api.harness import Backend, Service, create, finished, refusal_of, refused, start, template, until
from tests.stores.rewriting import another_build_wrote_the_spec

SERVICE = "analysis_service.v1.AnalysisService"
Start = Callable[..., Service]


def health_of(service: Service, name: str = SERVICE) -> Any:
    stub = health_pb2_grpc.HealthStub(service.channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status


def test_a_ready_service_says_so_everywhere(service: Service) -> None:
    assert health_of(service) == health_of(service, "") == health_pb2.HealthCheckResponse.SERVING
    assert service.get("/livez") == service.get("/readyz") == (200, "ok\n")


def test_reflection_lists_what_is_served_when_asked_for(start_service: Start) -> None:
    database = ProtoReflectionDescriptorDatabase(start_service("--reflection").channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())


def test_metrics_count_calls_and_measurements(service: Service, namespace: str, backend: Backend) -> None:
    finished(service.stub, service.stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"))).name)
    refused(service.stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name="x"))
    status, text = service.get("/metrics")
    assert status == 200
    for line in (
        'tidegate_rpcs_total{code="OK",method="CreateAnalysisRun"}',
        'tidegate_rpcs_total{code="INVALID_ARGUMENT",method="GetAnalysisRun"}',
        'tidegate_measurements_total{phase="Successful",provider="web"}',
        'tidegate_runs_total{phase="Successful"}',
        "tidegate_measurement_lateness_seconds_bucket",
    ):
        assert line in text
    assert "team" not in text  # nothing that users name is a label


def test_the_log_is_json_and_carries_run_ids(service: Service, namespace: str, backend: Backend) -> None:
    run = service.stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"), namespace=namespace))
    finished(service.stub, run.name)
    for line in service.log_path.read_text().splitlines():
        assert {"event", "level", "timestamp"} <= set(json.loads(line))
    events = [(line["event"], line.get("phase")) for line in service.log() if line.get("run_id") == run.id]
    assert events == [("run created", None), ("verdict", "Successful")]


def test_sigterm_drains(start_service: Start, backend: Backend, tmp_path: Path) -> None:
    """What is being asked is recorded, watchers leave with a token, new calls are refused, the exit code is 0."""
    env = {"TIDEGATE_STORE": f"sqlite:{tmp_path / 'store.db'}", "TIDEGATE_DRAIN_DELAY_SECONDS": "1.5"}
    service = start_service(env=env)
    text = template(f"{backend.address}/wait/drain/1", interval="1h", count='"2"')
    run = service.stub.CreateAnalysisRun(create(text))
    watch = service.stub.WatchAnalysisRuns(pb.WatchAnalysisRunsRequest(name=run.name), timeout=60)
    next(watch)
    check = service.stub.Check.future(pb.CheckRequest(run=create(text, request_id=run.id)), timeout=60)
    until(lambda: "/wait/drain/1" in backend.asked, "the question is asked")
    service.signal(signal.SIGTERM)
    until(lambda: health_of(service) == health_pb2.HealthCheckResponse.NOT_SERVING, "health says so first")
    status, body = service.get("/readyz")
    assert (status, body) == (503, "not ready: draining\n")
    service.stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=run.name))  # whoever has not noticed is still served
    with pytest.raises(grpc.RpcError) as caught:
        list(watch)
    left = refusal_of(caught.value)
    assert (left.code, left.reason) == ("UNAVAILABLE", "DRAINING")
    answer = check.result()  # its run is not lost: it is told how far it came
    assert (answer.done, answer.passed, answer.run.run_name != "") == (False, False, True)
    backend.release("drain")
    assert service.wait() == 0
    assert service.log()[-1]["event"] == "stopped"
    again = start_service(env=env)
    run = again.stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=run.name))
    assert [m.value for m in run.metric_results[0].measurements] == ["1"]
    assert backend.times("/wait/drain/1") == 1  # shared by both; after the restart the next is due in an hour
    resumed = again.stub.WatchAnalysisRuns(
        pb.WatchAnalysisRunsRequest(name=run.name, resume_token=left.metadata["resume_token"]), timeout=60
    )
    again.stub.TerminateAnalysisRun(pb.TerminateAnalysisRunRequest(name=run.name))
    *_, last = resumed
    assert last.run.phase == pb.SUCCESSFUL
    again.signal(signal.SIGINT)
    assert again.wait() == 0


def test_the_second_sigterm_ends_it_at_once(start_service: Start, backend: Backend) -> None:
    service = start_service(env={"TIDEGATE_DRAIN_DELAY_SECONDS": "60"})
    service.signal(signal.SIGTERM)
    until(lambda: service.log()[-1]["event"] == "draining", "it drains")
    service.signal(signal.SIGTERM)
    assert service.wait() == 1


def test_a_drain_has_an_end(start_service: Start, backend: Backend) -> None:
    service = start_service(env={"TIDEGATE_DRAIN_SECONDS": "0.5"})
    service.stub.CreateAnalysisRun(create(template(f"{backend.address}/wait/never/1")))
    until(lambda: "/wait/never/1" in backend.asked, "the question is asked")
    service.signal(signal.SIGTERM)
    assert service.wait() in (0, 1)


def test_what_was_acknowledged_survives_kill_9(start_service: Start, backend: Backend, tmp_path: Path) -> None:
    """Killed while 40 runs are under way and more are being created; every one acknowledged gets its verdict, each
    slot once."""
    env = {"TIDEGATE_STORE": f"sqlite:{tmp_path / 'store.db'}"}
    service = start_service(env=env)
    text = template(f"{backend.address}/v/1", interval="30ms", count='"20"')
    acknowledged: list[str] = []

    def make() -> None:
        try:
            while True:
                acknowledged.append(service.stub.CreateAnalysisRun(create(text), timeout=10).name)
        except grpc.RpcError:
            return

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    until(lambda: len(acknowledged) > 40, "some runs")
    service.signal(signal.SIGKILL)
    assert service.wait() == -signal.SIGKILL
    for maker in makers:
        maker.join()
    again = start_service(env=env)
    for name in acknowledged:
        run = finished(again.stub, name)
        assert run.phase == pb.SUCCESSFUL
        slots = again.stub.ListMeasurements(pb.ListMeasurementsRequest(name=name, metric="value", page_size=500))
        assert [m.ordinal for m in slots.measurements] == list(range(20))
        assert run.metric_results[0].count == 20


def test_what_is_no_http_is_no_error_of_ours(start_service: Start) -> None:
    """A gRPC client on the wrong port, a port scan: a line in the log, no traceback in it."""
    service = start_service()
    with socket.create_connection(("127.0.0.1", int(service.admin.rpartition(":")[2])), timeout=10) as line:
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b" 400 " in line.recv(4096)
    (said,) = [entry for entry in service.log() if entry.get("logger") == "aiohttp.server"]
    assert (said["level"], "exception" in said) == ("info", False)


# what it refuses


@pytest.mark.parametrize(
    ("flags", "env", "sentences"),
    [
        (["--listen", "0.0.0.0:0"], {}, ["listen: 0.0.0.0:0 is reachable from outside and has no TLS"]),
        ([], {"TIDEGATE_LISTEN": ":7443"}, ["reachable from outside"]),
        # everything at once
        (["--listen", "x"], {"TIDEGATE_STORE": "postgres", "TIDEGATE_STRCIT": "1", "TIDEGATE_MAX_CALLS": "many"},
         ["listen: 'x' is not host:port", "store: 'postgres'", "TIDEGATE_STRCIT: no such setting; did you mean "
          "TIDEGATE_STRICT?", "TIDEGATE_MAX_CALLS: 'many' is not a whole number"]),
        (["--tls-certificate", "/nowhere/cert", "--tls-key", "/nowhere/key"], {}, ["cannot read /nowhere/"]),
    ],
)  # fmt: skip
def test_it_does_not_start(tmp_path: Path, flags: list[str], env: dict[str, str], sentences: list[str]) -> None:
    service = start(tmp_path / "log", *flags, env=env)
    assert service.wait() == 2
    said = " ".join(service.log_path.read_text().split())
    for sentence in sentences:
        assert sentence in said
    assert "Traceback" not in said


def test_a_port_or_file_in_use_is_said(service: Service, tmp_path: Path) -> None:
    second = start(tmp_path / "log", "--listen", service.address)
    assert second.wait() == 2
    assert f"cannot listen on {service.address}" in second.log_path.read_text()
    store = next(line["store"] for line in service.log() if line["event"] == "serving")
    third = start(tmp_path / "log3", "--store", store)
    assert third.wait() == 20
    assert f"in use by pid {service.process.pid}" in third.log_path.read_text()


# TLS


class Authority:
    """A CA of the test's own, for server and client certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._write("ca.pem", self._sign(self._name, self._key, authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = self._write(f"{name}.pem", self._sign(subject, key, authority=False))
        (path := self._folder / f"{name}.key").write_bytes(private)
        return certificate, path

    def _sign(self, subject: x509.Name, key: Any, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        (path := self._folder / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


def secure(service: Service, ca: Path, own: tuple[Path, Path] | None = None) -> Any:
    certificate, key = (path.read_bytes() for path in own) if own else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), key, certificate)
    channel = grpc.secure_channel(f"localhost:{service.address.rpartition(':')[2]}", credentials)
    return service.connect(channel)


LISTING = pb.ListAnalysisRunsRequest(namespace="team")


def test_tls(start_service: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    flags = ["--listen", "0.0.0.0:0", "--tls-certificate", str(certificate), "--tls-key", str(key)]
    service = start_service(*flags, connect=False)
    assert secure(service, authority.certificate).ListAnalysisRuns(LISTING, timeout=10) is not None
    service.channel.close()
    (other := tmp_path / "other").mkdir()
    stub = secure(service, Authority(other).certificate)
    with pytest.raises(grpc.RpcError) as wrong_authority:
        stub.ListAnalysisRuns(LISTING, timeout=10)
    assert wrong_authority.value.code() is grpc.StatusCode.UNAVAILABLE
    service.channel.close()
    stub = service.connect(grpc.insecure_channel(f"127.0.0.1:{service.address.rpartition(':')[2]}"))
    with pytest.raises(grpc.RpcError) as plain:
        stub.ListAnalysisRuns(LISTING, timeout=10)
    assert plain.value.code() is grpc.StatusCode.UNAVAILABLE


def test_client_certificates(start_service: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    service = start_service(
        "--tls-certificate", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.certificate),
        connect=False,
    )  # fmt: skip
    stub = secure(service, authority.certificate, authority.issue("client"))
    assert stub.ListAnalysisRuns(LISTING, timeout=10) is not None
    service.channel.close()
    (other := tmp_path / "other").mkdir()
    for own in (None, Authority(other).issue("client")):
        stub = secure(service, authority.certificate, own)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListAnalysisRuns(LISTING, timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        service.channel.close()


def test_a_damaged_run_is_told_and_the_others_are_served(
    start_service: Start, backend: Backend, tmp_path: Path
) -> None:
    """One byte of one stored run is flipped while the service is down."""
    path = tmp_path / "store.db"
    service = start_service(env={"TIDEGATE_STORE": f"sqlite:{path}"})
    runs = [service.stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1"))) for _ in range(2)]
    for run in runs:
        finished(service.stub, run.name)
    service.signal(signal.SIGINT)
    assert service.wait() == 0
    database = apsw.Connection(str(path))
    (status,) = database.execute("SELECT status FROM run WHERE id = ?", (runs[0].id,)).fetchone()
    database.close()
    flipped = status[:40] + bytes([status[40] ^ 1]) + status[41:]
    data = path.read_bytes()
    assert status in data
    path.write_bytes(data.replace(status, flipped))
    again = start_service(env={"TIDEGATE_STORE": f"sqlite:{path}"})
    answer = refused(again.stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name=runs[0].name))
    assert (answer.code, answer.reason) == ("DATA_LOSS", "DATA_LOSS_DETECTED")
    assert runs[0].id in answer.message
    assert again.stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=runs[1].name)).phase == pb.SUCCESSFUL
    fresh = again.stub.CreateAnalysisRun(create(template(f"{backend.address}/v/1")))
    assert finished(again.stub, fresh.name).phase == pb.SUCCESSFUL


def test_a_run_of_another_build_can_be_ended_and_deleted(
    start_service: Start, backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    service = start_service(env={"TIDEGATE_STORE": f"sqlite:{path}"})
    text = template(f"{backend.address}/v/1", interval="1h", count='"2"')
    run = service.stub.CreateAnalysisRun(create(text))
    service.signal(signal.SIGINT)
    assert service.wait() == 0
    another_build_wrote_the_spec(path, run.id)
    again = start_service(env={"TIDEGATE_STORE": f"sqlite:{path}"})
    answer = refused(again.stub.DeleteAnalysisRun, pb.DeleteAnalysisRunRequest(name=run.name))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "RUN_NOT_FINISHED")
    ended = again.stub.TerminateAnalysisRun(pb.TerminateAnalysisRunRequest(name=run.name))
    assert ended.phase == pb.ERROR
    assert "this build cannot read the run's spec" in ended.reason
    assert again.stub.GetAnalysisRun(pb.GetAnalysisRunRequest(name=run.name)) == ended
    again.stub.DeleteAnalysisRun(pb.DeleteAnalysisRunRequest(name=run.name))
    answer = refused(again.stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name=run.name))
    assert answer.code == "NOT_FOUND"
