"""The fold shared by tests whose looks are two-arm counts with a conditional likelihood: ratios of rates or odds.

State is a value of a few kilobytes, whatever the number of looks; arrays are kept as little-endian float64 bytes so
that a JSON round trip is exact.
"""

import math
from typing import NamedTuple

import msgspec
import numpy as np

from . import blocks, last_counts
from .blocks import FEWEST, Blocks
from .evidence import Evidence, Grade
from .looks import Look
from .mixture import NODES, RANGE, Array, abreast, between, contrast, limit, log_add, log_late, log_whole, nodes
from .plan import Calibration, Plan, harm_sign, margin_log_ratio
from .rate_bound import rate_upper
from .starts import SLOTS, log_weight, surplus

ROW = NODES + 3  # look, log weight, canary events, S at the nodes


class CountState(msgspec.Struct, frozen=True):
    """Running sums of a two-arm count comparison. x: events, n: totals, c: canary, s: stable."""

    look: int = 0
    used: int = 0
    dropped: int = 0
    x_c: float = 0.0
    n_c: float = 0.0
    x_s: float = 0.0
    n_s: float = 0.0
    weighted_c: float = 0.0  # Mantel-Haenszel numerator and denominator
    weighted_s: float = 0.0
    sums: bytes = b""  # S at the nodes
    starts: bytes = b""  # rows of ROW: sums as they stood when a start began
    last_residual: float = 0.0
    last_variance: float = 0.0
    square: float = 0.0  # dispersion: half squared differences of residuals over their expectation
    expected: float = 0.0
    blocks: Blocks = Blocks()
    flags: tuple[str, ...] = ()
    trials: float = 0.0  # independent ones that the canary's events are a sum of; 0: not known
    least: float = 0.0  # canary events that had to be
    end: bytes = b""  # a row of `last_counts`: sums as they stood at the planned last look


def dropped(state: CountState, look: int, flags: tuple[str, ...] = ()) -> CountState:
    return msgspec.structs.replace(state, look=look, dropped=state.dropped + 1, flags=_merge(state.flags, flags))


def ended(plan: Plan, look: Look, state: CountState, trials: float | None = None) -> CountState:
    """The state with this look in it, usable or not; at the planned last one the bet on it is kept too.

    trials: that the events are a sum of; None: as many as were counted.
    """
    trials = state.trials if trials is None else trials
    if state.end or not state.sums or trials <= 0.0:
        return state
    if not last_counts.is_last(plan, look) or not any(last_counts.parts(plan)):
        return state
    phi = dispersion(plan.calibration, state)
    free = _floats(state.sums) - state.least * nodes()
    return msgspec.structs.replace(state, end=last_counts.row(phi, state.x_c - state.least, trials, free))


