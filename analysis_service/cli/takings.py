"""What was taken once, for people and for programs."""

from collections.abc import Callable, Sequence
from typing import Any

from analysis_service.cli.formats.text import COLORS, MARKS
from analysis_service.cli.outcome import Outcome
from analysis_service.cli.recording import request_data, request_lines, response_data
from analysis_service.cli.show import Paint, columns, labelled, lines, one_line, painter
from analysis_service.cli.taking import Taken
from analysis_service.core.expression import Part
from analysis_service.core.model import Cause, Phase
from providers.base import Sample

_MAX_RAW = 2000  # characters of a raw answer for people
_MAX_SERIES = 10
_MAX_LISTED = 1000  # series, for programs
_WORD_COLORS = {"true": "green", "false": "red", "error": "yellow"}
_LABEL = len("successCondition")
_OUTCOMES = {
    Phase.SUCCESSFUL: Outcome.PASS,
    Phase.FAILED: Outcome.FAIL,
    Phase.ERROR: Outcome.ERROR,
    Phase.INCONCLUSIVE: Outcome.INCONCLUSIVE,
}
_WORST_FIRST = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS)


def exit_code(taken: Sequence[Taken]) -> int:
    """The worst of them."""
    found = {_outcome(one) for one in taken}
    return next(outcome.value for outcome in _WORST_FIRST if outcome in found)


def _outcome(one: Taken) -> Outcome:
    m = one.measurement
    if m is None:  # one question of a comparison
        return Outcome.ERROR if one.problem else Outcome.NO_DATA if one.lacks else Outcome.PASS
    if m.cause is Cause.NO_DATA and m.phase in (Phase.ERROR, Phase.INCONCLUSIVE):
        return Outcome.NO_DATA
    return _OUTCOMES[m.phase]


def as_data(one: Taken) -> dict[str, Any]:
    hide, m, answer = one.mask.plain, one.measurement, one.answer
    return {
        "metric": one.metric.name,
        "question": one.asked,
        "provider": one.provider,
        "requests": [request_data(exchange, one.mask) for exchange in one.exchanges],
        "responses": [response_data(exchange, one.mask) for exchange in one.exchanges],
        "problem": hide(one.problem),
        "lacks": one.lacks,
        "value": hide(answer.text) if answer is not None else None,
        "series": [_series(sample, hide) for sample in answer.samples[:_MAX_LISTED]] if answer is not None else [],
        "conditions": [
            {
                "field": field,
                "source": hide(source),
                "parts": [
                    {
                        "text": hide(part.text),
                        "value": part.value if isinstance(part.value, bool) else None,
                        "detail": hide(part.detail),
                    }
                    for part in parts
                ],
            }
            for field, source, parts in one.conditions
        ],
        "phase": m.phase.value if m is not None else None,
        "cause": m.cause.value if m is not None else None,
        "message": hide(m.message) if m is not None else "",
        "reason": hide(m.reason) if m is not None else "",
    }


def _series(sample: Sample, hide: Callable[[str], str]) -> dict[str, Any]:
    return {"labels": {name: hide(value) for name, value in sample.labels.items()}, "value": str(sample.value)}


def as_text(taken: Sequence[Taken], *, color: bool) -> str:
    paint = painter(color)
    return "\n".join("\n".join(_lines(one, paint)) + "\n" for one in taken)


def _lines(one: Taken, paint: Paint) -> list[str]:
    hide = one.mask.plain
    name = one_line(one.metric.name) + (f", {one_line(one.asked)}" if one.asked else "")
    made = [f"{paint(name, 'bold')}  {one.provider}"]
    rows: list[tuple[str, str]] = []
    for exchange in one.exchanges:
        rows += request_lines(exchange, one.mask)
        raw = response_data(exchange, one.mask)
        if raw is not None:
            body = raw["body"] if len(raw["body"]) <= _MAX_RAW else raw["body"][:_MAX_RAW] + " …"
            rows.append((f"answer {raw['status']}", lines(body.rstrip("\n"))))
    if one.answer is not None:
        rows.append(("value", one_line(hide(one.answer.text))))
    made += labelled(rows, wide=_LABEL)
    if one.answer is not None:
        series = [sample for sample in one.answer.samples if sample.labels]
        for sample in series[:_MAX_SERIES]:
            labels = ", ".join(f"{k}={v!r}" for k, v in sample.labels.items())
            made.append(f"    {sample.value:g}  {one_line(hide(labels))}")
        if len(series) > _MAX_SERIES:
            made.append(f"    and {len(series) - _MAX_SERIES} more series")
    for field, source, parts in one.conditions:
        made += labelled([(field, lines(hide(source)))], wide=_LABEL)
        shown = [(_word(part), one_line(hide(part.text)), one_line(hide(part.detail))) for part in parts]
        for part, line in zip(parts, columns(shown, indent="    "), strict=True):
            word = _word(part)
            made.append(line.replace(word, paint(word, _WORD_COLORS.get(word, "dim")), 1))
    m = one.measurement
    if m is None:
        said = "a comparison is judged over many looks: run `tidegate check`"
        if one.problem:
            said = one_line(hide(one.problem))
        elif one.lacks:
            said = f"no data: {one.lacks}; with nothing but this a comparison ends without a verdict"
        return [*made, f"  {said}"]
    mark = paint(f"{MARKS[m.phase]} {m.phase.value}", COLORS[m.phase])
    reason = hide(m.reason or m.message).removeprefix(f"{one.metric.name}: ")
    made.append(f"  {mark}: {one_line(reason)}")
    if one.answer is None and one.provider == "scrape" and m.cause is Cause.NO_DATA:
        made.append("  growth needs a reading before it: take two, with --wait 10s")
    return made


def _word(part: Part) -> str:
    if isinstance(part.value, bool):
        return "true" if part.value else "false"
    return "error" if part.value is None else "value"
