"""Asks providers, for the engine: fills in the context, shares equal questions, waits where a backend asks it to.

Equal questions (same provider, same resolved spec, same credentials, same namespace where that matters) inside one
time bucket are asked once, whoever asks. Each backend has its own places for questions: one that does not answer holds
up nobody else's. Providers never retry; here is the one place that does:

* a throttled question (429) waits as long as the backend says, while its deadline allows;
* in strict mode an unreachable backend is asked again with exponential backoff and full jitter, under a budget of
  one retry per ten questions, so that a sick backend is not hammered. In Argo's mode the engine's fixed retry
  after ten seconds is all there is.
"""

import asyncio
import hashlib
import random
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from analysis_service.clock import Clock
from analysis_service.secrets import SecretError, Secrets
from analysis_service.telemetry import Telemetry
from providers.base import (
    Answer,
    AuthFailed,
    BadQuery,
    Context,
    Provider,
    ProviderError,
    Throttled,
    TimedOut,
    first_problem,
)

BUCKET_SECONDS = 1.0
BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 10.0
RETRY_SHARE = 0.1  # retries per question, after the SRE book's per-client budget
RETRY_BURST = 3.0
KNOWN_SPECS = 20_000

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Question:
    """One question of one run: the provider union of a resolved metric, secrets filled in."""

    provider: Mapping[str, Any]
    namespace: str
    interval: timedelta | None = None
    run_started_at: datetime | None = None
    previous: Mapping[str, str] | None = None  # the last measurement's metadata
    strict: bool = False
    at: datetime | None = None  # of what moment is asked, where several questions belong together; else now


