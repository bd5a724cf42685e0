"""Runs the vectors of statistics.json that a single look is enough for: `FIXED`, id -> runner(vector).

Tolerance: relative 1e-9 of what the vector prints (twelve digits), 1e-3 where a package found the value by a root.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis_service.core.statistics import fixed_counts as counts
from analysis_service.core.statistics import fixed_intervals as intervals
from analysis_service.core.statistics import fixed_means as means
from analysis_service.core.statistics import fixed_ranks as ranks
from analysis_service.core.statistics import fixed_series as series
from analysis_service.core.statistics import multiple
from analysis_service.core.statistics.fixed_comparison import TwoCounts
from analysis_service.core.statistics.kayenta_interval import shift_interval

PRINTED = 1e-9
ROOT = 1e-3

Given = dict[str, Any]


def close(found: object, wanted: object, tolerance: float = PRINTED) -> None:
    """Numbers, or lists of them, equal within the relative tolerance; NaN equals NaN."""
    if isinstance(wanted, list):
        assert isinstance(found, list | tuple)
        assert len(found) == len(wanted), f"{found}, expected {wanted}"
        for one, other in zip(found, wanted, strict=True):
            close(one, other, tolerance)
        return
    got, want = float(str(found)), float(str(wanted))
    same = math.isnan(got) and math.isnan(want)
    assert same or math.isclose(got, want, rel_tol=tolerance), f"{got!r}, expected {want!r} within {tolerance}"


def runner(of: Callable[[Given], dict[str, Any]], tolerance: float = PRINTED) -> Callable[[dict[str, Any]], None]:
    """A runner that compares every expected field with what `of` makes of the input."""

    def run_one(vector: dict[str, Any]) -> None:
        found = of(vector["input"])
        for field, wanted in vector["expected"].items():
            close(found[field], wanted, tolerance)

    return run_one


def another(identity: str) -> Given:
    """The input of another vector, which this one points to."""
    folder = Path(os.environ.get("TIDEGATE_VECTORS") or Path(__file__).parent.parent)
    for vector in json.loads((folder / "statistics.json").read_text())["vectors"]:
        if vector["id"] == identity:
            found: Given = vector["input"]
            return found
    raise AssertionError(f"the data are said to be those of {identity}, which the file does not hold")


def two(given: Given) -> TwoCounts:
    if "events" in given:
        (x, y), (m, n) = given["events"], given["exposure"]
    elif "count1" in given:
        x, m, y, n = given["count1"], given["exposure1"], given["count2"], given["exposure2"]
    elif "k1" in given:
        x, m, y, n = given["k1"], given["n1"], given["k2"], given["n2"]
    else:
        x, m, y, n = given["c1"], given["n1"], given["c2"], given["n2"]
    return TwoCounts(x, m, y, n)


def welch(given: Given) -> dict[str, Any]:
    found = means.welch(given["x"], given["y"])
    return {"t": found.t, "df": found.df, "p": found.p, "ci95": [found.lower, found.upper]}


def paired(given: Given) -> dict[str, Any]:
    found = means.paired_t(given["x"], given["y"], difference=given["mu"], alternative="greater")
    return {"t": found.t, "df": found.df, "p": found.p}


def wilcox(given: Given) -> dict[str, Any]:
    x, y = given["x"], given["y"]
    rank = ranks.mann_whitney(x, y, method="asymptotic")
    shift = shift_interval(x, y, confidence=given["conf_level"], corrected_estimate=False)
    return {"W": rank.statistic, "p": rank.p, "ci": [shift.lower, shift.upper], "hl_estimate": shift.estimate}


def mantel_haenszel(given: Given) -> dict[str, Any]:
    held = another("R.mantelhaen_exact")["strata"] if isinstance(given["strata"], str) else given["strata"]
    chi, p, odds = counts.mantel_haenszel([TwoCounts(*row) for row in held])
    return {"chisq": chi, "p": p, "mh_or": odds}


def rate_ratio(method: counts.RateMethod) -> Callable[[Given], dict[str, Any]]:
    def of(given: Given) -> dict[str, Any]:
        found = counts.rate_ratio(two(given), ratio=given.get("r", 1.0), method=method)
        return {"stat": found.statistic, "p": found.p}

    return of


def brunner_munzel(given: Given) -> dict[str, Any]:
    found = ranks.brunner_munzel(given["x"], given["y"])
    return {"stat": found.statistic, "p": found.p}


def mann_whitney(given: Given) -> dict[str, Any]:
    found = ranks.mann_whitney(given["x"], given["y"], method=given["method"])
    return {"U": found.statistic, "p": found.p}


def ks(given: Given) -> dict[str, Any]:
    assert given["alternative"] == "less"  # of the distribution function: canary values are greater
    found = ranks.kolmogorov_smirnov(given["x"], given["y"], alternative="greater", method=given["method"])
    return {"D": found.statistic, "p": found.p}


def yuen(given: Given) -> dict[str, Any]:
    t, p = means.yuen(given["x"], given["y"], trim=given["trim"])
    return {"t": t, "p": p}


def poisson_e(given: Given) -> dict[str, Any]:
    found = counts.poisson_e(two(given), alternative=given["alternative"])
    return {"stat": found.statistic, "p": found.p}


def boschloo(given: Given) -> dict[str, Any]:
    (a, b), (c, d) = given["table"]
    found = counts.boschloo(TwoCounts(a, a + c, b, b + d), alternative=given["alternative"])
    return {"stat": found.statistic, "p": found.p}


def fisher_noncentral(given: Given) -> dict[str, Any]:
    canary, events, total = given["n"], given["N"], given["M"]
    of = {
        odds: counts.noncentral_hypergeometric(canary=canary, stable=total - canary, events=events, odds_ratio=odds)
        for odds in (1.0, given["odds"])
    }
    values, weights = of[given["odds"]]
    return {
        "mean": float(values @ weights),
        "pmf_5": weights[int((values == 5).argmax())],
        "logratio_x5_vs_or1": math.log(weights[5] / of[1.0][1][5]),
    }


def quantile_test(given: Given) -> dict[str, Any]:
    found = ranks.quantile_test(given["x"], value=given["q"], quantile=given["p"])
    return {"stat": found.statistic, "p": found.p}


def ttost(given: Given) -> dict[str, Any]:
    moved = [value + given["y_plus"] for value in given["y"]]
    found = means.tost(given["x"], moved, low=given["low"], high=given["upp"])
    return {"p": found.p, "t_low": found.t_low, "t_upp": found.t_high}


def e_bh(vector: dict[str, Any]) -> None:
    given, wanted = vector["input"], vector["expected"]
    assert len(multiple.e_benjamini_hochberg(given["e"], alpha=given["alpha"])) == wanted["k"]


def ar1(given: Given) -> list[float]:
    held = another("R.ar1_yw") if isinstance(given["series"], str) else given
    return [float(value) for value in held["series" if "series" in held else "x"]]


def newey_west(given: Given) -> dict[str, Any]:
    mean, error = series.newey_west_mean(ar1(given), lags=given["maxlags"])
    return {"mean": mean, "se": error}


FIXED: dict[str, Callable[[dict[str, Any]], None]] = {
    "R.wilcox.ci98": runner(wilcox, ROOT),
    "R.welch": runner(welch),
    "R.paired_t_margin5_greater": runner(paired),
    "R.mantelhaen_chisq": runner(mantel_haenszel),
    "R.poisson_rate_ratio_margin": runner(rate_ratio("exact")),
    "R.clopper_pearson": runner(lambda g: {"ci95": intervals.clopper_pearson(events=g["x"], total=g["n"])}),
    "R.power_prop": runner(
        lambda g: {
            "n_per_arm": means.sample_size_for_rates(
                stable=g["p1"], canary=g["p2"], alpha=g["alpha"], power=g["power"], one_sided=g["one_sided"]
            )
        },
        1e-6,  # R finds it by a root
    ),
    "scipy.mannwhitneyu": runner(mann_whitney),
    "scipy.brunnermunzel": runner(brunner_munzel),
    "scipy.ks_less": runner(ks),
    "scipy.anderson_ksamp": runner(lambda g: {"A2": ranks.anderson_darling(g["x"], g["y"])}),
    "scipy.wasserstein": runner(lambda g: {"W1": ranks.wasserstein(g["x"], g["y"])}),
    "scipy.welch": runner(welch),
    "scipy.yuen_trim20": runner(yuen),
    "scipy.poisson_E_test": runner(poisson_e),
    "scipy.boschloo": runner(boschloo),
    "scipy.nchypergeom_fisher": runner(fisher_noncentral),
    "scipy.quantile_test": runner(quantile_test),
    "statsmodels.poisson2.score": runner(rate_ratio("score")),
    "statsmodels.poisson2.wald": runner(rate_ratio("wald")),
    "statsmodels.poisson2.exact-cond": runner(rate_ratio("exact")),
    "statsmodels.poisson2.cond-midp": runner(rate_ratio("mid-p")),
    "statsmodels.poisson2.etest": runner(rate_ratio("e-score")),
    "statsmodels.poisson2.etest-wald": runner(rate_ratio("e-wald")),
    "statsmodels.tost_poisson": runner(lambda g: {"p": counts.tost_rates(two(g), low=g["low"], high=g["upp"])}),
    "statsmodels.newcombe_diff": runner(lambda g: {"ci95": intervals.newcombe_difference(two(g))}),
    "statsmodels.tost_prop": runner(lambda g: {"p": counts.tost_proportions(two(g), low=g["low"], high=g["upp"])}),
    "statsmodels.wilson": runner(lambda g: {"ci95": intervals.wilson(events=g["x"], total=g["n"])}),
    "statsmodels.ttost": runner(ttost),
    "statsmodels.bh": runner(lambda g: {"adj": multiple.benjamini_hochberg(g["p"])}),
    "statsmodels.holm": runner(lambda g: {"adj": multiple.holm(g["p"])}),
    "statsmodels.newey_west_mean": runner(newey_west),
    "statsmodels.acf": runner(lambda g: {"acf": series.autocorrelation(ar1(g), lags=3)}),
    "arith.eBH": e_bh,
}


def run(vector: dict[str, Any]) -> None:
    """Assert one vector of `FIXED`, whole."""
    FIXED[vector["id"]](vector)
