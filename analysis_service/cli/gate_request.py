"""What `tidegate check` was asked, and that there is no verdict on it."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from analysis_service.cli.outcome import Outcome, Policies
from analysis_service.core.model import Argument, Run, RunSpec

NOTHING = Run(id="", namespace="", name="", spec=RunSpec(metrics=()))
_RUN_KEYS = uuid.UUID("0d7cbb1c-6a36-5d0a-9c5c-5a9e3c3e5f10")  # namespace of request ids made from run keys


class CannotRun(Exception):
    """There will be no verdict. outcome: BAD_SPEC (the caller's move) or ERROR (a service or store that fails)."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Request:
    """What `tidegate check` was asked. files: (name, content); stored: (template, cluster-wide)."""

    files: tuple[tuple[str, bytes], ...]
    stored: tuple[tuple[str, bool], ...]
    args: tuple[Argument, ...]
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
    reconnect_seconds: float = 30.0
    record: Path | None = None  # where to write what providers answer

    @property
    def source(self) -> str:
        return self.files[0][0] if self.files else ""

    def request_id(self) -> str:
        """The same run key gives the same id: a step that is run again joins its first run."""
        if self.run_key:
            return str(uuid.uuid5(_RUN_KEYS, f"{self.namespace}/{self.run_key}"))
        return str(uuid.uuid4())

    def nothing(self) -> Run:
        """The run that never was."""
        name = self.name or (self.stored[0][0] if self.stored else self.source)
        return replace(NOTHING, namespace=self.namespace, name=name)
