"""Runs the vectors of statistics.json: sequential methods here, single-look tests through `statistics_fixed`.

Tolerances: relative 1e-9 (the vectors print at least eleven digits); 1e-5 for group-sequential bounds; 1e-3 for
intervals that a package found by a root; published tables to the digits they print.
"""

import importlib.util
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from analysis_service.core.statistics import (
    boundaries,
    budget,
    calibration,
    distribution,
    odds_ratio,
    sample_ratio,
    spending,
    sprt,
)
from analysis_service.core.statistics.t_mixture import log_bayes_factor

Runner = Callable[[dict[str, Any]], None]

PRINTED, BOUND, ROOT = 1e-9, 1e-5, 1e-3


def close(found: Any, wanted: Any, tolerance: float = PRINTED, absolute: float = 0.0) -> None:
    if isinstance(wanted, list):
        assert len(found) == len(wanted), f"{found}, expected {wanted}"
        for one, other in zip(found, wanted, strict=True):
            close(one, other, tolerance, absolute)
        return
    same = math.isclose(float(found), float(wanted), rel_tol=tolerance, abs_tol=absolute)
    assert same, f"{found!r}, expected {wanted!r} within {tolerance}"


def lan_demets(kind: spending.Spending) -> Runner:
    def run_one(vector: dict[str, Any]) -> None:
        given, expected = vector["input"], vector["expected"]
        fractions = [(k + 1) / given["k"] for k in range(given["k"])]
        close(spending.lan_demets(fractions, given["alpha"], kind), expected["z"], BOUND)
        if "alpha_spent" in expected:
            close([spending.spent(t, given["alpha"], kind) for t in fractions], expected["alpha_spent"], BOUND, 1e-15)

    return run_one


def classical(kind: spending.Spending) -> Runner:
    def run_one(vector: dict[str, Any]) -> None:
        given = vector["input"]
        close(spending.classical(given["k"], given["alpha"], kind), vector["expected"]["z"], BOUND)

    return run_one


def obf_constant(vector: dict[str, Any]) -> None:
    given, expected = vector["input"], vector["expected"]
    z = spending.classical(given["K"], given["alpha"] / given["sided"], "obrien-fleming")
    close(z, expected["z"], 0.0, 5.1e-4)  # three decimals are printed
    close(z[-1], expected["C"], 0.0, 5.1e-4)


def repeated_tests(vector: dict[str, Any]) -> None:
    z = NormalDist().inv_cdf(0.975)
    found = [spending.repeated_test_level(looks, z) for looks in vector["input"]["looks"]]
    close(found, vector["expected"]["prob"], 0.0, 5.1e-4)


def normal_bound(vector: dict[str, Any]) -> None:
    given = vector["input"]
    one_sided = given["one_sided"]
    rho = boundaries.best_rho(given["v_opt"], given["alpha_opt"], one_sided=one_sided)
    found = boundaries.normal_bound(given["v"], given["alpha"], rho, one_sided=one_sided)
    close(found, vector["expected"]["bound"], ROOT if one_sided else PRINTED)


def normal_log_mixture(vector: dict[str, Any]) -> None:
    given = vector["input"]
    rho = boundaries.best_rho(given["v_opt"], given["alpha_opt"], one_sided=given["one_sided"])
    found = boundaries.normal_log_mixture(given["s"], given["v"], rho, one_sided=given["one_sided"])
    close(found, vector["expected"]["log"])


def poly_stitching(vector: dict[str, Any]) -> None:
    g = vector["input"]
    found = boundaries.poly_stitching_bound(g["v"], g["alpha"], g["v_min"], c=g["c"], s=g["s"], eta=g["eta"])
    close(found, vector["expected"]["bound"])


def gamma(log_mixture: Callable[[float, float, float, float], float]) -> Runner:
    def run_one(vector: dict[str, Any]) -> None:
        g = vector["input"]
        rho = boundaries.best_rho(g["v_opt"], 0.05, one_sided=True)
        found = boundaries.root_bound(lambda s: log_mixture(s, g["v"], rho, g["c"]), g["v"], g["alpha"])
        close(found, vector["expected"]["bound"], ROOT)

    return run_one


