"""A backtest as a picture, through matplotlib (the extra `report`), imported when one is asked for."""

import importlib.util
from collections.abc import Sequence
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from analysis_service.cli.show import CannotWrite

if TYPE_CHECKING:
    from analysis_service.history.backtest import Tally
    from analysis_service.history.replay import Replayed

FORMATS = (".png", ".svg")
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the colour-blind too
MOST_PANELS = 12


def check_plot(path: Path) -> None:
    """Before anything is computed. Raises click exceptions."""
    if path.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{path.name!r}: want a name that ends in .png or .svg", param_hint="--plot")
    if importlib.util.find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install 'tidegate[report]'")


def draw_placebos(tallies: "Sequence[Tally]", path: Path) -> None:
    """Shares of runs that failed, by effect, and how soon; one colour for each metric."""
    names = list(dict.fromkeys(t.metric for t in tallies))
    figure, (rates, delays) = _figure(1, 2, (11.0, 4.2))
    for k, name in enumerate(names):
        mine = [t for t in tallies if t.metric == name]
        x, y = [t.effect for t in mine], [t.rate for t in mine]
        errors = [[max(t.rate - t.interval[0], 0) for t in mine], [max(t.interval[1] - t.rate, 0) for t in mine]]
        color = COLORS[k % len(COLORS)]
        rates.errorbar(x, y, yerr=errors, marker="o", capsize=3, color=color, label=_plain(name))
        found = [(t.effect, t.delay(0.5), t.delay(0.9)) for t in mine if t.effect != 1.0 and t.delays]
        if found:
            delays.plot([f[0] for f in found], [f[1] for f in found], marker="o", color=color)
            delays.plot([f[0] for f in found], [f[2] for f in found], marker="v", linestyle=":", color=color)
    alphas = {t.alpha for t in tallies if t.alpha is not None}
    for alpha in sorted(alphas):
        rates.axhline(alpha, color="0.4", linewidth=1, linestyle="--")
        at = (1.0, alpha)
        rates.annotate(
            f"alpha {alpha:.3g} ",
            at,
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=8,
            ha="right",
        )
    rates.set(xlabel="harm, times worse (1: none)", ylabel="runs that failed, 95 % interval", ylim=(-0.02, 1.02))
    rates.set_title("False alarms and harm found")
    delays.set(xlabel="harm, times worse", ylabel="looks until it failed")
    delays.set_ylim(bottom=0)
    delays.set_title("How soon: half of them (line), nine in ten (dotted)")
    if not delays.lines:
        delays.text(0.5, 0.5, "no harm was injected (--shift)", ha="center", transform=delays.transAxes, color="0.4")
    rates.legend(fontsize=8, frameon=False)
    _save(figure, path)


def draw_run(replayed: "Replayed", path: Path) -> None:
    """For each comparison: the effect's confidence sequence against the margin, and the evidence against its limit."""
    shown = [(name, some) for name, some in replayed.looks.items() if some][:MOST_PANELS]
    if not shown:
        raise click.UsageError("--plot draws comparisons, or with --placebo any metric; this run compared nothing")
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(len(shown), 2, (11.0, 3.4 * len(shown)))
    for row, (name, some) in enumerate(shown):
        left, right = (axes[row][0], axes[row][1]) if len(shown) > 1 else (axes[0], axes[1])
        found = [(look.number, look.data.get("evidence") or {}) for look in some]
        seen = [(k, e) for k, e in found if e.get("estimate") is not None]
        x = [k for k, _ in seen]
        left.plot(x, [e["estimate"] for _, e in seen], marker="o", markersize=3, color=COLORS[0], label="estimate")
        bounded = [
            (k, e["lower"], e["upper"]) for k, e in seen if e.get("lower") is not None and e.get("upper") is not None
        ]
        if bounded:
            k, low, high = zip(*bounded, strict=True)
            left.fill_between(k, low, high, color=COLORS[0], alpha=0.2, linewidth=0, label="confidence sequence")
        if seen:
            last = seen[-1][1]
            left.axhline(last.get("no_change", 1.0), color="0.5", linewidth=1)
            if last.get("margin") is not None:
                left.axhline(last["margin"], color=COLORS[1], linewidth=1.2, linestyle="--", label="limit")
            left.legend(fontsize=8, frameon=False)
        left.set(xlabel="look", ylabel="canary against stable")
        left.set_title(_plain(name))
        numbers = [k for k, _ in found]
        for key, label, color in (("log_e_harm", "for harm", COLORS[1]), ("log_e_safety", "for safety", COLORS[2])):
            right.plot(numbers, [e.get(key, 0.0) / 2.302585 for _, e in found], label=label, color=color)
        limit = 1.0 / _alpha(replayed, name)
        right.axhline(log10(limit), color="0.4", linewidth=1, linestyle="--", label=f"1 in {limit:.3g}")
        for axis in (left, right):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.set(xlabel="look", ylabel="evidence, powers of ten")
        right.legend(fontsize=8, frameon=False)
    _save(figure, path)


def _alpha(replayed: "Replayed", name: str) -> float:
    """The metric's share of alpha, as its plan has it."""
    from analysis_service.core.statistics.plan import Plan

    result = replayed.run.result(name)
    text = result.measurements[-1].metadata.get("compare.plan", "") if result and result.measurements else ""
    return msgspec.json.decode(text, type=Plan).alpha if text else 0.05


def _figure(rows: int, columns: int, inches: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def _plain(name: str) -> str:
    """matplotlib reads $...$ as mathematics."""
    return name.replace("$", r"\$")


def _save(figure: Any, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=path.suffix.lower().lstrip("."), dpi=144)
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror or error}") from None
