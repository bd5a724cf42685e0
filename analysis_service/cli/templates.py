"""`tidegate templates ...`: the templates a service keeps."""

from pathlib import Path
from typing import Any

import click

from analysis_service.cli.client import as_json, connect, namespace_option, server_option

_CLUSTER = click.option("--cluster", is_flag=True, help="A ClusterAnalysisTemplate.")


@click.group("templates", short_help="List, show, store and delete templates.")
def command() -> None:
    """Stored templates. Every change makes a new version; runs keep the one they were made from."""


@command.command("list")
@server_option
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces, and cluster-wide ones.")
@_CLUSTER
def list_(server: str, ca: Path, plaintext: bool, namespace: str, all_namespaces: bool, cluster: bool) -> None:
    """Names and latest versions."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    token = ""
    while True:
        where = "-" if all_namespaces else "" if cluster else namespace
        page = client.call(client.stub.ListTemplates, pb.ListTemplatesRequest(namespace=where, page_token=token))
        for t in page.templates:
            click.echo(f"{t.name}  version {t.version}")
        token = page.next_page_token
        if not token:
            return


@command.command("get")
@click.argument("name")
@server_option
@namespace_option
@_CLUSTER
@click.option("--version", default=0, help="0: the latest.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def get(
    name: str, server: str, ca: Path, plaintext: bool, namespace: str, cluster: bool, version: int, output: str
) -> None:
    """The document as it was stored."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    request = pb.GetTemplateRequest(name=resource(name, namespace, cluster), version=version)
    found = client.call(client.stub.GetTemplate, request)
    click.echo(
        as_json(found) if output == "json" else found.text, nl=output != "json" and not found.text.endswith("\n")
    )


@command.command("versions")
@click.argument("name")
@server_option
@namespace_option
@_CLUSTER
def versions(name: str, server: str, ca: Path, plaintext: bool, namespace: str, cluster: bool) -> None:
    """Every version, newest first."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    request = pb.ListTemplateVersionsRequest(name=resource(name, namespace, cluster), page_size=500)
    for t in client.call(client.stub.ListTemplateVersions, request).versions:
        click.echo(f"version {t.version}  {t.create_time.ToJsonString()}  etag {t.etag}")


@command.command("apply")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@server_option
@namespace_option
def apply(files: tuple[Path, ...], server: str, ca: Path, plaintext: bool, namespace: str) -> None:
    """Store templates: new ones, or a new version where the text differs."""
    from analysis_service.cli.client import Refused
    from analysis_service.cli.documents import refuse_bad_documents
    from analysis_service.core.template import TEMPLATE_KINDS, read
    from analysis_service.v1 import analysis_pb2 as pb

    contents = [(str(path), path.read_bytes()) for path in files]
    refuse_bad_documents(tuple(contents), strict=False)
    client = connect(server, ca, plaintext)
    for path, data in contents:
        template = read(data, TEMPLATE_KINDS).template
        text = data.decode()
        name = resource(template.name, template.namespace or namespace, template.cluster_scope)
        try:
            known: Any = client.call(client.stub.GetTemplate, pb.GetTemplateRequest(name=name))
        except Refused:
            known = None
        if known is None:
            where = "" if template.cluster_scope else template.namespace or namespace
            stored = client.call(client.stub.CreateTemplate, pb.CreateTemplateRequest(namespace=where, text=text))
        elif known.text == text:
            click.echo(f"{name}  unchanged")
            continue
        else:
            request = pb.UpdateTemplateRequest(name=name, text=text, etag=known.etag)
            stored = client.call(client.stub.UpdateTemplate, request)
        click.echo(f"{stored.name}  version {stored.version}")
        for problem in stored.warnings:
            click.echo(f"{path}:{problem.line}: warning: {problem.path}: {problem.message}", err=True)


@command.command("delete")
@click.argument("name")
@server_option
@namespace_option
@_CLUSTER
def delete(name: str, server: str, ca: Path, plaintext: bool, namespace: str, cluster: bool) -> None:
    """Delete a template. Runs made from it go on with their own copy."""
    from analysis_service.v1 import analysis_pb2 as pb

    client = connect(server, ca, plaintext)
    full = resource(name, namespace, cluster)
    known = client.call(client.stub.GetTemplate, pb.GetTemplateRequest(name=full))
    gone = client.call(client.stub.DeleteTemplate, pb.DeleteTemplateRequest(name=full, etag=known.etag))
    more = f"; {gone.live_runs} live runs go on with their own copy" if gone.live_runs else ""
    click.echo(f"{full}: deleted{more}")


def resource(name: str, namespace: str, cluster: bool) -> str:
    if "/" in name:
        return name
    return f"clusterAnalysisTemplates/{name}" if cluster else f"namespaces/{namespace}/analysisTemplates/{name}"
