"""The gate on a service: create (or join) the run, watch it to its verdict."""

import time
from collections.abc import Iterator, Mapping, Sequence

import click

from analysis_service.api.convert import from_run
from analysis_service.cli.client import CALL_SECONDS, Client, Refused, ServerError, argument_messages
from analysis_service.cli.documents import joined
from analysis_service.cli.gate_request import CannotRun, Request
from analysis_service.cli.outcome import Outcome
from analysis_service.core.model import Look, Run
from analysis_service.v1 import analysis_pb2 as pb

END_SECONDS = 3.0  # CI systems kill a few seconds after they ask


class Remote:
    """One run of a service. Who ends the gate by a signal ends the run; who runs out of time leaves it to itself."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._asked = creation(request)
        self._client = Client(
            request.server,
            request.ca,
            plaintext=request.plaintext,
            reconnect_seconds=request.reconnect_seconds,
        )
        self._sent = False
        self._name = ""

    def states(self) -> Iterator[Run]:
        deadline = time.monotonic() + self._request.timeout_seconds
        client = self._client
        try:
            self._sent = True
            seconds = min(CALL_SECONDS, self._request.timeout_seconds)
            created = client.call(client.stub.CreateAnalysisRun, self._asked, seconds)
            self._name = created.name
            click.echo(f"run {created.name} on {self._request.server}", err=True)
            yield from_run(created)
            yield from map(from_run, client.watch(created.name, deadline - time.monotonic()))
        except Refused as error:
            said = error.message
            if error.reason == "REQUEST_ID_REUSED" and self._request.run_key:  # the id was made of the key
                differs = said.rpartition(": ")[2]
                said = (
                    f"run key {self._request.run_key!r} belongs to an earlier run that was asked otherwise: {differs}"
                )
            raise CannotRun(Outcome.BAD_SPEC, said) from None
        except ServerError as error:
            raise CannotRun(Outcome.ERROR, error.message) from None

    def end(self) -> str:
        """Also where the signal came between the question and its answer: the same request id names the same run."""
        if not self._sent:
            return ""
        client = self._client
        try:
            if not self._name:
                self._name = client.call(client.stub.CreateAnalysisRun, self._asked, END_SECONDS, tries=1).name
            request = pb.TerminateAnalysisRunRequest(name=self._name)
            client.call(client.stub.TerminateAnalysisRun, request, END_SECONDS, tries=1)
        except ServerError as error:
            name = self._name or "a run"
            return f"{name} could not be ended and may go on: {error.message}"
        return f"{self._name} was asked to end"

    def left(self) -> str:
        if not self._name:
            return ""
        return f"the run goes on; follow it with: tidegate runs watch {self._name} --server {self._request.server}"

    def looks(self, run: Run) -> Mapping[str, Sequence[Look]]:
        return _looks(self._client, self._name, run)


class Watched:
    """A run that somebody else started: nothing of what becomes of us is its business."""

    def __init__(self, client: Client, name: str, seconds: float) -> None:
        self._client = client
        self._name = name
        self._seconds = seconds

    def states(self) -> Iterator[Run]:
        try:
            yield from map(from_run, self._client.watch(self._name, self._seconds))
        except Refused as error:
            raise CannotRun(Outcome.BAD_SPEC, error.message) from None
        except ServerError as error:
            raise CannotRun(Outcome.ERROR, error.message) from None

    def end(self) -> str:
        return f"{self._name} goes on"

    def left(self) -> str:
        return f"{self._name} goes on"

    def looks(self, run: Run) -> Mapping[str, Sequence[Look]]:
        return _looks(self._client, self._name, run)


def _looks(client: Client, name: str, run: Run) -> Mapping[str, Sequence[Look]]:
    """The verdict is there already: a service that fails now takes nothing from it."""
    from analysis_service.cli import kept

    try:
        return kept.looks(client, name, run)
    except ServerError:
        return {}


def creation(request: Request) -> pb.CreateAnalysisRunRequest:
    return pb.CreateAnalysisRunRequest(
        namespace=request.namespace,
        run_name=request.name,
        templates=[pb.TemplateReference(name=name, cluster_scope=cluster) for name, cluster in request.stored],
        inline_text=joined(request.files) if request.files else "",
        args=argument_messages(request.args),
        request_id=request.request_id(),
        strict=request.strict,
        policies=request.policies.chosen(),
        refuse_endless=True,
        dry_run_metrics=request.dry_run,
    )
