"""Kayenta's pairing of series: each control series with the experiment series of the same name and tags."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analysis_service.core.statistics.kayenta_judge import Pair


class PairingError(ValueError):
    """The series of a metric cannot be paired; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a metric. values: one number per step, any length. expected: how many there should be, 0 if
    the step is unknown; a shorter series is filled up with NaN at its end."""

    name: str | None
    values: tuple[float, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    expected: int = 0

    @property
    def key(self) -> str:
        return f"{self.name} -> {{{', '.join(f'{k}:{v}' for k, v in sorted(self.tags.items()))}}}"

    @property
    def padded(self) -> tuple[float, ...]:
        return self.values + (math.nan,) * (self.expected - len(self.values))


def pair_all(metrics: Sequence[str], control: Sequence[Series], experiment: Sequence[Series]) -> tuple[Pair, ...]:
    """Pairs for every metric, in the metrics' order and then in that of the tag sets.

    A side without tags is matched by an all-NaN series for each tagged one; a tag set that one side lacks likewise.
    Raises PairingError when a side has no series for a metric at all, or tags with other keys than the other side.
    """
    return tuple(
        pair
        for name in metrics
        for pair in _pair_metric(
            name, [s for s in control if s.name == name], [s for s in experiment if s.name == name]
        )
    )


def pair_one(control: Series | None, experiment: Series | None) -> Pair:
    """One pair of two series with the same name and the same tags. Raises PairingError."""
    for side, series in (("control", control), ("experiment", experiment)):
        if series is None:
            raise PairingError(f"no {side} series and no placeholder for one")
    assert control is not None
    assert experiment is not None
    for side, series in (("control", control), ("experiment", experiment)):
        if not series.name:
            raise PairingError(f"{side} name missing")
    if control.name != experiment.name:
        raise PairingError(f"names differ: control is {control.name!r}, experiment is {experiment.name!r}")
    if control.tags != experiment.tags:
        what = "the tag keys differ" if control.tags.keys() != experiment.tags.keys() else "the values differ"
        raise PairingError(f"tags differ ({what}): control is {control.key}, experiment is {experiment.key}")
    return Pair(str(control.name), control.padded, experiment.padded, tags=dict(control.tags))


def _pair_metric(name: str, control: Sequence[Series], experiment: Sequence[Series]) -> list[Pair]:
    for side, found in (("control", control), ("experiment", experiment)):
        if not found:
            raise PairingError(f"{name}: no {side} series and no placeholder for one")
    by_control, by_experiment = {s.key: s for s in control}, {s.key: s for s in experiment}
    if _bare(control) != _bare(experiment):
        tagged = by_control if _bare(experiment) else by_experiment
        return [pair_one(by_control.get(k) or _blank(s), by_experiment.get(k) or _blank(s)) for k, s in tagged.items()]
    keys = {frozenset(s.tags) for s in (*control, *experiment)}
    if len(keys) > 1:
        listed = " and ".join(str(sorted(k)) for k in sorted(keys, key=sorted))
        raise PairingError(f"{name}: tags differ (the tag keys differ): found {listed}")
    return [
        pair_one(by_control.get(k) or _blank(s), by_experiment.get(k) or _blank(s))
        for k, s in {**by_control, **by_experiment}.items()
    ]


def _bare(series: Sequence[Series]) -> bool:
    return len(series) == 1 and not series[0].tags


def _blank(series: Series) -> Series:
    return Series(series.name, (), series.tags, series.expected)
