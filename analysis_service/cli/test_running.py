"""A file of tests, read and run."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from analysis_service.cli.documents import read_file
from analysis_service.cli.resolved import compose
from analysis_service.core.model import Argument, RunSpec
from analysis_service.history.cases import CaseError, parse_suite
from analysis_service.history.trial import Result, judge_case
from analysis_service.telemetry import configure_logging
from providers.base import ProviderError


class CannotTest(click.ClickException):
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Ran:
    path: str
    results: tuple[Result, ...]


def run_file(path: Path, only: str) -> Ran:
    """Raises CannotTest: the file, its template or its data are wrong. only: a regular expression for names."""
    name, data = read_file(path)
    try:
        suite = parse_suite(name, data)
        pattern = re.compile(only)
    except CaseError as error:
        raise CannotTest(str(error)) from None
    except re.error as error:
        raise click.BadParameter(f"{only!r} is no regular expression: {error}", param_hint="--only") from None
    templates = [read_file(path.parent / template) for template in suite.templates]
    composed: dict[tuple[tuple[tuple[str, str], ...], bool], RunSpec] = {}

    def spec(args: Mapping[str, str], strict: bool) -> RunSpec:
        key = (tuple(sorted(args.items())), strict)
        if key not in composed:
            composed[key] = compose(
                templates, [Argument(name=name, value=value) for name, value in args.items()], strict=strict
            ).spec
        return composed[key]

    async def run() -> tuple[Result, ...]:
        results = []
        for case in suite.cases:
            if not pattern.search(case.name):
                continue
            try:
                results.append(await judge_case(case, spec, path.parent))
            except ProviderError as error:
                raise CannotTest(f"{name}:{case.line}: {case.name}: {error}") from None
            except click.ClickException as error:
                raise CannotTest(f"{name}:{case.line}: {case.name}: {error.message}") from None
        return tuple(results)

    configure_logging("error")
    return Ran(name, asyncio.run(run()))
