"""The same charts as pixels, through matplotlib: no browser and no display is needed.

matplotlib comes with the extra `report`; it is imported when a picture is asked for.
"""

import io
from collections.abc import Sequence
from typing import Any

from analysis_service.report import layout, sheet
from analysis_service.report.chart import Axis, Band, Chart, Line, Shape
from analysis_service.report.palette import DARK, LIGHT, Theme
from analysis_service.report.scales import ticks
from analysis_service.report.story import MetricStory, Story
from analysis_service.report.text import cut, plain

INCH = 96.0  # units of a chart per inch
DPI = 144
_MARKERS: dict[Shape, str] = {
    "circle": "o",
    "ring": "o",
    "square": "s",
    "diamond": "D",
    "triangle": "v",
    "cross": "x",
    "tick": "|",
    "none": "",
}
_SYMBOLS = {"good": "o", "bad": "8", "unsure": "D", "error": "^", "idle": "o"}
_SIGNS = {"good": "✓", "bad": "✕", "unsure": "?", "error": "!", "idle": "…"}


class Unavailable(RuntimeError):
    """matplotlib is not installed."""


def png_sheet(story: Story, metrics: Sequence[MetricStory], theme: str = "light") -> bytes:
    """One picture. Raises Unavailable without matplotlib, ValueError for more than a picture can hold."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise Unavailable(
            "PNG pictures are drawn by matplotlib, which is not installed; pip install 'tidegate[report]', or ask for "
            "svg or html, which need nothing"
        ) from None
    colors = DARK if theme == "dark" else LIGHT
    found = sheet.parts(metrics)
    height = _height(found)
    width = layout.WIDTH + 2 * sheet.MARGIN
    figure = Figure(figsize=(width / INCH, height / INCH), dpi=DPI, facecolor=colors["ground"])
    FigureCanvasAgg(figure)
    _draw(figure, story, found, colors, width, height)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=colors["ground"], metadata={"Software": "tidegate"})
    return buffer.getvalue()


def _frame(chart: Chart) -> layout.Frame:
    labels = [label for _, label in ticks(chart.y, max(3, chart.height // 45))]
    _, rows = layout.legend(chart)
    return layout.frame(chart, layout.left_margin(labels, chart.y.title), rows)


def _height(found: Sequence[sheet.Part]) -> float:
    y = sheet.MARGIN + 18
    for part in found:
        y += 36 + 15 * len(part.sentence) + 14
        y += sum(26 + _frame(chart).height for chart in part.charts)
    return y + sheet.MARGIN


def _draw(figure: Any, story: Story, found: Sequence[sheet.Part], colors: Theme, width: float, height: float) -> None:
    def say(x: float, y: float, text: str, color: str = "soft", size: float = 11, **how: Any) -> None:
        where = (sheet.MARGIN + x) / width, 1 - y / height
        figure.text(*where, _text(text), color=colors[color], fontsize=size * 72 / INCH, va="baseline", **how)

    y = sheet.MARGIN + 8
    say(0, y, cut(story.title, 100), "ink", weight="bold")
    y += 10
    for part in found:
        corner = figure.add_axes((sheet.MARGIN / width, 1 - (y + 22) / height, 22 / width, 22 / height))
        corner.set_axis_off()
        corner.set(xlim=(0, 1), ylim=(0, 1))
        corner.plot([0.5], [0.5], _SYMBOLS[part.tone], color=colors[part.tone], markersize=14, clip_on=False)
        corner.text(0.5, 0.46, _SIGNS[part.tone], color=colors["ground"], ha="center", va="center", weight="bold")
        say(30, y + 16, f"{part.word}: {part.name}", "ink", 16, weight="bold")
        y += 36
        for line in part.sentence:
            say(0, y, line)
            y += 15
        for chart in part.charts:
            y += 18
            say(0, y, chart.title, "ink", weight="bold")
            at = _frame(chart)
            axes = figure.add_axes(
                (
                    (sheet.MARGIN + at.left) / width,
                    1 - (y + 6 + at.bottom) / height,
                    (at.right - at.left) / width,
                    (at.bottom - at.top) / height,
                )
            )
            _chart(axes, chart, at, colors)
            y += at.height + 8
        y += 14


def _text(text: str) -> str:
    """Text as it is: a dollar sign would start a formula."""
    return plain(text).replace("\n", " ").replace("$", r"\$")


def _chart(axes: Any, chart: Chart, at: layout.Frame, colors: Theme) -> None:
    size = 11 * 72 / INCH
    axes.set_facecolor(colors["ground"])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(colors["edge"])
    for axis, target, about in ((chart.x, axes.xaxis, 7), (chart.y, axes.yaxis, max(3, chart.height // 45))):
        is_x = axis is chart.x
        if axis.kind == "log":
            (axes.set_xscale if is_x else axes.set_yscale)("log")
        low, high = (axis.low, axis.high) if axis.kind != "lanes" else (axis.high, axis.low)
        (axes.set_xlim if is_x else axes.set_ylim)(low, high)
        marks = ticks(axis, about)
        target.set_ticks([value for value, _ in marks], [_text(cut(label, 24)) for _, label in marks])
        target.set_ticks([], minor=True)
        title = cut(axis.title, int(chart.height / layout.LETTER)) if not is_x else axis.title
        target.set_label_text(_text(title), fontsize=size, color=colors["soft"])
    axes.tick_params(colors=colors["soft"], labelsize=size, length=3, color=colors["edge"])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=colors["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    for band in chart.bands:
        _band(axes, band, chart.y, colors)
    _rules(axes, chart, at, colors, size)
    for i, moment in enumerate(chart.moments):
        axes.axvline(moment.x, color=colors[moment.role], linewidth=1.2)
        if not moment.label:
            continue
        up = 1 + layout.LINE * i / (at.bottom - at.top)
        left = at.x(moment.x) > (at.left + at.right) / 2
        axes.annotate(
            _text(moment.label),
            (moment.x, up),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right" if left else "left",
            color=colors[moment.role],
            fontsize=size,
        )
    for line in chart.lines:
        _line(axes, line, chart.y, colors)
    for group in chart.marks:
        xs, ys = [x for x, _, _ in group.points], [y for _, y, _ in group.points]
        hollow = {"markerfacecolor": colors["ground"]} if group.shape == "ring" else {}
        axes.plot(
            xs,
            ys,
            _MARKERS[group.shape],
            color=colors[group.role],
            markersize=7.5 if group.shape == "tick" else 5,
            label=_text(group.label),
            clip_on=False,
            **hollow,
        )
    labels = sum(1 for moment in chart.moments if moment.label)
    if chart.legend and any(label and not label.startswith("_") for label in axes.get_legend_handles_labels()[1]):
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-at.left / (at.right - at.left), 1.0 + labels * layout.LINE / (at.bottom - at.top)),
            ncols=6,
            frameon=False,
            fontsize=size,
            labelcolor=colors["soft"],
            borderaxespad=0.2,
            handlelength=2,
            columnspacing=1.4,
        )


def _band(axes: Any, band: Band, axis: Axis, colors: Theme) -> None:
    label = _text(band.label)
    for run in layout.band_runs(band.points, axis):
        xs, lows, highs = ([row[i] for row in run] for i in range(3))
        if len(run) == 1:
            axes.plot(xs * 2, [lows[0], highs[0]], color=colors[band.role], alpha=0.16, linewidth=7, label=label)
        else:
            axes.fill_between(xs, lows, highs, color=colors[band.role], alpha=0.16, linewidth=0, label=label)
        label = "_"


def _rules(axes: Any, chart: Chart, at: layout.Frame, colors: Theme, size: float) -> None:
    places = layout.apart([at.y(rule.y) for rule in chart.rules], at.top + 4, at.bottom - 4)
    for rule, place in zip(chart.rules, places, strict=True):
        color = colors[rule.role]
        axes.axhline(rule.y, color=color, linewidth=1, linestyle=(0, (1.5, 2.5)) if rule.dashed else "-")
        up = (at.bottom - place) / (at.bottom - at.top)
        label = _text(cut(rule.label, int((layout.RIGHT - 12) / layout.LETTER)))
        axes.annotate(
            label, (1, up), xycoords="axes fraction", xytext=(6, 0), textcoords="offset points", va="center",
            color=color, fontsize=size, annotation_clip=False,
        )  # fmt: skip


def _line(axes: Any, line: Line, axis: Axis, colors: Theme) -> None:
    color = colors[line.role]
    many = sum(y is not None for _, y in line.points)
    few = many <= layout.MARKED
    thin = many >= layout.THIN or line.shape == "none"
    label = _text(line.label) or "_"
    for run in layout.runs(line.points):
        marked = _MARKERS[line.shape] if few else "." if len(run) == 1 else ""
        axes.plot(
            [x for x, _ in run],
            [min(max(y, axis.low), axis.high) for _, y in run],
            color=color,
            linewidth=0.9 if thin else 1.4,
            linestyle=(0, (4, 2)) if line.dashed else "-",
            marker=marked,
            markersize=4 if few else 1.5,
            drawstyle="steps-post" if line.step else "default",
            label=label,
        )
        label = "_"
