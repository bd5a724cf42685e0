"""When a comparison looks again: at start + n intervals, whatever a look took, and once more at its deadline."""

import math
from datetime import datetime, timedelta

from analysis_service.core.due import ERROR_RETRY


def next_look(started: datetime, interval: timedelta, longest: timedelta | None, now: datetime) -> datetime:
    """The first planned time after `now`; the deadline itself where no interval ends before it."""
    done = math.floor((now - started) / interval)
    at = started + (done + 1) * interval
    if at <= now:  # a division that came out a hair too small
        at += interval
    if longest is not None and now < started + longest:
        at = min(at, started + longest)
    return at


def retry(now: datetime) -> datetime:
    """After a look whose query failed: as soon as Argo retries an error."""
    return now + ERROR_RETRY


def is_over(started: datetime, longest: timedelta | None, at: datetime) -> bool:
    """Whether a look taken at `at` is the last one."""
    return longest is not None and at >= started + longest
