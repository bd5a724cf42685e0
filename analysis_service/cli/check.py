"""`tidegate check`: the gate. Runs templates to their verdict, here or on a service, and exits with it."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from analysis_service.cli.client import namespace_option, server_option
from analysis_service.cli.outcome import POLICY_WORDS, Outcome, Policies

FORMATS = ("text", "json", "yaml", "junit", "github", "markdown")
_NAMES = {outcome.name.lower().replace("_", "-"): outcome for outcome in Outcome}


@click.command("check", short_help="Run templates to their verdict.")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "-a", "--arg", "args", multiple=True, metavar="NAME=VALUE", help="A template argument; @SECRET/KEY refers."
)
@click.option(
    "-t",
    "--template",
    "templates",
    multiple=True,
    metavar="NAME",
    help="A stored template of the service (with --server).",
)
@click.option("--cluster-template", "cluster", multiple=True, metavar="NAME", help="A stored cluster-wide template.")
@server_option
@namespace_option
@click.option("--name", default="", help="The run's name; made from the template's otherwise.")
@click.option("--run-key", default="", help="Stable key of this step: the same key joins the same run (with --server).")
@click.option("--timeout", default="1h", show_default=True, help="Longest wait for a verdict, as 90s or 1h30m.")
@click.option("--strict", is_flag=True, help="Turn Argo's traps off; every one is an error or Inconclusive.")
@click.option("--prometheus", metavar="URL", help="Default Prometheus address [env ARGO_ROLLOUTS_PROMETHEUS_ADDRESS].")
@click.option(
    "--dry-run", "dry_run", multiple=True, metavar="REGEX", help="Metrics that are measured and do not count."
)
@click.option(
    "--on-error", type=click.Choice(POLICY_WORDS), help="Take provider and store errors, and time-outs, as this."
)
@click.option("--on-inconclusive", type=click.Choice(POLICY_WORDS), help="Take an inconclusive verdict as this.")
@click.option("--on-no-data", type=click.Choice(POLICY_WORDS), help="Take missing data as this.")
@click.option(
    "--exit-code", "codes", multiple=True, metavar="OUTCOME=N", help="Another exit code, as fail=1 (repeatable)."
)
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FORMAT[=FILE]", help=f"{', '.join(FORMATS)}; repeatable."
)
@click.option(
    "--result-dir", type=click.Path(file_okay=False, path_type=Path), help="Write verdict, reason, ... as small files."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
@click.option("--no-color", is_flag=True, help="[env NO_COLOR]")
def command(**options: Any) -> None:
    """Run the templates in FILES (or stored ones) to their verdict and exit with it.

    Without --server an engine inside this command does the work and nothing else is needed. Progress goes to
    standard error, the result to standard output. Fails closed: 0 is only returned for a stored Successful verdict.
    """
    from analysis_service.cli import gate
    from analysis_service.cli.progress import progress

    outputs = read_outputs(options["outputs"])
    policies = Policies(
        on_error=options["on_error"] or "",
        on_inconclusive=options["on_inconclusive"] or "",
        on_no_data=options["on_no_data"] or "",
        exit_codes=read_codes(options["codes"]),
    )
    stored = [(name, False) for name in options["templates"]] + [(name, True) for name in options["cluster"]]
    if not options["files"] and not stored:
        raise click.UsageError("What is to be checked? Give template files, or --template with --server.")
    if stored and not options["server"]:
        raise click.UsageError("--template names a template of a service: give --server too, or template files.")
    request = gate.Request(
        files=read_files(options["files"]),
        stored=tuple(stored),
        args=options["args"],
        namespace=options["namespace"],
        name=options["name"],
        run_key=options["run_key"],
        timeout_seconds=read_duration(options["timeout"]),
        strict=options["strict"],
        prometheus=options["prometheus"] or "",
        dry_run=options["dry_run"],
        policies=policies,
        server=options["server"] or "",
        ca=options["ca"],
        plaintext=options["plaintext"],
    )
    report = gate.run(request, progress(quiet=options["quiet"], color=not options["no_color"]))
    write(report, outputs, options["result_dir"])
    sys.exit(report.exit_code)


def read_files(files: tuple[Path, ...]) -> tuple[tuple[str, bytes], ...]:
    """(name, content) of each; `-` is standard input."""
    read = []
    for path in files:
        try:
            data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        except OSError as error:
            raise click.FileError(str(path), error.strerror or "cannot be read") from None
        read.append(("<stdin>" if str(path) == "-" else str(path), data))
    return tuple(read)


def read_duration(text: str) -> float:
    from analysis_service.core.timing import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter(f"{error}; want 90s or 1h30m", param_hint="--timeout") from None


def read_outputs(texts: tuple[str, ...]) -> list[tuple[str, Path | None]]:
    """(format, file or None for standard output); text to standard output if nothing is asked for there."""
    outputs: list[tuple[str, Path | None]] = []
    for text in texts:
        name, equals, file = text.partition("=")
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is no format; one of {', '.join(FORMATS)}", param_hint="--output")
        outputs.append((name, Path(file) if equals and file != "-" else None))
    if sum(file is None for _, file in outputs) > 1:
        raise click.BadParameter(
            "only one format can go to standard output; give the others =FILE", param_hint="--output"
        )
    return outputs or [("text", None)]


def read_codes(texts: tuple[str, ...]) -> dict[Outcome, int]:
    codes: dict[Outcome, int] = {}
    for part in ",".join(texts).split(",") if texts else ():
        name, _, number = part.partition("=")
        outcome = _NAMES.get(name.strip().lower())
        if outcome is None or not number.strip().isdigit() or not 0 <= int(number) <= 255:
            names = ", ".join(_NAMES)
            raise click.BadParameter(f"{part!r} is not OUTCOME=0..255 with one of {names}", param_hint="--exit-code")
        codes[outcome] = int(number)
    return codes


def write(report: Any, outputs: list[tuple[str, Path | None]], result_dir: Path | None) -> None:
    """Every format to its place. A place that cannot be written is an error: somebody relies on it."""
    import os

    from analysis_service.cli.formats import renderer

    for name, file in outputs:
        text = renderer(name)(report)
        if file is None:
            click.echo(text, nl=False)
        else:
            _write_file(file, text)
    if result_dir is not None:
        small = {
            "verdict": report.outcome.word,
            "phase": report.run.phase.value,
            "reason": report.reason,
            "run_id": report.run.id,
            "exit_code": str(report.exit_code),
        }
        for key, value in small.items():
            _write_file(result_dir / key, value)
    if any(name == "github" for name, _ in outputs):
        from analysis_service.cli.formats import github, markdown

        for variable, text in (
            ("GITHUB_OUTPUT", github.outputs(report)),
            ("GITHUB_STEP_SUMMARY", markdown.render(report)),
        ):
            if os.environ.get(variable):
                with open(os.environ[variable], "a", encoding="utf-8") as file_of:
                    file_of.write(text)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        # `kubectl describe pod` shows this as the container's last word
        with contextlib.suppress(OSError):
            Path("/dev/termination-log").write_text(report.headline[:4000])


def _write_file(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror or "cannot be written") from None
