"""Results of `tidegate test` as text, JSON and JUnit XML."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from analysis_service.cli.show import one_line, painter

if TYPE_CHECKING:
    from analysis_service.cli.test_running import Ran
    from analysis_service.history.trial import Result


def as_text(ran: "Sequence[Ran]", *, verbose: bool, color: bool) -> str:
    """One line for each test, more for those that failed; the sum at the end."""
    paint = painter(color)
    lines: list[str] = []
    for one in ran:
        lines.append(one_line(one.path))
        for result in one.results:
            mark = paint("✔", "green") if result.passed else paint("✘", "red")
            lines.append(f"  {mark} {one_line(result.case.name)}")
            lines += [f"      {one_line(text)}" for text in _details(result, verbose)]
    results = [result for one in ran for result in one.results]
    failed = sum(not result.passed for result in results)
    total = f"{len(results)} test{'s' if len(results) != 1 else ''}"
    lines.append(f"{total}: {paint(f'{failed} failed', 'red') if failed else paint('all passed', 'green')}")
    return "\n".join(lines) + "\n"


def _details(result: "Result", verbose: bool) -> list[str]:
    found = list(result.wrong)
    for control in result.controls:
        if not control.fine or verbose or "not found" in control.text:
            found.append(f"control of {control.metric}: {control.text}")
    if verbose and result.run is not None and not result.wrong:
        found.insert(0, f"{result.run.phase.value}: {result.run.reason or result.run.message}")
    return found


def as_json(ran: "Sequence[Ran]") -> str:
    data = {
        "passed": all(result.passed for one in ran for result in one.results),
        "files": [{"path": one.path, "tests": [_data(result) for result in one.results]} for one in ran],
    }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def _data(result: "Result") -> dict[str, Any]:
    run = result.run
    return {
        "name": result.case.name,
        "line": result.case.line,
        "passed": result.passed,
        "wrong": list(result.wrong),
        "phase": run.phase.value if run is not None else "",
        "reason": (run.reason or run.message) if run is not None else "",
        "metrics": {one.name: {"phase": one.phase.value, "reason": one.reason} for one in run.results} if run else {},
        "controls": [
            {"metric": one.metric, "kind": one.kind, "fine": one.fine, "text": one.text} for one in result.controls
        ],
    }


def as_junit(ran: "Sequence[Ran]") -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for one in ran:
        failed = sum(not result.passed for result in one.results)
        lines.append(f'<testsuite name={_attribute(one.path)} tests="{len(one.results)}" failures="{failed}">')
        for result in one.results:
            lines.append(f"<testcase classname={_attribute(one.path)} name={_attribute(result.case.name)}>")
            if not result.passed:
                text = "\n".join(one_line(line) for line in _details(result, False))
                lines.append(f"<failure message={_attribute(text.partition(chr(10))[0])}>{escape(text)}</failure>")
            lines.append("</testcase>")
        lines.append("</testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _attribute(text: str) -> str:
    return quoteattr(one_line(text))
