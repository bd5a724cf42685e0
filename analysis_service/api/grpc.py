"""The gRPC face: one table of methods, one wrapper around all of them, handlers that only translate.

The wrapper gives every call a deadline, counts it, and turns every exception into google.rpc.Status: no exception
text reaches a client unless it was written for one. It takes and gives bytes: what cannot be read is refused in our
words, and what is remembered is sent as it is.
"""

import asyncio
import dataclasses
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from analysis_service.api import convert, errors
from analysis_service.api.creation import CreateRun
from analysis_service.api.errors import ApiError
from analysis_service.api.lanes import Lane, Lanes
from analysis_service.api.runs import Runs, Seen
from analysis_service.api.templates import Templates
from analysis_service.telemetry import Telemetry
from analysis_service.v1 import analysis_pb2 as pb

SERVICE = "analysis_service.v1.AnalysisService"
DEFAULT_DEADLINE_SECONDS = 10.0
MAX_DEADLINE_SECONDS = 60.0
MAX_CHECK_SECONDS = 3600.0
SLOW_WATCHER_SECONDS = 30.0
MAX_MESSAGE_BYTES = 1 << 20
MAX_RESPONSE_BYTES = 4 << 20

SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    ("grpc.max_concurrent_streams", 1000),  # of one connection; the lanes bound what is worked on
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
)

Context = grpc.aio.ServicerContext[Any, Any]


