"""The command line's connection to a service: plain calls, watches that survive a cut, errors in sentences."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import grpc
import msgspec
from google.rpc import error_details_pb2, status_pb2

from analysis_service.v1 import analysis_pb2 as pb
from analysis_service.v1 import analysis_pb2_grpc

CALL_SECONDS = 10.0
RETRIES = 4
_RETRIED = (grpc.StatusCode.UNAVAILABLE,)
Reply = TypeVar("Reply")


class ServerError(click.ClickException):
    """What a service could not do, and why."""

    exit_code = 20  # no verdict could be had: never a pass, and not the canary's fault


class Refused(ServerError):
    """The request was wrong: the caller's move."""

    exit_code = 2


_REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
)


class Client:
    """`host:port`, plain for loopback; TLS with the system's roots or `ca` otherwise."""

    def __init__(self, address: str, ca: Path | None = None, *, plaintext: bool | None = None) -> None:
        address = address.removeprefix("grpc://")
        self.address = address
        host = address.rpartition(":")[0].strip("[]")
        loopback = host in ("localhost", "::1") or host.startswith("127.")
        options = [("grpc.max_receive_message_length", 4 << 20), ("grpc.enable_retries", 0)]
        if plaintext if plaintext is not None else loopback and ca is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            roots = ca.read_bytes() if ca else None
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)
        self.stub: Any = analysis_pb2_grpc.AnalysisServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def call(self, method: Callable[..., Reply], request: Any, seconds: float = CALL_SECONDS) -> Reply:
        """One call; retried while the service is unreachable. Every call of ours is idempotent."""
        for attempt in range(RETRIES):
            try:
                return method(request, timeout=seconds)
            except grpc.RpcError as error:
                if error.code() not in _RETRIED or attempt == RETRIES - 1:
                    raise server_error(error, self.address) from None
                time.sleep(0.1 * 4**attempt)
        raise AssertionError("unreachable")

    def watch(self, run: str, seconds: float) -> Iterator[pb.AnalysisRun]:
        """States of one run until it is finished or time is up; a cut stream goes on where it stopped."""
        deadline, token, failures = time.monotonic() + seconds, "", 0
        while (left := deadline - time.monotonic()) > 0:
            try:
                request = pb.WatchAnalysisRunsRequest(name=run, resume_token=token)
                for event in self.stub.WatchAnalysisRuns(request, timeout=left):
                    token, failures = event.resume_token, 0
                    if event.deleted:
                        raise ServerError(f"run {run} was deleted while it was watched")
                    if event.HasField("run"):
                        yield event.run
                return
            except grpc.RpcError as error:
                code = error.code()
                if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    return
                if code in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.ABORTED):
                    token = ""  # its present state comes first again
                elif code is not grpc.StatusCode.UNAVAILABLE:
                    raise server_error(error, self.address) from None
                failures += 1
                if failures > 20:
                    raise server_error(error, self.address) from None
                time.sleep(min(2.0, 0.1 * 2**failures, max(0.0, deadline - time.monotonic())))


def server_error(error: grpc.RpcError, address: str) -> ServerError:
    """The status in sentences: the message, then every field that is wrong."""
    code = error.code()
    details = error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE and not _info(error)[0]:
        return ServerError(f"no service answers at {address}: {_short(details)}")
    _, violations = _info(error)
    lines = [details or code.name]
    if len(violations) > 1:
        lines = [f"{v.field}: {v.description}" if v.field else v.description for v in violations]
    kind = Refused if code in _REFUSALS else ServerError
    return kind("\n".join(lines))


def _info(error: grpc.RpcError) -> tuple[str, list[error_details_pb2.BadRequest.FieldViolation]]:
    reason, violations = "", []
    for key, value in cast("tuple[tuple[str, bytes], ...]", error.trailing_metadata() or ()):
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
                if detail.Unpack(info):
                    reason = info.reason
                elif detail.Unpack(bad):
                    violations = list(bad.field_violations)
    return reason, violations


def _short(details: str) -> str:
    return details.splitlines()[0][:200] if details else "no reason given"


def server_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--server, --ca and --plaintext, made into a Client."""
    function = click.option(
        "--server", envvar="TIDEGATE_SERVER", metavar="HOST:PORT", help="The service to talk to [env TIDEGATE_SERVER]."
    )(function)
    function = click.option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Trust this CA instead of the system's.",
    )(function)
    return click.option("--plaintext", is_flag=True, help="No TLS, also to another machine.")(function)


def connect(server: str | None, ca: Path | None, plaintext: bool) -> Client:
    if not server:
        raise click.UsageError("Which service? Give --server HOST:PORT or set TIDEGATE_SERVER.")
    return Client(server, ca, plaintext=plaintext or None)


def arguments(values: tuple[str, ...]) -> list[pb.Argument]:
    """name=value pairs. `name=@secret/key` refers to a key of a secret."""
    made = []
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not name=value", param_hint="--arg")
        if value.startswith("@") and "/" in value:
            secret, _, key = value[1:].partition("/")
            made.append(pb.Argument(name=name, secret_key_ref=pb.SecretKeyRef(name=secret, key=key)))
        else:
            made.append(pb.Argument(name=name, value=value))
    return made


def as_json(message: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    data = MessageToDict(message, always_print_fields_with_no_presence=False)
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def run_resource(run: str, namespace: str) -> str:
    """A run's resource name from a resource name or a bare id."""
    return run if "/" in run else f"namespaces/{namespace}/analysisRuns/{run}"


def namespace_option(function: Callable[..., Any]) -> Callable[..., Any]:
    default = os.environ.get("TIDEGATE_NAMESPACE", "default")
    return click.option("-n", "--namespace", default=default, show_default=True, help="[env TIDEGATE_NAMESPACE]")(
        function
    )
