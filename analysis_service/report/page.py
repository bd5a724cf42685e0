"""The report as one HTML file that needs nothing else: no script, no request, nobody else's markup."""

import base64
import hashlib
from collections.abc import Iterator

from analysis_service.report import style, svg
from analysis_service.report.chart import Chart, Table
from analysis_service.report.condition import Check
from analysis_service.report.facts import Fact
from analysis_service.report.icons import icon
from analysis_service.report.story import MetricStory, Story, Tone
from analysis_service.report.text import cut, escape, times


def page(story: Story) -> str:
    """The whole document. The same story gives the same bytes."""
    title = f"{story.verdict.word}: {cut(story.title, 80)}"
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>',
            f'<meta http-equiv="Content-Security-Policy" content="{policy()}"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            '<meta name="referrer" content="no-referrer"/><meta name="generator" content="tidegate"/>',
            f"<title>{escape(title)}</title><style>{style.PAGE}</style></head><body>",
            "<header>",
            *_banner(story),
            "</header><main>",
            *_about(story),
            *_list(story),
            *(part for i, metric in enumerate(story.metrics) for part in _metric(metric, f"m{i + 1}")),
            "</main>",
            "<footer><p>Times are UTC. Made by tidegate; this file is complete in itself.</p></footer>",
            "</body></html>\n",
        )
    )


def policy() -> str:
    """Nothing may be loaded or run, and no other style than ours applies."""
    digest = base64.b64encode(hashlib.sha256(style.PAGE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _banner(story: Story) -> Iterator[str]:
    verdict = story.verdict
    yield f"<h1>{escape(story.title)}</h1>"
    yield f'<div class="banner {verdict.tone}">{icon(verdict.tone, 52)}<div>'
    yield f'<div class="word">{escape(verdict.word)}</div><p>{escape(story.sentence)}</p>'
    if verdict.policies:
        yield "<p>" + "".join(f'<span class="chip">{escape(text)}</span>' for text in verdict.policies) + "</p>"
    yield "</div></div>"


def _about(story: Story) -> Iterator[str]:
    yield from _facts(story.facts)
    if story.warnings:
        yield '<h3>Warnings</h3><ul class="plain">'
        yield from (f'<li class="warning">{escape(text)}</li>' for text in story.warnings)
        yield "</ul>"


def _list(story: Story) -> Iterator[str]:
    if not story.metrics:
        yield "<p>No metric was looked at.</p>"
        return
    yield '<h3 id="metrics">Metrics, worst first</h3><table class="list"><thead><tr><th scope="col">Metric</th>'
    yield '<th scope="col">Verdict</th><th scope="col">Newest</th><th scope="col">Why</th></tr></thead><tbody>'
    for i, metric in enumerate(story.metrics):
        dry = ' <span class="chip">dry run</span>' if metric.dry_run else ""
        yield (
            f'<tr><td><a href="#m{i + 1}">{escape(cut(metric.name, 90))}</a>{dry}</td>'
            f"<td>{_phase(metric.tone, metric.word, 16)}</td>"
            f"<td>{escape(cut(metric.value, 40))}</td><td>{escape(cut(metric.sentence, 260))}</td></tr>"
        )
    yield "</tbody></table>"


def _phase(tone: Tone, word: str, size: int) -> str:
    return f'<span class="{tone}">{icon(tone, size)} <b>{escape(word)}</b></span>'


def _metric(metric: MetricStory, key: str) -> Iterator[str]:
    yield f'<section class="metric" id="{key}" aria-labelledby="{key}-h"><div class="head">{icon(metric.tone, 26)}'
    yield f'<h2 id="{key}-h">{escape(metric.name)}</h2></div>'
    dry = '<span class="chip">dry run, not counted</span>' if metric.dry_run else ""
    yield f'<p><span class="chip">{escape(metric.word)}</span><span class="chip">{escape(metric.tally)}</span>{dry}</p>'
    yield f"<p>{escape(metric.sentence)}</p>"
    yield from (f'<p class="warning">{escape(note)}</p>' for note in metric.notes)
    yield from _checks(metric.checks)
    for i, chart in enumerate(metric.charts):
        yield from _figure(chart, f"{key}c{i + 1}")
    for table in metric.tables:
        yield '<div class="lone">'
        yield from _table(table)
        yield "</div>"
    if metric.facts:
        yield "<h3>In figures</h3>"
        yield from _facts(metric.facts)
    if metric.queries:
        yield "<h3>What was asked</h3>"
        yield from (f'<p class="note">{escape(name)}</p><pre>{escape(text)}</pre>' for name, text in metric.queries)
    yield "</section>"


def _checks(checks: tuple[Check, ...]) -> Iterator[str]:
    if not checks:
        return
    yield '<h3>Needed to pass</h3><ul class="plain">'
    for check in checks:
        tone: Tone = "idle" if check.ok is None else "good" if check.ok else "bad"
        word = "open" if check.ok is None else "met" if check.ok else "not met"
        yield f"<li>{icon(tone, 16)} {escape(check.text)}: <b>{word}</b></li>"
    yield "</ul>"


def _facts(facts: tuple[Fact, ...]) -> Iterator[str]:
    if facts:
        yield '<dl class="facts">'
        yield from (f"<div><dt>{escape(f.label)}</dt><dd>{escape(f.value)}</dd></div>" for f in facts)
        yield "</dl>"


def _figure(chart: Chart, key: str) -> Iterator[str]:
    yield f'<figure aria-labelledby="{key}-f"><figcaption id="{key}-f">{escape(chart.title)}</figcaption>'
    yield f'<div class="wide">{svg.draw(chart, key)}</div>'
    if chart.note:
        yield f'<p class="note">{escape(chart.note)}</p>'
    yield f"<details><summary>The same as a table ({times(len(chart.table.rows), 'row')})</summary>"
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(chart.table.caption)}">'
    yield from _table(chart.table)
    yield "</div></details></figure>"


def _table(table: Table) -> Iterator[str]:
    right = " ".join(f"n{i}" for i in sorted(table.numeric))
    yield f'<table class="{right}"><caption>{escape(table.caption)}</caption><thead><tr>'
    yield "".join(f'<th scope="col">{escape(name)}</th>' for name in table.head)
    yield "</tr></thead><tbody>"
    yield from ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    yield "</tbody></table>"
