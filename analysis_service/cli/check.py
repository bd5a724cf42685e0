"""`tidegate check`: the gate. Runs templates to their verdict, here or on a service, and exits with it."""

import sys
from pathlib import Path
from typing import Any

import click

from analysis_service.cli import options as opt
from analysis_service.cli.formats import FORMATS


@click.command("check", short_help="Run templates to their verdict.")
@opt.files_argument
@opt.argument_options
@click.option(
    "-t",
    "--template",
    "templates",
    multiple=True,
    metavar="NAME",
    help="A stored template of the service (with --server).",
)
@click.option("--cluster-template", "cluster", multiple=True, metavar="NAME", help="A stored cluster-wide template.")
@opt.service_options
@opt.namespace_option
@click.option("--name", default="", help="The run's name; made from the template's otherwise.")
@click.option("--run-key", default="", help="Stable key of this step: the same key joins the same run (with --server).")
@click.option("--timeout", default="1h", show_default=True, help="Longest wait for a verdict, as 90s or 1h30m.")
@opt.reconnect_option
@click.option("--strict", is_flag=True, help="Turn Argo's traps off; every one is an error or Inconclusive.")
@opt.prometheus_option
@click.option(
    "--dry-run", "dry_run", multiple=True, metavar="REGEX", help="Metrics that are measured and do not count."
)
@opt.policy_options
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FORMAT[=FILE]", help=f"{', '.join(FORMATS)}; repeatable."
)
@click.option(
    "--result-dir", type=click.Path(file_okay=False, path_type=Path), help="Write verdict, reason, ... as small files."
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write down what providers answer, for `tidegate test` and `tidegate backtest`.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
@opt.color_option
def command(**options: Any) -> None:
    """Run the templates in FILES (or stored ones) to their verdict and exit with it.

    Without --server an engine inside this command does the work and nothing else is needed. Progress goes to
    standard error, the result to standard output. Fails closed: 0 is only returned for a stored Successful verdict.
    """
    from analysis_service.cli import gate, output
    from analysis_service.cli.arguments import read_arguments
    from analysis_service.cli.documents import read_files
    from analysis_service.cli.gate_request import Request
    from analysis_service.cli.progress import progress

    outputs = output.read_outputs(options["outputs"])
    policies = opt.policies(options["on_error"], options["on_inconclusive"], options["on_no_data"], options["codes"])
    stored = [(name, False) for name in options["templates"]] + [(name, True) for name in options["cluster"]]
    _refuse_what_cannot_be(options, stored)
    request = Request(
        files=read_files(options["files"]),
        stored=tuple(stored),
        args=read_arguments(options["args"], options["arg_files"]),
        namespace=options["namespace"],
        name=options["name"],
        run_key=options["run_key"],
        timeout_seconds=opt.read_duration(options["timeout"]),
        strict=options["strict"],
        prometheus=options["prometheus"] or "",
        dry_run=options["dry_run"],
        policies=policies,
        server=options["server"] or "",
        ca=options["ca"],
        plaintext=options["plaintext"],
        reconnect_seconds=opt.read_duration(options["reconnect"], "--reconnect"),
        record=options["record"],
    )
    output.prepare(outputs, options["result_dir"])
    report, aside = gate.run(request, progress(quiet=options["quiet"], no_color=options["no_color"]))
    if aside:
        click.echo(aside, err=True)
    output.write(report, outputs, options["result_dir"], no_color=options["no_color"])
    sys.exit(report.exit_code)


def _refuse_what_cannot_be(options: dict[str, Any], stored: list[tuple[str, bool]]) -> None:
    """Options that would be passed over in silence."""
    if not options["files"] and not stored:
        raise click.UsageError("What is to be checked? Give template files, or --template with --server.")
    if options["server"]:
        if options["record"]:
            raise click.UsageError("--record is for checks without --server: there the service asks the providers.")
        given = click.get_current_context().get_parameter_source("prometheus")
        if given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--prometheus is for checks without --server: a service has an address of its own.")
        return
    if stored:
        raise click.UsageError("--template names a template of a service: give --server too, or template files.")
    if options["run_key"]:
        raise click.UsageError("--run-key joins a run of a service: give --server too.")
