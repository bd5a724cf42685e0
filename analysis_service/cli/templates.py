"""`tidegate templates ...`: the templates a service keeps."""

from pathlib import Path

import click

from analysis_service.cli import options as opt
from analysis_service.cli.show import put

_CLUSTER = click.option("--cluster", is_flag=True, help="A ClusterAnalysisTemplate.")


@click.group("templates", short_help="List, show, store and delete templates.")
def command() -> None:
    """Stored templates. Every change makes a new version; runs keep the one they were made from."""


@command.command("list")
@opt.service_options
@opt.namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces, and cluster-wide ones.")
@_CLUSTER
def list_(server: str, ca: Path, plaintext: bool, namespace: str, all_namespaces: bool, cluster: bool) -> None:
    """Names and latest versions."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.cli.show import columns
    from analysis_service.v1 import analysis_pb2 as pb

    token, rows = "", [("NAME", "VERSION", "CHANGED")]
    while True:
        where = "-" if all_namespaces else "" if cluster else namespace
        page = client.call(client.stub.ListTemplates, pb.ListTemplatesRequest(namespace=where, page_token=token))
        rows += [(t.name, str(t.version), t.create_time.ToJsonString()) for t in page.templates]
        token = page.next_page_token
        if not token:
            break
    if len(rows) > 1:
        put("\n".join(columns(rows)), nl=True)
    else:
        click.echo("no templates", err=True)


@command.command("get")
@click.argument("name")
@opt.service_options
@opt.namespace_option
@_CLUSTER
@click.option("--version", default=0, help="0: the latest.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def get(
    name: str, server: str, ca: Path, plaintext: bool, namespace: str, cluster: bool, version: int, output: str
) -> None:
    """The document as it was stored."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.v1 import analysis_pb2 as pb

    request = pb.GetTemplateRequest(name=resource(name, namespace, cluster), version=version)
    found = client.call(client.stub.GetTemplate, request)
    if output == "json":
        from analysis_service.cli.client import as_json

        put(as_json(found))
    else:
        put(found.text, nl=not found.text.endswith("\n"))


@command.command("versions")
@click.argument("name")
@opt.service_options
@opt.namespace_option
@_CLUSTER
def versions(name: str, server: str, ca: Path, plaintext: bool, namespace: str, cluster: bool) -> None:
    """Every version, newest first."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.cli.show import columns
    from analysis_service.v1 import analysis_pb2 as pb

    token, rows = "", [("VERSION", "CREATED", "ETAG")]
    while True:
        request = pb.ListTemplateVersionsRequest(
            name=resource(name, namespace, cluster), page_size=500, page_token=token
        )
        page = client.call(client.stub.ListTemplateVersions, request)
        rows += [(str(t.version), t.create_time.ToJsonString(), t.etag) for t in page.versions]
        token = page.next_page_token
        if not token:
            break
    put("\n".join(columns(rows)), nl=True)


@command.command("apply")
@opt.files_argument
@opt.service_options
@opt.namespace_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def apply(files: tuple[Path, ...], server: str, ca: Path, plaintext: bool, namespace: str, dry_run: bool) -> None:
    """Store templates: new ones, or a new version where the text differs. A file may hold several documents."""
    from analysis_service.cli.documents import read_files, refuse_bad_documents

    if not files:
        raise click.UsageError("Which templates? Give files.")
    contents = read_files(files)
    refuse_bad_documents(contents, strict=False)
    client = opt.connect(server, ca, plaintext)
    from analysis_service.cli.stored import apply_document, split

    for path, data in contents:
        for template, text in split(path, data):
            where = "" if template.cluster_scope else template.namespace or namespace
            name = resource(template.name, where, template.cluster_scope)
            said, warnings = apply_document(client, name, where, text, dry_run=dry_run)
            put(f"{name}  {said}", nl=True)
            for problem in warnings:
                click.echo(f"{path}: warning: {problem.path}: {problem.message}", err=True)


@command.command("delete")
@click.argument("name")
@opt.service_options
@opt.namespace_option
@_CLUSTER
def delete(name: str, server: str, ca: Path, plaintext: bool, namespace: str, cluster: bool) -> None:
    """Delete a template. Runs made from it go on with their own copy."""
    client = opt.connect(server, ca, plaintext)
    from analysis_service.v1 import analysis_pb2 as pb

    full = resource(name, namespace, cluster)
    known = client.call(client.stub.GetTemplate, pb.GetTemplateRequest(name=full))
    gone = client.call(client.stub.DeleteTemplate, pb.DeleteTemplateRequest(name=full, etag=known.etag))
    more = f"; {gone.live_runs} live runs go on with their own copy" if gone.live_runs else ""
    put(f"{full}: deleted{more}", nl=True)


def resource(name: str, namespace: str, cluster: bool) -> str:
    if "/" in name:
        return name
    return f"clusterAnalysisTemplates/{name}" if cluster else f"namespaces/{namespace}/analysisTemplates/{name}"
