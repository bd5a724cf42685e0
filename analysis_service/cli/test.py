"""`tidegate test`: unit tests of templates on series that are written down, in tables, or recorded."""

import sys
from pathlib import Path
from typing import Any

import click

from analysis_service.cli import options as opt
from analysis_service.cli.show import put


class Help(click.Command):
    """The format below the options, as it is written."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from analysis_service.history.cases import FORMAT

        formatter.write("\nThe format of a FILE:\n\n")
        for line in FORMAT.splitlines():
            formatter.write(f"  {line}\n")
        formatter.write("\nExit codes: 0 every test passed, 10 a test failed, 2 a file or a template is wrong.\n")


@click.command("test", cls=Help, short_help="Unit tests of templates on recorded series.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-k", "--only", metavar="REGEX", default="", help="Only tests whose name this matches.")
@click.option("-v", "--verbose", is_flag=True, help="Show reasons and negative controls of passed tests too.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
@opt.color_option
def command(**options: Any) -> None:
    """Run the tests in FILES: templates over series, with the phase and the reason that each is to come to.

    The run is the real one, under a clock that jumps from measurement to measurement. Every comparison is also run on
    its negative controls.
    """
    from analysis_service.cli.show import colored
    from analysis_service.cli.test_output import as_json, as_junit, as_text
    from analysis_service.cli.test_running import run_file

    ran = [run_file(path, options["only"]) for path in options["files"]]
    if not any(one.results for one in ran):
        raise click.UsageError(f"no test's name matches {options['only']!r}")
    if options["output"] == "json":
        put(as_json(ran))
    elif options["output"] == "junit":
        put(as_junit(ran))
    else:
        put(as_text(ran, verbose=options["verbose"], color=colored(sys.stdout, options["no_color"])))
    sys.exit(0 if all(result.passed for one in ran for result in one.results) else 10)