def _merge(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return old + tuple(f for f in new if f not in old) if new else old


def fold(
    plan: Plan,
    state: CountState,
    *,
    look: int,
    canary: tuple[float, float],
    stable: tuple[float, float],
    partition: Array,
    weighted: tuple[float, float] | None,
    residual: tuple[float, float] | None,
    flags: tuple[str, ...] = (),
    trials: tuple[float, float] = (0.0, 0.0),
    slots: int = SLOTS,
) -> CountState:
    """Add one look.

    canary, stable: (events, total). partition: the look's S at the nodes. weighted: its Mantel-Haenszel terms; None
    where nobody asks for the estimate. residual: canary events minus their expectation under no change, and that
    residual's variance if events are independent; None where nobody asks for the dispersion. trials: how many
    independent ones the canary's events are a sum of, and how many it must have had; none where nobody bets on the last
    look.
    """
    sums = _floats(state.sums) + partition if state.sums else partition
    starts = state.starts
    if plan.restarts and not starts:
        starts = _row(0, log_weight(0, plan.planned_looks), 0.0, np.zeros(NODES))
    square, expected, noise = state.square, state.expected, state.blocks
    value, variance = residual or (state.last_residual, state.last_variance)
    if residual is not None:
        noise = blocks.extended(noise, value, variance)
        if state.used:
            # Differences of neighbours: a constant effect cancels, and a late onset is seen by a single difference.
            square += 0.5 * (value - state.last_residual) ** 2
            expected += 0.5 * (variance + state.last_variance)
    weighted_c, weighted_s = state.weighted_c, state.weighted_s
    if weighted is not None:
        weighted_c, weighted_s = weighted_c + weighted[0], weighted_s + weighted[1]
    used = state.used + 1
    x_c = state.x_c + canary[0]
    counted = state.trials > 0.0 or state.x_c + state.x_s == 0.0  # of every look with events, or of none
    if plan.restarts:
        weight = log_weight(used, plan.planned_looks)
        if weight is not None:
            starts += _row(used, weight, x_c, sums)
            rows = _rows(starts)
            spare = surplus([used - int(at) for at in rows[:, 0]], slots)
            if spare is not None:
                starts = np.delete(rows, spare, axis=0).tobytes()
    return CountState(
        look=look,
        used=used,
        dropped=state.dropped,
        x_c=x_c,
        n_c=state.n_c + canary[1],
        x_s=state.x_s + stable[0],
        n_s=state.n_s + stable[1],
        weighted_c=weighted_c,
        weighted_s=weighted_s,
        sums=sums.tobytes(),
        starts=starts,
        last_residual=value,
        last_variance=variance,
        square=square,
        expected=expected,
        blocks=noise,
        flags=_merge(state.flags, flags),
        trials=state.trials + trials[0] if counted else 0.0,
        least=state.least + trials[1],
        end=state.end,
    )


def _floats(data: bytes) -> Array:
    return np.frombuffer(data, "<f8")


def _rows(data: bytes) -> Array:
    return _floats(data).reshape(-1, ROW)


def _row(look: int, weight: float | None, events: float, sums: Array) -> bytes:
    return np.concatenate(((look, weight or 0.0, events), sums)).tobytes()


def dispersion(calibration: Calibration | None, state: CountState) -> float:
    """phi >= 1: the look-back's, and the run's own where it is larger by more than its noise.

    For independent events any phi >= 1, chosen from the data or not, keeps the guarantee: with weights that add up
    to at most one, sum w exp(L / phi) <= (sum w exp(L)) ** (1 / phi), so the tempered evidence can only reach
    1 / alpha where the plain e-process does.
    """
    floor, sufficient, memory = 1.0, False, 0.0
    if calibration is not None:
        floor = max(1.0, calibration.dispersion) * max(1.0, calibration.long_run)
        sufficient, memory = calibration.sufficient, calibration.memory
    if state.expected <= FEWEST or state.used < 2:
        return floor
    inside = state.square / state.expected
    if sufficient:
        inside /= 1.0 + math.sqrt((1.0 + state.used / state.expected) / state.used)
    return max(floor, inside, blocks.long_run(state.blocks, memory))


class Logs(msgspec.Struct, frozen=True):
    """Log e-values of one direction."""

    harm: float
    harm_margin: float
    safety: float
    since: int


def _since(state: CountState, temper: float) -> tuple[Array, Array]:
    """([events, S at the nodes] / phi since each start, the starts' rows)."""
    rows = _rows(state.starts) if state.starts else np.zeros((1, ROW))  # no restarts: all the weight at the beginning
    now = np.empty(NODES + 1)
    now[0] = state.x_c
    now[1:] = _floats(state.sums)
    since = now - rows[:, 2:]
    if temper != 1.0:
        since /= temper
    return since, rows


class Asked(NamedTuple):
    """Which log e-values are asked for; the others are 0."""

    harm: bool = True
    margin: bool = True
    safety: bool = True


EVERYTHING = Asked()


def evaluate(
    state: CountState,
    sign: int,
    margin: float,
    temper: float,
    parts: tuple[float, float] = (0.0, 0.0),
    asked: Asked = EVERYTHING,
) -> Logs:
    """Log e-values of the mixtures after the looks so far, and the look that harm (the first asked for) speaks from.

    sign: the direction of harm; margin: tolerated log ratio (>= 0); parts: of the weight that are not theirs, on harm
    and on safety.
    """
    since, rows = _since(state, temper)
    edge, weight = sign * margin, float(rows[0, 1])
    nulls = tuple(null for null, yes in zip(((0.0, sign), (edge, sign), (edge, -sign)), asked, strict=True) if yes)
    whole = iter(log_whole(since[0], *abreast(nulls)))

    def worse(null: float) -> tuple[float, int]:
        level = next(whole) + weight
        if len(rows) == 1:
            return level + spent, 0
        more, index, largest = log_late(since[1:], rows[1:, 1:2], contrast(null, sign))
        return log_add(level, more) + spent, int(rows[1 + index, 0]) if largest > level else 0

    spent = math.log1p(-parts[0])
    harm, at = worse(0.0) if asked.harm else (0.0, 0)
    beyond, beyond_at = worse(edge) if asked.margin else (0.0, 0)
    # safety of the whole run only: a late start would forget harm
    safety = next(whole) + math.log1p(-parts[1]) if asked.safety else 0.0
    return Logs(harm, beyond, safety, at if asked.harm else beyond_at)


def _with_bets(
    plan: Plan, state: CountState, logs: Logs, sign: int, margin: float, parts: tuple[float, float], asked: Asked
) -> Logs:
    """With what the bets on the last look were worth. parts: of the weight, on harm and on safety."""
    edge, harm, safety = sign * margin, _limit(plan), -math.log(plan.beta)
    end, joined = state.end, last_counts.joined
    return Logs(
        joined(logs.harm, end, 0.0, sign, parts[0], harm) if asked.harm else 0.0,
        joined(logs.harm_margin, end, edge, sign, parts[0], harm) if asked.margin else 0.0,
        joined(logs.safety, end, edge, -sign, parts[1], safety) if asked.safety else 0.0,
        logs.since,
    )


def _limit(plan: Plan) -> float:
    """The log e-value that decides on harm, of one direction."""
    return -math.log(plan.alpha) + (math.log(2) if plan.direction == "either" else 0.0)


def _rates(state: CountState, estimate: float, margin: float, sign: int, *, either: bool) -> tuple[float, float, float]:
    """Log likelihood of the estimate over no change, over the margin from beyond it, and from within it.

    estimate: log ratio within RANGE; margin: tolerated log ratio towards harm (>= 0).
    """
    sums = _floats(state.sums)
    there = state.x_c * estimate - between(sums, estimate, often=False)
    edge = state.x_c * sign * margin - between(sums, sign * margin, often=True)
    worse, beyond = sign * estimate > 0 or either, sign * estimate > margin
    over_none = there + between(sums, 0.0, often=True) if worse else 0.0
    return over_none, there - edge if beyond else 0.0, there - edge if not beyond else 0.0


def assess(plan: Plan, state: CountState, *, interval: bool, grade_at_unit_dispersion: Grade) -> Evidence:
    """Evidence so far.

    `interval` False leaves out what decides nothing: the confidence sequence, rates for the forecast, and of the
    evidence against no change and beyond the margin that which does not fail.
    """
    calibration = plan.calibration
    baseline = state.x_s / state.n_s if state.n_s > 0 else (calibration.baseline if calibration else None)
    sign = harm_sign(plan.direction)
    margin = margin_log_ratio(plan, baseline, sign)
    calibrated = calibration is not None and calibration.sufficient
    placebo = calibration.placebo_false_alarm if calibration else None
    if not state.sums:
        return Evidence(
            test=plan.test,
            look=state.look,
            margin=math.exp(sign * margin),
            used=state.used,
            dropped=state.dropped,
            flags=state.flags,
            calibrated=calibrated,
            placebo_false_alarm=placebo,
        )
    temper = dispersion(calibration, state)
    parts = last_counts.parts(plan)
    asked = EVERYTHING if interval else Asked(plan.fail_at == "noharm", plan.fail_at == "margin")
    logs = evaluate(state, sign, margin, temper, parts, asked)
    if state.end:
        logs = _with_bets(plan, state, logs, sign, margin, parts, asked)
    either = plan.direction == "either"
    if either:
        back = margin_log_ratio(plan, baseline, -sign)
        other = evaluate(state, -sign, back, temper, parts, asked)
        if state.end:
            other = _with_bets(plan, state, other, -sign, back, parts, asked)
        logs = Logs(
            log_add(logs.harm, other.harm) - math.log(2),
            log_add(logs.harm_margin, other.harm_margin) - math.log(2),
            min(logs.safety, other.safety),
            logs.since,
        )
    estimate = None
    rates = (0.0, 0.0, 0.0)
    if state.weighted_c > 0 and state.weighted_s > 0:
        estimate = state.weighted_c / state.weighted_s
        if interval:
            capped = min(max(math.log(estimate), -RANGE), RANGE)
            rates = _rates(state, capped, margin, sign, either=either)
    scale = 1.0 / (temper * state.used)
    lower, upper = bounds(plan, state, temper) if interval else (None, None)
    flags = state.flags
    if calibration is not None and calibration.long_run > 1.0:
        flags = (*flags, "long-run-dispersion")
    if lower is not None and upper is not None and lower > upper:
        lower, upper, flags = None, None, (*flags, "model-violated")
    return Evidence(
        test=plan.test,
        look=state.look,
        estimate=estimate,
        lower=lower,
        upper=upper,
        margin=math.exp(sign * margin),
        log_e_harm=logs.harm,
        log_e_harm_margin=logs.harm_margin,
        log_e_safety=logs.safety,
        harm_rate=rates[0] * scale,
        harm_margin_rate=rates[1] * scale,
        safety_rate=rates[2] * scale,
        used=state.used,
        dropped=state.dropped,
        canary_total=state.n_c,
        stable_total=state.n_s,
        canary_events=state.x_c,
        stable_events=state.x_s,
        level=state.x_c / state.n_c,
        level_upper=(
            rate_upper(state.x_c, state.n_c, plan.beta, temper) if interval or plan.absolute_floor is not None else None
        ),
        baseline=baseline,
        dispersion=temper,
        autocorrelation=calibration.autocorrelation if calibration else 0.0,
        effective_n=(state.x_c + state.x_s) / temper,
        since=logs.since,
        grade=grade_at_unit_dispersion if temper <= 1.0 else "calibrated",
        calibrated=calibrated,
        placebo_false_alarm=placebo,
        flags=flags,
    )


def bounds(plan: Plan, state: CountState, temper: float) -> tuple[float | None, float | None]:
    """Confidence sequence of the ratio: nulls that neither one-sided e-process rejects at 1/alpha.

    The harm side uses the restarts, as the verdict does, so that it excludes 1 exactly when harm is shown.
    """
    since, rows = _since(state, temper)
    threshold = _limit(plan)
    part, spared = last_counts.parts(plan)
    x_c, x_s = state.x_c + 0.5, state.x_s + 0.5
    guess = math.log(x_c / state.n_c) - math.log(x_s / state.n_s), math.sqrt(6 * temper * (1 / x_c + 1 / x_s))

    def end(direction: int) -> float:
        harmful = plan.direction == "either" or direction == harm_sign(plan.direction)
        bet = part if harmful else spared
        found = limit(since, rows[:, 1:2] if harmful else None, direction, threshold - math.log1p(-bet), guess)
        last = last_counts.bound(state.end, direction, bet, threshold, guess)
        return direction * max(direction * found, direction * last)

    lower, upper = end(1), end(-1)
    return (
        math.exp(lower) if math.isfinite(lower) else 0.0,
        math.exp(upper) if math.isfinite(upper) else None,
    )
