"""`tidegate lint`: everything that is wrong, or doubtful, about template files. Needs no server and no cluster."""

import sys
from pathlib import Path

import click

_SUFFIXES = (".yaml", ".yml", ".json")


@click.command("lint", short_help="Check template files.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Argo's traps are errors.")
@click.option("--gate", is_flag=True, help="Somebody waits for the end: a metric that never ends is an error.")
@click.option("--warnings-fail", is_flag=True, help="Exit with 2 on warnings too.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json", "sarif", "github"]), default="text", show_default=True
)
def command(paths: tuple[Path, ...], strict: bool, gate: bool, warnings_fail: bool, output: str) -> None:
    """Check files, and folders with all their .yaml, .yml and .json files. Exits with 2 if anything is wrong.

    In a folder, documents of other kinds are passed over; a file named on its own is expected to hold templates.
    """
    from importlib import import_module

    from analysis_service.cli.documents import found
    from analysis_service.core.lint import summary

    files = []
    for path in paths:
        if str(path) == "-":
            files.append(("<stdin>", sys.stdin.buffer.read()))
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
            files += [(str(p), data) for p in inside if b"argoproj.io/" in (data := p.read_bytes())]
        else:
            files.append((str(path), path.read_bytes()))
    checked = found(files, strict=strict, gate=gate)
    problems = [problem for _, _, some in checked for problem in some]
    click.echo(import_module(f"analysis_service.cli.lint_{output}").write(checked), nl=False)
    if output == "text":
        click.echo(f"{len(files)} file{'s' if len(files) != 1 else ''}: {summary(problems)}", err=True)
    errors = any(problem.severity == "error" for problem in problems)
    sys.exit(2 if errors or (warnings_fail and problems) else 0)
