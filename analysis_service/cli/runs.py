"""`tidegate runs ...`: what a service is doing and has done."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from analysis_service.cli.client import (
    as_json,
    connect,
    namespace_option,
    run_resource,
    server_option,
)

_FORMAT = click.Choice(["text", "json", "yaml", "markdown", "junit"])


@click.group("runs", short_help="List, show, watch, terminate and delete runs.")
def command() -> None:
    """Runs of a service. RUN is an id, or a resource name as `runs list` prints it."""


@command.command("list")
@server_option
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--filter", "filter_", default="", help='phase = Failed AND template = "x" AND labels.team = "pay"')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 5000))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def list_(
    server: str, ca: Path, plaintext: bool, namespace: str, all_namespaces: bool, filter_: str, limit: int, output: str
) -> None:
    """Newest first."""
    from analysis_service.api.convert import from_run
    from analysis_service.cli.report import plain
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
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
        click.echo(as_json(pb.ListAnalysisRunsResponse(runs=runs, next_page_token=token)), nl=False)
        return
    for message in runs:
        run = from_run(message)
        started = run.created_at.strftime("%Y-%m-%d %H:%M:%SZ") if run.created_at else "-"
        phase = run.phase.value or "Pending"
        where = f"{run.namespace}  " if all_namespaces else ""
        click.echo(f"{where}{run.id}  {started}  {phase:<12}  {plain(run.name)}  {plain(run.reason)[:160]}")
    if not runs:
        click.echo("no runs", err=True)


@command.command("get")
@click.argument("run")
@server_option
@namespace_option
@click.option("-o", "--output", type=_FORMAT, default="text")
@click.option(
    "--measurements", metavar="METRIC", help="All measurements of one metric, also those trimmed from the run."
)
def get(
    run: str, server: str, ca: Path, plaintext: bool, namespace: str, output: str, measurements: str | None
) -> None:
    """One run, with the reason for everything."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    name = run_resource(run, namespace)
    if measurements:
        _print_measurements(client, name, measurements, output)
        return
    message = client.call(client.stub.GetAnalysisRun, pb.GetAnalysisRunRequest(name=name))
    _print(message, output)


@command.command("watch")
@click.argument("run")
@server_option
@namespace_option
@click.option("--timeout", default="1h", show_default=True)
@click.option("-o", "--output", type=_FORMAT, default="text")
def watch(run: str, server: str, ca: Path, plaintext: bool, namespace: str, timeout: str, output: str) -> None:
    """Follow a run to its verdict; exits as `check` does."""
    from analysis_service.api.convert import from_run
    from analysis_service.cli.check import read_duration
    from analysis_service.cli.outcome import Outcome
    from analysis_service.cli.progress import progress

    client = connect(server, ca, plaintext)
    last = None
    deadline = time.monotonic() + read_duration(timeout)
    show = progress(quiet=False, color=True)
    with show:
        for message in client.watch(run_resource(run, namespace), deadline - time.monotonic()):
            last = message
            show.update(from_run(message))
    if last is None:
        sys.exit(Outcome.TIMED_OUT.value)
    sys.exit(_print(last, output))


@command.command("terminate")
@click.argument("run")
@server_option
@namespace_option
def terminate(run: str, server: str, ca: Path, plaintext: bool, namespace: str) -> None:
    """Ask a run to end. A finished run keeps its verdict."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    request = pb.TerminateAnalysisRunRequest(name=run_resource(run, namespace))
    message = client.call(client.stub.TerminateAnalysisRun, request)
    click.echo(f"{message.name}: {pb.Phase.Name(message.phase).capitalize()}, asked to end")


@command.command("delete")
@click.argument("run")
@server_option
@namespace_option
def delete(run: str, server: str, ca: Path, plaintext: bool, namespace: str) -> None:
    """Delete a finished run with its measurements."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    name = run_resource(run, namespace)
    client.call(client.stub.DeleteAnalysisRun, pb.DeleteAnalysisRunRequest(name=name))
    click.echo(f"{name}: deleted")


def _print(message: Any, output: str) -> int:
    from analysis_service.api.convert import from_run
    from analysis_service.cli.formats import renderer
    from analysis_service.cli.outcome import outcome_of
    from analysis_service.cli.report import Report

    run = from_run(message)
    outcome = outcome_of(run)
    report = Report(run, outcome, outcome.value)
    click.echo(renderer(output)(report), nl=False)
    return report.exit_code


def _print_measurements(client: Any, name: str, metric: str, output: str) -> None:
    from analysis_service.api.convert import from_measurement
    from analysis_service.cli.report import plain
    from analysis_service.v1 import analysis_pb2 as pb

    token, found = "", []
    while True:
        request = pb.ListMeasurementsRequest(name=name, metric=metric, page_size=500, page_token=token)
        page = client.call(client.stub.ListMeasurements, request)
        found += page.measurements
        token = page.next_page_token
        if not token:
            break
    if output == "json":
        click.echo(as_json(pb.ListMeasurementsResponse(measurements=found)), nl=False)
        return
    for m in map(from_measurement, found):
        at = m.finished_at.strftime("%H:%M:%SZ") if m.finished_at else "-"
        click.echo(f"{m.ordinal:>5}  {at}  {m.phase.value:<12}  {plain(m.value)[:60]}  {plain(m.reason or m.message)}")
