"""Where things of a chart go, in units of its own: shared by every way of drawing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from analysis_service.report.chart import Axis, Chart, Shape
from analysis_service.report.scales import Scale, scale
from analysis_service.report.text import cut

WIDTH = 760.0
TOP, BOTTOM = 10.0, 34.0
RIGHT = 122.0  # for the labels of rules
TIME_LEFT = 92.0
LETTER = 6.3  # width of a letter at the 11 px labels are set in, generously
LINE = 13.0  # height of a label
LEGEND_ROW = 18.0
MARKED = 40  # up to this many points of a line each get their mark
THIN = 150  # from so many points on lines are thinner

Run = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """The plot's own rectangle and its scales."""

    left: float
    right: float
    top: float
    bottom: float
    height: float
    x: Scale
    y: Scale


def frame(chart: Chart, left: float, legend_rows: int) -> Frame:
    top = TOP + legend_rows * LEGEND_ROW + LINE * sum(1 for moment in chart.moments if moment.label)
    bottom = top + chart.height
    timed = chart.x.kind == "time"  # charts below each other show the same time at the same place
    left = max(left, TIME_LEFT) if timed else left
    right = WIDTH - (RIGHT if chart.rules or timed else 14.0)
    up = (bottom, top) if chart.y.kind != "lanes" else (top, bottom)
    return Frame(left, right, top, bottom, bottom + BOTTOM, scale(chart.x, left, right), scale(chart.y, *up))


def left_margin(labels: Sequence[str], title: str) -> float:
    """Room for the labels of the y axis, and its title beside them."""
    longest = max((len(label) for label in labels), default=1)
    return min(max(longest * LETTER + 12.0, 34.0), 150.0) + (16.0 if title else 0.0)


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend: what it looks like and how it is called."""

    label: str
    role: str
    look: str  # "line", "dashed", "band" or "mark"
    shape: Shape
    x: float = 0.0
    row: int = 0


def legend(chart: Chart) -> tuple[list[Key], int]:
    """The entries, placed in rows from the left, and how many rows there are."""
    if not chart.legend:
        return [], 0
    keys = [Key(line.label, line.role, "dashed" if line.dashed else "line", line.shape) for line in chart.lines]
    keys += [Key(band.label, band.role, "band", "circle") for band in chart.bands]
    keys += [Key(marks.label, marks.role, "mark", marks.shape) for marks in chart.marks]
    keys = [key for key in keys if key.label]
    placed: list[Key] = []
    x, row = 0.0, 0
    for key in keys:
        width = 34.0 + LETTER * len(cut(key.label, 60)) + 16.0
        if x and x + width > WIDTH - 20.0:
            x, row = 0.0, row + 1
        placed.append(Key(cut(key.label, 60), key.role, key.look, key.shape, x, row))
        x += width
    return placed, row + 1 if placed else 0


def runs(points: Sequence[tuple[float, float | None]]) -> Iterator[Run]:
    """The unbroken stretches of a line: a gap is a gap."""
    stretch: Run = []
    for x, y in points:
        if y is not None:
            stretch.append((x, y))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def band_runs(
    points: Sequence[tuple[float, float | None, float | None]], axis: Axis
) -> Iterator[list[tuple[float, float, float]]]:
    """The same of a band; an unbounded side reaches the edge of the plot."""
    stretch: list[tuple[float, float, float]] = []
    for x, low, high in points:
        if low is None and high is None:
            if stretch:
                yield stretch
            stretch = []
        else:
            stretch.append((x, axis.low if low is None else low, axis.high if high is None else high))
    if stretch:
        yield stretch


def steps(points: Run) -> Run:
    """The corners of a line that holds each value until the next."""
    made: Run = []
    for x, y in points:
        if made:
            made.append((x, made[-1][1]))
        made.append((x, y))
    return made


def apart(places: Sequence[float], low: float, high: float, gap: float = LINE) -> list[float]:
    """The places moved as little as needed so that labels of this height do not meet, in their old order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    made = list(places)
    for before, after in pairwise(order):
        made[after] = max(made[after], made[before] + gap)
    if order and made[order[-1]] > high:
        made[order[-1]] = high
        for after, before in pairwise(reversed(order)):
            made[before] = min(made[before], made[after] - gap)
    if order and made[order[0]] < low:
        made[order[0]] = low
    return made
