"""From two readings of cumulative series to what happened in between, per process.

A provider holds no state of any run. So a reading travels as a text in the measurement's metadata (`PREVIOUS`) and
comes back with the next question. It is compact: a series is known by a digest of its name and labels.

How much a cumulative series grew between two readings of one target:
* the process restarted in between (its start time differs) or the value fell: all that it counts now;
* the series was not there before, the target was: all that it counts now, for it began at 0 since;
* the target was not there before: all that it counts now if its process started after the last reading, else unknown.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from providers.base import BadAnswer, TooLarge
from providers.openmetrics import Page, Series, is_cumulative

PREVIOUS = "scrape.previous"
MAX_KEPT = 2_000  # series whose readings travel with a measurement: some 60 KB
_SAME_START = 1.0  # seconds by which a start time may differ: some clients compute it anew from the uptime


class TargetReading(msgspec.Struct, frozen=True):
    values: dict[str, float]
    started: float | None = None


class Reading(msgspec.Struct, frozen=True):
    """query: what was selected; another query's reading is of no use. at: unix seconds."""

    query: str
    at: float
    targets: dict[str, TargetReading]


def reading(query: str, at: float, pages: Mapping[str, Page]) -> Reading:
    """Raises TooLarge above MAX_KEPT series, BadAnswer where one series stands twice on a page."""
    count = sum(len(page.series) for page in pages.values())
    if count > MAX_KEPT:
        raise TooLarge(
            f"{count:,} series; limit {MAX_KEPT:,} for delta and rate; name fewer in the query".replace(",", " ")
        )
    return Reading(query, at, {target: _of_page(page) for target, page in pages.items()})


def encode(taken: Reading) -> str:
    return msgspec.json.encode(taken).decode()


def decode(text: str | None, query: str, at: float) -> Reading | None:
    """The previous reading; None if there is none, of this query and of an earlier time."""
    if not text:
        return None
    try:
        found = msgspec.json.decode(text, type=Reading)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None  # not ours, or cut: as if there were none
    return found if found.query == query and found.at < at else None


def growth(page: Page, now: TargetReading, before: Reading, target: str) -> dict[str, float] | None:
    """Growth of each series of a target since `before`, by key; None if unknown. Gauges may also shrink."""
    known = before.targets.get(target)
    if known is None and (now.started is None or now.started <= before.at):
        return None
    restarted = known is None or _restarted(known.started, now.started)
    cumulative = {key_of(series): is_cumulative(series.name, page.types) for series in page.series}
    result = {}
    for key, value in now.values.items():
        last = None if known is None else known.values.get(key)
        if not cumulative[key]:
            # a gauge that was not there has no change; after a restart it still has one
            if last is not None:
                result[key] = value - last
        elif restarted or last is None or not value >= last:
            result[key] = value
        else:
            result[key] = value - last
    return result


def key_of(series: Series) -> str:
    """16 hexadecimal digits that stand for a series of one target."""
    text = "\x00".join((series.name, *(f"{name}\x01{value}" for name, value in sorted(series.labels.items()))))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _of_page(page: Page) -> TargetReading:
    values: dict[str, float] = {}
    for series in page.series:
        key = key_of(series)
        if key in values:
            raise BadAnswer(f"the series {describe(series)} stands twice on one page", reason="Malformed")
        values[key] = series.value
    return TargetReading(values, page.started)


def describe(series: Series, labels: Iterable[tuple[str, str]] | None = None) -> str:
    pairs = ",".join(f'{name}="{value}"' for name, value in (labels or series.labels.items()))
    text = f"{series.name}{{{pairs}}}"
    return text if len(text) <= 120 else f"{text[:117]}..."


def _restarted(before: float | None, now: float | None) -> bool:
    return before is not None and now is not None and abs(now - before) > _SAME_START
