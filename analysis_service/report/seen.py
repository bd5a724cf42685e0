"""The looks of one comparison as the report reads them: what each arm returned, and the evidence after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from analysis_service.core.compare.gaps import because
from analysis_service.core.statistics.evidence import Evidence, Unit
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram, Samples
from analysis_service.core.statistics.outlook import Outlook
from analysis_service.core.statistics.plan import Plan
from analysis_service.core.statistics.sentence import Late
from analysis_service.core.statistics.verdict import VerdictState
from analysis_service.report.text import NONE, count, number

USUAL_QUANTILE = 0.95
Use = Literal["used", "dropped", "missed"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One look. evidence and verdict are those after it; None where they were not kept."""

    number: int
    at: datetime
    canary: ArmData | None = None
    stable: ArmData | None = None
    missed: str = ""
    flags: tuple[str, ...] = ()
    gaps: Mapping[str, str] = field(default_factory=dict)  # arm without data -> the flag that says why
    weight_percent: float | None = None
    evidence: Evidence | None = None
    use: Use = "used"
    outcome: str = ""  # "", "pass" or "fail" after this look
    elapsed_seconds: float = 0.0  # since the measurement began
    late: Late | None = None  # where the evidence's interval speaks of the looks since a late onset


class FixedEffect(msgspec.Struct, frozen=True):
    """As `statistics.fixed_comparison.Effect`, which is not imported: it brings scipy with it."""

    unit: Unit = "difference"
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    confidence: float = 0.0


class FixedTest(msgspec.Struct, frozen=True):
    """What a test of fixed size answered."""

    test: str
    phase: str
    reason: str
    effect: FixedEffect | None = None
    p_harm: float | None = None
    p_safe: float | None = None
    canary_n: float = 0.0
    stable_n: float = 0.0
    dropped: int = 0
    grade: str = "fixed-n"


@dataclass(frozen=True, slots=True)
class Comparison:
    """plan is None where the spec is not known. split: the canary's share of traffic, and evidence against it.

    forecast: what can be found at all, in words; outlook: the same as data.
    """

    plan: Plan | None
    looks: tuple[Seen, ...]
    verdict: VerdictState | None = None
    interval_seconds: float = 0.0
    split: Mapping[str, float] = field(default_factory=dict)
    fixed: FixedTest | None = None
    forecast: str = ""
    outlook: Outlook | None = None
    notes: tuple[str, ...] = ()
    season: timedelta | None = None  # where the canary was compared with its past

    @property
    def other(self) -> str:
        """What the canary is compared with."""
        return "past" if self.season is not None else "stable"

    @property
    def evidence(self) -> Evidence | None:
        """The newest there is."""
        return next((look.evidence for look in reversed(self.looks) if look.evidence is not None), None)

    @property
    def quantile(self) -> float:
        """Of a distribution: the one that the effect speaks of."""
        newest = self.evidence
        return newest.quantile if newest is not None and newest.quantile is not None else USUAL_QUANTILE

    @property
    def late(self) -> Late | None:
        """The onset that the newest evidence's interval speaks of."""
        return next((look.late for look in reversed(self.looks) if look.evidence is not None), None)

    @property
    def turning(self) -> tuple[Seen | None, Seen | None]:
        """The looks at which it failed and passed first."""
        failed = next((look for look in self.looks if look.outcome == "fail"), None)
        passed = next((look for look in self.looks if look.outcome == "pass"), None)
        return failed, passed


def uses(looks: Sequence[Seen]) -> dict[Use, int]:
    found: dict[Use, int] = {"used": 0, "dropped": 0, "missed": 0}
    for look in looks:
        found[look.use] += 1
    return found


def level(data: ArmData | None, q: float) -> float | None:
    """One number to draw for an arm's interval: rate of events, value, or a quantile; None where there is none."""
    if isinstance(data, Counts):
        return data.events / data.total if data.total > 0 else None
    if isinstance(data, Gauge):
        return data.value
    if isinstance(data, Samples):
        ordered = sorted(data.values)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else None
    if isinstance(data, Histogram):
        return quantile(data, q)
    return None


def quantile(histogram: Histogram, q: float) -> float | None:
    """Linear inside the bucket, as Prometheus does; above the last edge it is the last edge."""
    total = sum(histogram.counts)
    if total <= 0 or not histogram.edges or len(histogram.counts) != len(histogram.edges) + 1:
        return None
    rank, below = q * total, 0.0
    lower = min(0.0, histogram.edges[0])
    for edge, inside in zip(histogram.edges, histogram.counts, strict=False):
        if inside > 0 and below + inside >= rank:
            return lower + (edge - lower) * (rank - below) / inside
        below, lower = below + inside, edge
    return histogram.edges[-1]


def level_name(data: ArmData | None, q: float) -> str:
    if isinstance(data, Counts):
        return "events per request"
    if isinstance(data, Histogram | Samples):
        return f"p{number(100 * q)}"
    return "value"


def amount(data: ArmData | None) -> str:
    """What an arm's interval rests on: 12 of 3400, or how many observations."""
    if isinstance(data, Counts):
        return f"{count(data.events)} of {count(data.total)}"
    if isinstance(data, Histogram):
        return f"{count(sum(data.counts))} observations"
    if isinstance(data, Samples):
        return f"{len(data.values)} observations"
    return NONE if data is None else "1 value"


def why_not(look: Seen) -> str:
    """Why a look was no evidence, in words."""
    if look.missed:
        return look.missed
    if look.use == "used":
        return ", ".join(look.flags)
    if look.gaps:
        return "; ".join(f"{arm}: {because(flag)}" for arm, flag in look.gaps.items())
    absent = [name for name, data in (("canary", look.canary), ("stable", look.stable)) if data is None]
    said = f"no usable data of {' and '.join(absent)}" if absent else ""
    if not said:
        said = "no traffic" if isinstance(look.canary, Counts | Histogram) else "not usable"
    return f"{said} ({', '.join(look.flags)})" if look.flags else said
