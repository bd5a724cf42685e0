"""The fields of a comparison as its author wrote them: words, numbers, durations; and what is said of wrong ones.

A value may be text where an argument was filled in. Imports no statistics.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from analysis_service.core.timing import parse_duration


class Mistake(NamedTuple):
    """where: the path below the comparison, such as `margin.relative`; "" for all of it. text: what would work."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class SpecError(ValueError):
    """The comparison cannot be made as written; each mistake says where and what would work."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(map(str, mistakes)))


def wrong(where: str, text: str) -> SpecError:
    return SpecError(Mistake(where, text))


def word(written: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    """One of the allowed words; "" where there is none. Raises SpecError."""
    value = written.get(key)
    if value is None or value == "":
        return ""
    if value not in allowed:
        raise wrong(key, f"one of {', '.join(allowed)} is wanted, found {value!r}")
    return str(value)


def number(
    written: Mapping[str, Any], key: str, *, low: float = -math.inf, high: float = math.inf, at: str = ""
) -> float | None:
    """A finite number, both limits allowed; None where there is none. at: the path of `key`. Raises SpecError."""
    value = written.get(key)
    if value is None:
        return None
    found = loose(value)
    if found is None or not low <= found <= high:
        limits = f" from {low:g}" + (f" to {high:g}" if high < math.inf else " up")
        raise wrong(at or key, f"a number{limits if low > -math.inf else ''} is wanted, found {value!r}")
    return found


def from_zero(written: Mapping[str, Any], key: str, *, at: str = "") -> float | None:
    return number(written, key, low=0.0, at=at)


def above_zero(written: Mapping[str, Any], key: str) -> float | None:
    """A number above 0; None where there is none. Raises SpecError."""
    found = number(written, key)
    if found is not None and found <= 0.0:
        raise wrong(key, f"a number above 0 is wanted, found {found:g}")
    return found


def share(written: Mapping[str, Any], key: str, *, at: str = "") -> float | None:
    """A share of all events: from 0, and below 1, which nothing could exceed. Raises SpecError."""
    found = number(written, key, low=0.0, at=at)
    if found is not None and found >= 1.0:
        meant = f"; {found:g}% is {found / 100:g}" if found <= 100 else ""
        raise wrong(at or key, f"a share of the events below 1 is wanted, which none exceeds, found {found:g}{meant}")
    return found


def level(written: Mapping[str, Any], key: str) -> float:
    """The chance of a wrong verdict; 0.05 unless something else is written. Raises SpecError."""
    value = or_else(number(written, key), 0.05)
    if not 0.0 < value <= 0.5:
        meant = f"; {value:g}% is {value / 100:g}" if 1.0 <= value <= 50.0 else ""
        raise wrong(key, f"a probability above 0 and at most 0.5 is wanted, found {value:g}{meant}")
    return value


def duration(written: Mapping[str, Any], key: str) -> timedelta | None:
    """A Go duration that is not negative; None where there is none. Raises SpecError."""
    value = written.get(key)
    if value is None or value == "":
        return None
    try:
        found = parse_duration(str(value))
    except ValueError as error:
        raise wrong(key, str(error)) from None
    if found < timedelta() or (key == "maxDuration" and not found):
        least = "above 0" if key == "maxDuration" else "of 0 or more"
        raise wrong(key, f"a duration {least} is wanted, found {value!r}")
    return found


def loose(value: Any) -> float | None:
    """A number, or text that is one."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def or_else(value: float | None, default: float) -> float:
    return default if value is None else value
