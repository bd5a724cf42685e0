"""The values everything else is about: metrics, runs, measurements, phases.

Frozen structs, shaped and spelled like Argo's on the wire (camelCase in JSON), so that one definition serves
the engine, the store and the API. A metric keeps the *text* forms Argo allows (a count may be "{{args.n}}",
an interval is a Go duration); `core.timing` and `core.limits` read them. Times are UTC-aware datetimes.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Phase(StrEnum):
    """Argo's phases. NEW is the empty phase of a run that was never reconciled."""

    NEW = ""
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    ERROR = "Error"
    INCONCLUSIVE = "Inconclusive"

    @property
    def done(self) -> bool:
        return self in _DONE


_DONE = frozenset({Phase.SUCCESSFUL, Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE})


class Cause(StrEnum):
    """Why a measurement, a metric or a run is what it is, for programs; the sentence for people is `reason`."""

    NONE = ""  # not decided yet
    PASSED = "Passed"
    CONDITION_FAILED = "ConditionFailed"
    HARM_SHOWN = "HarmShown"  # a comparison found the canary worse than it may be
    INCONCLUSIVE_VALUES = "InconclusiveValues"  # neither condition held, or a test that could not decide
    CONDITION_ERROR = "ConditionError"  # the condition could not be evaluated on this value
    NO_DATA = "NoData"
    NOT_A_NUMBER = "NotANumber"
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"  # down, slow or throttling: asking again may help
    PROVIDER_REFUSED = "ProviderRefused"  # credentials or address rules
    BAD_QUERY = "BadQuery"
    BAD_ANSWER = "BadAnswer"
    SUCCESSES_NOT_REACHED = "SuccessesNotReached"  # count ran out before consecutiveSuccessLimit
    SPEC_INVALID = "SpecInvalid"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    TERMINATED = "Terminated"
    NO_EVIDENCE = "NoEvidence"  # ended without one counted measurement
    QUARANTINED = "Quarantined"  # the run itself could not be read or reconciled
    INTERNAL = "Internal"


IntOrText = int | str
"""A limit as written: an integer, or text that is read as one (unparsable text counts as 0, as in Argo)."""


