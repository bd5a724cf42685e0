"""Canary runs to judge: what a scenario's metric looks like under a given harm, and how fast it could be found.

Traffic has a +-50 % daily cycle and the error rate another, shared by both arms; the canary takes 10 % of traffic
unless its weight is stepped. Every run starts with a look-back at the same process without harm: by default the
product's own, six hours of intervals of 30 s.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from analysis_service.core.statistics.calibration import calibrate_counts, noise_floor, pod_offset_sd
from analysis_service.core.statistics.histogram_calibration import calibrate_histogram
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram
from analysis_service.core.statistics.placebo import calibrate_gauge_pair
from analysis_service.core.statistics.plan import Calibration, Margin
from analysis_service.core.statistics.starts import STEP

Array = NDArray[np.float64]
Pair = tuple[ArmData, ArmData]
Rng = np.random.Generator

SECONDS = 30.0
LOOK_BACK = 720  # intervals
GAUGE_MARGIN = Margin(relative=0.2)
EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 20000.0)


@dataclass(frozen=True)
class Run:
    """canary, stable: one row per look; (events, total), a value, or the counts of the buckets of EDGES."""

    calibration: Calibration | None
    canary: Array
    stable: Array

    @property
    def looks(self) -> list[Pair]:
        return [(arm(c), arm(s)) for c, s in zip(self.canary.tolist(), self.stable.tolist(), strict=True)]


def arm(row: float | list[float]) -> ArmData:
    if isinstance(row, float):
        return Gauge(row)
    return Counts(*row) if len(row) == 2 else Histogram(EDGES, tuple(row))


Make = Callable[[Rng, int, int, float], Run]  # look-back and looks, both in intervals; effect


@dataclass(frozen=True)
class Scenario:
    """effects: ratios of the canary to stable (1 is A/A). bound: Wald's expected looks at an effect, if known."""

    name: str
    test: str
    margin: float
    effects: tuple[float, ...]
    make: Make
    bound: Callable[[float], float] | None = None
    fail_at: str = "noharm"
    onset: int = 0
    early: str = ""  # the scenario whose harm is there from the beginning
    weight: int = 1  # memory of one look of one run, in numbers


def ar1(rng: Rng, n: int, phi: float) -> Array:
    """Standard normal margins."""
    noise = rng.normal(size=n) * math.sqrt(1 - phi * phi)
    noise[0] = rng.normal()
    series: Array = lfilter([1.0], [1.0, -phi], noise)
    return series


def season(rng: Rng, n: int, period: float, depth: float = 0.5) -> Array:
    wave: Array = 1.0 + depth * np.sin(2 * np.pi * np.arange(n) / period + rng.uniform(0, 2 * np.pi))
    return wave


def bursts(rng: Rng, n: int, cv: float, phi: float) -> Array:
    """Mean-one multiplicative noise of one arm: gamma with this CV, or lognormal AR with log-sd .5."""
    if phi > 0:
        lognormal: Array = np.exp(0.5 * ar1(rng, n, phi) - 0.125)
        return lognormal
    if cv > 0:
        gamma: Array = rng.gamma(1 / cv**2, cv**2, n)
        return gamma
    return np.ones(n)


