"""sequential-odds-ratio: are the odds of an event higher on the canary? For shares above about 20 %.

One 2 x 2 table per look; given its margins the canary's events are Fisher noncentral hypergeometric with the odds
ratio e^psi, so the share may drift freely between looks: a sequential exact Mantel-Haenszel test. Where the end is
known there is a bet on the last look (`last_counts`). Counts are taken as whole requests; events beyond the total are
clamped to it and flagged.

Guarantee: exact at every look for requests that fail independently; tempered by the dispersion otherwise.
Sources: Mantel & Haenszel (1959); Fisher (1935) for the conditional distribution.
"""

import math

import numpy as np

from . import conditional
from .conditional import CountState
from .evidence import Evidence
from .looks import Look, usable_counts
from .mixture import Array, nodes
from .plan import Plan

NAME = "sequential-odds-ratio"
REACH = 56  # lattice points on each side of the mode
PER_SD = 4  # lattice points per standard deviation, at least (the error is exp(-2 pi^2 PER_SD^2))


def log_partition(events: float, n_c: float, n_s: float, psi: Array) -> Array:
    """log of sum_x C(n_c, x) C(n_s, events - x) e^(psi x) at each psi, about the mode of each.

    Wide distributions are summed on a coarser lattice: for a smooth bell that is as exact as the whole sum.
    """
    from scipy.special import gammaln

    low, high = max(0.0, events - n_s), min(events, n_c)
    odds = np.exp(psi)
    a, b, c = 1.0 - odds, (n_s - events) + odds * (n_c + events), -odds * n_c * events
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0.0))
    mode = np.clip(-2.0 * c / (b + root), low, high)  # the root that stays finite when the odds are 1
    cells = (mode, n_c - mode, events - mode, n_s - events + mode)
    variance = 1.0 / sum(1.0 / np.maximum(cell, 0.5) for cell in cells)
    stride = np.maximum(np.floor(np.sqrt(variance) / PER_SD), 1.0)
    x = np.round(mode)[:, None] + stride[:, None] * np.arange(-REACH, REACH + 1)
    inside = (x >= low) & (x <= high)
    x = np.clip(x, low, high)
    term = -(gammaln(x + 1) + gammaln(n_c - x + 1) + gammaln(events - x + 1) + gammaln(n_s - events + x + 1))
    term = np.where(inside, term + psi[:, None] * x, -np.inf)
    top = term.max(axis=1)
    whole = math.lgamma(n_c + 1) + math.lgamma(n_s + 1)
    result: Array = np.log((np.exp(term - top[:, None])).sum(axis=1) * stride) + top + whole
    return result


def start(plan: Plan) -> CountState:
    return CountState()


def update(plan: Plan, state: CountState, look: Look) -> CountState:
    canary, stable = usable_counts(look.canary), usable_counts(look.stable)
    if canary is None or stable is None or round(canary.total) < 1 or round(stable.total) < 1:
        return conditional.ended(plan, look, conditional.dropped(state, look.number, look.flags))
    n_c, n_s = float(round(canary.total)), float(round(stable.total))
    x_c, x_s = float(round(canary.events)), float(round(stable.events))
    flags = look.flags
    if x_c > n_c or x_s > n_s:
        x_c, x_s, flags = min(x_c, n_c), min(x_s, n_s), (*flags, "events-above-total")
    x, n = x_c + x_s, n_c + n_s
    share = x / n
    variance = x * (1.0 - share) * (n_c / n) * (n_s / n) * n / max(n - 1.0, 1.0)
    least = max(0.0, x - n_s)
    after = conditional.fold(
        plan,
        state,
        look=look.number,
        canary=(x_c, n_c),
        stable=(x_s, n_s),
        partition=log_partition(x, n_c, n_s, nodes()),
        weighted=(x_c * (n_s - x_s) / n, x_s * (n_c - x_c) / n),
        residual=(x_c - x * n_c / n, variance),
        flags=flags,
        trials=(min(x, n_c) - least, least),  # Harkness (1965)
    )
    return conditional.ended(plan, look, after)


def assess(plan: Plan, state: CountState, *, interval: bool = True) -> Evidence:
    return conditional.assess(plan, state, interval=interval, grade_at_unit_dispersion="exact")
