"""Template arguments as written on the command line and in files."""

from pathlib import Path

import click

from analysis_service.cli.documents import NotReadable, read_file
from analysis_service.core.document import parse_document
from analysis_service.core.model import Argument, SecretKeyRef, ValueFrom
from analysis_service.core.nodes import MapNode, ScalarNode
from analysis_service.core.problem import DocumentError, errors, render

_DOCUMENTS = (".yaml", ".yml", ".json")


def read_arguments(texts: tuple[str, ...], files: tuple[Path, ...]) -> tuple[Argument, ...]:
    """Those of the files, then those of the command line, which win. The same name twice in one place is an error."""
    values: dict[str, str] = {}
    for file in files:
        values.update(_of_file(file))
    values.update(_pairs(texts, "--arg"))
    return tuple(_argument(name, value) for name, value in values.items())


def _argument(name: str, value: str) -> Argument:
    if value.startswith("@@"):
        return Argument(name=name, value=value[1:])
    if not value.startswith("@"):
        return Argument(name=name, value=value)
    secret, slash, key = value[1:].partition("/")
    if not (secret and slash and key):
        text = f"{name}={value} refers to no secret; want {name}=@SECRET/KEY, or {name}=@{value} for the text {value}"
        raise click.BadParameter(text, param_hint="--arg")
    return Argument(name=name, value_from=ValueFrom(secret_key_ref=SecretKeyRef(name=secret, key=key)))


def _pairs(texts: tuple[str, ...] | list[str], where: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=where)
        if values.setdefault(name, value) != value:
            raise click.BadParameter(f"{name!r} is given twice with different values", param_hint=where)
    return values


def _of_file(path: Path) -> dict[str, str]:
    name, data = read_file(path)
    if path.suffix not in _DOCUMENTS:
        lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
        return _pairs([line for line in lines if line and not line.startswith("#")], f"--arg-file {name}")
    try:
        document = parse_document(data)
        if wrong := errors(document.problems):
            raise DocumentError(wrong)
    except DocumentError as error:
        text = "\n".join(render(problem, data.decode("utf-8", "replace"), name) for problem in error.problems)
        raise NotReadable(text) from None
    root = document.root
    if not isinstance(root, MapNode):
        raise NotReadable(f"{name}: want a map of argument names to values")
    values: dict[str, str] = {}
    for entry in root.entries:
        if not isinstance(entry.node, ScalarNode) or entry.node.value is None:
            raise NotReadable(f"{name}:{entry.at.line}: {entry.key}: want a text or a number; arguments are texts")
        value = entry.node.value
        values[entry.key] = value if isinstance(value, str) else entry.node.text  # 0.10 stays 0.10
    return values
