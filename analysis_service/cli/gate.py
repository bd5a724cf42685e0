"""The gate behind `tidegate check`: the same run, the same sentences, with or without a service."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from analysis_service.cli.documents import refuse_bad_documents
from analysis_service.cli.outcome import Outcome, Policies, outcome_of
from analysis_service.cli.progress import Progress
from analysis_service.cli.report import Report
from analysis_service.core.model import Run, RunSpec

_RUN_KEYS = uuid.UUID("0d7cbb1c-6a36-5d0a-9c5c-5a9e3c3e5f10")  # namespace of request ids made from run keys


@dataclass(frozen=True, slots=True)
class Request:
    """What `tidegate check` was asked. files: (name, content); stored: (template, cluster-wide)."""

    files: tuple[tuple[str, bytes], ...]
    stored: tuple[tuple[str, bool], ...]
    args: tuple[str, ...]
    namespace: str
    name: str
    run_key: str
    timeout_seconds: float
    strict: bool
    prometheus: str
    dry_run: tuple[str, ...]
    policies: Policies
    server: str = ""
    ca: Path | None = None
    plaintext: bool = False

    @property
    def source(self) -> str:
        return self.files[0][0] if self.files else ""

    def request_id(self) -> str:
        """The same run key gives the same id: a step that is run again joins its first run."""
        if self.run_key:
            return str(uuid.uuid5(_RUN_KEYS, f"{self.namespace}/{self.run_key}"))
        return str(uuid.uuid4())


def run(request: Request, show: Progress) -> Report:
    """Run to the verdict and say what it means. Signals end the run too, and are exit codes of their own."""
    refuse_bad_documents(request.files, strict=request.strict)
    if request.server:
        from analysis_service.cli.gate_remote import states
    else:
        from analysis_service.cli.gate_local import states
    last = Run(id="", namespace=request.namespace, name=request.name, spec=RunSpec(metrics=()))
    with show:
        for last in states(request):
            show.update(last)
    return report(request, last)


def report(request: Request, last: Run) -> Report:
    """What the last state means, policies applied."""
    seen = outcome_of(last)
    if seen is Outcome.TIMED_OUT:
        state = last.reason or f"the run is {last.phase.value or 'Pending'}"
        last = replace(last, reason=f"no verdict within {request.timeout_seconds:g} s; {state}")
    outcome, note = request.policies.apply(seen)
    return Report(last, outcome, request.policies.code(outcome), note, request.source)
