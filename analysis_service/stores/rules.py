"""What every store decides alike: etags, page keys, filters, leases, and what `save` may be asked."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TypeVar

from analysis_service.core.model import Run
from analysis_service.stores.base import BadArgument, Commit, EtagMismatch, Page, RunFilter, TemplateRecord

T = TypeVar("T")

REQUEST_KEPT = timedelta(hours=24)  # how long a request id outlives its run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Microseconds since 1970, exact (a float of seconds is not)."""
    return (at - EPOCH) // MICROSECOND


def moment(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def etag(version: int, text: str) -> str:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise BadArgument("the template's text is not Unicode: it holds half a surrogate pair") from error
    return f"{version}-{blake2b(encoded, digest_size=4).hexdigest()}"


def check_etag(current: TemplateRecord, given: str) -> None:
    if given != current.etag:
        raise EtagMismatch(f"template {path(current.namespace, current.name)} changed since it was read", current.etag)


def path(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def page(found: Sequence[T], limit: int, key: Callable[[T], str]) -> Page[T]:
    """The first `limit` items; `found` holds at least one more if there is more."""
    items = tuple(found[:limit])
    return Page(items, key(items[-1]) if len(found) > limit else "")


def page_key(*parts: str | int) -> str:
    return json.dumps(parts, separators=(",", ":"))


def parse_page_key(key: str, *kinds: type[str] | type[int]) -> tuple[str | int, ...]:
    """The parts of a key that `page_key` made. Raises BadArgument for any other text."""
    try:
        parts = json.loads(key)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise BadArgument(f"this is not a page key of this listing: {key[:80]!r}")
    return tuple(parts)


def ordinal_key(key: str) -> int:
    """The number after which a page of measurements, looks or versions continues; -1 starts."""
    if not key:
        return -1
    (number,) = parse_page_key(key, int)
    assert isinstance(number, int)
    return number


def matches(where: RunFilter, run: Run, template: str) -> bool:
    return (
        (where.namespace is None or where.namespace == run.namespace)
        and (not where.phases or run.phase in where.phases)
        and (where.template is None or where.template == template)
        and all(run.labels.get(key) == value for key, value in where.labels)
    )


def lease_holds(until: datetime | None, now: datetime, lease: timedelta) -> bool:
    """Whether a lease protects its owner's runs. One that ends too far ahead is of a clock that was set back."""
    return until is not None and now < until <= now + 2 * lease


def check_limit(limit: int) -> int:
    if limit < 1:
        raise BadArgument(f"a page holds at least 1 item, not {limit}")
    return limit


def check_new(run: Run) -> None:
    """Raises BadArgument: a new run has taken nothing and is not finished."""
    if run.phase.done or any(result.taken or result.measurements for result in run.results):
        raise BadArgument(f"run {run.name} cannot be created finished or with measurements")


def check_commit(commit: Commit) -> None:
    """Raises BadArgument if the commit contradicts itself: a bug of the caller, seen before anything is written."""
    run = commit.run
    if run.id != commit.claim.run.id:
        raise BadArgument(f"the claim is of run {commit.claim.run.id}, the commit of run {run.id}")
    taken = {result.name: result.taken for result in run.results}
    for metric, slot in slots(commit):
        if not 0 <= slot < taken.get(metric, 0):
            raise BadArgument(
                f"slot {metric}/{slot} of run {run.id} is outside of the {taken.get(metric, 0)} it counts"
            )
    for result in run.results:
        if result.measurements and result.measurements[-1].ordinal >= result.taken:
            raise BadArgument(
                f"run {run.id} shows measurement {result.name}/{result.measurements[-1].ordinal}, "
                f"but counts only {result.taken} slots"
            )


def slots(commit: Commit) -> Iterable[tuple[str, int]]:
    for metric, measurement in commit.taken:
        yield metric, measurement.ordinal
    for metric, ordinal, _ in commit.looks:
        yield metric, ordinal
