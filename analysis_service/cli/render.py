"""`tidegate render`: the exact queries of templates, arguments filled in, as they would go out. Sends nothing."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from analysis_service.cli import options as opt
from analysis_service.cli.show import put

if TYPE_CHECKING:
    from analysis_service.cli.recording import Exchange, Mask
    from analysis_service.config import Settings
    from analysis_service.core.model import Metric, RunSpec

_BESIDE = {"scrape": ("query", "aggregate", "as"), "web": ("jsonPath",)}
"""Fields that no request holds: what is done with the answer."""


@click.command("render", short_help="Show the exact queries.")
@opt.files_argument
@opt.argument_options
@click.option("-m", "--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric (repeatable).")
@opt.namespace_option
@click.option("--strict", is_flag=True, help="Argo's traps are errors.")
@opt.prometheus_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@opt.color_option
def command(**options: Any) -> None:
    """Show what the templates in FILES would ask: addresses, queries, windows, headers and bodies.

    Templates are composed and arguments filled in as `check` does it; nothing is sent. Secrets are masked.
    """
    from analysis_service.cli.arguments import read_arguments
    from analysis_service.cli.chosen import chosen
    from analysis_service.cli.documents import read_files
    from analysis_service.cli.gate_local import settings
    from analysis_service.cli.recording import Mask
    from analysis_service.cli.resolved import compose

    if not options["files"]:
        raise click.UsageError("What is to be shown? Give template files.")
    args = read_arguments(options["args"], options["arg_files"])
    composed = compose(read_files(options["files"]), args, strict=options["strict"])
    metrics = composed.masked()
    picked = [metrics[index] for index in chosen(options["metrics"], composed.names)]
    found, hidden = asyncio.run(
        _rehearse(picked, options["namespace"], settings(options["strict"], options["prometheus"] or ""))
    )
    found = [replace(one, rules=_rules(one.metric, metrics, composed.spec)) for one in found]
    for warning in composed.warnings:
        click.echo(f"warning: {warning}", err=True)
    mask = Mask(hidden)
    if options["output"] == "json":
        from analysis_service.cli.report import as_json

        put(as_json([_data(one, mask) for one in found]))
    else:
        from analysis_service.cli.show import colored

        put(_text(found, mask, color=colored(sys.stdout, options["no_color"])))
    sys.exit(2 if any(asked.problem for one in found for asked in one.asked) else 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: its requests, or what keeps it from being asked."""

    name: str
    provider: str
    spec: Any
    exchanges: "Sequence[Exchange]"
    problem: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """rules: what a comparison is judged by, labels and texts."""

    metric: "Metric"
    asked: tuple[Asked, ...]
    rules: Sequence[tuple[str, str]] = ()


def _rules(metric: "Metric", metrics: "Sequence[Metric]", spec: "RunSpec") -> list[tuple[str, str]]:
    """Shared with the run's other metrics is the chance of a false alarm; dry runs take no part of it."""
    from analysis_service.cli.compared import rules
    from analysis_service.core.compare.spec import share_of
    from analysis_service.core.prepare import prepare, ready

    dry = {one.name for one in prepare(spec).metrics if one.dry_run}
    return rules(ready(metric), share_of(metric.name, [(one, one.name in dry) for one in metrics]))


async def _rehearse(
    metrics: "Sequence[Metric]", namespace: str, settings: "Settings"
) -> tuple[list[Rendered], Sequence[str]]:
    from analysis_service.asking import unwrap
    from analysis_service.cli.questions import questions, rehearse
    from analysis_service.cli.recording import StandIns
    from analysis_service.main import secret_sources

    sources = secret_sources(settings)
    secrets = StandIns(sources)
    found = []
    for metric in metrics:
        asked = []
        for name, union in questions(metric):
            exchanges, problem = await rehearse(union, namespace, settings, secrets)
            provider, spec = unwrap(union)
            asked.append(Asked(name, provider, spec, exchanges, problem))
        found.append(Rendered(metric, tuple(asked)))
    await sources.close()
    for name in dict.fromkeys(secrets.missing):
        click.echo(f"warning: secret {name!r} is not here; something of its shape stands in its place", err=True)
    return found, secrets.read_values


def _data(one: Rendered, mask: "Mask") -> dict[str, Any]:
    from analysis_service.cli.recording import request_data

    metric = one.metric
    return {
        "metric": metric.name,
        "successCondition": metric.success_condition,
        "failureCondition": metric.failure_condition,
        **({"comparison": dict(one.rules)} if one.rules else {}),
        "interval": metric.interval,
        "count": metric.count,
        "questions": [
            {
                "name": asked.name,
                "provider": asked.provider,
                "requests": [request_data(exchange, mask) for exchange in asked.exchanges],
                **{field: asked.spec[field] for field in _BESIDE.get(asked.provider, ()) if field in asked.spec},
                **({"problem": asked.problem} if asked.problem else {}),
            }
            for asked in one.asked
        ],
    }


def _text(found: Sequence[Rendered], mask: "Mask", *, color: bool) -> str:
    from analysis_service.cli.recording import request_lines
    from analysis_service.cli.show import labelled, lines, one_line, painter

    paint = painter(color)
    made = []
    for one in found:
        rows: list[tuple[str, str]] = []
        for asked in one.asked:
            if asked.name:
                rows.append(("arm", f"{one_line(asked.name)} ({asked.provider})"))
            for exchange in asked.exchanges:
                rows += request_lines(exchange, mask)
            for field in _BESIDE.get(asked.provider, ()):
                if asked.spec.get(field):
                    rows.append(("select" if field == "query" else field, lines(str(asked.spec[field]))))
            if asked.problem:
                rows.append(("problem", paint(one_line(asked.problem), "red")))
        metric = one.metric
        rows += [(label, lines(text)) for label, text in one.rules]
        rows += [("success if", lines(metric.success_condition))] if metric.success_condition else []
        rows += [("failure if", lines(metric.failure_condition))] if metric.failure_condition else []
        head = f"{paint(one_line(metric.name), 'bold')}  {', '.join(dict.fromkeys(a.provider for a in one.asked))}"
        made.append("\n".join([head, *labelled(rows)]) + "\n")
    return "\n".join(made)
