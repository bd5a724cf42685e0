"""The contract of a store. One conformance suite (tests/stores/suite.py) holds every implementation to it.

Safety rests on one conditional write, `save`: it takes effect only if the run still has the epoch, owner and
resource version that the writer saw and is not finished; then the measurements, the run's new state and the
verdict become durable together, each slot (run, metric, ordinal) filled at most once. Leases and claims only
save work. Acknowledged means durable.

* StoreError
  - NotFound, AlreadyExists, EtagMismatch, RequestIdReused, NotTerminal, BadArgument   the caller's move
  - Fenced        someone else owns the run, or it is finished: drop what you hold, nothing was written
  - Unavailable   the store cannot answer now: nothing was written, unless the message says that this is unknown
  - Damaged       stored data fails its digest: this run is lost, others are served
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from analysis_service.core.model import Look, Measurement, Phase, Run

T = TypeVar("T")


class StoreError(Exception):
    """Base; `str(error)` is a sentence for users."""


class NotFound(StoreError):
    """No such template, run or version."""


class AlreadyExists(StoreError):
    """A live object of that name exists."""


class EtagMismatch(StoreError):
    """The object changed since it was read; `current` is its etag now."""

    def __init__(self, message: str, current: str) -> None:
        super().__init__(message)
        self.current = current


class RequestIdReused(StoreError):
    """The same request id came with another body; `run_id` is the run that the first one made."""

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class NotTerminal(StoreError):
    """A live run cannot be deleted: terminate it first."""


class BadArgument(StoreError):
    """A value that no store can keep (an integer over 64 bits, half a surrogate pair), or a page key of elsewhere."""


class Fenced(StoreError):
    """The conditional write touched nothing: another owner, another version, a finished run, or a filled slot."""


class Unavailable(StoreError):
    """The store cannot take or give anything now (full, read-only, closed, locked)."""


class Damaged(StoreError):
    """Stored rows fail their digest."""


class Unread(Damaged):
    """A run is whole, but its spec was written by another build and means nothing to this one."""


class RelistRequired(StoreError):
    """A watch token is of another store or was compacted: list again."""


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """One immutable version of a stored template. namespace "" means cluster scope."""

    namespace: str
    name: str
    version: int
    text: str
    etag: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A run together with the fence its owner must present at every write.

    crashes: how often the run was claimed and then neither saved nor released, before this claim: a run that
        takes its engine down with it is recognised by it, also after a restart.
    """

    run: Run
    epoch: int
    owner: str
    resource_version: int
    terminate_requested: bool = False
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one reconcile made durable at once.

    run: its status is written. Id, name, spec, labels and the rest of what was given at creation stay as created.
        Every measurement in its results is in `taken` now or was in an earlier commit, and `MetricResult.taken` is
        the number of slots used: stores keep a measurement once, in its slot.
    taken: (metric name, finished or resumed measurement); `measurement.ordinal` is its slot: 0, 1, 2, ... An
        unfinished measurement may be rewritten by later commits, also of a later owner, until it is finished.
    looks: written once each, numbered 1, 2, ... within their measurement.
    due_at: when the run wants to be looked at again; None with a done phase, or while it waits for nothing.
    """

    claim: Claim
    run: Run
    due_at: datetime | None
    taken: Sequence[tuple[str, Measurement]] = ()
    looks: Sequence[tuple[str, int, Look]] = ()  # (metric, ordinal, look)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What `list_runs` selects; None and empty mean any."""

    namespace: str | None = None
    phases: frozenset[Phase] = frozenset()
    template: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. `next_key` continues it (opaque to callers); "" ends the listing."""

    items: tuple[T, ...]
    next_key: str = ""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run as it was at `sequence` (state, not delta), or its deletion."""

    sequence: int
    run_id: str
    run: Run | None
    resource_version: int = 0
    deleted: bool = False
    terminate_requested: bool = False
    template: str = ""
    namespace: str = ""  # also set when the run is gone


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run with what the store knows beside it."""

    run: Run
    resource_version: int
    terminate_requested: bool = False
    template: str = ""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to create. `request_id` makes the call idempotent together with `body_digest`."""

    run: Run
    due_at: datetime
    request_id: str = ""
    body_digest: str = ""
    template: str = ""
    owner: str = ""  # non-empty: created already claimed by this owner (epoch 1)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Identity and state of a store, for readiness and resume tokens."""

    store_id: str
    kind: str
    sequence: int
    live_runs: int = 0
    detail: dict[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Durable templates, runs, measurements and looks. Times are arguments: no decision reads a clock."""

    # templates
    async def create_template(self, namespace: str, name: str, text: str, now: datetime) -> TemplateRecord: ...
    async def get_template(self, namespace: str, name: str, version: int | None = None) -> TemplateRecord: ...
    async def list_templates(self, namespace: str | None, limit: int, after: str = "") -> Page[TemplateRecord]: ...
    async def list_template_versions(
        self, namespace: str, name: str, limit: int, after: str = ""
    ) -> Page[TemplateRecord]: ...
    async def update_template(
        self, namespace: str, name: str, text: str, etag: str, now: datetime
    ) -> TemplateRecord: ...
    async def delete_template(self, namespace: str, name: str, etag: str) -> None: ...

    # runs
    async def create_run(self, new: NewRun, now: datetime) -> tuple[RunRecord, bool]:
        """The run, and whether it is new. The same request id (within a namespace) and body give the first run
        back, as it is now, for its whole life; for at least 24 hours a request whose run was deleted is NotFound
        and never makes a second one.
        """
        ...

    async def find_request(self, namespace: str, request_id: str) -> tuple[str, str] | None:
        """(run id, body digest) of the request that came under this id, while it is remembered."""
        ...

    async def get_run(self, namespace: str, run_id: str) -> RunRecord: ...
    async def list_runs(self, where: RunFilter, limit: int, after: str = "") -> Page[RunRecord]:
        """Newest first by (created_at, id)."""
        ...

    async def list_measurements(self, run_id: str, metric: str, limit: int, after: str = "") -> Page[Measurement]: ...
    async def list_looks(self, run_id: str, metric: str, ordinal: int, limit: int, after: str = "") -> Page[Look]: ...
    async def request_terminate(self, namespace: str, run_id: str, now: datetime) -> RunRecord:
        """Idempotent; a finished run is returned unchanged. Makes the run due at once.

        Does not move the fence: a measurement in flight is not lost by it. The owner's next `save` succeeds, and
        the claim it returns says `terminate_requested`; an owner that waits learns of it through `changes`.
        A run whose spec this build cannot read has no owner, and is ended at once.
        """
        ...

    async def delete_run(self, namespace: str, run_id: str, now: datetime) -> None: ...

    # the engine's side
    async def claim(self, owner: str, now: datetime, limit: int, lease: timedelta) -> list[Claim]:
        """Live runs whose owner is nobody, or whose owner's lease ran out; epoch + 1 each. Due ones first.

        Renews the claimer's lease. Runs that this owner holds already are not given again: `release` first. A lease
        that ends later than two lease times from now counts as run out (the clock was set back). A damaged run is
        never given; `info().detail` counts them.
        """
        ...

    async def renew(self, owner: str, now: datetime, lease: timedelta) -> None: ...
    async def release(self, owner: str, now: datetime, run_id: str = "") -> None:
        """Give all runs of this owner back at once, or the one named: then its other runs and its lease stay."""
        ...

    async def save(self, commit: Commit) -> Claim:
        """The conditional write. Returns the claim with its new resource version. Raises Fenced."""
        ...

    # watching
    async def changes(self, after: int, limit: int, where: RunFilter | None = None) -> list[RunEvent]:
        """Events with sequence > after in order; a run appears once, in its latest state. Raises RelistRequired.

        Fewer than `limit` events mean that nothing else had happened when it was called. Of `where`, the phases are
        not looked at: that a run leaves a phase is news too.
        """
        ...

    def wakeups(self) -> AsyncIterator[int]:
        """Yields the newest sequence now and whenever something changed; may merge. The hint, never the truth.
        Ends when the store is closed."""
        ...

    async def info(self) -> StoreInfo: ...
    async def close(self) -> None: ...
