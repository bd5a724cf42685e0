import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    INVALID_TEMPLATE: _ClassVar[ErrorReason]
    INVALID_ARGUMENT_VALUE: _ClassVar[ErrorReason]
    INVALID_FIELD: _ClassVar[ErrorReason]
    TEMPLATE_NOT_FOUND: _ClassVar[ErrorReason]
    RUN_NOT_FOUND: _ClassVar[ErrorReason]
    TEMPLATE_EXISTS: _ClassVar[ErrorReason]
    RUN_EXISTS: _ClassVar[ErrorReason]
    REQUEST_ID_REUSED: _ClassVar[ErrorReason]
    ETAG_REQUIRED: _ClassVar[ErrorReason]
    ETAG_MISMATCH: _ClassVar[ErrorReason]
    RUN_NOT_FINISHED: _ClassVar[ErrorReason]
    RUNS_FOREVER: _ClassVar[ErrorReason]
    BAD_PAGE_TOKEN: _ClassVar[ErrorReason]
    RELIST_REQUIRED: _ClassVar[ErrorReason]
    SLOW_WATCHER: _ClassVar[ErrorReason]
    SECRET_NOT_FOUND: _ClassVar[ErrorReason]
    STORE_UNAVAILABLE: _ClassVar[ErrorReason]
    DATA_LOSS_DETECTED: _ClassVar[ErrorReason]
    OVERLOADED: _ClassVar[ErrorReason]
    DRAINING: _ClassVar[ErrorReason]
    INTERNAL_ERROR: _ClassVar[ErrorReason]
    MESSAGE_TOO_LARGE: _ClassVar[ErrorReason]
    MISSING_METRIC: _ClassVar[ErrorReason]
    TIMED_OUT: _ClassVar[ErrorReason]
    SECRETS_UNAVAILABLE: _ClassVar[ErrorReason]
    SECRET_FORBIDDEN: _ClassVar[ErrorReason]
    DESTINATION_FORBIDDEN: _ClassVar[ErrorReason]

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PENDING: _ClassVar[Phase]
    RUNNING: _ClassVar[Phase]
    SUCCESSFUL: _ClassVar[Phase]
    FAILED: _ClassVar[Phase]
    ERROR: _ClassVar[Phase]
    INCONCLUSIVE: _ClassVar[Phase]
ERROR_REASON_UNSPECIFIED: ErrorReason
INVALID_TEMPLATE: ErrorReason
INVALID_ARGUMENT_VALUE: ErrorReason
INVALID_FIELD: ErrorReason
TEMPLATE_NOT_FOUND: ErrorReason
RUN_NOT_FOUND: ErrorReason
TEMPLATE_EXISTS: ErrorReason
RUN_EXISTS: ErrorReason
REQUEST_ID_REUSED: ErrorReason
ETAG_REQUIRED: ErrorReason
ETAG_MISMATCH: ErrorReason
RUN_NOT_FINISHED: ErrorReason
RUNS_FOREVER: ErrorReason
BAD_PAGE_TOKEN: ErrorReason
RELIST_REQUIRED: ErrorReason
SLOW_WATCHER: ErrorReason
SECRET_NOT_FOUND: ErrorReason
STORE_UNAVAILABLE: ErrorReason
DATA_LOSS_DETECTED: ErrorReason
OVERLOADED: ErrorReason
DRAINING: ErrorReason
INTERNAL_ERROR: ErrorReason
MESSAGE_TOO_LARGE: ErrorReason
MISSING_METRIC: ErrorReason
TIMED_OUT: ErrorReason
SECRETS_UNAVAILABLE: ErrorReason
SECRET_FORBIDDEN: ErrorReason
DESTINATION_FORBIDDEN: ErrorReason
PHASE_UNSPECIFIED: Phase
PENDING: Phase
RUNNING: Phase
SUCCESSFUL: Phase
FAILED: Phase
ERROR: Phase
INCONCLUSIVE: Phase

