"""A finished run from a file: what `check`, `backtest`, `runs get` or `report` wrote as JSON, or an AnalysisRun."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from analysis_service.cli.outcome import Outcome, outcome_of
from analysis_service.cli.report import title
from analysis_service.core.model import Look, MetricResult, Run, RunSpec
from analysis_service.report.story import Looks, Tone, Verdict

RECORD = "tidegate.dev/run-record/v1"
MAX_BYTES = 256 << 20
T = TypeVar("T")
_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "inconclusive": "unsure", "no data": "unsure"}
_WANTED = (
    "wanted is what `tidegate check -o json`, `tidegate backtest -o json`, `tidegate runs get -o json` or "
    "`tidegate report --format json` write, or an AnalysisRun as `kubectl get analysisrun -o json` prints it"
)


class NotARun(click.ClickException):
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Found:
    run: Run
    looks: Looks
    verdict: Verdict
    title: str


class Record(msgspec.Struct, frozen=True):
    """A whole run with its looks, as `tidegate report --format json` and `tidegate backtest -o json` write it."""

    run: Run
    looks: dict[str, list[Look]] = {}
    format: str = RECORD


def read(path: str) -> Found:
    """`-` is standard input. Raises NotARun."""
    data = _bytes(path)
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotARun(f"{_named(path)} is not JSON: {error}; {_WANTED}") from None
    if not isinstance(document, dict):
        raise NotARun(f"{_named(path)} holds no run; {_WANTED}")
    if document.get("kind") == "AnalysisRun" and isinstance(document.get("status"), dict):
        return _of_object(document, path)
    if document.get("format") == RECORD:
        record = _convert(document, Record, path)
        return found(record.run, record.looks)
    if isinstance(document.get("metrics"), list) and isinstance(document.get("run"), dict):
        return _of_result(document, path)
    raise NotARun(f"{_named(path)} holds no run; {_WANTED}")


def found(run: Run, looks: Looks) -> Found:
    """A run as a service tells it; without a gate there are no policies but those stored in the run."""
    return Found(run, looks, verdict_of(run), title(run))


def verdict_of(run: Run) -> Verdict:
    if not run.phase.done:
        return Verdict((run.phase.value or "Pending").upper(), "idle", _policies(run.spec.policies))
    outcome = outcome_of(run)
    return Verdict(outcome.word.upper(), _TONES.get(outcome.word, "error"), _policies(run.spec.policies))


def _policies(chosen: Mapping[str, str], applied: str = "") -> tuple[str, ...]:
    texts = tuple(f"{name}={word}" for name, word in chosen.items())
    return (*texts, applied) if applied else texts


def _of_result(document: Mapping[str, Any], path: str) -> Found:
    named = document["run"]
    run = Run(
        id=str(named.get("id", "")),
        namespace=str(named.get("namespace", "")),
        name=str(named.get("name", "")),
        spec=_convert(document.get("spec") or {"metrics": []}, RunSpec, path),
    )
    shared = ("phase", "message", "reason", "cause", "warnings", "startedAt", "completedAt")
    rest = {key: document[key] for key in shared if document.get(key) is not None}
    results = [one for one in document["metrics"] if isinstance(one, dict)]
    run = msgspec.structs.replace(
        _convert(
            {"id": run.id, "namespace": run.namespace, "name": run.name, "spec": {"metrics": []}, **rest}, Run, path
        ),
        spec=run.spec,
        results=tuple(_convert(one, MetricResult, path) for one in results),
    )
    word = str(document.get("outcome", ""))
    if not word:
        return found(run, _looks(document, path))
    early = not run.phase.done and word in (Outcome.TIMED_OUT.word, run.phase.value.lower())
    tone: Tone = _TONES.get(word, "idle" if early else "error")
    policies = _convert(document.get("policies") or {}, dict[str, str], path)
    verdict = Verdict(word.upper(), tone, _policies(policies, str(document.get("policyApplied") or "")))
    return Found(run, _looks(document, path), verdict, str(named.get("title") or title(run)))


def _looks(document: Mapping[str, Any], path: str) -> Looks:
    return _convert(document.get("looks") or {}, dict[str, list[Look]], path)


def _of_object(document: Mapping[str, Any], path: str) -> Found:
    """Argo's own object: what the analysis controller, or ours, left in the cluster."""
    metadata, status = document.get("metadata") or {}, document["status"]
    if not isinstance(metadata, dict):
        raise NotARun(f"{_named(path)}: metadata is not a map; {_WANTED}")
    run = _convert(
        {
            "id": str(metadata.get("uid", "")),
            "namespace": str(metadata.get("namespace", "")),
            "name": str(metadata.get("name", "")),
            "spec": document.get("spec") or {"metrics": []},
            "results": status.get("metricResults") or [],
            **{key: status[key] for key in ("phase", "message", "startedAt", "completedAt") if status.get(key)},
        },
        Run,
        path,
    )
    return found(run, {})


def _convert(value: object, kind: type[T], path: str) -> T:
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise NotARun(f"{_named(path)} cannot be read as a run: {error}; {_WANTED}") from None


def _bytes(path: str) -> bytes:
    try:
        if path == "-":
            if sys.stdin is None:
                raise NotARun("standard input is closed; name a file")
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotARun(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise NotARun(f"{_named(path)} is larger than {MAX_BYTES >> 20} MiB; is it a run?")
    return data


def _named(path: str) -> str:
    return "standard input" if path == "-" else path
