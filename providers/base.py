"""What a provider is: it asks a metrics backend one question and returns the answer. It never judges it.

A provider is two pure functions (`build` a request from its spec, `parse` the response) and a few lines of I/O.
It does not retry, log, read the clock or the environment: `Context` carries what it may know, and the engine
retries, coalesces and judges, once, for all.

* ProviderError
  - BadQuery       the template is wrong (4xx, parse error): the user edits it, we never retry
  - AuthFailed     401/403, missing credentials: not retried
  - NotAllowed     the address is denied by the operator's rules
  - Unreachable    the backend is down, refused, reset, bad TLS
  - TimedOut       no whole answer within the deadline
  - Throttled      429 or a vendor's rate limit; carries retry_after_seconds
  - TooLarge       the answer exceeds the caps
  - BadAnswer      a reply of a shape we do not know
  - NoData         a well-formed answer with nothing in it, where Argo makes that an error
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

Spec = Mapping[str, Any]
"""A provider's part of a metric, arguments and secrets filled in: the value under `provider.<name>`."""


class ProviderError(Exception):
    """Base of all provider failures. `str(error)` is for users: no secret, no response body beyond 300 characters.

    reason: one CamelCase word for machines (`RedirectRefused`, `TlsCertificate`); the class's name if nothing finer.
    """

    retryable = False

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reason = reason or type(self).__name__
        self.metadata = dict(metadata or {})


class BadQuery(ProviderError):
    """The question is wrong; asking again cannot help."""


class AuthFailed(ProviderError):
    """Credentials are missing or were refused."""


class NotAllowed(ProviderError):
    """The destination is denied by the operator's address rules."""


class Unreachable(ProviderError):
    """No answer could be had: refused, reset, unresolvable, TLS, 5xx."""

    retryable = True


class TimedOut(ProviderError):
    """The deadline passed before the whole answer was there."""

    retryable = True


class Throttled(ProviderError):
    """The backend asks us to wait `retry_after_seconds`."""

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after_seconds = retry_after_seconds


class TooLarge(ProviderError):
    """The answer exceeds a cap (bytes, series, depth)."""


class BadAnswer(ProviderError):
    """The backend replied with a shape we do not know."""


class NoData(ProviderError):
    """A well-formed answer with nothing in it."""


class Refusal(str):
    """What `check` found against a rule of the operator's, not of the template's making. reason: as in NotAllowed."""

    __slots__ = ("reason",)
    reason: str

    @classmethod
    def of(cls, error: NotAllowed) -> "Refusal":
        return cls.because(str(error), error.reason)

    @classmethod
    def because(cls, text: str, reason: str) -> "Refusal":
        refusal = cls(text)
        refusal.reason = reason
        return refusal


def problem_of(error: BadQuery | NotAllowed) -> str:
    """What `check` finds where asking would raise `error`."""
    return Refusal.of(error) if isinstance(error, NotAllowed) else str(error)


def within(place: str, problem: str) -> str:
    """What `check` found, with where in a larger spec it was found; a Refusal stays one."""
    text = f"{place}: {problem}"
    return Refusal.because(text, problem.reason) if isinstance(problem, Refusal) else text


def first_problem(problems: Iterable[str]) -> None:
    """Raises BadQuery, or NotAllowed, with the first problem that `check` found, if there is one."""
    for problem in problems:
        raise NotAllowed(problem, reason=problem.reason) if isinstance(problem, Refusal) else BadQuery(problem)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series. `labels` name the series; `at` is the backend's own timestamp, if it sent one."""

    labels: Mapping[str, str]
    value: float
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """One cumulative histogram: upper bounds (ascending, last is +Inf) and cumulative counts of equal length."""

    labels: Mapping[str, str]
    bounds: tuple[float, ...]
    cumulative: tuple[float, ...]
    sum: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    value: what `result` is in a condition. float is a float64, `array('d')` a typed list of float64,
        list/tuple an untyped list, dict a map, str text, None nil.
    text: the measurement's `value` exactly as Argo writes it for this provider.
    samples, histograms: the same data with labels, for comparisons and for naming the series that failed.
    metadata: goes to the measurement (warnings, groups, stale, ...).
    """

    value: Any
    text: str
    samples: tuple[Sample, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


class Secrets(Protocol):
    """Where secrets come from (Kubernetes, files, environment); chosen by the operator, not by a template."""

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        """All keys of one secret. Raises AuthFailed('secrets "n" not found') if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a provider may know besides its spec.

    at: the time the question is about (never the wall clock read by the provider).
    deadline_seconds: total time for the whole answer, redirects and slow bodies included.
    previous: metadata of the metric's last measurement, for providers whose answer is a difference.
    env: the variables Argo's providers read (ARGO_ROLLOUTS_PROMETHEUS_ADDRESS, DD_API_KEY, ...), nothing else.
    previous: those metadata entries of this metric's latest measurement (whatever its phase) whose key begins with
        `scrape.`: how a provider that holds no state sees its own last reading. An answer depends on it, so
        questions with different `previous` are different questions and never share one answer.
    """

    at: datetime
    namespace: str
    secrets: Secrets
    deadline_seconds: float = 30.0
    controller_namespace: str = "argo-rollouts"
    env: Mapping[str, str] = field(default_factory=dict)
    interval: timedelta | None = None
    run_started_at: datetime | None = None
    previous: Mapping[str, str] | None = None


class Provider(Protocol):
    """One kind of backend. Instances are shared by all runs and hold no state of any run.

    `check` lists what is wrong with a resolved spec without any I/O (empty: nothing), a `Refusal` where it is the
    operator's rules that deny it; `describe` gives the metric
    metadata Argo shows (the resolved query); `query` asks. `credentials` names what `query` will authenticate
    with, so that equal questions under different credentials are never answered by one request.
    """

    name: str

    def check(self, spec: Spec) -> list[str]: ...

    def describe(self, spec: Spec) -> Mapping[str, str]: ...

    def timeout_seconds(self, spec: Spec) -> float: ...

    def credentials(self, spec: Spec, context: Context) -> str: ...

    async def query(self, spec: Spec, context: Context) -> Answer: ...

    async def close(self) -> None: ...
