"""The filter language of ListAnalysisRuns and WatchAnalysisRuns: a few fields, two operators, joined by AND.

phase = Failed | phase in (Failed, Error) | template = "checkout" | labels.team = "pay"
"""

import re

from analysis_service.core.model import Phase, Run
from analysis_service.stores.base import RunFilter

MAX_LENGTH = 2048
_TERM = re.compile(
    r"\s*(?P<field>[A-Za-z_][\w.\-/]*)\s*(?P<op>=|\bin\b)\s*(?P<value>\([^()]*\)|\"[^\"]*\"|[^\s()\"]+)\s*(?P<and>AND\b)?"
)
_PHASES = {phase.value: phase for phase in Phase if phase is not Phase.NEW}
ALLOWED = "fields: phase, template, labels.<key>; operators: =, in (phase only); joined by AND"


class FilterError(ValueError):
    """What is wrong, where, and what would work."""


def parse_filter(text: str, namespace: str | None) -> RunFilter:
    """namespace None means all. Raises FilterError."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"the filter has {len(text)} characters; limit {MAX_LENGTH}")
    phases: frozenset[Phase] = frozenset()
    template: str | None = None
    labels: list[tuple[str, str]] = []
    position, more = 0, bool(text.strip())
    while more:
        term = _TERM.match(text, position)
        if term is None:
            raise FilterError(f"cannot read the filter at position {position + 1}: {ALLOWED}")
        field, value = term["field"], term["value"]
        if field == "phase":
            names = [v.strip().strip('"') for v in value.strip("()").split(",")]
            if (len(names) > 1 or value.startswith("(")) != (term["op"] == "in"):
                raise FilterError(f"position {position + 1}: write phase = Failed, or phase in (Failed, Error)")
            unknown = [name for name in names if name not in _PHASES]
            if unknown:
                raise FilterError(f"{unknown[0][:80]!r} is no phase; one of {', '.join(_PHASES)}")
            phases = frozenset(_PHASES[name] for name in names)
        elif term["op"] != "=" or value.startswith("("):
            raise FilterError(f"{field[:80]} only knows =; {ALLOWED}")
        elif field == "template":
            template = value.strip('"')
        elif field.startswith("labels."):
            labels.append((field.removeprefix("labels."), value.strip('"')))
        else:
            raise FilterError(f"unknown field {field[:80]!r}; {ALLOWED}")
        position, more = term.end(), bool(term["and"])
    if text[position:].strip():
        raise FilterError(f"position {position + 1}: expected AND or the end; {ALLOWED}")
    return RunFilter(namespace=namespace, phases=phases, template=template, labels=tuple(labels))


def matches(where: RunFilter, run: Run, template: str = "") -> bool:
    """Whether a run is selected; the same rule that stores apply in their own language."""
    return (
        (where.namespace is None or run.namespace == where.namespace)
        and (not where.phases or (run.phase if run.phase else Phase.PENDING) in where.phases)
        and (where.template is None or template == where.template)
        and all(run.labels.get(key) == value for key, value in where.labels)
    )
