"""When recorded answers count in a replay.

A replay looks exactly every interval, from its start on. The recorded answers came a little after each look, and those
of one metric up to a second after those of another, which did not wait for its look-back: as they stand each would be
missed by the look that it answered, and seen by the next.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

LATE_SECONDS = 1.0  # that the first look of a metric may wait: Settling.grace_seconds
_NEAR = 0.1  # a rhythm that is off by less is the same rhythm
_EARLY = 0.25  # of an interval: how much before its look an answer may have come


def in_step(times: Sequence[float], first: float, every: float) -> tuple[list[float], float]:
    """For each answer, the time of the look that it answered; and the seconds between two answers.

    times: when the answers came, seconds, ascending. first: when the replay first looks; every: its interval, seconds.
    Gaps stay gaps, whole intervals long. Answers in quite another rhythm than `every` are left where they are, and the
    seconds are 0.
    """
    begin = bisect_left(times, first - _EARLY * every)
    unit = _unit(times, every)
    if begin == len(times) or unit <= 0.0:
        return list(times), 0.0
    late = times[begin] - first
    slots = [0 if late < LATE_SECONDS + _EARLY * unit else math.floor(late / unit + 0.49)]
    phase = times[begin] - slots[0] * unit
    for at in times[begin + 1 :]:
        slot = max(math.floor((at - phase) / unit + _EARLY), slots[-1])
        if slot == slots[-1] and (len(slots) < 2 or slots[-2] < slot - 1) and slot > slots[0]:
            slots[-1] -= 1  # so late that the next look followed at once
        slots.append(slot)
        drift = at - phase - slot * unit
        if abs(drift) < _EARLY * unit:  # each measurement begins an interval after the one before, and that took time
            phase += drift
    before: list[int] = []
    for later, earlier in pairwise(reversed(times[: begin + 1])):
        before.append((before[-1] if before else slots[0]) - max(1, round((later - earlier) / unit)))
    return [first + slot * unit for slot in (*reversed(before), *slots)], unit


def _unit(times: Sequence[float], every: float) -> float:
    """The interval between answers, which is `every` or a whole multiple or part of it; 0: neither."""
    gaps = sorted(b - a for a, b in pairwise(times) if b > a)
    if not gaps or every <= 0.0:
        return every
    ratio = every / gaps[len(gaps) // 2]
    whole = max(1, round(ratio)) if ratio >= 1.0 else 1.0 / max(1, round(1.0 / ratio))
    return every / whole if abs(ratio / whole - 1.0) <= _NEAR else 0.0
