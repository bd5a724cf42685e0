"""`tidegate report`: a run as a page that needs nothing else, as pictures, or as a record to keep."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analysis_service.cli import options as opt

if TYPE_CHECKING:
    from analysis_service.cli.run_file import Found
    from analysis_service.report.story import MetricStory, Story

PICTURES = ("svg", "png")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 80  # of a file's name


@click.command("report", short_help="A run as an HTML page or as pictures.")
@click.argument("run")
@opt.service_options
@opt.namespace_option
@click.option("--format", "form", type=click.Choice(["html", *PICTURES, "json"]), default="html", show_default=True)
@click.option(
    "--out",
    metavar="PATH",
    help="Where to: a file, a folder, or - for standard output. Without it beside you, named after the run.",
)
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric (repeatable).")
@click.option(
    "--theme",
    type=click.Choice(["auto", "light", "dark"]),
    default="auto",
    show_default=True,
    help="Of pictures; auto follows the reader's choice in SVG and is light in PNG.",
)
def command(run: str, form: str, out: str | None, metrics: tuple[str, ...], theme: str, **options: Any) -> None:
    """Report on RUN: an id of a service (--server), or a file that holds a result, - for standard input.

    html is one file with everything in it. svg and png are a picture per metric in a folder, or one of all if PATH
    names a file. json is the run with all its looks, to be reported on later. Exits with 0 whatever the verdict.
    """
    from analysis_service.cli.chosen import chosen
    from analysis_service.report.story import tell

    found = _find(run, options)
    name = _slug(f"{found.title}-{found.run.id[-8:]}" if found.run.id else found.title)
    if form == "json":
        _to(_file(out, f"{name}.json"), _record(found))
        return
    story = tell(found.run, found.looks, found.verdict, title=found.title)
    known = [metric.name for metric in story.metrics]
    if metrics:
        story = tell(
            found.run, found.looks, found.verdict, title=found.title, only=[known[i] for i in chosen(metrics, known)]
        )
    if form == "html":
        from analysis_service.report.page import page

        _to(_file(out, f"{name}.html"), page(story).encode())
    else:
        _pictures(story, form, out, name, theme)


def _find(run: str, options: dict[str, Any]) -> "Found":
    from analysis_service.cli import run_file

    if run == "-" or Path(run).is_file():
        return run_file.read(run)
    if run.endswith(".json"):
        raise click.UsageError(f"{run} does not exist.")
    if not options["server"]:
        raise click.UsageError(
            f"{run} is no file. Give --server HOST:PORT (or TIDEGATE_SERVER) if it is a run of a service."
        )
    client = opt.connect(options["server"], options["ca"], options["plaintext"])
    from analysis_service.api.convert import from_run
    from analysis_service.cli import kept
    from analysis_service.cli.which_run import run_resource
    from analysis_service.v1 import analysis_pb2 as pb

    resource = run_resource(client, run, options["namespace"])
    found = from_run(client.call(client.stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name=resource)))
    return run_file.found(kept.whole(client, resource, found), kept.looks(client, resource, found))


def _record(found: "Found") -> bytes:
    import msgspec

    from analysis_service.cli.run_file import Record

    record = Record(found.run, {name: list(some) for name, some in found.looks.items()})
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def _pictures(story: "Story", form: str, out: str | None, name: str, theme: str) -> None:
    single = out is not None and (out == "-" or out.endswith(f".{form}"))
    try:
        if single:
            _to(out or "-", _picture(story, story.metrics, form, theme))
            return
        folder = Path(out) if out else Path(name)
        for i, metric in enumerate(story.metrics, 1):
            if metric.charts:
                file = folder / f"{i:02d}-{_slug(metric.name)}.{form}"
                _to(str(file), _picture(story, (metric,), form, theme))
        if not any(metric.charts for metric in story.metrics):
            click.echo("nothing was measured, so there is nothing to draw", err=True)
    except ValueError as error:
        raise click.UsageError(f"{error}: choose some with --metric, or name a folder with --out.") from None


def _picture(story: "Story", metrics: "tuple[MetricStory, ...]", form: str, theme: str) -> bytes:
    if form == "svg":
        from analysis_service.report.sheet import svg_sheet

        return svg_sheet(story, metrics, theme).encode()
    from analysis_service.report.png import Unavailable, png_sheet

    try:
        return png_sheet(story, metrics, theme)
    except Unavailable as error:
        raise click.UsageError(str(error)) from None


def _slug(text: str) -> str:
    """A file name of any text: nothing of a path, never empty, never hidden."""
    return _UNSAFE.sub("-", text)[:_LONGEST].strip("-.") or "run"


def _file(out: str | None, name: str) -> str:
    if out is None:
        return name
    return str(Path(out) / name) if out != "-" and (out.endswith("/") or Path(out).is_dir()) else out


def _to(path: str, data: bytes) -> None:
    from analysis_service.cli.show import CannotWrite

    if path == "-":
        click.echo(data, nl=False)  # what cannot be written there `main` says
        return
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}") from None
    click.echo(path)
