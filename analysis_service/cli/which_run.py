"""Which run an argument means: an id or a resource name; whoever gives a name is told the ids of the runs that have it.

Names are not unique (each run of a template has the same), and what is terminated or deleted must be the run that was
meant.
"""

import re

from analysis_service.api.convert import from_run
from analysis_service.cli.client import Client, Refused
from analysis_service.cli.report import title
from analysis_service.v1 import analysis_pb2 as pb

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NEWEST = 500  # runs that are looked through for a name
SHOWN = 3


def run_resource(client: Client, run: str, namespace: str) -> str:
    """A run's resource name from a resource name or a bare id. Raises Refused for anything else."""
    if "/" in run:
        return run
    if not _ID.fullmatch(run):
        raise _no_id(client, run, namespace)
    return f"namespaces/{namespace}/analysisRuns/{run}"


def _no_id(client: Client, given: str, namespace: str) -> Refused:
    request = pb.ListAnalysisRunsRequest(namespace=namespace, page_size=NEWEST)
    listed = [from_run(message) for message in client.call(client.stub.ListAnalysisRuns, request).runs]
    found = [run for run in listed if given in (run.name, title(run))]
    if not found:
        return Refused(
            f"{given[:80]!r} is no id of a run, and none of the newest in namespace {namespace} has that name; "
            f"`tidegate runs list --namespace {namespace}` shows the ids"
        )
    many = f"{len(found)} runs have that name, the newest first" if len(found) > 1 else "the run of that name is"
    lines = [f"{run.id}  {run.phase.value or 'Pending'}" for run in found[:SHOWN]]
    return Refused("\n".join([f"{given[:80]!r} is no id of a run, and ids are wanted; {many}:", *lines]))
