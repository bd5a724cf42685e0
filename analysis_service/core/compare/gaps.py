"""Which arm had no data in which looks, and why: counted as looks come, told in words.

A verdict that was not reached is mostly a query that finds nothing; who reads it has to learn which one.
"""

from collections.abc import Mapping

from analysis_service.core.statistics.frozen import FROZEN
from analysis_service.core.statistics.looks import Look

_MISSED = "missed"
_FLAGS: Mapping[str, str] = {
    "bad-events-above-total": "events were more than twice the totals in {}: are the two queries swapped?",
    "shared-processes": "both arms found the same processes in {}: does one query match the other version too?",
}
_ARMS = {"canary": "the canary", "stable": "stable", "past": "its past", "each arm": "each arm"}
_REASONS = 2  # told of each arm, most frequent first

_WORDS: Mapping[str, str] = {
    "no-data": "its query returned nothing",
    "no-totals": "its query for totals returned nothing",
    "no-buckets": "its series are no buckets: they have no label le",
    "zero-traffic": "it had no traffic",
    "first-seen": "its processes were seen for the first time",
    "warming-up": "its processes were still warming up",
    "not-a-number": "its query returned no number",
    "duplicate-timestamp": "its query returned the sample of the look before",
    "summed-series-fell": "a sum over its processes fell, as when one of them restarts",
    "bad-value": "a value was no finite number",
    "bad-infinite": "a value was infinite",
    "bad-negative": "a count was negative",
    "bad-not-monotone": "its cumulative buckets fell",
    "bad-edges": "the bucket edges did not fit",
    FROZEN: "its value had not changed for so long that its exporter may be frozen",
    "no-past": "no value at the same phase of enough earlier periods",
}


def because(flag: str) -> str:
    """What a flag says of the arm that had no data."""
    return _WORDS.get(flag, flag)


def counted(before: Mapping[str, int], look: Look) -> Mapping[str, int]:
    """The gaps with this look's in them: `canary no-data` -> in so many looks."""
    new = [_MISSED] if look.missed else [f"{arm} {flag}" for arm, flag in look.gaps.items()]
    new += [flag for flag in _FLAGS if flag in look.flags]
    if not new:
        return before
    return {**before, **{one: before.get(one, 0) + 1 for one in new}}


def in_words(gaps: Mapping[str, int], looks: int, still: Mapping[str, int] | None = None) -> str:
    """`the canary had no data in 9 of 9 looks (its query returned nothing)`; "" where there are none.

    still: each arm that stands still now -> for how many looks its value has not changed.
    """
    still = still or {}
    by_arm = {
        arm: {key.removeprefix(f"{arm} "): times for key, times in gaps.items() if key.startswith(f"{arm} ")}
        for arm in _ARMS
    }
    for arm in still:  # told below
        by_arm[arm].pop(FROZEN, None)
    if by_arm["canary"] and by_arm["canary"] == by_arm["stable"]:
        by_arm = {"each arm": by_arm["canary"]}
    said = [
        f"{_ARMS[arm]} had no data in {_of(sum(found.values()), looks)} ({_why(found)})"
        for arm, found in by_arm.items()
        if found
    ]
    said += [text.format(_of(gaps[flag], looks)) for flag, text in _FLAGS.items() if flag in gaps]
    if missed := gaps.get(_MISSED, 0):
        said.append(f"{missed} look{'' if missed == 1 else 's'} could not be taken")
    said += [
        f"{arm}'s value has not changed for {unchanged} looks: the exporter may be frozen"
        for arm, unchanged in still.items()
    ]
    return ", ".join(said)


def _why(found: Mapping[str, int]) -> str:
    ordered = sorted(found.items(), key=lambda item: -item[1])
    if len(ordered) == 1:
        return _WORDS.get(ordered[0][0], ordered[0][0])
    return "; ".join(f"{times}: {_WORDS.get(flag, flag)}" for flag, times in ordered[:_REASONS])


def _of(number: int, looks: int) -> str:
    return f"{number} of {looks} look{'' if looks == 1 else 's'}"
