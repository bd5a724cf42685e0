"""From files to stored templates: documents split, compared with what is stored, written."""

import re
from collections.abc import Iterator
from typing import Any

from analysis_service.cli.client import Client, Missing
from analysis_service.cli.documents import BadDocuments
from analysis_service.core.model import Template
from analysis_service.core.template import read_all
from analysis_service.v1 import analysis_pb2 as pb

_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)  # inside a document nothing may begin a line like this
_NOTHING = re.compile(r"(?:\s|#.*$)*", re.MULTILINE)


def split(name: str, data: bytes) -> Iterator[tuple[Template, str]]:
    """Each template of a file with its own text; documents of foreign kinds (a Rollout, a Service) are left alone."""
    text = data.decode("utf-8-sig")
    parts = [part.lstrip("\n") for part in _SEPARATOR.split(text) if not _NOTHING.fullmatch(part)]
    for part in parts if len(parts) > 1 else [text]:
        for parsed in read_all(part):
            if not parsed.kind:
                continue
            if not isinstance(parsed.content, Template):
                raise BadDocuments(
                    f"{name}: {parsed.kind}: only templates are stored; start runs with `tidegate check`"
                )
            yield parsed.content, part


def apply_document(client: Client, name: str, namespace: str, text: str, *, dry_run: bool) -> tuple[str, list[Any]]:
    """(what was done, what is doubtful about the text)."""
    try:
        known = client.call(client.stub.GetTemplate, pb.GetTemplateRequest(name=name))
    except Missing:
        if dry_run:
            return "would be created", []
        request = pb.CreateTemplateRequest(namespace=namespace, text=text)
        stored = client.call(client.stub.CreateTemplate, request)
        return f"version {stored.version}, created", list(stored.warnings)
    if known.text == text:
        return f"version {known.version}, unchanged", []
    if dry_run:
        return f"version {known.version} would be followed by {known.version + 1}", []
    update = pb.UpdateTemplateRequest(name=name, text=text, etag=known.etag)
    stored = client.call(client.stub.UpdateTemplate, update)
    return f"version {stored.version}, changed", list(stored.warnings)
