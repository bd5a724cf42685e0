"""Where results go: formats to standard output and files, small files for pipelines, GitHub's own files."""

import contextlib
import os
import sys
from pathlib import Path

import click

from analysis_service.cli.formats import FORMATS, renderer
from analysis_service.cli.report import Report
from analysis_service.cli.show import CannotWrite, colored, one_line, put

__all__ = ["CannotWrite", "Outputs", "prepare", "read_outputs", "write", "write_out"]

MAX_LAST_WORD = 4096  # bytes that Kubernetes keeps of a termination message
TERMINATION_LOG = Path("/dev/termination-log")

Outputs = list[tuple[str, Path | None]]
"""(format, file, or None for standard output)."""


def read_outputs(texts: tuple[str, ...]) -> Outputs:
    """`FORMAT[=FILE]` each; text to standard output if nothing is asked for there."""
    outputs: Outputs = []
    for text in texts:
        name, equals, file = text.partition("=")
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is no format; one of {', '.join(FORMATS)}", param_hint="--output")
        if equals and not file:
            raise click.BadParameter(f"{text!r} names no file; want {name}=FILE", param_hint="--output")
        outputs.append((name, Path(file) if equals and file != "-" else None))
    if sum(file is None for _, file in outputs) > 1:
        raise click.BadParameter(
            "only one format can go to standard output; give the others =FILE", param_hint="--output"
        )
    return outputs if any(file is None for _, file in outputs) else [*outputs, ("text", None)]


def prepare(outputs: Outputs, result_dir: Path | None) -> None:
    """Before anything is measured: every place can be written, and holds nothing of an earlier verdict."""
    if sys.stdout is None:
        raise CannotWrite("standard output is closed: nobody could read the verdict")
    for _, file in outputs:
        if file is not None:
            _write(file, "")
            file.unlink(missing_ok=True)
    if result_dir is not None:
        for name in SMALL:
            _write(result_dir / name, "")
            (result_dir / name).unlink(missing_ok=True)


SMALL = ("verdict", "phase", "passed", "reason", "run_id", "exit_code")


def write(report: Report, outputs: Outputs, result_dir: Path | None, *, no_color: bool = False) -> None:
    """Every format to its place, files first: who waits for this process finds them when it ends."""
    for name, file in outputs:
        if file is not None:
            _write(file, renderer(name)(report))
    if result_dir is not None:
        values = (
            report.outcome.word,
            report.run.phase.value or "Pending",
            str(report.passed).lower(),
            one_line(report.reason, MAX_LAST_WORD),  # a Tekton result holds 4 KiB
            report.run.id,
            str(report.exit_code),
        )
        for small, value in zip(SMALL, values, strict=True):
            _write(result_dir / small, value)
    if any(name == "github" for name, _ in outputs):
        _github(report)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        # `kubectl describe pod` shows this as the container's last word
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_bytes(one_line(report.headline).encode()[:MAX_LAST_WORD])
    for name, file in outputs:
        if file is None:
            write_out(report, name, no_color=no_color)


def write_out(report: Report, name: str, *, no_color: bool = False) -> None:
    """One format to standard output."""
    if name == "text":
        from analysis_service.cli.formats import text

        put(text.render(report, color=colored(sys.stdout, no_color)))
    else:
        put(renderer(name)(report))


def _github(report: Report) -> None:
    from analysis_service.cli.formats import github, markdown

    for variable, text in (
        ("GITHUB_OUTPUT", github.outputs(report)),
        ("GITHUB_STEP_SUMMARY", markdown.render(report)),
    ):
        if path := os.environ.get(variable):
            _write(Path(path), text, append=True)


def _write(path: Path, text: str, *, append: bool = False) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if append else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}") from None
