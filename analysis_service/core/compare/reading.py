"""What a backend returned for one arm, without the backend: values by series, or cumulative buckets."""

from collections.abc import Mapping

import msgspec

PROCESS = ("pod", "instance", "host")  # labels that tell a process, the first that is there


class Series(msgspec.Struct, frozen=True):
    """One value. at: the backend's own unix time of it, if it gave one."""

    labels: Mapping[str, str]
    value: float | None
    at: float | None = None


class Buckets(msgspec.Struct, frozen=True):
    """One histogram: upper edge (infinity included) -> observations at or below it since its process began."""

    labels: Mapping[str, str]
    cumulative: Mapping[float, float | None]


class Reading(msgspec.Struct, frozen=True):
    """started: instance -> unix time at which that process began, where it is known."""

    series: tuple[Series, ...] = ()
    histograms: tuple[Buckets, ...] = ()
    started: Mapping[str, float] = {}


def pod_of(labels: Mapping[str, str]) -> str:
    """The process a series is of; "" for a sum over processes, of which no reset can be seen."""
    return next((labels[name] for name in PROCESS if labels.get(name)), "")
