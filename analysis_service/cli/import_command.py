"""`tidegate import`: what other systems call a canary analysis, as a template; what got lost is said, not dropped."""

from pathlib import Path

import click

from analysis_service.cli.show import CannotWrite, put


@click.group("import", short_help="Turn another system's configuration into a template.")
def command() -> None:
    """Turn another system's configuration into a template."""


@command.command("kayenta")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--test",
    type=click.Choice(["kayenta", "default"]),
    default="kayenta",
    show_default=True,
    help="kayenta: judge as Kayenta does, once, at the end. default: our sequential tests, looked at as they come.",
)
@click.option("--pass", "passing", type=click.FloatRange(0, 100), help="Score that passes; 95 unless the config says.")
@click.option("--marginal", type=click.FloatRange(0, 100), help="Score that is inconclusive; 75 unless it says.")
@click.option("--interval", default="60s", show_default=True, help="Kayenta's step.")
@click.option("--duration", default="1h", show_default=True, help="Its lifetime.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the template here.")
@click.option("--lost", type=click.Path(dir_okay=False, path_type=Path), help="Write what got lost here, as JSON.")
def kayenta(
    config: Path,
    test: str,
    passing: float | None,
    marginal: float | None,
    interval: str,
    duration: str,
    out: Path | None,
    lost: Path | None,
) -> None:
    """Turn a Kayenta canary config (JSON) into an AnalysisTemplate.

    The template goes to standard output or --out, what could not be mapped to standard error: one line each, with
    its place in the config and the reason.
    """
    import json
    import sys

    import msgspec
    import yaml

    from analysis_service.cli.show import one_line
    from analysis_service.core.kayenta_import import import_canary_config
    from analysis_service.core.statistics.kayenta_config import ConfigError

    if (passing is None) != (marginal is None):
        raise click.UsageError("--pass and --marginal belong together.")
    try:
        data = sys.stdin.buffer.read() if str(config) == "-" else config.read_bytes()
    except OSError as error:
        raise click.FileError(str(config), error.strerror or "cannot be read") from None
    thresholds = (passing, marginal) if passing is not None and marginal is not None else None
    try:
        imported = import_canary_config(
            msgspec.json.decode(data, type=dict),
            test="kayenta" if test == "kayenta" else "default",
            thresholds=thresholds,
            interval=interval,
            duration=duration,
        )
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{config}: no canary config: {error}") from None
    except ConfigError as error:
        raise click.UsageError(f"{config}: {error}") from None
    for entry in imported.lost:
        click.echo(one_line(f"{config}: {entry.path}: {entry.what}: {entry.why}"), err=True)
    click.echo(f"{len(imported.lost)} thing{'s' if len(imported.lost) != 1 else ''} could not be mapped", err=True)
    if lost is not None:
        entries = [{"path": entry.path, "what": entry.what, "why": entry.why} for entry in imported.lost]
        _write(lost, json.dumps(entries, indent=2) + "\n")
    text = yaml.safe_dump(imported.template, sort_keys=False, allow_unicode=True, width=120)
    if out is None:
        put(text)
    else:
        _write(out, text)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"{path}: {error.strerror or 'cannot be written'}") from None
