"""The outlook of histograms: every edge is a comparison of counts, as the test takes it.

An effect is taken to stretch the whole distribution: every observation is that many times slower (or faster).
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from . import last_counts
from .bucket_edge import EdgeState, within
from .buckets import beyond_shaped
from .crossing import POWER, Array, crossing, smallest
from .histogram import BEYOND, HistogramState, update
from .looks import Histogram, Look, usable_histogram
from .mixture import distances
from .outlook import Outlook, found_first, looks_wanted
from .outlook_counts import Expected, noise, side, two_arms
from .plan import Plan, harm_sign
from .starts import FIRST

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGE = 1e6  # observations: enough for edges to be chosen at any quantile that is asked for


def outlook_histogram(
    plan: Plan,
    *,
    looks: int,
    per_look: Histogram,
    canary_share: float,
    dispersion: float | None = None,
    watched: bool = False,
) -> Outlook | None:
    """per_look: observations of both arms in one look, as stable has them; canary_share: in (0, 1).

    dispersion: phi of all edges, where the run has shown one; otherwise each edge's own, from the calibration.
    watched: a pass does not end the comparison. None for a histogram that cannot be judged.
    """
    total = math.fsum(per_look.counts)
    judged, wanted = _judged(plan, per_look)
    if not judged or total <= 0.0 or not 0.0 < canary_share < 1.0 or looks <= 0:
        return None
    phis = [
        dispersion if dispersion is not None else noise(plan.calibration.at_edge(e.edge) if plan.calibration else None)
        for e in judged
    ]
    shape = _Shape(per_look.edges, _large(per_look))
    model = _Edges(
        plan=plan,
        total=total,
        share=canary_share,
        judged=np.array([item.edge for item in judged]),
        mirrored=np.array([item.mirrored for item in judged]),
        phi=np.maximum(np.array(phis), 1.0),
        wanted=wanted,
        shape=shape,
        within={way: shape.of_margin(plan, [item.edge for item in judged], way) for way in (1, -1)},
    )
    found = smallest(lambda effect: model.found(looks, effect, watched=watched))
    sign = harm_sign(plan.direction)
    return Outlook(
        looks,
        math.exp(sign * found) if found is not None else None,
        1.0 - model.passes(looks),
        events_per_look=total,
        canary_share=canary_share,
        wanted_looks=looks_wanted(model.passes, looks),
    )


def _judged(plan: Plan, per_look: Histogram) -> tuple[tuple[EdgeState, ...], tuple[int, ...]]:
    """The edges that the test would judge, and which of them must be shown harmless: from a look large enough."""
    if usable_histogram(per_look) is None:
        return (), ()
    large = Histogram(per_look.edges, _large(per_look))
    state = update(plan, HistogramState(), Look(1, _EPOCH, large, large))
    return state.judged, state.targets


def _large(per_look: Histogram) -> tuple[float, ...]:
    return tuple(_LARGE * count / math.fsum(per_look.counts) for count in per_look.counts)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Stable's distribution, as its buckets tell it."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]

    def beyond(self, values: Array) -> Array:
        """The share beyond each value."""
        found = [beyond_shaped(self.edges, self.counts, value, self.counts).likely for value in values.tolist()]
        return np.array(found) / math.fsum(self.counts)

    def of_margin(self, plan: Plan, judged: list[float], way: int) -> tuple[Array, Array]:
        """What the test holds the canary's share beyond each edge against at the margin: for harm, and for safety."""
        told = [beyond_shaped(self.edges, self.counts, within(plan, edge, way), self.counts) for edge in judged]
        n = math.fsum(self.counts)
        least, most = np.array([one.least for one in told]) / n, np.array([one.most for one in told]) / n
        return (most, least) if way > 0 else (least, most)


