"""Kayenta's standalone analysis: which window each look covers, and what the scores of all looks come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Window:
    """What one look covers. The control's window lies earlier by the configured offset."""

    start: datetime
    end: datetime
    control_start: datetime
    control_end: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the looks come to. status: SUCCEEDED, or TERMINAL when the analysis failed."""

    passed: bool
    message: str
    status: str


def lifetime(
    *, start: datetime | None = None, end: datetime | None = None, duration: timedelta | None = None
) -> timedelta:
    """How long the analysis lasts, in whole minutes: start to end if an end is given, else the duration.

    Raises ValueError if neither says.
    """
    if start is not None and end is not None:
        return timedelta(minutes=(end - start) // timedelta(minutes=1))
    if duration is None:
        raise ValueError("lifetimeDurationMins: wanted where no endTimeIso is given")
    return duration


def window(
    look: int,
    *,
    now: datetime,
    interval: timedelta,
    start: datetime | None = None,
    end: datetime | None = None,
    begin_after: timedelta = _NONE,
    lookback: timedelta = _NONE,
    control_offset: timedelta = _NONE,
) -> Window:
    """The window of look 1, 2, ...: it grows from the start, or slides if there is a lookback.

    now: when the analysis began. end: given for a retrospective one, which then ignores `begin_after`.
    """
    begin = (start or now) + (_NONE if end is not None else begin_after)
    until = begin + look * interval
    if lookback > _NONE:
        begin = until - lookback
    return Window(begin, until, begin - control_offset, until - control_offset)


def outcome(scores: Sequence[float], *, pass_: float | None, marginal: float | None) -> Outcome:
    """Whether the last look's score reaches the thresholds. scores: of 100, in the order of the looks.

    A score equal to `marginal` fails here, though the judge calls it Marginal. Raises ValueError without scores.
    """
    if not scores:
        raise ValueError("no look has a score")
    score = float(scores[-1])
    if marginal is not None and score <= marginal:
        return Outcome(False, f"Final canary score {score} is not above the marginal score threshold.", "TERMINAL")
    if pass_ is not None and score < pass_:
        return Outcome(False, f"Final canary score {score} is below the pass score threshold.", "TERMINAL")
    return Outcome(True, f"Final canary score {score} met or exceeded the pass score threshold.", "SUCCEEDED")


def ends_run(score: float, *, marginal: float) -> bool:
    """Whether this look is the last: its score is not above the marginal threshold."""
    return score <= marginal


def in_order(stages: Sequence[str]) -> tuple[str, ...]:
    """Stage names by the number after their '#'."""
    return tuple(sorted(stages, key=lambda name: int(name.rpartition("#")[2])))
