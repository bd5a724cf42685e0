"""`tidegate runs ...`: what a service is doing and has done."""

import sys
from pathlib import Path
from typing import Any

import click

from analysis_service.cli import options as opt
from analysis_service.cli.formats import FORMATS
from analysis_service.cli.show import put

_MAX_REASON = 160


@click.group("runs", short_help="List, show, watch, terminate and delete runs.")
def command() -> None:
    """Runs of a service. RUN is an id, or a resource name as `check --server` and `runs list -o json` print it."""


@command.command("list")
@opt.service_options
@opt.namespace_option
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--filter", "filter_", default="", help='phase = Failed AND template = "x" AND labels.team = "pay"')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 5000))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(
    server: str, ca: Path, plaintext: bool, namespace: str, all_namespaces: bool, filter_: str, limit: int, output: str
) -> None:
    """Newest first."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.cli.client import as_json
    from analysis_service.v1 import analysis_pb2 as pb

    runs: list[Any] = []
    token = ""
    while len(runs) < limit:
        request = pb.ListAnalysisRunsRequest(
            namespace="-" if all_namespaces else namespace,
            filter=filter_,
            page_size=min(500, limit - len(runs)),
            page_token=token,
        )
        page = client.call(client.stub.ListAnalysisRuns, request)
        runs += page.runs
        token = page.next_page_token
        if not token:
            break
    if output == "json":
        put(as_json(pb.ListAnalysisRunsResponse(runs=runs, next_page_token=token)))
    elif runs:
        put("\n".join(_table(runs, all_namespaces)), nl=True)
        if token:
            click.echo(f"and more; show them with --limit, or choose with --filter (shown: {limit})", err=True)
    else:
        where = "any namespace" if all_namespaces else f"namespace {namespace}"
        click.echo(f"no runs in {where}{' that match the filter' if filter_ else ''}", err=True)


@command.command("get")
@click.argument("run")
@opt.service_options
@opt.namespace_option
@click.option("-o", "--output", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--measurements", metavar="METRIC", help="All measurements of one metric, also those trimmed from the run."
)
@opt.color_option
def get(
    run: str,
    server: str,
    ca: Path,
    plaintext: bool,
    namespace: str,
    output: str,
    measurements: str | None,
    no_color: bool,
) -> None:
    """One run, with the reason for everything. Exits with 0 whatever the verdict: `runs watch` is the gate."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.api.convert import from_run
    from analysis_service.cli.output import write_out
    from analysis_service.cli.report import so_far
    from analysis_service.cli.which_run import run_resource
    from analysis_service.v1 import analysis_pb2 as pb

    name = run_resource(client, run, namespace)
    if measurements:
        _print_measurements(client, name, measurements, output)
        return
    found = client.call(client.stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name=name))
    write_out(so_far(from_run(found)), output, no_color=no_color)


@command.command("watch")
@click.argument("run")
@opt.service_options
@opt.namespace_option
@click.option("--timeout", default="1h", show_default=True, help="Longest wait for a verdict.")
@opt.reconnect_option
@opt.policy_options
@click.option("-o", "--output", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
@opt.color_option
def watch(run: str, server: str, ca: Path, plaintext: bool, namespace: str, **options: Any) -> None:
    """Follow a run to its verdict; exits as `check` does. The run goes on when this command is stopped."""
    reconnect = opt.read_duration(options["reconnect"], "--reconnect")
    seconds = opt.read_duration(options["timeout"])
    policies = opt.policies(options["on_error"], options["on_inconclusive"], options["on_no_data"], options["codes"])
    client = opt.connect(server, ca, plaintext, reconnect)
    from analysis_service.cli.gate import follow
    from analysis_service.cli.gate_remote import Watched
    from analysis_service.cli.output import write_out
    from analysis_service.cli.progress import progress
    from analysis_service.cli.which_run import run_resource

    show = progress(quiet=options["quiet"], no_color=options["no_color"])
    found, aside = follow(Watched(client, run_resource(client, run, namespace), seconds), show, policies, seconds)
    if aside:
        click.echo(aside, err=True)
    write_out(found, options["output"], no_color=options["no_color"])
    sys.exit(found.exit_code)


@command.command("terminate")
@click.argument("run")
@opt.service_options
@opt.namespace_option
def terminate(run: str, server: str, ca: Path, plaintext: bool, namespace: str) -> None:
    """Ask a run to end. A finished run keeps its verdict."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.api.convert import from_run
    from analysis_service.cli.which_run import run_resource
    from analysis_service.v1 import analysis_pb2 as pb

    request = pb.TerminateAnalysisRunRequest(name=run_resource(client, run, namespace))
    message = client.call(client.stub.TerminateAnalysisRun, request)
    phase = from_run(message).phase
    said = f"is {phase.value} and stays so" if phase.done else "asked to end"
    put(f"{message.name}: {said}", nl=True)


@command.command("delete")
@click.argument("run")
@opt.service_options
@opt.namespace_option
def delete(run: str, server: str, ca: Path, plaintext: bool, namespace: str) -> None:
    """Delete a finished run with its measurements."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.cli.which_run import run_resource
    from analysis_service.v1 import analysis_pb2 as pb

    name = run_resource(client, run, namespace)
    client.call(client.stub.DeleteAnalysisRun, pb.DeleteAnalysisRunRequest(name=name))
    put(f"{name}: deleted", nl=True)


def _table(messages: list[Any], all_namespaces: bool) -> list[str]:
    from analysis_service.api.convert import from_run
    from analysis_service.cli.report import title
    from analysis_service.cli.show import MAX_CELL, columns, one_line

    rows = [("NAMESPACE", "ID", "CREATED", "PHASE", "NAME", "REASON")]
    for run in map(from_run, messages):
        created = run.created_at.strftime("%Y-%m-%d %H:%M:%SZ") if run.created_at else "-"
        name, reason = one_line(title(run), MAX_CELL), one_line(run.reason, _MAX_REASON)
        rows.append((run.namespace, run.id, created, run.phase.value or "Pending", name, reason))
    return columns(rows if all_namespaces else [row[1:] for row in rows])


def _print_measurements(client: Any, name: str, metric: str, output: str) -> None:
    from analysis_service.api.convert import from_measurement
    from analysis_service.cli.client import as_json
    from analysis_service.cli.report import measured
    from analysis_service.cli.show import columns, one_line
    from analysis_service.v1 import analysis_pb2 as pb

    if output not in ("text", "json"):
        raise click.UsageError(f"--measurements are written as text or json, not as {output}.")
    token, found = "", []
    while True:
        request = pb.ListMeasurementsRequest(name=name, metric=metric, page_size=500, page_token=token)
        page = client.call(client.stub.ListMeasurements, request)
        found += page.measurements
        token = page.next_page_token
        if not token:
            break
    if output == "json":
        put(as_json(pb.ListMeasurementsResponse(measurements=found)))
        return
    rows = [("#", "FINISHED", "PHASE", "VALUE", "WHY")]
    for m in map(from_measurement, found):
        at = m.finished_at.strftime("%Y-%m-%d %H:%M:%SZ") if m.finished_at else "-"
        rows.append((str(m.ordinal), at, m.phase.value, one_line(m.value, 60) or "-", one_line(measured(metric, m))))
    put("\n".join(columns(rows)), nl=True)
