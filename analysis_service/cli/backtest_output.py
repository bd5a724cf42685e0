"""Results of `tidegate backtest` as a table and as JSON."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from analysis_service.cli.run_file import RECORD
from analysis_service.cli.show import columns, one_line, painter
from analysis_service.core.timing import format_duration

if TYPE_CHECKING:
    from analysis_service.history.backtest import Tally
    from analysis_service.history.replay import Replayed

_COLORS = {"Successful": "green", "Failed": "red", "Error": "yellow", "Inconclusive": "magenta"}


def placebo_text(tallies: "Sequence[Tally]") -> str:
    """A row for each metric and effect, and a sentence on each metric's false alarms."""
    rows = [("metric", "harm", "runs", "failed", "95 %", "passed", "undecided", "found after", "90 % after")]
    for t in tallies:
        low, high = t.interval
        rows.append(
            (
                one_line(t.metric),
                "none" if t.effect == 1.0 else f"x{t.effect:g}",
                str(t.runs),
                f"{t.rate:.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{t.passed / t.runs:.1%}",
                f"{(t.runs - t.passed - t.failed) / t.runs:.1%}",
                _after(t, 0.5),
                _after(t, 0.9),
            )
        )
    lines = columns(rows)
    for t in tallies:
        if t.effect == 1.0:
            lines.append(_sentence(t))
    return "\n".join(lines) + "\n"


def _after(tally: "Tally", share: float) -> str:
    looks = tally.delay(share)
    if looks is None:
        return "-"
    return f"{looks:.0f} looks ({format_duration(timedelta(seconds=looks * tally.look_seconds))})"


def _sentence(t: "Tally") -> str:
    low, high = t.interval
    said = f"{one_line(t.metric)}: {t.failed} of {t.runs} innocent runs failed"
    if t.alpha is None:
        return f"{said}; it was promised no false-alarm rate."
    verdict = (
        f"more than the {t.alpha:.3g} that was asked for"
        if low > t.alpha
        else f"in keeping with the {t.alpha:.3g} that was asked for"
        if t.rate <= t.alpha or high >= t.alpha
        else "fewer than asked for"
    )
    short = t.runs - t.calibrated
    back = f" {short} of the runs had too short a look-back and were uncalibrated." if short else ""
    return f"{said}: {verdict}.{back}"


def placebo_json(tallies: "Sequence[Tally]") -> str:
    rows = [
        {
            "metric": t.metric,
            "effect": t.effect,
            "runs": t.runs,
            "calibrated": t.calibrated,
            "failed": t.failed,
            "passed": t.passed,
            "undecided": t.runs - t.failed - t.passed,
            "rate": t.rate,
            "low": t.interval[0],
            "high": t.interval[1],
            "alpha": t.alpha,
            "lookSeconds": t.look_seconds,
            "medianLooks": t.delay(0.5),
            "p90Looks": t.delay(0.9),
        }
        for t in tallies
    ]
    return _pretty({"backtest": "placebo", "results": rows})


def run_text(replayed: "Replayed", *, color: bool) -> str:
    paint, run = painter(color), replayed.run
    head = f"{run.phase.value or 'Pending'} at {replayed.ended_at.isoformat(timespec='seconds')}"
    lines = [paint(head, _COLORS.get(run.phase.value, "bold")), one_line(run.reason or run.message)]
    if replayed.ran_out:
        lines.append("The data ended before the run did; it was terminated there.")
    for result in run.results:
        looks = replayed.looks.get(result.name, ())
        taken, word = (len(looks), "look") if looks else (result.taken, "measurement")
        count = f"{taken} {word}{'' if taken == 1 else 's'}"
        last = result.measurements[-1] if result.measurements else None
        said = result.reason or (last.reason if last else "") or result.message
        said = one_line(said.removeprefix(f"{result.name}: "))
        lines.append(f"  {one_line(result.name)}: {result.phase.value or 'Pending'} after {count}: {said}")
    return "\n".join(lines) + "\n"


def run_json(replayed: "Replayed") -> str:
    """A record that `tidegate report` draws, and what there is to say of a backtest."""
    run = replayed.run
    data: dict[str, Any] = {
        "backtest": "run",
        "format": RECORD,
        "phase": run.phase.value,
        "reason": run.reason or run.message,
        "startedAt": run.started_at,
        "endedAt": replayed.ended_at,
        "ranOut": replayed.ran_out,
        "run": run,
        "looks": replayed.looks,
    }
    return _pretty(data)


def _pretty(data: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