@dataclass(frozen=True, slots=True)
class _Edges:
    plan: Plan
    total: float  # observations per look
    share: float
    judged: Array
    mirrored: NDArray[np.bool_]  # edges whose event is "not beyond"
    phi: Array  # of each judged edge
    wanted: tuple[int, ...]  # indices of the edges that must be shown harmless
    shape: _Shape
    within: dict[int, tuple[Array, Array]]  # stable's shares at the margin, by direction: for harm, and for safety

    def against(self, looks: float, canary: Array, stable: Array) -> Expected:
        """canary, stable: shares beyond each edge."""
        p_c, p_s = (np.where(self.mirrored, 1.0 - share, share) for share in (canary, stable))
        n_c, n_s = looks * self.total * self.share, looks * self.total * (1.0 - self.share)
        x_c, x_s = np.maximum(n_c * p_c, 1e-9), np.maximum(n_s * p_s, 1e-9)
        pooled = np.minimum((x_c + x_s) / (n_c + n_s), 1.0 - 1e-9)
        error = np.sqrt(self.phi * pooled * (1.0 - pooled) * n_c * n_s / (n_c + n_s))
        return two_arms(x_c, x_c + x_s, self.share, np.maximum(error, 1e-9))

    def of_margin(self, looks: float) -> float:
        """Looks that speak of the margin: the edges are chosen from the first ones."""
        highest = max((q for q in self.plan.quantiles if 0 < q < 1), default=0.5)
        return looks - math.ceil(BEYOND / (1.0 - highest) / (self.total * (1.0 - self.share)))

    def found(self, looks: int, effect: float, *, watched: bool) -> float:
        """The chance to fail a canary whose observations are worse by this log ratio; see `outlook_counts`."""
        harm = self.finds(looks, effect)
        if watched or harm < POWER:
            return harm
        early = self.finds(math.ceil(looks * self.plan.min_bake), effect, planned=looks)
        passed = self.passes(looks, harm_sign(self.plan.direction) * effect, ended=False)  # at the last, harm is first
        return found_first(early, harm, passed)

    def parts(self, planned: int) -> tuple[float, float]:
        """Of the weight, what is bet on the last of so many looks: on harm, on safety."""
        return last_counts.parts_of(planned) if self.plan.restarts else (0.0, 0.0)

    def finds(self, looks: int, effect: float, *, planned: int = 0) -> float:
        """At the edge that shows it best: the evidence is the mean over edges. planned: looks, if there are more."""
        plan, sign, part = self.plan, harm_sign(self.plan.direction), self.parts(planned or looks)[0]
        at_margin = plan.fail_at == "margin"
        spoken = self.of_margin(looks) if at_margin else looks
        if spoken <= 0:
            return 0.0
        alpha = plan.alpha / len(self.judged) / (2 if plan.direction == "either" else 1)
        limit = -math.log(alpha) - (math.log(FIRST) if plan.restarts else 0.0)
        canary = self.shape.beyond(self.judged * math.exp(-sign * effect))
        expected = self.against(spoken, canary, self.within[sign][0] if at_margin else self.shape.beyond(self.judged))
        last = self.last(spoken, expected, sign, part * alpha) if part and not planned else None
        return max(self.chances(expected, sign, limit - math.log1p(-part), last))

    def passes(self, planned: int, log_ratio: float = 0.0, *, ended: bool = True) -> float:
        """The chance that every wanted edge is shown harmless, of equal arms or of observations e^log_ratio times.

        ended: with what is bet on the last of the looks.
        """
        plan, looks = self.plan, self.of_margin(planned)
        margin = plan.margin.relative if plan.margin.relative is not None else plan.margin.absolute
        if looks <= 0 or not margin or not self.wanted:
            return 0.0
        sign, least = harm_sign(plan.direction), 1.0
        part = self.parts(planned)[1]
        for way in (1, -1) if plan.direction == "either" else (sign,):
            canary = self.shape.beyond(self.judged * math.exp(-log_ratio))
            expected = self.against(looks, canary, self.within[way][1])
            last = self.last(looks, expected, -way, part * plan.beta) if part and ended else None
            chances = self.chances(expected, -way, -math.log(plan.beta) - math.log1p(-part), last)
            least = min(least, *(chances[i] for i in self.wanted))
        return least

    def last(self, looks: float, expected: Expected, sign: int, level: float) -> Array:
        """Where the bet on the last look is won, per edge in standard errors from no difference; infinite: nowhere."""
        n_c, n_s = looks * self.total * self.share, looks * self.total * (1.0 - self.share)
        found = np.full(len(self.judged), math.inf)
        for i in range(len(self.judged)):
            events, toward = float(expected.scale[i]), -sign if self.mirrored[i] else sign
            least, mean = max(0.0, events - n_s), events * self.share
            trials = min(events, n_c) - least
            phi, error = float(self.phi[i]), float(expected.error[i])
            found[i] = last_counts.won_at(trials, mean - least, toward, level, phi, error)
        return found

    def chances(self, expected: Expected, sign: int, limit: float, last: Array | None = None) -> list[float]:
        """Per edge, the chance to show that the canary has more beyond it (sign +1) than expected, or less.

        last: limits of the last look alone, as in `crossing`.
        """
        found = np.zeros(len(self.judged))
        alone = np.full(len(self.judged), math.inf) if last is None else last
        for toward, part in ((sign, np.logical_not(self.mirrored)), (-sign, self.mirrored)):
            if part.any():
                distance, bound = side(
                    expected.rows(part), null=0.0, sign=toward, limit=limit, phi=self.phi[part], points=distances()
                )
                rows = zip(distance, bound, alone[part], strict=True)
                found[part] = [crossing(float(d), float(b), float(one)) for d, b, one in rows]
        return [float(value) for value in found]
