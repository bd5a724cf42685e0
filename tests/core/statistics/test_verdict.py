"""The verdict rule, its reasons, the split of alpha, the forecast and the sentence."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from analysis_service.core.statistics import budget, forecast, histogram, sentence
from analysis_service.core.statistics.evidence import FLOOR_FILLS_MARGIN, Evidence, QuantileEstimate
from analysis_service.core.statistics.frozen import FROZEN, UNCHANGED
from analysis_service.core.statistics.hygiene import SAME
from analysis_service.core.statistics.looks import Counts, Histogram, Look
from analysis_service.core.statistics.plan import Calibration, Margin, Plan
from analysis_service.core.statistics.sentence import NOTHING, Held
from analysis_service.core.statistics.verdict import VerdictState, held_back, step, why_undecided

START = datetime(2026, 1, 1, tzinfo=UTC)
E20 = math.log(20.0)
PLAN = Plan(test="sequential-rate-ratio", margin=Margin(relative=0.5), planned_looks=20)


def evidence(**more: Any) -> Evidence:
    defaults: dict[str, Any] = {
        "test": "sequential-rate-ratio", "used": 10, "canary_total": 1000.0, "stable_total": 9000.0,
        "estimate": 1.0, "margin": 1.5, "grade": "exact", "level": 0.01, "level_upper": 0.02,
    }  # fmt: skip
    return Evidence(**{**defaults, **more})


def look(number: int, flags: tuple[str, ...] = (), *, empty: bool = False) -> Look:
    canary = None if empty else Counts(1.0, 100.0)
    return Look(number, START + timedelta(seconds=30 * number), canary, Counts(9.0, 900.0), flags=flags)


@pytest.mark.parametrize(
    ("more", "at", "given", "outcome"),
    [
        ({}, 10, {"log_e_harm": E20}, "fail"),
        ({}, 10, {"log_e_harm": E20 - 0.01}, ""),
        # harm needs no baking
        ({}, 1, {"log_e_harm": 9.0}, "fail"),
        ({}, 10, {"log_e_safety": E20}, "pass"),
        # a quarter of the planned looks must have passed
        ({}, 4, {"log_e_safety": 9.0}, ""),
        ({}, 5, {"log_e_safety": 9.0}, "pass"),
        # harm first, when both are reached in one look
        ({}, 10, {"log_e_harm": 9.0, "log_e_safety": 9.0}, "fail"),
        # a point estimate never decides
        ({}, 10, {"estimate": 40.0}, ""),
        ({"fail_at": "margin"}, 10, {"log_e_harm": 9.0}, ""),
        ({"fail_at": "margin"}, 10, {"log_e_harm_margin": 9.0}, "fail"),
        # rates below the floor are nobody's problem
        ({"absolute_floor": 0.02}, 10, {"log_e_harm": 9.0, "level_upper": 0.03}, ""),
        ({"absolute_floor": 0.03}, 10, {"log_e_harm": 9.0}, "pass"),
        ({"absolute_floor": 0.005}, 10, {"log_e_harm": 9.0}, "fail"),
        ({"min_samples": 5000.0}, 10, {"log_e_harm": 9.0}, ""),
        ({"alpha": 0.001}, 10, {"log_e_harm": 5.0}, ""),
        ({}, 10, {"log_e_harm": 9.0, "used": 0}, ""),
    ],
)
def test_one_look(more: dict[str, Any], at: int, given: dict[str, Any], outcome: str) -> None:
    plan = Plan(**{**{f: getattr(PLAN, f) for f in PLAN.__struct_fields__}, **more})
    assert step(plan, VerdictState(), look(at), evidence(**given)).outcome == outcome


def test_fail_is_sticky_and_a_pass_is_still_watched() -> None:
    state = step(PLAN, VerdictState(), look(10), evidence(log_e_safety=9.0))
    assert (state.outcome, state.passed_at) == ("pass", 10)
    state = step(PLAN, state, look(11), evidence(log_e_harm=9.0))
    assert (state.outcome, state.failed_at) == ("fail", 11)
    state = step(PLAN, state, look(12), evidence(log_e_safety=9.0))
    assert (state.outcome, state.failed_at, state.passed_at) == ("fail", 11, 10)


@pytest.mark.parametrize(
    ("number", "canary", "stable", "stable_total", "outcome"),
    [
        (5, True, True, 9000.0, "pass"),
        # the evidence was there before the baking was over; since then the canary has died
        (5, False, True, 9000.0, ""),
        # and whoever cannot see stable any more does not know what the canary is held against
        (5, True, False, 9000.0, ""),
        # an objective has no stable
        (5, True, False, 0.0, "pass"),
    ],
)
def test_nothing_passes_while_an_arm_is_silent(
    number: int, canary: bool, stable: bool, stable_total: float, outcome: str
) -> None:
    data = Counts(1.0, 100.0)
    at = Look(number, START, data if canary else None, data if stable else None)
    given = evidence(log_e_safety=9.0, stable_total=stable_total)
    assert step(PLAN, VerdictState(), at, given).outcome == outcome


@pytest.mark.parametrize("flag", [FROZEN, UNCHANGED, SAME])
def test_nothing_passes_while_an_arm_stands_still(flag: str) -> None:
    """Nor while it has not changed for improbably long; what is dropped for it is no routing fault."""
    state = VerdictState()
    for number in range(5, 12):
        at = Look(number, START, Counts(1.0, 100.0) if flag != FROZEN else None, Counts(1.0, 100.0), flags=(flag,))
        state = step(PLAN, state, at, evidence(log_e_safety=9.0))
        assert (state.outcome, state.longest_empty, state.frozen) == ("", 0, flag == FROZEN)
    assert (why_undecided(PLAN, state, evidence()) == "frozen") == state.frozen
    state = step(PLAN, state, look(12), evidence(log_e_safety=9.0))
    assert (state.outcome, state.frozen) == ("pass", False)


def test_bad_data_keeps_a_pass_back() -> None:
    state = VerdictState()
    for k in range(1, 11):
        flags = ("bad-negative",) if k % 3 == 0 else ()
        state = step(PLAN, state, look(k, flags), evidence(log_e_safety=9.0 if k > 5 else 0.0))
    assert state.outcome == ""
    assert why_undecided(PLAN, state, evidence()) == "bad-data"


@pytest.mark.parametrize(
    ("state", "given", "reason"),
    [
        (VerdictState(looks=20), {"used": 0}, "no-data"),
        # stable has traffic, the canary has none, five looks in a row: routing
        (VerdictState(looks=20, longest_empty=5), {}, "no-data"),
        (VerdictState(looks=20, bad=5), {}, "bad-data"),
        (VerdictState(looks=20), {"estimate": 1.45, "lower": 1.2, "upper": 1.9}, "effect-near-margin"),
        # the estimate is near, and hardly known: a fifth to five times would do as well
        (VerdictState(looks=20), {"estimate": 1.45, "lower": 0.3, "upper": 7.0}, "low-traffic"),
        (VerdictState(looks=20), {"estimate": 1.45, "lower": 0.3}, "low-traffic"),
        # pods differ among themselves by the whole margin
        (VerdictState(looks=20), {"estimate": 1.45, "flags": (FLOOR_FILLS_MARGIN,)}, "high-noise"),
        # the canary's query finds stable's processes
        (VerdictState(looks=20, same=True), {}, "same-processes"),
        (VerdictState(looks=20), {"grade": "none"}, "uncalibrated"),
        (VerdictState(looks=20), {"dispersion": 3.0}, "high-noise"),
        (VerdictState(looks=20), {"autocorrelation": 0.7}, "high-noise"),
        (VerdictState(looks=20), {}, "low-traffic"),
    ],
)
def test_reasons(state: VerdictState, given: dict[str, Any], reason: str) -> None:
    assert why_undecided(PLAN, state, evidence(**given)) == reason


def test_empty_canaries_are_counted_in_a_row() -> None:
    state = VerdictState()
    for k, empty in enumerate([True] * 3 + [False] + [True] * 4, start=1):
        state = step(PLAN, state, look(k, empty=empty), evidence())
    assert state.longest_empty == 4


# --- many metrics


@pytest.mark.parametrize(
    ("weights", "critical", "shares"),
    [
        ([1, 1], None, [0.025, 0.025]),
        ([3, 1], None, [0.0375, 0.0125]),
        ([1, 1, 1], [True, False, False], [0.04, 0.005, 0.005]),
        ([1, 1], [True, True], [0.025, 0.025]),
        ([0, math.nan], None, [0.025, 0.025]),  # what is no weight counts as one
    ],
)
def test_alpha_is_split(weights: list[float], critical: list[bool] | None, shares: list[float]) -> None:
    found = budget.split_alpha(0.05, weights, critical)
    assert found == pytest.approx(shares)
    assert sum(found) == pytest.approx(0.05)


def test_steps_spend_alpha_once() -> None:
    assert sum(budget.step_alpha(0.05, s) for s in range(1, 100_000)) <= 0.05


def test_global_evidence_is_a_mean() -> None:
    assert budget.global_log_e([math.log(39.0), 0.0]) == pytest.approx(math.log(20))
    assert budget.global_log_e([]) == 0.0


# --- forecast


def test_remaining_looks() -> None:
    ahead = forecast.remaining(PLAN, evidence(log_e_harm=1.0, harm_rate=0.2, safety_rate=0.0))
    assert ahead.looks_to_fail == pytest.approx((E20 - 1.0) / 0.2)
    assert ahead.requests_to_fail == pytest.approx((E20 - 1.0) / 0.2 * 1000)
    assert ahead.looks_to_pass is None


SAFE = {"log_e_safety": E20 + 0.1}
HARMFUL = {"log_e_harm": E20 + 0.1}


@pytest.mark.parametrize(
    ("more", "at", "state", "given", "why"),
    [
        ({}, look(3), VerdictState(looks=3), {}, ""),
        ({}, look(3), VerdictState(looks=3), SAFE, "bake"),
        ({}, look(9), VerdictState("pass", 9, passed_at=9), SAFE, ""),
        # an arm is silent, or stands still
        ({}, look(9, empty=True), VerdictState(looks=9), SAFE, "absent"),
        ({}, look(9, (FROZEN,)), VerdictState(looks=9, frozen=True), SAFE, "absent"),
        ({}, look(9, (SAME,)), VerdictState(looks=9, same=True), SAFE, "same"),
        ({}, look(9), VerdictState(looks=9, bad=4), SAFE, "bad-data"),
        ({"min_samples": 5000.0}, look(9), VerdictState(looks=9), SAFE, "samples"),
        ({"min_samples": 5000.0}, look(9), VerdictState(looks=9), HARMFUL, "samples"),
        ({"absolute_floor": 0.02}, look(9), VerdictState(looks=9), HARMFUL, "floor"),
    ],
)
def test_what_holds_a_verdict_back(
    more: dict[str, Any], at: Look, state: VerdictState, given: dict[str, Any], why: str
) -> None:
    plan = msgspec.structs.replace(PLAN, **more)
    assert (
        step(plan, msgspec.structs.replace(state, looks=state.looks - 1), at, evidence(**given)).outcome
        == state.outcome
    )  # there is no verdict
    assert held_back(plan, state, at, evidence(**given)) == why


# --- the sentence


def test_a_failure_in_one_sentence() -> None:
    given = evidence(estimate=1.9, lower=1.4, upper=2.6, log_e_harm=math.log(340))
    text = sentence.sentence(PLAN, "errors", given, VerdictState("fail", 12, failed_at=12))
    assert text == (
        "errors: x1.9 of stable (90% sequential interval x1.4 to x2.6); limit x1.5; evidence for harm 1 in 340, "
        "for safety none; Failed at look 12; false-alarm chance at most 5%, all looks included."
    )


@pytest.mark.parametrize(
    ("alpha", "run_alpha", "said"),
    [
        (0.05, None, "false-alarm chance at most 5%, all looks included"),
        (0.05, 0.05, "false-alarm chance at most 5%, all looks included"),
        # three metrics share the chance that the template names
        (0.05 / 3, 0.05, "at most 1.67% (this metric's part of 5% for the run), all looks included"),
    ],
)
def test_a_part_of_the_runs_chance_is_called_so(alpha: float, run_alpha: float | None, said: str) -> None:
    plan = msgspec.structs.replace(PLAN, alpha=alpha, run_alpha=run_alpha)
    assert said in sentence.sentence(plan, "errors", evidence(), VerdictState())


def test_a_noise_floor_is_told() -> None:
    """Or nobody could see why an interval beyond the limit fails nothing."""
    told = sentence.sentence(PLAN, "cpu", evidence(noise_floor=math.log(1.1)), VerdictState("", 12))
    assert "limit x1.5; pods alone may differ by x1.1, which is neither harm nor safety; evidence" in told
    told = sentence.sentence(PLAN, "cpu", evidence(noise_floor=3.0, unit="difference"), VerdictState("", 12))
    assert "pods alone may differ by +3," in told


def test_an_undecided_look_says_how_long() -> None:
    given = evidence(estimate=1.1, lower=0.5, upper=2.0, log_e_safety=1.0, safety_rate=0.1)
    text = sentence.sentence(PLAN, "errors", given, VerdictState("", 12), interval_seconds=30)
    assert "not decided, about 10 min more to pass if this goes on" in text


@pytest.mark.parametrize(
    ("given", "seconds", "held", "said"),
    [
        # two looks of two seconds: no fractions of a minute
        ({"log_e_safety": E20 - 0.15, "safety_rate": 0.1}, 2, NOTHING, "about 4 s more to pass if this goes on"),
        ({"log_e_safety": E20 - 7.0, "safety_rate": 0.1}, 600, NOTHING, "about 11.7 h more to pass if this goes on"),
        # evidence enough within seconds, but nothing passes for another minute
        ({"log_e_safety": E20 - 0.2, "safety_rate": 0.1}, 2, Held("", 61.0), "about 61 s more to pass if this goes on"),
        ({**SAFE, "safety_rate": 0.1}, 2, Held("bake", 61.0),
         "not decided: safety is shown, but nothing passes before minBake, for 61 s more;"),
        ({**SAFE, "safety_rate": 0.1}, 2, Held("absent", 0.0),
         "not decided: safety is shown, but nothing passes while an arm has no data;"),
        ({**HARMFUL, "harm_rate": 0.1}, 2, Held("floor", 0.0),
         "not decided: harm is shown, but nothing fails below the absolute floor;"),
        ({}, 2, NOTHING, "not decided, no end in sight;"),
    ],
)  # fmt: skip
def test_an_undecided_look_says_what_it_waits_for(given: dict[str, Any], seconds: float, held: Held, said: str) -> None:
    text = sentence.sentence(PLAN, "m", evidence(**given), VerdictState("", 12), interval_seconds=seconds, held=held)
    assert said in text


@pytest.mark.parametrize(
    ("given", "verdict", "text"),
    [
        ({}, VerdictState("", 12), "m: x1 of stable (no interval yet); limit"),
        # at the end there is no "yet"
        ({}, VerdictState("pass", 12), "m: x1 of stable (90% sequential interval without bounds); limit"),
        # most answers became slow, and the slowest had been so before
        (
            {
                "estimate": 1.09,
                "lower": 0.4,
                "quantile": 0.99,
                "quantiles": (
                    QuantileEstimate(0.5, 0.438, None, None, 0.0556, None, None),
                    QuantileEstimate(0.99, 0.989, None, None, 0.91, None, None),
                ),
            },
            VerdictState("fail", 12, failed_at=12),
            "m: p99 x1.09 of stable (90% sequential interval above x0.4), p50 x7.88; limit x1.5;",
        ),
        # of a distribution: which quantile, and that the evidence weighs more than that one
        (
            {"estimate": 2.4, "lower": 0.4, "quantile": 0.99, "quantiles": (QuantileEstimate(0.99, *[None] * 6),)},
            VerdictState("fail", 12, failed_at=12),
            "m: p99 x2.4 of stable (90% sequential interval above x0.4); limit x1.5; evidence (of all buckets) for",
        ),
    ],
)
def test_an_effect_says_what_it_is_of(given: dict[str, Any], verdict: VerdictState, text: str) -> None:
    assert sentence.sentence(PLAN, "m", evidence(**given), verdict).startswith(text)


def test_without_history_the_noise_is_that_of_the_run() -> None:
    given = evidence(grade="calibrated", dispersion=1.5)
    said = sentence.sentence(PLAN, "m", given, VerdictState("", 12))
    assert "all looks included, as far as the noise stays as it was in this run." in said
    said = sentence.sentence(PLAN, "m", msgspec.structs.replace(given, calibrated=True), VerdictState("", 12))
    assert "all looks included, as far as the noise is like the history's." in said


def test_harm_that_need_not_be_harm_says_so() -> None:
    """x1.12 with an interval from x1.05 on is more than no change, and still no evidence under failAt: margin."""
    given = evidence(estimate=1.12, lower=1.05, upper=1.2, log_e_harm=5.0, log_e_safety=3.1)
    at_margin = msgspec.structs.replace(PLAN, fail_at="margin")
    said = sentence.sentence(at_margin, "m", given, VerdictState("pass", 12, passed_at=12))
    assert "evidence for harm beyond the limit none, for safety 1 in 22" in said
    assert "evidence for harm 1 in 148, for safety 1 in 22" in sentence.sentence(PLAN, "m", given, VerdictState("", 12))


@pytest.mark.parametrize(
    ("points", "text"),
    [
        (62, "like the history's, which has only 62 intervals (180 are wanted to see slow noise)."),
        (180, "like the history's."),
        (720, "like the history's."),
    ],
)
def test_a_short_history_is_told(points: int, text: str) -> None:
    short = msgspec.structs.replace(PLAN, calibration=Calibration(points=points))
    given = evidence(grade="calibrated", calibrated=True)
    assert text in sentence.sentence(short, "m", given, VerdictState("", 12))


def test_a_histogram_says_while_it_chooses_its_buckets() -> None:
    plan = Plan(test=histogram.NAME, margin=Margin(relative=0.5), fail_at="margin", quantiles=(0.5, 0.99))
    state = histogram.start(plan)
    said = []
    for number in range(1, 4):
        data = Histogram((0.1, 0.2, 0.5), (200.0, 150.0, 45.0, 5.0))
        state = histogram.update(plan, state, Look(number, START, data, data))
        said.append(sentence.sentence(plan, "m", histogram.assess(plan, state), VerdictState("", number)))
    choosing = "the first 1000 observations of stable choose the buckets that are judged, {} so far;"
    assert [choosing.format(n) in text for n, text in zip((400, 800, 1200), said, strict=True)] == [True, True, False]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        # stable without events: there is no ratio, and a lower bound of one
        (
            {"estimate": None, "canary_events": 18.0, "canary_total": 137.0, "stable_total": 136.0, "lower": 3.1},
            "errors: 18 of 137 on the canary against 0 of 136 on stable "
            "(90% sequential interval of the ratio above x3.1); limit x1.5;",
        ),
        # the canary without events
        (
            {"estimate": None, "stable_events": 13.0, "canary_total": 1000.0, "lower": 0.0, "upper": 0.9},
            "errors: 0 of 1000 on the canary against 13 of 9000 on stable "
            "(90% sequential interval of the ratio below x0.9);",
        ),
        # nobody has any
        ({"estimate": None}, "errors: 0 of 1000 on the canary against 0 of 9000 on stable; limit x1.5;"),
        # a gauge's first point only tells where it starts
        (
            {"test": "sequential-t", "estimate": None, "used": 1, "canary_total": 1.0, "stable_total": 1.0},
            "errors: no effect to estimate yet; limit x1.5;",
        ),
        # a ratio is never below 0, which says nothing
        ({"lower": 0.0}, "errors: x1 of stable (no interval yet); limit x1.5;"),
        ({"flags": ("model-violated",)}, "errors: x1 of stable (no constant effect fits all looks); limit x1.5;"),
        # an interval that speaks of the whole run
        ({"estimate": 1.3, "lower": 1.1}, "errors: x1.3 of stable (90% sequential interval above x1.1); limit x1.5;"),
    ],
)
def test_a_sentence_begins_with_what_was_seen(given: dict[str, Any], text: str) -> None:
    assert sentence.sentence(PLAN, "errors", evidence(**given), VerdictState("", 12)).startswith(text)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (
            1.92,
            "errors: x1.3 of stable over the whole run, but x1.92 since look 118 "
            "(12:03:10 UTC, 90% sequential interval above x1.5); limit x1.5;",
        ),
        (
            None,
            "errors: x1.3 of stable over the whole run, but above x1.5 since look 118 "
            "(12:03:10 UTC, 90% sequential interval above x1.5); limit x1.5;",
        ),
    ],
)
@pytest.mark.parametrize("upper", [None, 1.6])  # the upper edge speaks of the whole run: it is not told here
def test_a_late_onset_is_told_apart(estimate: float | None, text: str, upper: float | None) -> None:
    late = sentence.Late(118, datetime(2026, 1, 1, 12, 3, 10, tzinfo=UTC), estimate)
    given = evidence(estimate=1.3, lower=1.5, upper=upper, since=110)
    assert sentence.sentence(PLAN, "errors", given, VerdictState("", 130), late=late).startswith(text)


def test_an_inconclusive_end_says_why() -> None:
    text = sentence.sentence(PLAN, "errors", evidence(used=0, dropped=7), VerdictState(looks=7), over=True)
    assert text.startswith("errors: nothing to compare in 7 looks")
    assert "Inconclusive after 7 looks: there was no data to judge" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.9, "1.9"), (0.0123, "0.0123"), (1234.5, "1234"), (0, "0"), (100.0, "100"), (0.05, "0.05"),
     # bytes at three in the morning
     (41474048.0, "41.5 million"), (-2e6, "-2 million"), (1e9, "1 billion"), (999_800.0, "1 million"),
     (123456.0, "123456"), (7.5e12, "7.5 trillion"), (1e15, "1.00e+15"), (0.00001, "1.00e-05")],
)  # fmt: skip
def test_numbers_read_well(value: float, text: str) -> None:
    assert sentence.number(value) == text
