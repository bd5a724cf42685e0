"""From values to places: nice bounds, nice ticks, and linear, logarithmic and time scales."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from analysis_service.report.chart import Axis
from analysis_service.report.text import number

TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
DAY = 86_400
_LEAST_DECADES = 1e-300  # below this a logarithmic axis has nothing to show
_NEAR = 0.3  # of the largest value: so near to 0 an axis begins there
_NARROWEST = 1e-290  # a stretch so short has no ticks that doubles could tell apart


@dataclass(frozen=True, slots=True)
class Scale:
    """Places between `start` and `end` for values between `low` and `high`; what lies beyond stays at the edge."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.logarithmic:
            low, high = math.log(low), math.log(high)
            at = math.log(max(value, _LEAST_DECADES))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def scale(axis: Axis, start: float, end: float) -> Scale:
    return Scale(axis.low, axis.high, start, end, axis.kind == "log")


def ticks(axis: Axis, about: int) -> list[tuple[float, str]]:
    """(value, label), ascending, inside the axis; roughly `about` of them."""
    if axis.kind == "lanes":
        return [(float(i), name) for i, name in enumerate(axis.lanes)]
    if axis.kind == "time":
        return time_ticks(axis.low, axis.high, about)
    if axis.kind == "power":
        return [(float(power), ten_to(power)) for power in power_ticks(axis.low, axis.high, about)]
    values = log_ticks(axis.low, axis.high, about) if axis.kind == "log" else linear_ticks(axis.low, axis.high, about)
    return [(value, f"×{number(value)}" if axis.unit == "ratio" else number(value)) for value in values]


def linear_ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    step = nice_step(high - low, about)
    if step <= 0:
        return [low]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    decimals = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, min(decimals, 300)) + 0.0 for i in range(first, last + 1)]


def nice_step(width: float, about: int) -> float:
    if not math.isfinite(width) or width < _NARROWEST:
        return 0.0
    raw = width / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= raw * 0.999), 10.0 * power)


def log_ticks(low: float, high: float, about: int) -> list[float]:
    """Powers of ten, with 2 and 5 (or finer steps) where there is room. low > 0."""
    decades = math.log10(high / low)
    if decades > about:
        return [10.0**power for power in power_ticks(math.log10(low), math.log10(high), about)]
    for parts in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [v for power in powers for v in (_times(part, power) for part in parts) if low <= v <= high]
        if len(found) >= max(about - 1, 2):
            return found
    if len(found) >= 3:
        return found
    return [v for v in linear_ticks(low, high, about) if v > 0]  # a narrow stretch is nearly linear


def _times(part: float, power: int) -> float:
    return part * 10.0**power if power >= 0 else part / 10.0**-power


def power_ticks(low: float, high: float, about: int) -> list[int]:
    first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    every = max(1, math.ceil((last - first + 1) / max(about, 1)))
    return [power for power in range(first, last + 1) if power % every == 0]


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def ten_to(power: int) -> str:
    """1, 10, 100, 1 000, 0.1, 0.01, then 10⁶."""
    if -3 <= power <= 4:
        return number(10.0**power)
    return f"10{str(power).translate(_RAISED)}"


def time_ticks(low: float, high: float, about: int) -> list[tuple[float, str]]:
    """Round times of the day in UTC, with the date where it changes. low, high: seconds since the epoch."""
    width = high - low
    if width <= 0:
        return [(low, _clock(low, 1))]
    step = next((s for s in TIME_STEPS if width / s <= about), 0) or DAY * math.ceil(width / DAY / about)
    first = math.ceil(low / step) * step
    made: list[tuple[float, str]] = []
    day = None
    for i in range(int((high - first) // step) + 1):
        at = first + i * step
        today = datetime.fromtimestamp(at, UTC).date()
        dated = step >= DAY or (day is not None and today != day)
        made.append((at, f"{today:%b} {today.day}" if dated else _clock(at, step)))
        day = today
    return made


def _clock(at: float, step: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M" if step >= 60 else "%H:%M:%S")


def bounds(values: Iterable[float | None], *, pad: float = 0.08) -> tuple[float, float]:
    """A stretch that holds all finite values. From 0 when they come near it anyway: never forced, never cut.

    Without a value 0 to 1; one value gets room on both sides.
    """
    finite = [v for v in values if v is not None and math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    if low == high:
        room = abs(low) * 0.5 or 1.0
        return (0.0, 2 * low) if low > 0 else (low - room, low + room)
    room = (high - low) * pad
    bottom = 0.0 if 0 <= low < _NEAR * high else low - room
    top = 0.0 if _NEAR * low < high <= 0 else high + room
    return bottom, top


def log_bounds(values: Iterable[float | None], *, pad: float = 0.1) -> tuple[float, float]:
    """The same on a logarithmic scale: positive finite values only."""
    logs = [math.log(v) for v in values if v is not None and 0 < v < math.inf]
    if not logs:
        return 0.5, 2.0
    low, high = min(logs), max(logs)
    room = max((high - low) * pad, 0.05)
    return math.exp(low - room), math.exp(high + room)