class Template(_message.Message):
    __slots__ = ("name", "version", "text", "etag", "create_time", "warnings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    text: str
    etag: str
    create_time: _timestamp_pb2.Timestamp
    warnings: _containers.RepeatedCompositeFieldContainer[Problem]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., text: _Optional[str] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("severity", "code", "path", "message", "line", "column", "hint")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[Problem.Severity]
        WARNING: _ClassVar[Problem.Severity]
        SEVERE: _ClassVar[Problem.Severity]
    SEVERITY_UNSPECIFIED: Problem.Severity
    WARNING: Problem.Severity
    SEVERE: Problem.Severity
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    severity: Problem.Severity
    code: str
    path: str
    message: str
    line: int
    column: int
    hint: str
    def __init__(self, severity: _Optional[_Union[Problem.Severity, str]] = ..., code: _Optional[str] = ..., path: _Optional[str] = ..., message: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., hint: _Optional[str] = ...) -> None: ...

class CreateTemplateRequest(_message.Message):
    __slots__ = ("namespace", "text")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    text: str
    def __init__(self, namespace: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class GetTemplateRequest(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class ListTemplatesRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTemplatesResponse(_message.Message):
    __slots__ = ("templates", "next_page_token")
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    templates: _containers.RepeatedCompositeFieldContainer[Template]
    next_page_token: str
    def __init__(self, templates: _Optional[_Iterable[_Union[Template, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListTemplateVersionsRequest(_message.Message):
    __slots__ = ("name", "page_size", "page_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    page_size: int
    page_token: str
    def __init__(self, name: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTemplateVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[Template]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[Template, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateTemplateRequest(_message.Message):
    __slots__ = ("name", "text", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteTemplateRequest(_message.Message):
    __slots__ = ("name", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteTemplateResponse(_message.Message):
    __slots__ = ("live_runs",)
    LIVE_RUNS_FIELD_NUMBER: _ClassVar[int]
    live_runs: int
    def __init__(self, live_runs: _Optional[int] = ...) -> None: ...

class ValidateTemplateRequest(_message.Message):
    __slots__ = ("text", "namespace", "args", "strict")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    text: str
    namespace: str
    args: _containers.RepeatedCompositeFieldContainer[Argument]
    strict: bool
    def __init__(self, text: _Optional[str] = ..., namespace: _Optional[str] = ..., args: _Optional[_Iterable[_Union[Argument, _Mapping]]] = ..., strict: _Optional[bool] = ...) -> None: ...

class ValidateTemplateResponse(_message.Message):
    __slots__ = ("valid", "problems")
    VALID_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    def __init__(self, valid: _Optional[bool] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ...) -> None: ...

class SecretKeyRef(_message.Message):
    __slots__ = ("name", "key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    key: str
    def __init__(self, name: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class Argument(_message.Message):
    __slots__ = ("name", "value", "secret_key_ref")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SECRET_KEY_REF_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    secret_key_ref: SecretKeyRef
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., secret_key_ref: _Optional[_Union[SecretKeyRef, _Mapping]] = ...) -> None: ...

class TemplateReference(_message.Message):
    __slots__ = ("name", "cluster_scope", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_SCOPE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    cluster_scope: bool
    version: int
    def __init__(self, name: _Optional[str] = ..., cluster_scope: _Optional[bool] = ..., version: _Optional[int] = ...) -> None: ...

class CreateAnalysisRunRequest(_message.Message):
    __slots__ = ("namespace", "run_name", "templates", "inline_text", "args", "request_id", "labels", "strict", "policies", "refuse_endless", "dry_run_metrics", "annotations")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class PoliciesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    RUN_NAME_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    INLINE_TEXT_FIELD_NUMBER: _ClassVar[int]
    ARGS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    REFUSE_ENDLESS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_METRICS_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    run_name: str
    templates: _containers.RepeatedCompositeFieldContainer[TemplateReference]
    inline_text: str
    args: _containers.RepeatedCompositeFieldContainer[Argument]
    request_id: str
    labels: _containers.ScalarMap[str, str]
    strict: bool
    policies: _containers.ScalarMap[str, str]
    refuse_endless: bool
    dry_run_metrics: _containers.RepeatedScalarFieldContainer[str]
    annotations: _containers.ScalarMap[str, str]
    def __init__(self, namespace: _Optional[str] = ..., run_name: _Optional[str] = ..., templates: _Optional[_Iterable[_Union[TemplateReference, _Mapping]]] = ..., inline_text: _Optional[str] = ..., args: _Optional[_Iterable[_Union[Argument, _Mapping]]] = ..., request_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., strict: _Optional[bool] = ..., policies: _Optional[_Mapping[str, str]] = ..., refuse_endless: _Optional[bool] = ..., dry_run_metrics: _Optional[_Iterable[str]] = ..., annotations: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetAnalysisRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListAnalysisRunsRequest(_message.Message):
    __slots__ = ("namespace", "page_size", "page_token", "filter")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    page_size: int
    page_token: str
    filter: str
    def __init__(self, namespace: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ...) -> None: ...

class ListAnalysisRunsResponse(_message.Message):
    __slots__ = ("runs", "next_page_token", "resume_token")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[AnalysisRun]
    next_page_token: str
    resume_token: str
    def __init__(self, runs: _Optional[_Iterable[_Union[AnalysisRun, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., resume_token: _Optional[str] = ...) -> None: ...

class ListMeasurementsRequest(_message.Message):
    __slots__ = ("name", "metric", "page_size", "page_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    metric: str
    page_size: int
    page_token: str
    def __init__(self, name: _Optional[str] = ..., metric: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMeasurementsResponse(_message.Message):
    __slots__ = ("measurements", "next_page_token")
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    measurements: _containers.RepeatedCompositeFieldContainer[Measurement]
    next_page_token: str
    def __init__(self, measurements: _Optional[_Iterable[_Union[Measurement, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListLooksRequest(_message.Message):
    __slots__ = ("name", "metric", "ordinal", "page_size", "page_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    metric: str
    ordinal: int
    page_size: int
    page_token: str
    def __init__(self, name: _Optional[str] = ..., metric: _Optional[str] = ..., ordinal: _Optional[int] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLooksResponse(_message.Message):
    __slots__ = ("looks", "next_page_token")
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    looks: _containers.RepeatedCompositeFieldContainer[Look]
    next_page_token: str
    def __init__(self, looks: _Optional[_Iterable[_Union[Look, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchAnalysisRunsRequest(_message.Message):
    __slots__ = ("namespace", "filter", "resume_token", "name")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    filter: str
    resume_token: str
    name: str
    def __init__(self, namespace: _Optional[str] = ..., filter: _Optional[str] = ..., resume_token: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class WatchAnalysisRunsResponse(_message.Message):
    __slots__ = ("run", "deleted", "resume_token")
    RUN_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    run: AnalysisRun
    deleted: bool
    resume_token: str
    def __init__(self, run: _Optional[_Union[AnalysisRun, _Mapping]] = ..., deleted: _Optional[bool] = ..., resume_token: _Optional[str] = ...) -> None: ...

class TerminateAnalysisRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteAnalysisRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CheckRequest(_message.Message):
    __slots__ = ("run", "wait")
    RUN_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    run: CreateAnalysisRunRequest
    wait: _duration_pb2.Duration
    def __init__(self, run: _Optional[_Union[CreateAnalysisRunRequest, _Mapping]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("run", "done", "passed")
    RUN_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    run: AnalysisRun
    done: bool
    passed: bool
    def __init__(self, run: _Optional[_Union[AnalysisRun, _Mapping]] = ..., done: _Optional[bool] = ..., passed: _Optional[bool] = ...) -> None: ...

class AnalysisRun(_message.Message):
    __slots__ = ("name", "id", "namespace", "run_name", "phase", "message", "reason", "warnings", "metric_results", "run_summary", "dry_run_summary", "create_time", "start_time", "complete_time", "labels", "terminate_requested", "etag", "spec_json", "template", "policies", "strict", "cause", "annotations")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class PoliciesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    RUN_NAME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    METRIC_RESULTS_FIELD_NUMBER: _ClassVar[int]
    RUN_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TERMINATE_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SPEC_JSON_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: str
    namespace: str
    run_name: str
    phase: Phase
    message: str
    reason: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    metric_results: _containers.RepeatedCompositeFieldContainer[MetricResult]
    run_summary: Summary
    dry_run_summary: Summary
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    terminate_requested: bool
    etag: str
    spec_json: str
    template: str
    policies: _containers.ScalarMap[str, str]
    strict: bool
    cause: str
    annotations: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., namespace: _Optional[str] = ..., run_name: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., metric_results: _Optional[_Iterable[_Union[MetricResult, _Mapping]]] = ..., run_summary: _Optional[_Union[Summary, _Mapping]] = ..., dry_run_summary: _Optional[_Union[Summary, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., terminate_requested: _Optional[bool] = ..., etag: _Optional[str] = ..., spec_json: _Optional[str] = ..., template: _Optional[str] = ..., policies: _Optional[_Mapping[str, str]] = ..., strict: _Optional[bool] = ..., cause: _Optional[str] = ..., annotations: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("count", "successful", "failed", "inconclusive", "error")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SUCCESSFUL_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    INCONCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    count: int
    successful: int
    failed: int
    inconclusive: int
    error: int
    def __init__(self, count: _Optional[int] = ..., successful: _Optional[int] = ..., failed: _Optional[int] = ..., inconclusive: _Optional[int] = ..., error: _Optional[int] = ...) -> None: ...

class MetricResult(_message.Message):
    __slots__ = ("name", "phase", "message", "reason", "dry_run", "count", "successful", "failed", "inconclusive", "error", "consecutive_error", "consecutive_success", "taken", "measurements", "metadata", "cause")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SUCCESSFUL_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    INCONCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    CONSECUTIVE_SUCCESS_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    name: str
    phase: Phase
    message: str
    reason: str
    dry_run: bool
    count: int
    successful: int
    failed: int
    inconclusive: int
    error: int
    consecutive_error: int
    consecutive_success: int
    taken: int
    measurements: _containers.RepeatedCompositeFieldContainer[Measurement]
    metadata: _containers.ScalarMap[str, str]
    cause: str
    def __init__(self, name: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ..., count: _Optional[int] = ..., successful: _Optional[int] = ..., failed: _Optional[int] = ..., inconclusive: _Optional[int] = ..., error: _Optional[int] = ..., consecutive_error: _Optional[int] = ..., consecutive_success: _Optional[int] = ..., taken: _Optional[int] = ..., measurements: _Optional[_Iterable[_Union[Measurement, _Mapping]]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., cause: _Optional[str] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("ordinal", "phase", "value", "message", "reason", "start_time", "finish_time", "resume_time", "metadata", "cause")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    FINISH_TIME_FIELD_NUMBER: _ClassVar[int]
    RESUME_TIME_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    phase: Phase
    value: str
    message: str
    reason: str
    start_time: _timestamp_pb2.Timestamp
    finish_time: _timestamp_pb2.Timestamp
    resume_time: _timestamp_pb2.Timestamp
    metadata: _containers.ScalarMap[str, str]
    cause: str
    def __init__(self, ordinal: _Optional[int] = ..., phase: _Optional[_Union[Phase, str]] = ..., value: _Optional[str] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resume_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., cause: _Optional[str] = ...) -> None: ...

class Look(_message.Message):
    __slots__ = ("number", "time", "data_json")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    DATA_JSON_FIELD_NUMBER: _ClassVar[int]
    number: int
    time: _timestamp_pb2.Timestamp
    data_json: str
    def __init__(self, number: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., data_json: _Optional[str] = ...) -> None: ...
