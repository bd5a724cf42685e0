"""What a service keeps of a run beyond what the run itself carries: trimmed measurements, looks of comparisons."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from analysis_service.api.convert import from_measurement, from_timestamp
from analysis_service.cli.client import Client
from analysis_service.cli.report import compared
from analysis_service.core.model import Look, Measurement, Run
from analysis_service.v1 import analysis_pb2 as pb

_PAGE = 500


def whole(client: Client, resource: str, run: Run) -> Run:
    """The run with all measurements that were ever taken. Raises ServerError."""
    return replace(
        run,
        results=tuple(
            replace(result, measurements=tuple(_measurements(client, resource, result.name)) or result.measurements)
            if result.taken > len(result.measurements)
            else result
            for result in run.results
        ),
    )


def looks(client: Client, resource: str, run: Run) -> dict[str, list[Look]]:
    """metric -> its looks, oldest first. Raises ServerError."""
    found = {name: list(_looks(client, resource, name, ordinal)) for name, ordinal in compared(run).items()}
    return {name: some for name, some in found.items() if some}


def _paged(call: Callable[[str], tuple[list[Any], str]]) -> Iterator[Any]:
    token = ""
    while True:
        items, token = call(token)
        yield from items
        if not token:
            return


def _measurements(client: Client, resource: str, metric: str) -> Iterator[Measurement]:
    def ask(token: str) -> tuple[list[Any], str]:
        request = pb.ListMeasurementsRequest(name=resource, metric=metric, page_size=_PAGE, page_token=token)
        page = client.call(client.stub.ListMeasurements, request)
        return list(page.measurements), page.next_page_token

    return map(from_measurement, _paged(ask))


def _looks(client: Client, resource: str, metric: str, ordinal: int) -> Iterator[Look]:
    def ask(token: str) -> tuple[list[Any], str]:
        request = pb.ListLooksRequest(name=resource, metric=metric, ordinal=ordinal, page_size=_PAGE, page_token=token)
        page = client.call(client.stub.ListLooks, request)
        return list(page.looks), page.next_page_token

    for one in _paged(ask):
        yield Look(one.number, from_timestamp(one.time), msgspec.json.decode(one.data_json))
