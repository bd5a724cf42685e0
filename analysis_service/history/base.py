"""Past data, whoever has it: `range(asked, start, end, step)` gives a frame of series.

A history answers for one query of one metric. It blocks, so it is only ever asked in a thread (`pool`); it raises the
same tree of errors as a provider. A frame stands for that query being asked every `step`: `answer(at)` is what a live
measurement at that moment would have seen, so replaying and measuring go through the same code.
"""

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from providers import gojson
from providers.base import Answer, Sample

VECTOR_PROVIDERS = frozenset({"prometheus", "scrape"})  # their answers are lists, also of one value


@dataclass(frozen=True, slots=True)
class Asked:
    """Which series: the metric's name, its resolved provider union, and for a comparison the arm and the part.

    arm: canary or stable, "" for a plain metric. part: events, totals, buckets or level, "" for a plain metric.
    after: how long after the run's start it is first asked.
    """

    metric: str
    provider: Mapping[str, Any] = field(default_factory=dict)
    arm: str = ""
    part: str = ""
    after: timedelta = timedelta()

    def __str__(self) -> str:
        return "/".join(word for word in (self.metric, self.arm, self.part) if word)


@dataclass(frozen=True, slots=True)
class Series:
    """One series: seconds since 1970, ascending, and the values at them. A gap is a time that is not there."""

    labels: Mapping[str, str]
    times: "array[float]"
    values: "array[float]"

    def at(self, when: float, reach_seconds: float) -> tuple[float, float] | None:
        """(time, value) of the newest point in (when - reach, when]."""
        index = bisect_right(self.times, when + 1e-6) - 1
        if index < 0 or self.times[index] <= when - reach_seconds + 1e-6:
            return None
        return self.times[index], self.values[index]


@dataclass(frozen=True, slots=True)
class Frame:
    """All series of one query between `start` and `end`.

    reach: how long a point stands for the query's answer. scalar: the answer is one number and not a list.
    """

    series: tuple[Series, ...]
    start: datetime
    end: datetime
    step: timedelta
    reach: timedelta
    scalar: bool = False

    @property
    def points(self) -> int:
        return sum(len(one.times) for one in self.series)

    def answer(self, at: datetime) -> Answer:
        """What asking at that moment would have answered, in the provider's shape."""
        when, reach = at.timestamp(), self.reach.total_seconds()
        found = [(one.labels, point) for one in self.series if (point := one.at(when, reach)) is not None]
        samples = tuple(Sample(labels, value, datetime.fromtimestamp(t, UTC)) for labels, (t, value) in found)
        values = array("d", [sample.value for sample in samples])
        if self.scalar and len(values) == 1:
            return Answer(values[0], gojson.shortest(values[0]), samples)
        return Answer(values, f"[{','.join(map(gojson.shortest, values))}]", samples)


class History(Protocol):
    """Who has past data. Blocking; shared by threads."""

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        """The series that `asked` would have answered, between two times (both included).

        Raises a ProviderError; NoData when there is nothing to be had for this question.
        """
        ...

    def close(self) -> None: ...


def is_scalar(provider: Mapping[str, Any]) -> bool:
    """Whether a provider's answer to one series is a number (Datadog, web, ...) or a list with one number in it."""
    name, spec = next(iter(provider.items()), ("", None))
    if name == "plugin" and isinstance(spec, Mapping) and len(spec) == 1:
        name, spec = next(iter(spec.items()))
    if name not in VECTOR_PROVIDERS:
        return bool(name)
    query = spec.get("query", "") if isinstance(spec, Mapping) else ""
    return name == "prometheus" and str(query).lstrip().startswith("scalar(")