def status_of(error: ApiError) -> status_pb2.Status:
    """google.rpc.Status with exactly one ErrorInfo, BadRequest with every field, RetryInfo where it helps."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=errors.DOMAIN, metadata=dict(error.metadata))
    status.details.add().Pack(info)
    if error.retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after_seconds * 1e9))
        status.details.add().Pack(retry)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.description, reason=violation.reason)
        status.details.add().Pack(bad)
    return status


async def refuse(context: Context, error: ApiError) -> None:
    status = status_of(error)
    await context.abort(
        getattr(grpc.StatusCode, error.code),
        error.message,
        (("grpc-status-details-bin", status.SerializeToString()),),
    )


class Handlers:
    """Messages in, messages out. What a call means is said in `api.templates` and `api.runs`."""

    def __init__(self, templates: Templates, runs: Runs) -> None:
        self._templates = templates
        self._runs = runs

    async def CreateTemplate(self, request: pb.CreateTemplateRequest, _context: Context) -> Message:
        record, warnings = await self._templates.create(request.namespace, request.text)
        message = convert.template(record)
        message.warnings.extend(map(convert.problem, warnings))
        return message

    async def GetTemplate(self, request: pb.GetTemplateRequest, _context: Context) -> Message:
        return convert.template(await self._templates.get(request.name, request.version))

    async def ListTemplates(self, request: pb.ListTemplatesRequest, _context: Context) -> Message:
        page, token = await self._templates.listing(request.namespace, request.page_size, request.page_token)
        return pb.ListTemplatesResponse(templates=map(convert.template, page), next_page_token=token)

    async def ListTemplateVersions(self, request: pb.ListTemplateVersionsRequest, _context: Context) -> Message:
        page, token = await self._templates.versions(request.name, request.page_size, request.page_token)
        return pb.ListTemplateVersionsResponse(versions=map(convert.template, page), next_page_token=token)

    async def UpdateTemplate(self, request: pb.UpdateTemplateRequest, _context: Context) -> Message:
        record, warnings = await self._templates.update(request.name, request.text, request.etag)
        message = convert.template(record)
        message.warnings.extend(map(convert.problem, warnings))
        return message

    async def DeleteTemplate(self, request: pb.DeleteTemplateRequest, _context: Context) -> Message:
        return pb.DeleteTemplateResponse(live_runs=await self._templates.delete(request.name, request.etag))

    async def ValidateTemplate(self, request: pb.ValidateTemplateRequest, _context: Context) -> Message:
        problems = await self._templates.validate(
            request.text, convert.arguments(list(request.args)), strict=request.strict
        )
        valid = not any(p.severity == "error" for p in problems)
        return pb.ValidateTemplateResponse(valid=valid, problems=map(convert.problem, problems))

    async def CreateAnalysisRun(self, request: pb.CreateAnalysisRunRequest, _context: Context) -> Message:
        return convert.run(await self._runs.create(_create(request)))

    def GetAnalysisRun(self, request: pb.GetAnalysisRunRequest, _context: Context) -> bytes | Awaitable[bytes]:
        return self._runs.get_bytes(request.name)

    async def ListAnalysisRuns(self, request: pb.ListAnalysisRunsRequest, _context: Context) -> Message:
        page, token, resume = await self._runs.listing(
            request.namespace, request.filter, request.page_size, request.page_token
        )
        return pb.ListAnalysisRunsResponse(runs=page, next_page_token=token, resume_token=resume)

    async def ListMeasurements(self, request: pb.ListMeasurementsRequest, _context: Context) -> Message:
        page, token = await self._runs.measurements(request.name, request.metric, request.page_size, request.page_token)
        return pb.ListMeasurementsResponse(measurements=map(convert.measurement, page), next_page_token=token)

    async def ListLooks(self, request: pb.ListLooksRequest, _context: Context) -> Message:
        page, token = await self._runs.looks(
            request.name, request.metric, request.ordinal, request.page_size, request.page_token
        )
        return pb.ListLooksResponse(looks=map(convert.look, page), next_page_token=token)

    async def TerminateAnalysisRun(self, request: pb.TerminateAnalysisRunRequest, _context: Context) -> Message:
        return convert.run(await self._runs.terminate(request.name))

    async def DeleteAnalysisRun(self, request: pb.DeleteAnalysisRunRequest, _context: Context) -> Message:
        await self._runs.delete(request.name)
        return Empty()

    async def Check(self, request: pb.CheckRequest, context: Context) -> Message:
        wait = _wait(request)
        left = cast("float | None", context.time_remaining())  # None: the caller sets no deadline
        if left is None:
            left = (DEFAULT_DEADLINE_SECONDS if wait is None else wait) + 0.5
        # Answer with the run as it is a little before the caller gives up, rather than with nothing.
        limit = min(MAX_CHECK_SECONDS if wait is None else wait, left - min(0.5, left / 4))
        record = await self._runs.check(_create(request.run), limit)
        done = record.run.phase.done
        return pb.CheckResponse(run=convert.run(record), done=done, passed=record.run.phase.value == "Successful")

    async def WatchAnalysisRuns(
        self, request: pb.WatchAnalysisRunsRequest, _context: Context
    ) -> AsyncIterator[pb.WatchAnalysisRunsResponse]:
        watch = self._runs.watch(request.namespace, request.filter, request.resume_token, request.name)
        async for seen in watch:
            yield _seen(seen)


def _seen(seen: Seen) -> pb.WatchAnalysisRunsResponse:
    message = pb.WatchAnalysisRunsResponse(resume_token=seen.token)
    if seen.record is not None:
        message.run.CopyFrom(convert.run(seen.record))
    elif seen.deleted_id:
        message.deleted = True
        message.run.id, message.run.namespace = seen.deleted_id, seen.deleted_namespace
        message.run.name = convert.run_name(seen.deleted_namespace, seen.deleted_id)
    return message


def _wait(request: pb.CheckRequest) -> float | None:
    """Seconds, or None where the caller says nothing."""
    if not request.HasField("wait"):
        return None
    seconds = request.wait.seconds + request.wait.nanos / 1e9
    if not 0 <= seconds <= MAX_CHECK_SECONDS:
        raise errors.invalid_field("wait", f"{seconds:g} s; want 0 to {MAX_CHECK_SECONDS:g}")
    return seconds


def _create(request: pb.CreateAnalysisRunRequest) -> CreateRun:
    return CreateRun(
        namespace=request.namespace,
        run_name=request.run_name,
        templates=tuple((t.name, t.cluster_scope, t.version) for t in request.templates),
        inline_text=request.inline_text,
        args=convert.arguments(list(request.args)),
        request_id=request.request_id,
        labels=dict(request.labels),
        annotations=dict(request.annotations),
        strict=request.strict,
        policies=dict(request.policies),
        refuse_endless=request.refuse_endless,
        dry_run_metrics=tuple(request.dry_run_metrics),
    )


UnaryHandler = Callable[[Any, Context], Any]
StreamHandler = Callable[[Any, Context], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What is the same for every call: its lane, its deadline, its count, and the one way errors leave."""

    telemetry: Telemetry
    lanes: Lanes
    slow_watcher_seconds: float = SLOW_WATCHER_SECONDS
    default_seconds: float = DEFAULT_DEADLINE_SECONDS  # where the caller sets no deadline

    def unary(
        self, name: str, request_type: type[Message], handler: UnaryHandler
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        """A handler gives an awaitable, or ready bytes: those are answered without further ado."""
        seconds, ok = self.telemetry.rpc_seconds.labels(name), self.telemetry.rpcs.labels(name, "OK")
        lane, now, read = self.lanes.lane(name), time.perf_counter, request_type.FromString
        cap_seconds = MAX_CHECK_SECONDS + 1 if name == "Check" else MAX_DEADLINE_SECONDS
        default_seconds = cap_seconds if name == "Check" else self.default_seconds

        async def handle(body: bytes, context: Context) -> Any:
            began = now()
            try:
                response = handler(read(body), context)
                if type(response) is not bytes:
                    left = cast("float | None", context.time_remaining())
                    limit = min(left if left is not None else default_seconds, cap_seconds)
                    response = await _within(lane, limit, response)
                ok.inc()
                return response
            except TimeoutError:
                error = ApiError("DEADLINE_EXCEEDED", "TIMED_OUT", f"no answer within {now() - began:.1f} s")
            except DecodeError:
                error = _unreadable(request_type)
            except Exception as caught:  # the edge: every exception becomes a status here
                error = errors.from_exception(caught)
            finally:
                seconds.observe(now() - began)
            self.telemetry.rpcs.labels(name, error.code).inc()
            return await refuse(context, error)

        return handle

    def streaming(
        self, name: str, request_type: type[Message], handler: StreamHandler
    ) -> Callable[[Any, Context], Awaitable[None]]:
        """As `unary`, for a stream: a reader that takes no message for too long is cut off with its resume token."""
        lane = self.lanes.lane(name)

        async def handle(body: bytes, context: Context) -> None:
            self.telemetry.watchers.inc()
            error: ApiError | None = None
            token = ""
            try:
                request = cast(Any, request_type.FromString(body))
                token = request.resume_token
                with lane.place():
                    async with aclosing(cast("AsyncGenerator[Any, None]", handler(request, context))) as messages:
                        async for message in messages:
                            data = _serialize(message)
                            async with asyncio.timeout(self.slow_watcher_seconds):
                                await context.write(data)
                            token = message.resume_token
            except TimeoutError:
                text = f"The watcher did not read for {self.slow_watcher_seconds:g} s."
                error = ApiError("ABORTED", "SLOW_WATCHER", text, metadata={"resume_token": token})
            except DecodeError:
                error = _unreadable(request_type)
            except Exception as caught:  # the edge, as above
                error = errors.from_exception(caught)
                if error.code == "UNAVAILABLE":
                    error = dataclasses.replace(error, metadata={"resume_token": token})
            finally:
                self.telemetry.watchers.dec()
            self.telemetry.rpcs.labels(name, error.code if error else "OK").inc()
            if error is not None:
                await refuse(context, error)

        return handle


def _unreadable(request_type: type[Message]) -> ApiError:
    text = f"the request is not a message of type {request_type.DESCRIPTOR.name}"
    return ApiError("INVALID_ARGUMENT", "INVALID_FIELD", text)


async def _within(lane: Lane, seconds: float, response: Awaitable[Any]) -> bytes:
    try:
        with lane.place():
            async with asyncio.timeout(seconds):
                return _serialize(await response)
    finally:
        if inspect.iscoroutine(response):
            response.close()  # where there was no place it never began


def _serialize(message: Message | bytes) -> bytes:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    if len(data) > MAX_RESPONSE_BYTES:
        text = f"the answer has {len(data)} bytes; limit {MAX_RESPONSE_BYTES}: ask for less (ListMeasurements pages)"
        raise ApiError("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", text)
    return data


def method_handlers(templates: Templates, runs: Runs, wrapper: Wrapper) -> grpc.GenericRpcHandler:
    """The table: every method of the contract, its request type read from the descriptor."""
    handlers = Handlers(templates, runs)
    table: dict[str, Any] = {}
    for method in pb.DESCRIPTOR.services_by_name["AnalysisService"].methods:
        request_type = getattr(pb, method.input_type.name)
        handler = getattr(handlers, method.name)
        if method.server_streaming:
            stream = wrapper.streaming(method.name, request_type, handler)
            table[method.name] = grpc.unary_stream_rpc_method_handler(stream)
        else:
            unary = wrapper.unary(method.name, request_type, handler)
            table[method.name] = grpc.unary_unary_rpc_method_handler(unary)
    return grpc.method_handlers_generic_handler(SERVICE, table)