def counts(
    rps: float, p: float, *, cv: float = 0.0, phi: float = 0.0, onset: int = 0, steps: tuple[float, ...] = (0.1,)
) -> Make:
    def draw(rng: Rng, n: int, effect: Array) -> tuple[Array, Array]:
        share = np.array(steps)[np.minimum(np.arange(n) * len(steps) // n, len(steps) - 1)]
        traffic, rate = rps * SECONDS * season(rng, n, 240), p * season(rng, n, 173)
        n_c, n_s = rng.poisson(traffic * share), rng.poisson(traffic * (1 - share))
        x_c = rng.poisson(n_c * rate * effect * bursts(rng, n, cv, phi))
        x_s = rng.poisson(n_s * rate * bursts(rng, n, cv, phi))
        return np.column_stack((x_c, n_c)).astype(float), np.column_stack((x_s, n_s)).astype(float)

    def make(rng: Rng, back: int, n: int, effect: float) -> Run:
        history = draw(rng, back, np.ones(back))
        c, s = draw(rng, n, np.where(np.arange(n) >= onset, effect, 1.0))
        return Run(calibrate_counts(*history), c, s)

    return make


def counts_bound(rps: float, p: float, share: float = 0.1) -> Callable[[float], float]:
    """log(1 / alpha) over the Kullback-Leibler information of one look of the conditional binomial, mean traffic."""

    def bound(effect: float) -> float:
        n = rps * SECONDS
        canary, both = n * share * p * effect, n * p * (share * effect + 1 - share)
        return math.log(20) / (canary * math.log(effect) - both * math.log(1 + share * (effect - 1)))

    return bound


def gauge(phi: float, *, spikes: float = 0.0, sd: float = 0.05) -> Make:
    """Level 100 with a season and a shared AR(.9); own noise of each arm has this sd of the log."""

    def draw(rng: Rng, n: int) -> tuple[Array, Array]:
        shared = 100 * season(rng, n, 240, 0.3) * np.exp(0.1 * ar1(rng, n, 0.9))
        arms = [shared * np.exp(sd * ar1(rng, n, phi)) for _ in range(2)]
        for arm in arms:
            hit = rng.random(n) < spikes
            arm[hit] *= 1 + rng.pareto(2.5, int(hit.sum()))
        return arms[0], arms[1]

    def make(rng: Rng, back: int, n: int, effect: float) -> Run:
        calibration = calibrate_gauge_pair(*draw(rng, back), GAUGE_MARGIN)
        c, s = draw(rng, n)
        return Run(calibration, c * effect, s)

    return make


def gauge_bound(phi: float, sd: float = 0.05) -> Callable[[float], float]:
    def bound(effect: float) -> float:
        variance = 2 * sd * sd * (1 + phi) / (1 - phi)
        return math.log(20) / (math.log(effect) ** 2 / (2 * variance))

    return bound


def two_levels(rng: Rng, back: int, n: int, effect: float) -> Run:
    """A cache that hits or not, alike in both versions: a factor of eight between the levels, 3 % of noise in each."""

    def draw(size: int) -> Array:
        return np.where(rng.random(size) < 0.5, 1.0, 8.0) * np.exp(0.03 * rng.normal(size=size))

    calibration = calibrate_gauge_pair(draw(back), draw(back), GAUGE_MARGIN)
    return Run(calibration, effect * draw(n), draw(n))


def pods(tau: float, *, count: int = 10, sd: float = 0.05, phi: float = 0.5) -> Make:
    """One canary pod against the rest; every pod keeps an offset of tau standard deviations for good."""

    def make(rng: Rng, back: int, n: int, effect: float) -> Run:
        offsets = tau * sd * rng.normal(size=count)
        history = [offset + sd * ar1(rng, back, phi) for offset in offsets]
        floor = noise_floor(pod_offset_sd(history), count, 1, count - 1)
        rest = np.exp(np.mean(history[1:], axis=0))
        calibration = calibrate_gauge_pair(np.exp(history[0]), rest, GAUGE_MARGIN, floor=floor)
        shared = 100 * season(rng, n, 240, 0.3)
        new = tau * sd * rng.normal() + sd * ar1(rng, n, phi)  # the canary lands on a node of its own
        others = np.mean([offset + sd * ar1(rng, n, phi) for offset in offsets[1:]], axis=0)
        c, s = shared * np.exp(new) * effect, shared * np.exp(others)
        return Run(calibration, c, s)

    return make


def latency(shock: float = 0.0, *, phi: float = 0.5, tail: bool = False) -> Make:
    """Lognormal(4, 1) milliseconds, 20 canary and 180 stable requests a look; `shock`: sd of an arm's AR(phi) shift."""

    def histograms(rng: Rng, size: int, shift: Array, slow: bool) -> Array:
        n = len(shift)
        values = np.exp(rng.normal(size=(n, size)) + 4.0 + shift[:, None])
        if slow:
            values += 1000.0 * (rng.random((n, size)) < 0.02)
        buckets = np.searchsorted(EDGES, values) + (len(EDGES) + 1) * np.arange(n)[:, None]
        counted = np.bincount(buckets.ravel(), minlength=n * (len(EDGES) + 1))
        return counted.reshape(n, -1).astype(float)

    def draw(rng: Rng, n: int, effect: float) -> tuple[Array, Array]:
        shifts = [shock * ar1(rng, n, phi) for _ in range(2)]
        harm = 0.0 if tail else math.log(effect)
        return histograms(rng, 20, shifts[0] + harm, tail and effect > 1), histograms(rng, 180, shifts[1], False)

    def make(rng: Rng, back: int, n: int, effect: float) -> Run:
        calibration = calibrate_histogram(*draw(rng, back, 1.0), EDGES)
        return Run(calibration, *draw(rng, n, effect))

    return make


def between(looks: int) -> int:
    """A look near .4 of the run, half way between two starts."""
    return round(0.4 * looks) // STEP * STEP + STEP // 2


def scenarios(looks: int) -> list[Scenario]:
    rate, t, hist = "sequential-rate-ratio", "sequential-t", "sequential-histogram"
    p = 0.01
    return [
        Scenario("counts 1 rps", rate, 0.5, (1, 1.5, 5), counts(1, p), counts_bound(1, p)),
        Scenario("counts 10 rps", rate, 0.5, (1, 1.5, 2), counts(10, p), counts_bound(10, p)),
        Scenario("counts 100 rps", rate, 0.5, (1, 1.5, 2), counts(100, p), counts_bound(100, p)),
        Scenario("counts 1000 rps", rate, 0.5, (1, 1.5, 2), counts(1000, 0.001), counts_bound(1000, 0.001)),
        Scenario("bursts CV 0.7", rate, 0.5, (1, 1.5, 2), counts(100, p, cv=0.7)),
        Scenario("bursts CV 1.4", rate, 0.5, (1, 1.5, 3), counts(100, p, cv=1.4)),
        Scenario("bursts AR .8", rate, 0.5, (1, 1.5, 3), counts(100, p, phi=0.8)),
        Scenario("changing weight", rate, 0.5, (1, 1.5, 2), counts(100, p, steps=(0.05, 0.1, 0.25, 0.5))),
        Scenario(
            "late onset",
            rate,
            0.5,
            (2,),
            counts(100, p, onset=looks // 2),
            counts_bound(100, p),
            onset=looks // 2,
            early="counts 100 rps",
        ),
        # nothing is promised here: no copy of the evidence starts with this harm, as one does at mid-run
        Scenario(
            "late, between starts",
            rate,
            0.5,
            (2,),
            counts(100, p, onset=between(looks)),
            onset=between(looks),
        ),
        Scenario("gauge AR 0", t, 0.2, (1, 1.05, 1.2), gauge(0.0), gauge_bound(0.0)),
        Scenario("gauge AR .5", t, 0.2, (1, 1.05, 1.2), gauge(0.5), gauge_bound(0.5)),
        Scenario("gauge AR .9", t, 0.2, (1, 1.1, 1.2), gauge(0.9), gauge_bound(0.9)),
        Scenario("gauge spikes", t, 0.2, (1, 1.1, 1.2), gauge(0.5, spikes=0.02)),
        Scenario("gauge of two levels", t, 0.2, (1, 1.1, 1.2), two_levels),
        Scenario("pod offsets", t, 0.2, (1, 1.1, 1.2), pods(0.5)),
        Scenario("latency", hist, 0.25, (1, 1.25, 1.5), latency(), weight=20),
        Scenario("latency with shocks", hist, 0.25, (1, 1.25, 1.5), latency(shock=0.1), weight=20),
        Scenario("latency in drifts", hist, 0.25, (1, 1.25, 1.5), latency(shock=0.2, phi=0.9), weight=20),
        Scenario("latency tail", hist, 0.25, (1.02,), latency(tail=True), weight=20),
    ]