class Value(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Base of all values here: immutable, compared by content, camelCase in JSON.

    They are trees, so reference counts free them; the collector need not walk the ten thousand runs of a service.
    """


class SecretKeyRef(Value, frozen=True):
    name: str
    key: str


class FieldRef(Value, frozen=True):
    field_path: str


class ValueFrom(Value, frozen=True):
    secret_key_ref: SecretKeyRef | None = None
    field_ref: FieldRef | None = None


class Argument(Value, frozen=True):
    name: str
    value: str | None = None  # None: not given; "" is a value
    value_from: ValueFrom | None = None


class Metric(Value, frozen=True):
    """One metric, Argo's fields as written plus ours (from `on_no_data` on)."""

    name: str
    interval: str = ""
    initial_delay: str = ""
    count: IntOrText | None = None
    success_condition: str = ""
    failure_condition: str = ""
    failure_limit: IntOrText | None = None
    inconclusive_limit: IntOrText | None = None
    consecutive_error_limit: IntOrText | None = None
    consecutive_success_limit: IntOrText | None = None
    provider: Mapping[str, Any] = {}  # {"prometheus": {...}}: exactly one entry once validated
    on_no_data: str = ""  # "", fail, error, inconclusive, pass: "" is what Argo does
    on_na_n: str = msgspec.field(default="", name="onNaN")  # same words
    min_samples: int | None = None
    outage_policy: "OutagePolicy | None" = None
    weight: float | None = None  # share in the false-alarm budget and in a score
    critical: bool = False


class OutagePolicy(Value, frozen=True):
    """What an unreachable provider means. mode `count` is Argo's: every failed query is an Error measurement;
    `wait` takes no slot while the provider is down, for at most `max` (a Go duration)."""

    mode: str = "count"
    max: str = "30m"


class DryRunRule(Value, frozen=True):
    metric_name: str


class RetentionRule(Value, frozen=True):
    metric_name: str
    limit: int = 0


class TemplateRef(Value, frozen=True):
    template_name: str
    cluster_scope: bool = False


class TtlStrategy(Value, frozen=True):
    seconds_after_completion: int | None = None
    seconds_after_failure: int | None = None
    seconds_after_success: int | None = None


class Template(Value, frozen=True):
    """An AnalysisTemplate or ClusterAnalysisTemplate."""

    name: str
    namespace: str = ""
    cluster_scope: bool = False
    metrics: tuple[Metric, ...] = ()
    args: tuple[Argument, ...] = ()
    dry_run: tuple[DryRunRule, ...] = ()
    measurement_retention: tuple[RetentionRule, ...] = ()
    templates: tuple[TemplateRef, ...] = ()
    score: Mapping[str, Any] | None = None  # run-level score block, in Kayenta's shape
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class RunSpec(Value, frozen=True, dict=True, gc=True):
    """What a run executes, frozen at creation: templates flattened, arguments merged, secrets by reference.

    (`dict` leaves room for what `core.prepare` derives from the spec once; it is no part of the value.)
    """

    metrics: tuple[Metric, ...]
    args: tuple[Argument, ...] = ()
    dry_run: tuple[DryRunRule, ...] = ()
    measurement_retention: tuple[RetentionRule, ...] = ()
    ttl_strategy: TtlStrategy | None = None
    terminate: bool = False
    strict: bool = False  # Argo's traps off
    score: Mapping[str, Any] | None = None
    policies: Mapping[str, str] = {}  # onError, onInconclusive, onNoData as chosen by the caller, for the record


class Measurement(Value, frozen=True):
    """One answer, judged. `ordinal` is its slot in (run, metric): filled at most once, never reused."""

    phase: Phase
    ordinal: int = 0
    message: str = ""
    value: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    resume_at: datetime | None = None
    metadata: Mapping[str, str] = {}
    reason: str = ""  # why, in one sentence with the value and the limit; Argo has no such field
    cause: Cause = Cause.NONE
    missed: int = 0  # looks of a comparison that failed in a row: each counts as an error if the measurement ends so

    @property
    def done(self) -> bool:
        return self.phase.done


class Outage(Value, frozen=True):
    """A provider that does not answer, under outagePolicy `wait`: how long, how often, and what it said last."""

    since: datetime
    last: datetime
    attempts: int = 1
    message: str = ""


class MetricResult(Value, frozen=True):
    """What is known of one metric. Counters are a fold over all its measurements, also those trimmed away."""

    name: str
    phase: Phase = Phase.NEW
    message: str = ""
    measurements: tuple[Measurement, ...] = ()  # newest last; trimmed to the retention limit
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_error: int = 0
    consecutive_success: int = 0
    dry_run: bool = False
    metadata: Mapping[str, str] = {}
    taken: int = 0  # slots used so far = the next measurement's ordinal
    reason: str = ""
    cause: Cause = Cause.NONE
    outage: Outage | None = None  # set while the provider is down and no slot is taken for it


class Summary(Value, frozen=True):
    """Counts of metrics (not of measurements) by outcome."""

    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0


class Run(Value, frozen=True):
    """An analysis run: frozen spec, and the status that `core.reconcile` moves forward."""

    id: str
    namespace: str
    name: str
    spec: RunSpec
    phase: Phase = Phase.NEW
    message: str = ""  # Argo's message, to the letter
    reason: str = ""  # the verdict's sentence
    cause: Cause = Cause.NONE
    warnings: tuple[str, ...] = ()
    results: tuple[MetricResult, ...] = ()
    started_at: datetime | None = None
    completed_at: datetime | None = None
    run_summary: Summary = Summary()
    dry_run_summary: Summary = Summary()
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    created_at: datetime | None = None

    def result(self, metric: str) -> MetricResult | None:
        return next((r for r in self.results if r.name == metric), None)


class Look(Value, frozen=True):
    """One look of a statistical metric: what each arm returned and the evidence after it.

    Looks belong to one measurement (run, metric, ordinal) and are kept whole, so that the verdict can be
    replayed. `data` is the test family's own JSON value.
    """

    number: int  # 1, 2, ... within the measurement
    at: datetime
    data: Mapping[str, Any]
