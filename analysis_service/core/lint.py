"""All that can be said of a file of templates: shape, meaning, arguments, conditions, each finding with its place."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from msgspec.structs import replace

from analysis_service.core.argument_problems import check_arguments, check_template_arguments
from analysis_service.core.arguments import provider_names
from analysis_service.core.condition_problems import REFUSED, condition_findings
from analysis_service.core.model import Template
from analysis_service.core.nodes import Source
from analysis_service.core.problem import MAX_METRICS, DocumentError, Problem, Severity, echo, errors, limited
from analysis_service.core.problems import problems as template_problems
from analysis_service.core.shape import meant
from analysis_service.core.template import ALL_KINDS, Parsed, read, read_all
from analysis_service.core.wire import RUN

Missing = Callable[[str], bool]
"""Whether no provider of this name is installed."""
_TRAPS = frozenset({"ResultType", "NotBoolean", "ConstantCondition", "WrongType"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A document and everything found: errors forbid using it."""

    parsed: Parsed
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return errors(self.problems)


def load(data: bytes | str, *, strict: bool = False, kinds: Sequence[str] = ALL_KINDS) -> Checked:
    """Read and check the one document of a text. Raises DocumentError if it cannot be used."""
    return _usable(check(read(data, kinds), strict=strict))


def load_all(data: bytes | str, *, strict: bool = False) -> tuple[Checked, ...]:
    """Read and check every document of ours in a text. Raises DocumentError with all problems if one has errors."""
    checked = tuple(check(parsed, strict=strict) for parsed in read_all(data, skip_foreign=True))
    if any(one.errors for one in checked):
        raise DocumentError(problem for one in checked for problem in one.problems)
    return checked


def lint(
    data: bytes | str, *, strict: bool = False, gate: bool = False, missing: Missing | None = None
) -> tuple[Problem, ...]:
    """Everything there is to say about a text, never raising. missing: whether no such provider is installed."""
    try:
        parsed = read_all(data, skip_foreign=True)
    except DocumentError as error:
        return error.problems
    return tuple(
        problem for one in parsed for problem in check(one, strict=strict, gate=gate, missing=missing).problems
    )


def check(parsed: Parsed, *, strict: bool = False, gate: bool = False, missing: Missing | None = None) -> Checked:
    """Judge what a document means. strict: Argo's traps are errors; gate: a metric that never ends is one."""
    if not parsed.kind:
        return Checked(parsed, parsed.problems)
    template = parsed.template
    found = template_problems(template, strict=strict, gate=gate)
    if parsed.kind == RUN:
        found += check_arguments(template, strict=strict)
    else:
        found += check_template_arguments(template, strict=strict)
    if missing is not None:
        found += _not_installed(template, missing)
    placed = [_placed(problem, parsed.source) for problem in limited(found)]
    placed += _conditions(template, parsed.source, strict=strict)
    known = [problem.path for problem in parsed.problems if problem.severity == "error"]
    # what is misspelt is not missing, unless it is there as well
    known += (path for path in map(meant, parsed.problems) if path and not parsed.source.holds(path))
    fresh = [problem for problem in placed if not any(_related(problem.path, path) for path in known)]
    together = dict.fromkeys((*parsed.problems, *fresh))
    return Checked(parsed, limited(sorted(together, key=attrgetter("line", "column"))))


def _not_installed(template: Template, missing: Missing) -> Iterator[Problem]:
    for index, metric in enumerate(template.metrics[:MAX_METRICS]):
        for name in filter(missing, provider_names(metric.provider)):
            text = f"provider '{echo(name)}' is not installed: no run here can ask it"
            yield Problem("NotInstalled", f"spec.metrics[{index}].provider", text, severity="warning")


def condition_problems(template: Template, *, strict: bool = False) -> list[Problem]:
    """Findings on the conditions of a template that did not come from a text."""
    return list(_conditions(template, None, strict=strict))


def _conditions(template: Template, source: Source | None, *, strict: bool) -> Iterator[Problem]:
    for index, metric in enumerate(template.metrics[:MAX_METRICS]):
        for remark in condition_findings(metric):
            path = f"spec.metrics[{index}].{remark.field}"
            refused = remark.code in REFUSED or (strict and remark.code in _TRAPS)
            severity: Severity = "error" if refused else "warning"
            hint = _sentence(remark.hint)
            problem = Problem(remark.code, path, remark.message, 0, 0, hint, severity, remark.length)
            if source is not None and remark.at >= 0:
                at = source.inside(path, remark.at)
                problem = replace(problem, line=at.line, column=at.column)
            yield problem if source is None else _placed(problem, source)


def _sentence(hint: str) -> str:
    """A hint as the other hints are written."""
    return hint[:1].upper() + hint[1:] + ("" if not hint or hint[-1] in ".?!" else ".")


def _placed(problem: Problem, source: Source) -> Problem:
    if problem.line:
        return problem
    at, length = source.span(problem.path)
    return replace(problem, line=at.line, column=at.column, length=length)


def _usable(checked: Checked) -> Checked:
    if checked.errors:
        raise DocumentError(checked.problems)
    return checked


def _related(path: str, known: str) -> bool:
    """Whether one path is the other or leads to it: the second finding would only follow from the first."""
    short, long = sorted((path, known), key=len)
    return long.startswith(short) and (len(short) == len(long) or long[len(short)] in ".[")


def summary(problems: Iterable[Problem]) -> str:
    """`2 errors, 1 warning`."""
    counts = {"error": 0, "warning": 0}
    for problem in problems:
        counts[problem.severity] += 1
    parts = [f"{count} {word}{'s' if count != 1 else ''}" for word, count in counts.items() if count]
    return ", ".join(parts) or "no problems"
