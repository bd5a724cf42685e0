"""A chart as SVG text. Colours come from CSS variables, so that one drawing serves light and dark.

No script, no style attribute, no address: what a strict content policy allows.
"""

from collections.abc import Iterator, Sequence

from analysis_service.report import layout
from analysis_service.report.chart import Chart, Shape
from analysis_service.report.layout import LETTER, MARKED, TOP, WIDTH, Frame
from analysis_service.report.scales import ticks
from analysis_service.report.text import cut, escape

CSS = (
    "svg.chart{display:block;width:100%;height:auto;font:11px system-ui,-apple-system,'Segoe UI','DejaVu Sans',"
    "sans-serif}"
    "svg.chart text{fill:var(--soft)}svg.chart text.strong{fill:var(--ink);font-weight:600}"
    ".grid{stroke:var(--grid);stroke-width:1}.axis{stroke:var(--edge);stroke-width:1;fill:none}"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}"
    ".thin{stroke-width:1.2}.dash{stroke-dasharray:6 3}"
    ".rule{stroke-width:1.3;stroke-dasharray:2 3}.solid{stroke-dasharray:none}"
    ".band{stroke:none;fill-opacity:.16}.moment{stroke-width:1.5}.mark{stroke-width:1.6}"
    ".hollow{fill:var(--ground)}"
)
ROLES = ("canary", "stable", "estimate", "good", "bad", "unsure", "error", "idle", "rule")
ROLE_CSS = "".join(
    f".s-{r}{{stroke:var(--{r})}}.f-{r}{{fill:var(--{r})}}svg.chart text.t-{r}{{fill:var(--{r})}}" for r in ROLES
)


