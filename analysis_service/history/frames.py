"""Frames as pandas' data frames, and back: for files, reports and notebooks. Imports pandas when called."""

import math
from array import array
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from analysis_service.history.base import Frame, Series

if TYPE_CHECKING:
    import pandas as pd


def to_pandas(frame: Frame) -> "pd.DataFrame":
    """One column for each series, named `{label="value",...}`, indexed by UTC times."""
    import pandas as pd

    columns = {
        name_of(one.labels): pd.Series(
            list(one.values), index=pd.to_datetime(list(one.times), unit="s", utc=True), dtype="float64"
        )
        for one in frame.series
    }
    return pd.DataFrame(columns)


def name_of(labels: Mapping[str, str]) -> str:
    name = labels.get("__name__", "")
    inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()) if key != "__name__")
    return f"{name}{{{inside}}}" if inside or not name else name


def series_of(labels: Mapping[str, str], times: list[float], values: list[float]) -> Series:
    """A series of points in any order, the last of equal times kept and not-a-numbers left out (they are gaps)."""
    points = {t: v for t, v in zip(times, values, strict=True) if not math.isnan(v) and not math.isnan(t)}
    ordered = sorted(points)
    return Series(dict(labels), array("d", ordered), array("d", [points[t] for t in ordered]))


def cut(series: Series, start: datetime, end: datetime) -> Series:
    """The part between two times, both included."""
    low, high = start.timestamp() - 1e-6, end.timestamp() + 1e-6
    keep = [k for k, t in enumerate(series.times) if low <= t <= high]
    if len(keep) == len(series.times):
        return series
    first, last = (keep[0], keep[-1] + 1) if keep else (0, 0)
    return Series(series.labels, series.times[first:last], series.values[first:last])


def spacing(series: Series) -> timedelta:
    """The median distance of two points."""
    gaps = sorted(b - a for a, b in zip(series.times, series.times[1:], strict=False))
    return timedelta(seconds=gaps[len(gaps) // 2] if gaps else 0.0)
