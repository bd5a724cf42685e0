"""Looks that were taken before the settings were known: they wait, as data, in the measurement's metadata.

A comparison is calibrated by a look-back, which may take its turn behind others. Meanwhile looks are taken on time;
once the settings are fixed they are judged one after the other, exactly as if each had been judged at once.
"""

from dataclasses import dataclass

import msgspec

from analysis_service.core.compare import looking, state
from analysis_service.core.compare.looking import Looked
from analysis_service.core.compare.state import Setup, State
from analysis_service.core.model import Look as StoredLook
from analysis_service.core.model import Metric
from analysis_service.core.statistics.looks import Look

MOST = 60  # looks that wait

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Look, ...]).decode


def load(text: str) -> tuple[Look, ...]:
    return _decode(text) if text else ()


def dump(looks: tuple[Look, ...]) -> str:
    return _encode(looks).decode()


def with_missed(looks: tuple[Look, ...], missed: StoredLook) -> tuple[Look, ...]:
    """With a look that was missed; it keeps its place, however many there are."""
    return (*looks, state.look_of(missed))


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """state: after all of them. judged: after each that was no missed look. last: what the last of these came to."""

    state: State
    judged: tuple[State, ...]
    looks: tuple[StoredLook, ...]
    last: Looked | None


def judge(setup: Setup, metric: Metric, before: State, looks: tuple[Look, ...]) -> CaughtUp:
    """A verdict ends them: what was taken after it is dropped, as it would not have been taken."""
    kept: list[StoredLook] = []
    judged: list[State] = []
    last: Looked | None = None
    now = before
    for look in looks:
        if look.missed:
            now = state.missed(now, look)
            kept.append(state.stored(look, None))
            continue
        last = looking.judge(setup, metric, now, look, over=False)
        now = last.state or now
        judged.append(now)
        if last.look is not None:
            kept.append(last.look)
        if last.decided:
            break
    return CaughtUp(now, tuple(judged), tuple(kept), last)
