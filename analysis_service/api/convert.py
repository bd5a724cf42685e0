"""Our values as messages of the wire contract, and back. Nothing is decided here."""

from datetime import UTC, datetime

import msgspec
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from analysis_service.core import model
from analysis_service.core.compare.spec import READINGS
from analysis_service.core.problem import Problem
from analysis_service.stores.base import RunRecord, TemplateRecord
from analysis_service.v1 import analysis_pb2 as pb

PHASE = {
    model.Phase.NEW: pb.PENDING,
    model.Phase.PENDING: pb.PENDING,
    model.Phase.RUNNING: pb.RUNNING,
    model.Phase.SUCCESSFUL: pb.SUCCESSFUL,
    model.Phase.FAILED: pb.FAILED,
    model.Phase.ERROR: pb.ERROR,
    model.Phase.INCONCLUSIVE: pb.INCONCLUSIVE,
}
PHASE_BACK = {
    pb.PENDING: model.Phase.PENDING,
    pb.RUNNING: model.Phase.RUNNING,
    pb.SUCCESSFUL: model.Phase.SUCCESSFUL,
    pb.FAILED: model.Phase.FAILED,
    pb.ERROR: model.Phase.ERROR,
    pb.INCONCLUSIVE: model.Phase.INCONCLUSIVE,
}


def timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    seconds = at.timestamp()
    whole = int(seconds // 1)
    return Timestamp(seconds=whole, nanos=at.microsecond * 1000)


def from_timestamp(message: Timestamp) -> datetime:
    return datetime.fromtimestamp(message.seconds, UTC).replace(microsecond=message.nanos // 1000)


def run_name(namespace: str, run_id: str) -> str:
    return f"namespaces/{namespace}/analysisRuns/{run_id}"


def template_name(namespace: str, name: str) -> str:
    return f"namespaces/{namespace}/analysisTemplates/{name}" if namespace else f"clusterAnalysisTemplates/{name}"


def problem(value: Problem) -> pb.Problem:
    return pb.Problem(
        severity=pb.Problem.WARNING if value.severity == "warning" else pb.Problem.SEVERE,
        code=value.code,
        path=value.path,
        message=value.message,
        line=value.line,
        column=value.column,
        hint=value.hint,
    )


def template(record: TemplateRecord) -> pb.Template:
    return pb.Template(
        name=template_name(record.namespace, record.name),
        version=record.version,
        text=record.text,
        etag=record.etag,
        create_time=timestamp(record.created_at),
    )


def measurement(value: model.Measurement) -> pb.Measurement:
    return pb.Measurement(
        ordinal=value.ordinal,
        phase=PHASE[value.phase],
        value=value.value,
        message=value.message,
        reason=value.reason,
        start_time=timestamp(value.started_at),
        finish_time=timestamp(value.finished_at),
        resume_time=timestamp(value.resume_at),
        metadata={key: text for key, text in value.metadata.items() if key != READINGS},
        cause=value.cause.value,
    )


def look(value: model.Look) -> pb.Look:
    return pb.Look(number=value.number, time=timestamp(value.at), data_json=msgspec.json.encode(value.data).decode())


def metric_result(value: model.MetricResult) -> pb.MetricResult:
    return pb.MetricResult(
        name=value.name,
        phase=PHASE[value.phase],
        message=value.message,
        reason=value.reason,
        dry_run=value.dry_run,
        count=value.count,
        successful=value.successful,
        failed=value.failed,
        inconclusive=value.inconclusive,
        error=value.error,
        consecutive_error=value.consecutive_error,
        consecutive_success=value.consecutive_success,
        taken=value.taken,
        measurements=[measurement(m) for m in value.measurements],
        metadata=dict(value.metadata),
        cause=value.cause.value,
    )


def summary(value: model.Summary) -> pb.Summary:
    return pb.Summary(
        count=value.count,
        successful=value.successful,
        failed=value.failed,
        inconclusive=value.inconclusive,
        error=value.error,
    )


def run(record: RunRecord) -> pb.AnalysisRun:
    value = record.run
    return pb.AnalysisRun(
        name=run_name(value.namespace, value.id),
        id=value.id,
        namespace=value.namespace,
        run_name=value.name,
        phase=PHASE[value.phase],
        message=value.message,
        reason=value.reason,
        warnings=list(value.warnings),
        metric_results=[metric_result(r) for r in value.results],
        run_summary=summary(value.run_summary),
        dry_run_summary=summary(value.dry_run_summary),
        create_time=timestamp(value.created_at),
        start_time=timestamp(value.started_at),
        complete_time=timestamp(value.completed_at),
        labels=dict(value.labels),
        terminate_requested=record.terminate_requested,
        etag=str(record.resource_version),
        spec_json=msgspec.json.encode(value.spec).decode(),
        template=record.template,
        policies=dict(value.spec.policies),
        strict=value.spec.strict,
        cause=value.cause.value,
        annotations=dict(value.annotations),
    )


def arguments(messages: list[pb.Argument]) -> tuple[model.Argument, ...]:
    return tuple(
        model.Argument(
            name=m.name,
            value=m.value if m.HasField("value") else None,
            value_from=model.ValueFrom(
                secret_key_ref=model.SecretKeyRef(name=m.secret_key_ref.name, key=m.secret_key_ref.key)
            )
            if m.HasField("secret_key_ref")
            else None,
        )
        for m in messages
    )


def from_measurement(message: pb.Measurement) -> model.Measurement:
    return model.Measurement(
        phase=PHASE_BACK[message.phase],
        ordinal=message.ordinal,
        message=message.message,
        value=message.value,
        reason=message.reason,
        started_at=_maybe(message, "start_time"),
        finished_at=_maybe(message, "finish_time"),
        resume_at=_maybe(message, "resume_time"),
        metadata=dict(message.metadata),
        cause=model.Cause(message.cause),
    )


def from_run(message: pb.AnalysisRun) -> model.Run:
    """A run as a client sees it, in our own shape, so that everything is shown by the same code."""
    return model.Run(
        id=message.id,
        namespace=message.namespace,
        name=message.run_name,
        spec=msgspec.json.decode(message.spec_json or '{"metrics":[]}', type=model.RunSpec),
        phase=PHASE_BACK[message.phase],
        message=message.message,
        reason=message.reason,
        cause=model.Cause(message.cause),
        warnings=tuple(message.warnings),
        results=tuple(
            model.MetricResult(
                name=r.name,
                phase=PHASE_BACK[r.phase],
                message=r.message,
                reason=r.reason,
                cause=model.Cause(r.cause),
                dry_run=r.dry_run,
                count=r.count,
                successful=r.successful,
                failed=r.failed,
                inconclusive=r.inconclusive,
                error=r.error,
                consecutive_error=r.consecutive_error,
                consecutive_success=r.consecutive_success,
                taken=r.taken,
                measurements=tuple(map(from_measurement, r.measurements)),
                metadata=dict(r.metadata),
            )
            for r in message.metric_results
        ),
        run_summary=_from_summary(message.run_summary),
        dry_run_summary=_from_summary(message.dry_run_summary),
        created_at=_maybe(message, "create_time"),
        started_at=_maybe(message, "start_time"),
        completed_at=_maybe(message, "complete_time"),
        labels=dict(message.labels),
    )


def _from_summary(message: pb.Summary) -> model.Summary:
    return model.Summary(message.count, message.successful, message.failed, message.inconclusive, message.error)


def _maybe(message: Message, name: str) -> datetime | None:
    return from_timestamp(getattr(message, name)) if message.HasField(name) else None
