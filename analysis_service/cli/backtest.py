"""`tidegate backtest`: templates over past data as if live."""

import sys
from pathlib import Path
from typing import Any

import click

from analysis_service.cli import options as opt
from analysis_service.cli.show import put


@click.command("backtest", short_help="Run templates over past data as if live.")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    type=click.Path(allow_dash=True, path_type=Path),
    help="A template (repeatable).",
)
@opt.argument_options
@click.option("--data", multiple=True, metavar="FILE", type=click.Path(path_type=Path), help="A CSV or Parquet table.")
@click.option("--recording", metavar="FILE", type=click.Path(path_type=Path), help="A recording of live answers.")
@click.option("--prometheus", metavar="URL", help="Ask this server for the range from --start to --end.")
@click.option("--start", metavar="TIME", help="2026-01-02T03:04:05Z, or as 6h: so long before the end.")
@click.option("--end", metavar="TIME", help="As --start; now, or the end of the data.")
@click.option("--step", metavar="DURATION", help="Look this often instead of each metric's interval.")
@click.option("--placebo", is_flag=True, help="A/A: stable against itself, window by window: the false-alarm rate.")
@click.option(
    "--shift",
    metavar="FACTORS",
    help="Also make the placebo canary worse, as 1.1,1.5,2 times: what is found, and when. Implies --placebo.",
)
@click.option("--runs", type=click.IntRange(1, 100_000), default=400, show_default=True, help="Most windows judged.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw the result: .png or .svg.")
@click.option("--strict", is_flag=True, help="Turn Argo's traps off.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@opt.color_option
def command(**options: Any) -> None:
    """Run templates over past data, look by look, through the same rules as live ones.

    Without --placebo: one run from --start on; what is before it calibrates. Exits as the run would have.

    With --placebo: every failure is a false alarm, on data in which nothing was wrong. Exits with 10 if they are
    more, by more than chance, than the alpha that the template asks for.

    Tables have a column `timestamp` and either a column `value` (with metric, arm, part and labels in further
    columns) or a column for each series, as errors.canary.events or errors{arm="stable",part="totals",pod="a"}.
    """
    from analysis_service.cli.arguments import read_arguments
    from analysis_service.cli.backtest_output import placebo_json, placebo_text, run_json, run_text
    from analysis_service.cli.backtest_running import Asking, run_once, run_placebos
    from analysis_service.cli.documents import read_files
    from analysis_service.cli.show import colored

    asking = Asking(
        files=read_files(options["files"]),
        args=read_arguments(options["args"], options["arg_files"]),
        data=options["data"],
        recording=options["recording"],
        prometheus=options["prometheus"] or "",
        start=options["start"] or "",
        end=options["end"] or "",
        step=opt.read_duration(options["step"], "--step") if options["step"] else 0.0,
        strict=options["strict"],
        runs=options["runs"],
        quiet=options["quiet"],
    )
    plot = options["plot"]
    if plot is not None:
        from analysis_service.cli.backtest_plot import check_plot

        check_plot(plot)
    if options["placebo"] or options["shift"]:
        tallies = run_placebos(asking, read_factors(options["shift"] or ""))
        put(placebo_json(tallies) if options["output"] == "json" else placebo_text(tallies))
        if plot is not None:
            from analysis_service.cli.backtest_plot import draw_placebos

            draw_placebos(tallies, plot)
        alarming = any(t.effect == 1.0 and t.alpha is not None and t.interval[0] > t.alpha for t in tallies)
        sys.exit(10 if alarming else 0)
    run = run_once(asking)
    color = colored(sys.stdout, options["no_color"])
    put(run_json(run) if options["output"] == "json" else run_text(run, color=color))
    if plot is not None:
        from analysis_service.cli.backtest_plot import draw_run

        draw_run(run, plot)
    from analysis_service.cli.outcome import outcome_of

    sys.exit(outcome_of(run.run).value)


def read_factors(text: str) -> list[float]:
    """1 is always there: it is the A/A rate beside which the others are read."""
    factors = [1.0]
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            factor = float(word)
        except ValueError:
            factor = 0.0
        if not 0.0 < factor < 1e6 or factor == 1.0:
            raise click.BadParameter(f"{word!r} is no factor; want times worse, as 1.1,1.5,2", param_hint="--shift")
        factors.append(factor)
    return sorted(dict.fromkeys(factors))
