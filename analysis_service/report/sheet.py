"""A metric's charts, or several metrics', stacked in one picture that stands alone: verdict, sentence, charts."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from analysis_service.report import icons, layout, style, svg
from analysis_service.report.chart import Chart
from analysis_service.report.palette import DARK, LIGHT, variables
from analysis_service.report.story import MetricStory, Story, Tone
from analysis_service.report.text import cut, escape

MARGIN = 16.0
MOST_CHARTS = 60  # of one picture; more is no picture any more
_LETTERS = 118  # per line of the sentence
_NAME = 58  # letters of a name at the size of a title


@dataclass(frozen=True, slots=True)
class Part:
    """One metric of a sheet."""

    name: str
    word: str
    tone: Tone
    sentence: tuple[str, ...]
    charts: tuple[Chart, ...]


def parts(metrics: Sequence[MetricStory]) -> tuple[Part, ...]:
    """What goes on the sheet. Raises ValueError for more than a picture can hold."""
    made = tuple(
        Part(
            cut(metric.name, _NAME),
            f"{metric.word}{', dry run' if metric.dry_run else ''}",
            metric.tone,
            tuple(textwrap.wrap(metric.sentence, _LETTERS, max_lines=4, placeholder=" …")),
            metric.charts,
        )
        for metric in metrics
    )
    if sum(len(part.charts) for part in made) > MOST_CHARTS:
        raise ValueError(f"{len(made)} metrics are too many for one picture")
    return made


def svg_sheet(story: Story, metrics: Sequence[MetricStory], theme: str = "auto") -> str:
    """A standalone SVG document. theme: light, dark, or auto, which follows the reader's choice."""
    body: list[str] = []
    y = MARGIN + 8
    body.append(f'<text class="strong" x="0" y="{svg.n(y)}">{escape(cut(story.title, 100))}</text>')
    y += 10
    charts: list[str] = []
    for part in parts(metrics):
        charts.append(f'<g transform="translate(0 {svg.n(y)}) scale(.9)">{icons.shape(part.tone)}</g>')
        charts.append(f'<text class="title" x="30" y="{svg.n(y + 16)}">{escape(f"{part.word}: {part.name}")}</text>')
        y += 36
        for line in part.sentence:
            charts.append(f'<text x="0" y="{svg.n(y)}">{escape(line)}</text>')
            y += 15
        for chart in part.charts:
            y += 18
            charts.append(f'<text class="strong" x="0" y="{svg.n(y)}">{escape(chart.title)}</text>')
            inside, height = svg.body(chart)
            summary = f"<title>{escape(chart.title)}</title><desc>{escape(chart.summary)}</desc>"
            charts.append(f'<g transform="translate(0 {svg.n(y + 6)})">{summary}{inside}</g>')
            y += height + 8
        y += 14
    width, height = layout.WIDTH + 2 * MARGIN, y + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {svg.n(width)} {svg.n(height)}" '
        f'width="{svg.n(width)}" height="{svg.n(height)}" role="img">'
        f"<title>{escape(f'{story.verdict.word}: {story.title}')}</title><desc>{escape(story.sentence)}</desc>"
        f"<style>{_colors(theme)}{svg.CSS}{svg.ROLE_CSS}{icons.CSS}"
        "svg.chart text.title{font-size:16px;font-weight:700;fill:var(--ink)}svg.chart{width:auto}</style>"
        f'<rect width="100%" height="100%" fill="var(--ground)"/>'
        f'<g transform="translate({svg.n(MARGIN)} 0)">{"".join(body + charts)}</g></svg>\n'
    )


def _colors(theme: str) -> str:
    if theme == "auto":
        return style.COLORS
    return f":root{{{variables(DARK if theme == 'dark' else LIGHT)}}}"
