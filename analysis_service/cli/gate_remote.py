"""The gate on a service: create (or join) the run, watch it to its verdict."""

import signal
import sys
import time
from collections.abc import Iterator

import click

from analysis_service.api.convert import from_run
from analysis_service.cli.client import Client, arguments
from analysis_service.cli.documents import joined
from analysis_service.cli.gate import Request
from analysis_service.core.model import Run
from analysis_service.v1 import analysis_pb2 as pb


def states(request: Request) -> Iterator[Run]:
    """The run's states, newest last. A signal asks the service to end the run and exits with 128 + its number."""
    client = Client(request.server, request.ca, plaintext=request.plaintext or None)
    deadline = time.monotonic() + request.timeout_seconds
    created = client.call(client.stub.CreateAnalysisRun, creation(request))
    click.echo(f"{created.name} on {request.server}", err=True)

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        click.echo("asking the service to end the run", err=True)
        try:
            client.call(client.stub.TerminateAnalysisRun, pb.TerminateAnalysisRunRequest(name=created.name), 3.0)
        finally:
            sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    yield from_run(created)
    yield from map(from_run, client.watch(created.name, deadline - time.monotonic()))


def creation(request: Request) -> pb.CreateAnalysisRunRequest:
    return pb.CreateAnalysisRunRequest(
        namespace=request.namespace,
        run_name=request.name,
        templates=[pb.TemplateReference(name=name, cluster_scope=cluster) for name, cluster in request.stored],
        inline_text=joined(request.files),
        args=arguments(request.args),
        request_id=request.request_id(),
        strict=request.strict,
        policies=request.policies.chosen(),
        refuse_endless=True,
        dry_run_metrics=request.dry_run,
    )