def unwrap(union: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """(name, spec) of a provider union; every provider may also stand under `plugin`, which Argo's CRD keeps."""
    name, spec = next(iter(union.items()))
    if name == "plugin" and isinstance(spec, Mapping) and len(spec) == 1:
        name, spec = next(iter(spec.items()))
    return name, spec if isinstance(spec, Mapping) else {}


@dataclass(frozen=True, slots=True)
class _Known:
    """A spec that was checked. `spec` is held, so that its id cannot come to mean another.

    key: equal for equal questions. backend, places: of the backend it asks, shared by all specs that ask it.
    """

    spec: Mapping[str, Any]
    provider: Provider
    timeout_seconds: float
    key: bytes
    backend: bytes
    places: asyncio.Semaphore


@dataclass(slots=True)
class _Budget:
    tokens: float = RETRY_BURST

    def earn(self) -> None:
        self.tokens = min(RETRY_BURST, self.tokens + RETRY_SHARE)

    def spend(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class _ProviderSecrets:
    """What a provider sees of the secrets: the same, with its own kind of error."""

    secrets: Secrets

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        try:
            return await self.secrets.read(namespace, name)
        except SecretError as error:
            raise AuthFailed(str(error)) from None


@dataclass(slots=True)
class Asker:
    """`load(name)` gives the one instance of a provider; all else is shared by every run of the process.

    in_flight: questions at once to one backend; providers may allow fewer requests at once.
    """

    load: Callable[[str], Provider]
    secrets: Secrets
    clock: Clock
    telemetry: Telemetry
    environ: Mapping[str, str] = field(default_factory=dict)
    controller_namespace: str = "argo-rollouts"
    in_flight: int = 200
    bucket_seconds: float = BUCKET_SECONDS
    jitter: Callable[[], float] = random.random
    _places: "weakref.WeakValueDictionary[bytes, asyncio.Semaphore]" = field(
        init=False, default_factory=weakref.WeakValueDictionary
    )
    _asked: dict[bytes, tuple[float, "asyncio.Future[Answer]"]] = field(init=False, default_factory=dict)
    _budgets: dict[bytes, _Budget] = field(init=False, default_factory=dict)
    _known: dict[tuple[int, str], _Known] = field(init=False, default_factory=dict)
    _observed: dict[tuple[str, str], Any] = field(init=False, default_factory=dict)
    _order: deque[tuple[float, bytes]] = field(init=False, default_factory=deque)
    _provider_secrets: _ProviderSecrets = field(init=False)

    def __post_init__(self) -> None:
        self._provider_secrets = _ProviderSecrets(self.secrets)

    def describe(self, union: Mapping[str, Any]) -> Mapping[str, str]:
        """The metric metadata Argo shows (the resolved query); {} where the provider cannot be had."""
        name, spec = unwrap(union)
        try:
            return self.load(name).describe(spec)
        except (ProviderError, LookupError):
            return {}

    def check(self, union: Mapping[str, Any]) -> list[str]:
        """What is wrong with a resolved provider union, as far as can be told without asking."""
        name, spec = unwrap(union)
        try:
            return self.load(name).check(spec)
        except LookupError as error:
            return [str(error.args[0])]

    async def ask(self, question: Question) -> Answer:
        """The answer, or a ProviderError."""
        name, spec = unwrap(question.provider)
        known = self._known.get((id(spec), question.namespace))
        if known is None or known.spec is not spec:
            known = self._get_to_know(name, spec, question)
        context = Context(
            at=question.at or self.clock.wall(),
            namespace=question.namespace,
            secrets=self._provider_secrets,
            deadline_seconds=known.timeout_seconds,
            controller_namespace=self.controller_namespace,
            env=self.environ,
            interval=question.interval,
            run_started_at=question.run_started_at,
            previous=question.previous,
        )
        key = known.key if question.previous is None else known.key + _encode(question.previous)
        if question.strict:
            key += b"strict"
        while True:
            now = self.clock.monotonic()
            asked = self._asked.get(key)
            if asked is None or now - asked[0] >= self._bucket(question.interval):
                break
            self.telemetry.coalesced.labels(name).inc()
            try:
                return await asyncio.shield(asked[1])
            except asyncio.CancelledError:
                if not asked[1].cancelled():
                    raise  # we were cancelled, not the one who asked
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[key] = (now, future)
        self._order.append((now, key))
        self._forget(now)
        try:
            answer = await self._ask(name, known, context, question.strict)
        except asyncio.CancelledError:
            future.cancel()
            raise
        except Exception as error:
            future.set_exception(error)
            future.exception()  # it may have no other reader
            raise
        else:
            future.set_result(answer)
            return answer
        finally:
            # A slow answer has outlived its bucket, and nobody else will come to forget it.
            late = future.cancelled() or self.clock.monotonic() - now >= self.bucket_seconds
            if late and self._asked.get(key) == (now, future):
                del self._asked[key]

    def _bucket(self, interval: timedelta | None) -> float:
        """How old a shared answer may be: never so old that a metric would be given its own last one again."""
        return self.bucket_seconds if interval is None else min(self.bucket_seconds, interval.total_seconds() / 2)

    def _get_to_know(self, name: str, spec: Mapping[str, Any], question: Question) -> "_Known":
        """What only depends on the spec, worked out once for as long as the spec lives in its run."""
        try:
            provider = self.load(name)
        except LookupError as error:
            raise BadQuery(str(error.args[0])) from None
        first_problem(provider.check(spec))
        timeout = provider.timeout_seconds(spec)
        context = Context(
            at=self.clock.wall(),
            namespace=question.namespace,
            secrets=self._provider_secrets,
            controller_namespace=self.controller_namespace,
            env=self.environ,
        )
        key = _encode((name, spec, provider.credentials(spec, context)))
        backend = _backend(name, spec)
        places = self._places.get(backend)
        if places is None:
            places = self._places[backend] = asyncio.Semaphore(self.in_flight)
        known = _Known(spec, provider, timeout, hashlib.blake2b(key, digest_size=16).digest(), backend, places)
        if len(self._known) >= KNOWN_SPECS:
            self._known.clear()
        self._known[id(spec), question.namespace] = known
        return known

    def _forget(self, now: float) -> None:
        """Answers older than a bucket are of no use to anybody."""
        while self._order and now - self._order[0][0] >= self.bucket_seconds:
            at, key = self._order.popleft()
            asked = self._asked.get(key)
            if asked is not None and asked[0] == at and asked[1].done():
                del self._asked[key]
        if len(self._budgets) > KNOWN_SPECS:
            self._budgets.clear()

    async def _ask(self, name: str, known: _Known, context: Context, strict: bool) -> Answer:
        began = self.clock.monotonic()
        deadline = began + context.deadline_seconds
        outcome = "Answered"
        try:
            if known.places.locked():
                context = await self._wait_for_place(known, context, deadline)
            else:
                await known.places.acquire()  # at once
            try:
                return await self._attempts(known, context, deadline, strict)
            finally:
                known.places.release()
        except ProviderError as error:
            outcome = type(error).__name__
            raise
        finally:
            observed = self._observed.get((name, outcome))
            if observed is None:
                observed = self._observed[name, outcome] = self.telemetry.provider_seconds.labels(name, outcome)
            observed.observe(self.clock.monotonic() - began)

    async def _wait_for_place(self, known: _Known, context: Context, deadline: float) -> Context:
        """Waiting is part of the deadline: a question that cannot even be asked must not outlive its answer's worth."""
        try:
            async with asyncio.timeout(context.deadline_seconds):
                await known.places.acquire()
        except TimeoutError:
            text = f"not asked in {context.deadline_seconds:g}s: {self.in_flight} questions to this backend are waiting"
            raise TimedOut(text, reason="Timeout") from None
        return replace(context, deadline_seconds=max(deadline - self.clock.monotonic(), 0.001))

    async def _attempts(self, known: _Known, context: Context, deadline: float, strict: bool) -> Answer:
        budget = self._budget(known.backend) if strict else None
        attempt = 0
        while True:
            try:
                return await known.provider.query(known.spec, context)
            except Throttled as error:
                wait = error.retry_after_seconds
                if self.clock.monotonic() + wait >= deadline:
                    raise
            except ProviderError as error:
                if budget is None or not error.retryable:
                    raise
                attempt += 1
                wait = self.jitter() * min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2**attempt)
                if self.clock.monotonic() + wait >= deadline or not budget.spend():
                    raise
            await asyncio.sleep(wait)
            left = deadline - self.clock.monotonic()
            context = replace(context, deadline_seconds=max(left, 0.001))

    def _budget(self, backend: bytes) -> _Budget:
        budget = self._budgets.setdefault(backend, _Budget())
        budget.earn()
        return budget


def _backend(name: str, spec: Mapping[str, Any]) -> bytes:
    """What goes down as one: the provider and where it asks, as far as the spec says; of a URL, its host and port."""
    where = spec.get("address") or spec.get("url") or spec.get("targets") or spec.get("profile") or ""
    return _encode((name, _origin(where) if isinstance(where, str) else where))


def _origin(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.partition("/")[0].partition("?")[0]
