"""`tidegate query`: take metrics once, for real, and show everything between the question and the phase."""

import asyncio
import sys
from typing import Any

import click

from analysis_service.cli import options as opt
from analysis_service.cli.show import put


@click.command("query", short_help="Take metrics once.")
@opt.files_argument
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric (repeatable).")
@opt.argument_options
@opt.namespace_option
@click.option("--strict", is_flag=True, help="Turn Argo's traps off.")
@opt.prometheus_option
@click.option(
    "--wait",
    metavar="DURATION",
    help="Ask twice, this far apart: what is measured as growth (scrape) needs a reading before.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@opt.color_option
def command(**options: Any) -> None:
    """Ask the metrics of the templates in FILES once: raw answer, value, conditions part by part, phase.

    Exits as a run would that consists of these measurements: 0, 10, 11, 12 or 20.
    """
    from analysis_service.cli.arguments import read_arguments
    from analysis_service.cli.chosen import chosen
    from analysis_service.cli.documents import read_files
    from analysis_service.cli.gate_local import settings
    from analysis_service.cli.resolved import compose
    from analysis_service.cli.taking import take_all
    from analysis_service.cli.takings import as_data, as_text, exit_code

    if not options["files"]:
        raise click.UsageError("What is to be asked? Give template files.")
    args = read_arguments(options["args"], options["arg_files"])
    composed = compose(read_files(options["files"]), args, strict=options["strict"])
    picked = chosen(options["metrics"], composed.names)
    wait = opt.read_duration(options["wait"], "--wait") if options["wait"] else 0.0
    own = settings(options["strict"], options["prometheus"] or "")
    for warning in composed.warnings:
        click.echo(f"warning: {warning}", err=True)
    taken = asyncio.run(take_all(composed, picked, options["namespace"], own, wait))
    if options["output"] == "json":
        from analysis_service.cli.report import as_json

        put(as_json([as_data(one) for one in taken]))
    else:
        from analysis_service.cli.show import colored

        put(as_text(taken, color=colored(sys.stdout, options["no_color"])))
    sys.exit(exit_code(taken))
