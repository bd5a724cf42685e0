"""A chart as data: what is drawn, in the units of what was measured. `svg` and `png` draw the same value.

x is seconds since the epoch on a time axis. None for a y is a gap, and is drawn as one.
"""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["canary", "stable", "estimate", "good", "bad", "unsure", "error", "idle", "rule"]
Shape = Literal["circle", "ring", "square", "diamond", "triangle", "cross", "tick", "none"]
Kind = Literal["time", "linear", "log", "power", "lanes"]


@dataclass(frozen=True, slots=True)
class Axis:
    """power: values are log10 of what the ticks say. lanes: values 0, 1, ... are rows with these names.

    unit: how ticks read, "ratio" or "".
    """

    kind: Kind
    low: float
    high: float
    title: str = ""
    unit: str = ""
    lanes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    role: Role
    points: tuple[tuple[float, float | None], ...]
    shape: Shape = "circle"
    dashed: bool = False
    step: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """Between two curves. A side that is None while the other is not is unbounded; both None is a gap."""

    label: str
    role: Role
    points: tuple[tuple[float, float | None, float | None], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A level that something is held against."""

    label: str
    role: Role
    y: float
    dashed: bool = True


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time that matters."""

    label: str
    role: Role
    x: float


@dataclass(frozen=True, slots=True)
class Marks:
    """points: x, y, and what the mark says when pointed at."""

    label: str
    role: Role
    shape: Shape
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The same in cells. numeric: columns that hold numbers, which stand to the right."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Chart:
    """summary: the chart in one sentence, for who cannot see it. note: what a reader of the picture should know."""

    title: str
    summary: str
    x: Axis
    y: Axis
    table: Table
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    rules: tuple[Rule, ...] = ()
    moments: tuple[Moment, ...] = ()
    marks: tuple[Marks, ...] = ()
    note: str = ""
    height: int = 220
    legend: bool = field(default=True)
