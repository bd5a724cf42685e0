"""Harm put into past data: the stable arm's own series, made worse by a known amount, in the canary's place."""

from array import array

from analysis_service.core.compare.asks import BUCKETS, EVENTS, LEVEL, TOTALS
from analysis_service.history.base import Frame, Series


def scaled(frame: Frame, factor: float, *, from_time: float = float("-inf"), counter: bool = False) -> Frame:
    """Every value times `factor` from a time on. counter: growth is scaled, what has been counted before is not."""
    if factor == 1.0:
        return frame
    return _with(frame, tuple(_scaled(one, factor, from_time, counter) for one in frame.series))


def _scaled(one: Series, factor: float, from_time: float, counter: bool) -> Series:
    if not counter:
        values = [v * factor if t >= from_time else v for t, v in zip(one.times, one.values, strict=True)]
        return Series(one.labels, one.times, array("d", values))
    grown, last, total = array("d"), 0.0, 0.0
    for t, value in zip(one.times, one.values, strict=True):
        if value < last:  # a reset: it begins anew
            last = total = 0.0
        total += (value - last) * (factor if t >= from_time else 1.0)
        last = value
        grown.append(total)
    return Series(one.labels, one.times, grown)


def raised(frame: Frame, by: float, *, from_time: float = float("-inf")) -> Frame:
    """Every value plus `by` from a time on."""
    return _with(
        frame,
        tuple(
            Series(
                one.labels,
                one.times,
                array("d", [v + by if t >= from_time else v for t, v in zip(one.times, one.values, strict=True)]),
            )
            for one in frame.series
        ),
    )


def slowed(frame: Frame, *, faster: bool = False) -> Frame:
    """Cumulative buckets, every observation one bucket later (or one earlier)."""
    groups: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for one in frame.series:
        key = tuple(sorted((k, v) for k, v in one.labels.items() if k != "le"))
        groups.setdefault(key, []).append(one)
    made: list[Series] = []
    for group in groups.values():
        ordered = sorted(group, key=lambda one: float(one.labels.get("le", "inf")))
        for k, one in enumerate(ordered):
            if k == len(ordered) - 1:
                made.append(one)  # all observations stay all observations
            elif faster:
                made.append(Series(one.labels, ordered[k + 1].times, ordered[k + 1].values))
            elif k == 0:
                made.append(Series(one.labels, one.times, array("d", [0.0] * len(one.times))))
            else:
                made.append(Series(one.labels, ordered[k - 1].times, ordered[k - 1].values))
    return _with(frame, tuple(made))


def harmed(part: str, frame: Frame, factor: float, *, from_time: float = float("-inf"), counter: bool = False) -> Frame:
    """One part of an arm made worse: events and levels by a factor, buckets by one bucket; totals stay."""
    if part == TOTALS:
        return frame
    if part == BUCKETS:
        return slowed(frame, faster=factor < 1.0) if factor != 1.0 else frame
    assert part in (EVENTS, LEVEL)
    return scaled(frame, factor, from_time=from_time, counter=counter and part == EVENTS)


def _with(frame: Frame, series: tuple[Series, ...]) -> Frame:
    return Frame(series, frame.start, frame.end, frame.step, frame.reach, frame.scalar)