def beta_binomial(vector: dict[str, Any]) -> None:
    g = vector["input"]
    r = boundaries.beta_binomial_precision(g["v_opt"], 0.05, g["g"], g["h"])
    close(boundaries.beta_binomial_bound(g["v"], g["alpha"], r, g["g"], g["h"]), vector["expected"]["bound"], ROOT)


def bernoulli(vector: dict[str, Any]) -> None:
    g = vector["input"]
    found = boundaries.bernoulli_interval(g["successes"], g["trials"], g["alpha"], g["t_opt"], g["alpha_opt"])
    close(found, vector["expected"]["ci"], ROOT)


def lil(vector: dict[str, Any]) -> None:
    g = vector["input"]
    found = boundaries.lil_band(g["t"], g["alpha"], t_min=g["t_min"], a=g["A"])
    close(found, vector["expected"]["halfwidth"])


def double_stitching(vector: dict[str, Any]) -> None:
    g = vector["input"]
    found = boundaries.double_stitching_bound(g["p"], g["t"], g["alpha"], g["t_opt"])
    close(found, vector["expected"]["bound"])


def quantile_ab(vector: dict[str, Any]) -> None:
    g = vector["input"]
    log_e = distribution.equal_quantile_log_e(g["a"], g["b"], g["p"], g["t_opt"])
    close(min(1.0, math.exp(-log_e)), vector["expected"]["p_value"])


def multinomial(vector: dict[str, Any]) -> None:
    g, expected = vector["input"], vector["expected"]
    odds = math.exp(sample_ratio.log_e(g["counts"], g["theta0"], g["k"]))
    close(odds, expected["odds"])
    close(1 / odds, expected["p_value"])


def poisson_ratio_interval(vector: dict[str, Any]) -> None:
    g, expected = vector["input"], vector["expected"]
    close(math.exp(sample_ratio.log_e(g["counts"], g["rho"], g["k"])), expected["odds"])
    (x, y), (p, q) = g["counts"], g["rho"]
    found = sample_ratio.log_ratio_interval((x, y), (p, q), g["k"], 0.05)
    close(found, expected["ci"], ROOT)
    close(math.log(x / p) - math.log(y / q), expected["estimate"], ROOT)


def log_bf(vector: dict[str, Any]) -> None:
    g = vector["input"]
    close(log_bayes_factor(g["t2"], g["nu"], g["z2"], 1 / g["phi"]), vector["expected"]["log_bf"])


def t_mixture(vector: dict[str, Any]) -> None:
    g = vector["input"]
    found = log_bayes_factor(g["T"] ** 2, g["n"] - 1, g["n"], g["g2"])
    close(found, vector["expected"]["log_bf"])


def conditional_poisson(vector: dict[str, Any]) -> None:
    g = vector["input"]
    found = sprt.log_likelihood_ratio(g["xc"], g["total"], g["w"], g["r0"], g["r1"])
    close(found, vector["expected"]["log_lr"])


def stratified(vector: dict[str, Any]) -> None:
    psi, found = vector["input"]["psi"], 0.0
    for x_c, n_c, x_s, n_s in vector["input"]["strata"]:
        at, zero = odds_ratio.log_partition(x_c + x_s, n_c, n_s, np.array([psi, 0.0]))
        found += x_c * psi - (at - zero)
    close(found, vector["expected"]["log_lr"])


def noncentral_ratio(vector: dict[str, Any]) -> None:
    """M requests, n of them events, N of them the canary's: five events on the canary at these odds against 1."""
    g, expected = vector["input"], vector["expected"]
    psi = math.log(g["odds"])
    at, zero = odds_ratio.log_partition(g["n"], g["N"], g["M"] - g["N"], np.array([psi, 0.0]))
    close(5 * psi - (at - zero), expected["logratio_x5_vs_or1"])
    weight = math.lgamma(g["N"] + 1) - math.lgamma(6) - math.lgamma(g["N"] - 4)
    rest = g["M"] - g["N"]
    weight += math.lgamma(rest + 1) - math.lgamma(g["n"] - 4) - math.lgamma(rest - g["n"] + 6)
    close(math.exp(weight + 5 * psi - at), expected["pmf_5"])
    step = 1e-4  # the mean is the slope of the log partition function
    up, down = odds_ratio.log_partition(g["n"], g["N"], rest, np.array([psi + step, psi - step]))
    close((up - down) / (2 * step), expected["mean"], 1e-6)


