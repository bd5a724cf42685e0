"""Has an arm's value stopped changing for so long that its exporter, and not the service, stands still?

A value that moved and then repeats itself exactly is no new evidence. How many repeats are too many depends on how
often the metric repeats itself when it is alive: a queue that is mostly empty does so all day. With r repeats among
the n looks before, k more in a row are improbable where

    e = B(r + 1, n - r + 1) / max over p of p^(r + k) (1 - p)^(n - r)  >=  1 / CHANCE

B is the beta function: the likelihood of what came before under every share p alike, then nothing but repeats, over
that of all of it under the one p that fits best. For repeats that come independently with any share whatever e is at
most a martingale of mean 1, so that the looks after a given one are called improbable with a chance of at most CHANCE
(Ville). It takes 10 repeats after 15 looks without any, 26 after 180 of 360, and for ever where nothing has moved yet.

Repeats that come in stretches (a quiet hour, a slow scrape) are not independent: LEAST many are wanted besides, more
than twice the longest stretch seen, and as many as by the arm's own looks in this run, and by the other arm's, would
come as rarely. A value that both arms had at the same look is one at which the metric rests. What is called frozen
teaches nothing about the metric alive.
"""

import math
from collections.abc import Sequence

import msgspec

from .looks import ArmData
from .plan import Repeats

FROZEN = "frozen"  # flag: an arm's value is taken for that of an exporter that stands still, and was dropped
UNCHANGED = "unchanged"  # flag: it has not changed for improbably long, and is not called frozen yet

CHANCE = 1e-6  # of so many repeats, per look
LEAST = 10  # repeats: a collector that misses a turn or two is no news


class Seen(msgspec.Struct, frozen=True):
    """One arm's looks so far. unchanged: repeats in a row until now, of which `taken` were taken for data.

    before: the looks before them, each compared with the one before it.
    """

    last: ArmData | None = None
    unchanged: int = 0
    taken: int = 0
    before: Repeats = Repeats()
    frozen: bool = False


def after(seen: Seen, data: ArmData) -> Seen:
    """With one more look. `frozen` is not judged yet."""
    if seen.last is None:
        return Seen(data)
    if data == seen.last:
        return msgspec.structs.replace(seen, unchanged=seen.unchanged + 1, taken=seen.taken + 1, frozen=False)
    return Seen(data, before=_with(seen.before, seen.taken, changed=True))


def at_rest(seen: Seen) -> Seen:
    """The value is one at which the metric rests: however long it stays, that is how it is alive."""
    return msgspec.structs.replace(seen, unchanged=0, taken=0, before=_with(seen.before, seen.taken, changed=False))


def called(seen: Seen) -> Seen:
    """The newest look was called frozen: it was not taken for data."""
    return msgspec.structs.replace(seen, taken=seen.taken - 1, frozen=True)


def is_improbable(seen: Seen, known: Repeats | None, other: Seen | None) -> bool:
    """Whether a value alive would practically never repeat itself for so long. known: what a look-back showed."""
    if seen.unchanged < 2:
        return False
    before, all_other = seen.before, _with(other.before, other.taken, changed=False) if other is not None else None
    if known is not None:
        before = Repeats(before.looks + known.looks, before.repeats + known.repeats)
    if log_e(seen.unchanged, before) < -math.log(CHANCE):
        return False
    return all(
        seen.unchanged * math.log((source.looks + 2) / (source.repeats + 1)) >= -math.log(CHANCE)
        for source in (seen.before, all_other)
        if source is not None
    )


def is_frozen(seen: Seen, known: Repeats | None, other: Seen | None) -> bool:
    longest = max(seen.before.longest, known.longest if known is not None else 0)
    return seen.unchanged >= max(LEAST, 2 * longest + 1) and is_improbable(seen, known, other)


def log_e(unchanged: int, before: Repeats) -> float:
    """Natural logarithm of e as above."""
    r, n, k = before.repeats, before.looks, unchanged
    moved = n - r
    mixture = math.lgamma(r + 1) + math.lgamma(moved + 1) - math.lgamma(n + 2)
    total = n + k
    best = (r + k) * math.log((r + k) / total) if r + k else 0.0
    best += moved * math.log(moved / total) if moved else 0.0
    return mixture - best


def repeats_of(rows: Sequence[ArmData | None]) -> Repeats:
    """What a series of looks that were all alive shows; None is no data."""
    seen = Seen()
    for data in rows:
        if data is not None:
            seen = after(seen, data)
    return _with(seen.before, seen.taken, changed=False)


def most(series: Sequence[Sequence[ArmData | None]]) -> Repeats:
    """Of the series that repeats itself most, with the longest stretch of any: whichever of them a run is like."""
    found = [repeats_of(one) for one in series]
    first = max(found, key=lambda one: (one.repeats + 1) / (one.looks + 2))
    return msgspec.structs.replace(first, longest=max(one.longest for one in found))


def _with(before: Repeats, repeats: int, *, changed: bool) -> Repeats:
    return Repeats(
        before.looks + repeats + (1 if changed else 0), before.repeats + repeats, max(before.longest, repeats)
    )
