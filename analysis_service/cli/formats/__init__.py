"""How a verdict is written down. Each format is one function: Report -> text."""

import importlib
from collections.abc import Callable

from analysis_service.cli.report import Report

FORMATS = ("text", "json", "yaml", "junit", "github", "markdown")


def renderer(name: str) -> Callable[[Report], str]:
    """The format's function, imported when it is used."""
    module = importlib.import_module(f"analysis_service.cli.formats.{name}")
    render: Callable[[Report], str] = module.render
    return render