def wald(vector: dict[str, Any]) -> None:
    g, expected = vector["input"], vector["expected"]
    close(sprt.wald_limits(g["alpha"], g["beta"]), [expected["logA"], expected["logB"]])


def e_bh(vector: dict[str, Any]) -> None:
    g = vector["input"]
    assert len(budget.e_bh([math.log(e) for e in g["e"]], g["alpha"])) == vector["expected"]["k"]


def series_of(vector: dict[str, Any]) -> list[float]:
    series = vector["input"]["series"]
    assert isinstance(series, list), f"the series is said to be that of {series!r}, which the file does not hold"
    return series


def newey_west(vector: dict[str, Any]) -> None:
    mean, error = calibration.newey_west_mean(series_of(vector), vector["input"]["maxlags"])
    close([mean, error], [vector["expected"]["mean"], vector["expected"]["se"]])


def acf(vector: dict[str, Any]) -> None:
    wanted = vector["expected"]["acf"]
    close(calibration.acf(series_of(vector), len(wanted) - 1), wanted)


BY_PREFIX: dict[str, Runner] = {
    "rpact.LanDeMets_OBF": lan_demets("obrien-fleming"),
    "rpact.LanDeMets_Pocock": lan_demets("pocock"),
    "rpact.OF_k5": classical("obrien-fleming"),
    "rpact.Pocock_k5": classical("pocock"),
    "published.JennisonTurnbull_OBF": obf_constant,
    "published.repeated_sig_tests": repeated_tests,
    "published.Wald_SPRT_thresholds": wald,
    "confseq.normal_mixture_bound": normal_bound,
    "confseq.normal_log_mixture": normal_log_mixture,
    "confseq.poly_stitching": poly_stitching,
    "confseq.gamma_poisson_bound": gamma(boundaries.gamma_poisson_log_mixture),
    "confseq.gamma_exponential_bound": gamma(boundaries.gamma_exponential_log_mixture),
    "confseq.beta_binomial_bound": beta_binomial,
    "confseq.bernoulli_ci": bernoulli,
    "confseq.lil_band": lil,
    "confseq.double_stitching": double_stitching,
    "confseq.quantile_ab_p": quantile_ab,
    "savvi.multinomial": multinomial,
    "savvi.poisson_log_ratio_ci": poisson_ratio_interval,
    "savvi.log_bf": log_bf,
    "scipy.tmix_bf": t_mixture,
    "scipy.poisson_cond_lr": conditional_poisson,
    "scipy.hypergeom_stratified_lr": stratified,
    "scipy.nchypergeom_fisher": noncentral_ratio,
    "arith.eBH": e_bh,
    "statsmodels.newey_west_mean": newey_west,
    "statsmodels.acf": acf,
}


@cache
def fixed() -> dict[str, Runner]:
    """id -> runner of the single-look tests."""
    path = Path(__file__).with_name("statistics_fixed.py")
    spec = importlib.util.spec_from_file_location("vectors_statistics_fixed", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table: dict[str, Runner] = module.FIXED
    return table


def run(vector: dict[str, Any]) -> None:
    """Assert one vector, whole."""
    identity = vector["id"]
    own = [runner for prefix, runner in BY_PREFIX.items() if identity.startswith(prefix)]
    single = fixed().get(identity)
    every = [*own, *([single] if single else [])]
    if not every or len(own) > 1:
        raise LookupError(
            f"{identity}: {len(own)} runners here, {'one' if single else 'none'} of the single-look tests"
        )
    for runner in every:  # where both sides compute the thing, both must agree with the vector
        runner(vector)


RUN = run
FILES = {"statistics": run}
