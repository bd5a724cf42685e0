"""An arm that stands still: looks at which its value is taken for that of a frozen exporter are no evidence.

Such a look loses that arm's data, and says so by a flag and as its gap. The value lost is that of the look before, so a
stored look still tells all there was. Counters that do not grow are another matter: they are no traffic.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from analysis_service.core.compare.asks import CANARY, STABLE
from analysis_service.core.compare.spec import Spec
from analysis_service.core.statistics import frozen
from analysis_service.core.statistics.frozen import FROZEN, UNCHANGED, Seen
from analysis_service.core.statistics.looks import ArmData, Gauge, Look
from analysis_service.core.statistics.plan import Plan

_ZERO = Gauge(0.0)


class Still(msgspec.Struct, frozen=True):
    """How both arms' values have moved so far."""

    canary: Seen = Seen()
    stable: Seen = Seen()

    @property
    def now(self) -> Mapping[str, int]:
        """Each arm that stands still -> for how many looks its value has not changed."""
        arms = ((CANARY, self.canary), (STABLE, self.stable))
        return {arm: seen.unchanged for arm, seen in arms if seen.frozen}


def screened(spec: Spec, plan: Plan, before: Still, look: Look) -> tuple[Still, Look]:
    """What is known after `look`, and the look without the data of an arm that stands still."""
    if spec.cumulative and spec.asks[0].growth is None:  # what grows is alive
        return before, look
    values = {CANARY: _value(before.canary, look, CANARY), STABLE: _value(before.stable, look, STABLE)}
    read = {**values, STABLE: None} if spec.season is not None else values  # nobody reads the past's figures anew
    seen = {CANARY: _after(before.canary, read[CANARY]), STABLE: _after(before.stable, read[STABLE])}
    flags = [flag for flag in look.flags if flag not in (FROZEN, UNCHANGED)]
    gaps = {arm: flag for arm, flag in look.gaps.items() if flag != FROZEN}
    known = plan.calibration.repeats if plan.calibration is not None else None
    if values[CANARY] is not None and values[CANARY] == values[STABLE]:
        # a value that both arms know: a queue that is empty, no errors at night
        seen = {arm: frozen.at_rest(one) for arm, one in seen.items()}
    for arm, value in read.items():
        if value is None or (spec.missing == "zero" and value == _ZERO):  # such a zero may be no series at all
            continue
        other = seen[STABLE if arm == CANARY else CANARY]
        beside = other if other.last is not None else None
        if frozen.is_frozen(seen[arm], known, beside):
            seen[arm] = frozen.called(seen[arm])
            values[arm], gaps[arm] = None, FROZEN
            flags.append(FROZEN)
        elif frozen.is_improbable(seen[arm], known, beside):
            flags.append(UNCHANGED)
    after = Still(seen[CANARY], seen[STABLE])
    if (*values.values(), gaps) == (look.canary, look.stable, look.gaps) and len(flags) == len(look.flags):
        return after, look
    told = tuple(dict.fromkeys(flags))
    return after, replace(look, canary=values[CANARY], stable=values[STABLE], flags=told, gaps=gaps)


def _value(before: Seen, look: Look, arm: str) -> ArmData | None:
    """What the arm had at this look; a look that was stored without it had the value of the look before."""
    data = look.canary if arm == CANARY else look.stable
    return before.last if data is None and look.gaps.get(arm) == FROZEN else data


def _after(before: Seen, data: ArmData | None) -> Seen:
    return frozen.after(before, data) if data is not None else replace(before, frozen=False)
