"""`tidegate lint`: everything that is wrong, or doubtful, about template files. Needs no server and no cluster."""

import sys
from pathlib import Path

import click

from analysis_service.cli.show import put

_SUFFIXES = (".yaml", ".yml", ".json")
_OURS = b"argoproj.io/"
COMES_ALONG = frozenset({"compare", "datadog", "newRelic", "prometheus", "scrape", "web"})
FORMATS = ("text", "json", "sarif", "github")


@click.command("lint", short_help="Check template files.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(allow_dash=True, path_type=Path))
@click.option("--strict", is_flag=True, help="Argo's traps are errors.")
@click.option("--gate", is_flag=True, help="Somebody waits for the end: a metric that never ends is an error.")
@click.option("--warnings-fail", is_flag=True, help="Exit with 2 on warnings too.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--no-color", is_flag=True, help="No colours [env NO_COLOR].")
def command(
    paths: tuple[Path, ...], strict: bool, gate: bool, warnings_fail: bool, output: str, no_color: bool
) -> None:
    """Check files, and folders with all their .yaml, .yml and .json files. Exits with 2 if anything is wrong.

    In a folder, files without a template are passed over; a file named on its own is expected to hold templates.
    """
    from importlib import import_module

    from analysis_service.cli.documents import found, read_file
    from analysis_service.core.lint import summary

    files = []
    for path in paths:
        files += _inside(path) if path.is_dir() else [read_file(path)]
    checked = found(files, strict=strict, gate=gate, missing=_missing)
    problems = [problem for _, _, some in checked for problem in some]
    writer = import_module(f"analysis_service.cli.lint_{output}")
    if output == "text":
        from analysis_service.cli.show import colored

        put(writer.write(checked, color=colored(sys.stdout, no_color)))
        click.echo(f"{len(files)} file{'s' if len(files) != 1 else ''}: {summary(problems)}", err=True)
    else:
        put(writer.write(checked))
    errors = any(problem.severity == "error" for problem in problems)
    sys.exit(2 if errors or (warnings_fail and problems) else 0)


def _missing(provider: str) -> bool:
    """Looks at what is installed only for providers that do not come with tidegate: that takes its time."""
    if provider in COMES_ALONG:
        return False
    from providers import installed

    return provider not in installed()


def _inside(folder: Path) -> list[tuple[str, bytes]]:
    """The files of a folder that hold templates. None at all is refused: a mistyped folder is no clean one."""
    from analysis_service.cli.documents import NotReadable, read_file

    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in _SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    files = [file for file in map(read_file, paths) if _OURS in file[1]]
    if not files:
        raise NotReadable(f"{folder}: no template here: none of its {len(paths)} YAML and JSON files names argoproj.io")
    return files
