"""The command line's connection to a service: plain calls, watches that survive a cut, errors in sentences."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import grpc
import msgspec
from google.rpc import error_details_pb2, status_pb2

from analysis_service.core.model import Argument
from analysis_service.v1 import analysis_pb2 as pb
from analysis_service.v1 import analysis_pb2_grpc

CALL_SECONDS = 10.0
TRIES = 4
_FINISHED = (pb.SUCCESSFUL, pb.FAILED, pb.ERROR, pb.INCONCLUSIVE)
Reply = TypeVar("Reply")


class ServerError(click.ClickException):
    """What a service could not do, and why."""

    exit_code = 20  # no verdict could be had: never a pass, and not the canary's fault


class Refused(ServerError):
    """The request was wrong: the caller's move. reason: of google.rpc.ErrorInfo."""

    exit_code = 2
    reason = ""


class Missing(Refused):
    """What was asked for is not there."""


_REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.PERMISSION_DENIED,
)


class Client:
    """`host:port`, plain for loopback; TLS with the system's roots or `ca` otherwise.

    reconnect_seconds: how long a service that does not answer is waited for.
    """

    def __init__(
        self, address: str, ca: Path | None = None, *, plaintext: bool = False, reconnect_seconds: float = 30.0
    ) -> None:
        address = address.removeprefix("grpc://")
        self.address = address
        self._reconnect_seconds = reconnect_seconds
        host = address.rpartition(":")[0].strip("[]")
        loopback = host in ("localhost", "::1") or host.startswith("127.")
        options = [
            ("grpc.max_receive_message_length", 4 << 20),
            ("grpc.enable_retries", 0),
            # left to itself the channel waits up to two minutes before it looks for a service that is back
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if plaintext or (loopback and ca is None):
            self._channel = grpc.insecure_channel(address, options)
        else:
            roots = ca.read_bytes() if ca else None
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)
        self.stub: Any = analysis_pb2_grpc.AnalysisServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def call(
        self, method: Callable[..., Reply], request: Any, seconds: float = CALL_SECONDS, tries: int = TRIES
    ) -> Reply:
        """One call; repeated while the service is unreachable. Every call of ours is idempotent."""
        began = time.monotonic()
        for attempt in range(tries):
            try:
                return method(request, timeout=seconds)
            except grpc.RpcError as error:
                pause = 0.1 * 4**attempt
                tired = attempt == tries - 1 or time.monotonic() + pause - began > self._reconnect_seconds
                if error.code() is not grpc.StatusCode.UNAVAILABLE or tired:
                    raise server_error(error, self.address) from None
                time.sleep(pause)
        raise AssertionError("unreachable")

    def watch(self, run: str, seconds: float) -> Iterator[pb.AnalysisRun]:
        """States of one run until it is finished or time is up; a cut stream goes on where it stopped.

        Raises ServerError when nobody has answered for `reconnect_seconds`, or when time is up and nobody does.
        """
        deadline, token = time.monotonic() + seconds, ""
        lost_at, failures = 0.0, 0
        failure: grpc.RpcError | None = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                request = pb.WatchAnalysisRunsRequest(name=run, resume_token=token)
                for event in self.stub.WatchAnalysisRuns(request, timeout=left):
                    token, failure, failures = event.resume_token, None, 0
                    if event.deleted:
                        raise ServerError(f"run {run} was deleted while it was watched")
                    if not event.HasField("run"):
                        continue
                    if event.run.name != run:
                        raise ServerError(f"asked for {run}, the service answered with {event.run.name}")
                    yield event.run
                    if event.run.phase in _FINISHED:
                        return
            except grpc.RpcError as error:
                code = error.code()
                if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    break
                if code in (grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.ABORTED):
                    token = ""  # its present state comes first again
                elif code is not grpc.StatusCode.UNAVAILABLE:
                    raise server_error(error, self.address) from None
                lost_at = lost_at if failure is not None else time.monotonic()
                failure = error
                if time.monotonic() - lost_at > self._reconnect_seconds:
                    break
            failures += 1  # also where a stream just ended: something between us and the service cuts it
            time.sleep(max(0.0, min(2.0, 0.1 * 2 ** min(failures, 6), deadline - time.monotonic())))
        if failure is not None:
            raise server_error(failure, self.address)


def server_error(error: grpc.RpcError, address: str) -> ServerError:
    """The status in sentences: the message, then every field that is wrong."""
    code = error.code()
    details = error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE and not _info(error)[0]:
        return ServerError(f"no service answers at {address}: {_short(details)}")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ServerError(f"the service at {address} did not answer in time")
    reason, violations = _info(error)
    lines = [details or code.name]
    if len(violations) > 1:
        lines = [f"{v.field}: {v.description}" if v.field else v.description for v in violations]
    kind = Missing if code is grpc.StatusCode.NOT_FOUND else Refused if code in _REFUSALS else ServerError
    made = kind("\n".join(lines))
    if isinstance(made, Refused):
        made.reason = reason
    return made


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
    """What is wrong with a connection, without gRPC's account of how it came to know; and what may be the matter."""
    if not details:
        return "no reason given"
    said = re.sub(r".*last error: [A-Z_]+: (ipv[46]:\S+: )?(Failed to connect to remote host: )?", "", details)
    said = re.sub(r"^errors resolving \S+: .*?: ([^:\[\]]+)\]?$", r"\1", said.splitlines()[0])[:200]
    if "http1.x" in details:
        return f"{said}; that port speaks HTTP, and is it the one of /metrics?"
    return f"{said}; if it speaks TLS, name its --ca" if said == "Socket closed" else said


def argument_messages(arguments: Sequence[Argument]) -> list[pb.Argument]:
    made = []
    for argument in arguments:
        source = argument.value_from.secret_key_ref if argument.value_from is not None else None
        reference = pb.SecretKeyRef(name=source.name, key=source.key) if source is not None else None
        made.append(pb.Argument(name=argument.name, value=argument.value, secret_key_ref=reference))
    return made


def as_json(message: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    data = MessageToDict(message, always_print_fields_with_no_presence=False)
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