def n(value: float) -> str:
    """A coordinate: two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def draw(chart: Chart, key: str) -> str:
    """The `<svg>` element. key: prefix of the ids inside, unique in its document."""
    found, height = body(chart)
    return (
        f'<svg class="chart" viewBox="0 0 {n(WIDTH)} {n(height)}" role="img" aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(chart.title)}</title><desc id="{key}-d">{escape(chart.summary)}</desc>'
        f"{found}</svg>"
    )


def body(chart: Chart) -> tuple[str, float]:
    """What is inside the element, and its height."""
    y_ticks = ticks(chart.y, max(3, chart.height // 45))
    keys, rows = layout.legend(chart)
    at = layout.frame(chart, layout.left_margin([label for _, label in y_ticks], chart.y.title), rows)
    parts = [
        *_legend(keys),
        *_axes(chart, at, y_ticks),
        *_bands(chart, at),
        *_rules(chart, at),
        *_moments(chart, at),
        *_lines(chart, at),
        *_marks(chart, at),
    ]
    return "".join(parts), at.height


def _legend(keys: Sequence[layout.Key]) -> Iterator[str]:
    for key in keys:
        x, y = key.x + 4.0, TOP + key.row * layout.LEGEND_ROW + 2.0
        if key.look == "band":
            yield f'<rect class="band f-{key.role}" x="{n(x)}" y="{n(y - 5)}" width="22" height="10"/>'
        elif key.look == "mark":
            yield _shape(key.shape, key.role, x + 11, y)
        else:
            dash = " dash" if key.look == "dashed" else ""
            yield f'<path class="line s-{key.role}{dash}" d="M{n(x)} {n(y)}h22"/>'
            yield _shape(key.shape, key.role, x + 11, y)
        yield f'<text x="{n(x + 28)}" y="{n(y + 4)}">{escape(key.label)}</text>'


def _axes(chart: Chart, at: Frame, y_ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
    for value, label in y_ticks:
        y = at.y(value)
        yield f'<path class="grid" d="M{n(at.left)} {n(y)}H{n(at.right)}"/>'
        yield f'<text x="{n(at.left - 7)}" y="{n(y + 4)}" text-anchor="end">{escape(cut(label, 24))}</text>'
    for value, label in ticks(chart.x, 7):
        x = at.x(value)
        yield f'<path class="axis" d="M{n(x)} {n(at.bottom)}v4"/>'
        yield f'<text x="{n(x)}" y="{n(at.bottom + 16)}" text-anchor="middle">{escape(label)}</text>'
    yield f'<path class="axis" d="M{n(at.left)} {n(at.bottom)}H{n(at.right)}"/>'
    if chart.x.title:
        yield (
            f'<text x="{n((at.left + at.right) / 2)}" y="{n(at.bottom + 30)}" text-anchor="middle">'
            f"{escape(chart.x.title)}</text>"
        )
    if chart.y.title:
        middle = (at.top + at.bottom) / 2
        title = cut(chart.y.title, int(chart.height / LETTER))
        yield f'<text transform="translate(11 {n(middle)}) rotate(-90)" text-anchor="middle">{escape(title)}</text>'


def _bands(chart: Chart, at: Frame) -> Iterator[str]:
    for band in chart.bands:
        for run in layout.band_runs(band.points, chart.y):
            if len(run) == 1:
                x, low, high = run[0]
                top, bottom = at.y(high), at.y(low)
                yield (
                    f'<rect class="band f-{band.role}" x="{n(at.x(x) - 5)}" y="{n(top)}" width="10" '
                    f'height="{n(max(bottom - top, 1.0))}"/>'
                )
                continue
            over = " ".join(f"{n(at.x(x))} {n(at.y(high))}" for x, _, high in run)
            under = " ".join(f"{n(at.x(x))} {n(at.y(low))}" for x, low, _ in reversed(run))
            yield f'<path class="band f-{band.role}" d="M{over}L{under}Z"/>'


def _rules(chart: Chart, at: Frame) -> Iterator[str]:
    places = layout.apart([at.y(rule.y) for rule in chart.rules], at.top + 4, at.bottom - 4)
    for rule, place in zip(chart.rules, places, strict=True):
        y = at.y(rule.y)
        solid = "" if rule.dashed else " solid"
        yield f'<path class="rule s-{rule.role}{solid}" d="M{n(at.left)} {n(y)}H{n(at.right)}"/>'
        yield f'<path class="axis" d="M{n(at.right)} {n(y)}L{n(at.right + 6)} {n(place)}"/>'
        label = escape(cut(rule.label, int((layout.RIGHT - 12) / LETTER)))
        yield f'<text class="t-{rule.role}" x="{n(at.right + 9)}" y="{n(place + 4)}">{label}</text>'


def _moments(chart: Chart, at: Frame) -> Iterator[str]:
    for i, moment in enumerate(chart.moments):
        x = at.x(moment.x)
        top = at.top - layout.LINE * i if moment.label else at.top  # labels stand above the plot, one to a row
        yield f'<path class="moment s-{moment.role}" d="M{n(x)} {n(top)}V{n(at.bottom)}"/>'
        if moment.label:
            left = x > at.left + (at.right - at.left) / 2  # write where there is room
            anchor, place = ("end", x + 1) if left else ("start", x - 1)
            yield (
                f'<text class="t-{moment.role}" x="{n(place)}" y="{n(top - 3)}" text-anchor="{anchor}">'
                f"{escape(moment.label)}</text>"
            )


def _lines(chart: Chart, at: Frame) -> Iterator[str]:
    for line in chart.lines:
        dash = " dash" if line.dashed else ""
        many = sum(y is not None for _, y in line.points)
        few = many <= MARKED and line.shape != "none"
        dash += " thin" if many >= layout.THIN or line.shape == "none" else ""
        for run in layout.runs(line.points):
            if len(run) > 1:
                corners = layout.steps(run) if line.step else run
                path = " ".join(f"{n(at.x(x))} {n(at.y(y))}" for x, y in corners)
                yield f'<path class="line s-{line.role}{dash}" d="M{path}"/>'
            elif not few:
                yield f'<path class="line s-{line.role}" d="M{n(at.x(run[0][0]))} {n(at.y(run[0][1]))}h.1"/>'
            if few:
                yield from (_shape(line.shape, line.role, at.x(x), at.y(y)) for x, y in run)


def _marks(chart: Chart, at: Frame) -> Iterator[str]:
    for marks in chart.marks:
        for x, y, said in marks.points:
            yield _shape(marks.shape, marks.role, at.x(x), at.y(y), said)


_PATHS: dict[Shape, tuple[str, bool]] = {  # around the origin; filled or only stroked
    "square": ("M-3.2 -3.2h6.4v6.4h-6.4Z", True),
    "diamond": ("M0 -4.6L4.6 0L0 4.6L-4.6 0Z", True),
    "triangle": ("M0 4.6L4.6 -3.6H-4.6Z", True),
    "cross": ("M-3.8 -3.8L3.8 3.8M-3.8 3.8L3.8 -3.8", False),
    "tick": ("M0 -5V5", False),
}


def _shape(shape: Shape, role: str, x: float, y: float, said: str = "") -> str:
    title = f"<title>{escape(said)}</title>" if said else ""
    if shape == "none":
        return ""
    if shape in ("circle", "ring"):
        fill = "hollow" if shape == "ring" else f"f-{role}"
        found = f'<circle class="mark s-{role} {fill}" cx="{n(x)}" cy="{n(y)}" r="3"'
        return f"{found}>{title}</circle>" if title else f"{found}/>"
    path, filled = _PATHS[shape]
    fill = f" f-{role}" if filled else ""
    found = f'<path class="mark s-{role}{fill}" transform="translate({n(x)} {n(y)})" d="{path}"'
    return f"{found}>{title}</path>" if title else f"{found}/>"
