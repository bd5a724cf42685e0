"""The fixed-horizon tests as a user meets them: verdict and sentence, refusals, and what no data can make them do."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.model import Phase
from analysis_service.core.statistics.fixed_comparison import TwoCounts, TwoSamples, look_level
from analysis_service.core.statistics.fixed_family import COUNT_TESTS, SAMPLE_TESTS
from analysis_service.core.statistics.kayenta_comparison import decide as kayenta
from analysis_service.core.statistics.kayenta_config import parse_options
from analysis_service.core.statistics.plan import Margin

NAN, INF = math.nan, math.inf
TENTH, SHARE = Margin(relative=0.1), Margin(absolute=0.5)
OPPOSITE = {"increase": "decrease", "decrease": "increase", "either": "either"}


def noisy(mean, sd, n, seed):
    rng = random.Random(seed)
    return tuple(rng.gauss(mean, sd) for _ in range(n))


STEADY, SAME = noisy(100, 5, 60, seed=1), noisy(100, 5, 60, seed=2)
HIGHER, SLIGHTLY = noisy(130, 5, 60, seed=3), noisy(104, 5, 60, seed=4)


def margin_of(name):
    return SHARE if name == "ks" else TENTH


@pytest.mark.parametrize("name", SAMPLE_TESTS)
@pytest.mark.parametrize(
    ("canary", "stable", "options", "phase", "why"),
    [
        # clearly worse
        (HIGHER, STEADY, {}, "Failed", ""),
        # clearly worse beyond the margin too
        (HIGHER, STEADY, {"fail_at": "margin"}, "Failed", ""),
        # the change is not harm in this direction, and is as safe as can be
        (STEADY, HIGHER, {}, "Successful", ""),
        # lower, where lower is harm
        (STEADY, HIGHER, {"direction": "decrease"}, "Failed", ""),
        (STEADY, HIGHER, {"direction": "either"}, "Failed", ""),
        # too few to say anything
        (STEADY[:3], SAME[:3], {}, "Inconclusive", "not-enough-evidence"),
        # no margin: nothing can pass
        (SAME, STEADY, {"margin": Margin()}, "Inconclusive", "no-margin"),
        # the data's own troubles
        ((), STEADY, {}, "Inconclusive", "no-data"),
        ((1.0,), STEADY, {}, "Inconclusive", "no-data"),
        ((NAN,) * 30 + HIGHER, STEADY, {}, "Inconclusive", "bad-data"),
        ((5.0,) * 9, (1.0,) * 9, {}, "Inconclusive", "no-variation"),
        # a few unusable values are dropped, and counted
        ((NAN, INF, *HIGHER), STEADY, {}, "Failed", ""),
    ],
)
def test_samples(name, canary, stable, options, phase, why):
    if name == "tost" and phase == "Successful":
        phase, why = "Inconclusive", "not-enough-evidence"  # far lower is no equivalence
    given = {"margin": margin_of(name)} | options
    found = SAMPLE_TESTS[name].decide(TwoSamples(canary, stable), **given)
    assert (found.phase.value, found.why) == (phase, why), found.reason
    assert found.dropped == sum(not math.isfinite(v) for v in (*canary, *stable))


@pytest.mark.parametrize(
    ("name", "phase"),
    # a change of 4% within a margin of 10%, asked as "beyond the margin?"
    [("mann-whitney", "Successful"), ("brunner-munzel", "Successful"), ("welch", "Successful"), ("tost", "Successful")],
)
def test_a_small_change_within_the_margin(name, phase):
    found = SAMPLE_TESTS[name].decide(TwoSamples(SLIGHTLY, STEADY), margin=TENTH, fail_at="margin")
    assert found.phase == phase, found.reason


def test_ks_passes_only_what_moved_few_values():
    many, same = noisy(0, 1, 4000, seed=5), noisy(0, 1, 4000, seed=6)
    decide = SAMPLE_TESTS["ks"].decide
    assert decide(TwoSamples(many, same), margin=Margin(absolute=0.1)).phase is Phase.SUCCESSFUL
    # a tail of 5% moves 5% of the values: harm is shown, and at the margin it is not
    tail = tuple(v + (20 if i % 20 == 0 else 0) for i, v in enumerate(many))
    assert decide(TwoSamples(tail, same), margin=Margin(absolute=0.1)).phase is Phase.FAILED
    assert decide(TwoSamples(tail, same), margin=Margin(absolute=0.02), fail_at="margin").phase != Phase.SUCCESSFUL


@pytest.mark.parametrize("name", COUNT_TESTS)
@pytest.mark.parametrize(
    ("counts", "options", "phase", "why"),
    [
        ((60, 1000, 120, 9000), {}, "Failed", ""),
        ((10, 1000, 900, 9000), {}, "Successful", ""),
        ((10, 1000, 900, 9000), {"direction": "decrease"}, "Failed", ""),
        ((14, 1000, 120, 9000), {}, "Inconclusive", "not-enough-evidence"),
        ((14, 1000, 120, 9000), {"margin": Margin()}, "Inconclusive", "no-margin"),
        # no traffic is not a rate of zero
        ((0, 0, 120, 9000), {}, "Inconclusive", "no-data"),
        ((NAN, 100, 1, 100), {}, "Inconclusive", "bad-data"),
        ((-1, 100, 1, 100), {}, "Inconclusive", "bad-data"),
        # no event anywhere: a ratio says nothing
        ((0, 1000, 0, 9000), {}, "Inconclusive", "not-enough-evidence"),
        # as large as no exact sum could be
        ((2e8, 1e10, 1e8, 1e10), {}, "Failed", ""),
        ((2e8, 1e10, 0, 1e10), {}, "Failed", ""),
    ],
)
def test_counts(name, counts, options, phase, why):
    given = {"margin": Margin(relative=0.5)} | options
    found = COUNT_TESTS[name].decide(TwoCounts(*counts), **given)
    assert (found.phase.value, found.why) == (phase, why), found.reason


def test_zero_errors_pass_an_absolute_margin_once_there_was_enough_traffic():
    decide = COUNT_TESTS["poisson-e"].decide
    margin = Margin(absolute=0.001)
    assert decide(TwoCounts(0, 5000, 0, 5000), margin=margin).phase is Phase.SUCCESSFUL
    assert decide(TwoCounts(0, 500, 0, 500), margin=margin).phase is Phase.INCONCLUSIVE


def test_more_errors_than_requests_are_clamped_and_flagged():
    found = COUNT_TESTS["fisher-exact"].decide(TwoCounts(101, 100, 5, 100))
    assert (found.phase, found.flags) == (Phase.FAILED, ("clamped",))


@pytest.mark.parametrize(
    ("name", "data", "options", "reason"),
    [
        (
            "welch",
            TwoSamples((5.0, 6.0, 7.0), (1.0, 2.0, 3.0)),
            {"margin": Margin(relative=0.1)},
            "canary 6 (n=3) against stable 2 (n=3); difference 4 (90% interval 2.259 to 5.741): worse than stable; "
            "chance finding 0.4%, at most 5% is wanted (welch)",
        ),
        (
            "welch",
            TwoSamples((5.0, 6.0, 7.0), (5.0, 6.0, 7.0)),
            {},
            "canary 6 (n=3) against stable 6 (n=3); difference 0 (90% interval -1.741 to 1.741): no harm shown (chance "
            "finding 50%, at most 5% is wanted), and without a margin no difference is small enough to pass; give "
            "margin.relative or margin.absolute (welch)",
        ),
        (
            "poisson-e",
            TwoCounts(14, 1000, 120, 9000),
            {"margin": Margin(relative=0.5)},
            "canary 14 of 1000 (0.014) against stable 120 of 9000 (0.01333); ratio 1.05 (90% interval 0.6625 to "
            "1.664): neither harm (chance finding 42%, at most 5% is wanted) nor that it is worse by less than 50% "
            "(chance finding 10%, at most 5% is wanted) is shown; more data would decide (poisson-e)",
        ),
        (
            "welch",
            TwoSamples((5.0, 6.0, 7.0), (15.0, 16.0, 17.0)),
            {"margin": Margin(relative=0.5)},
            "canary 6 (n=3) against stable 16 (n=3); difference -10 (90% interval -11.74 to -8.259): not worse than "
            "stable by more than 50%; chance finding below 0.01%, at most 5% is wanted (welch)",
        ),
        (
            "welch",
            TwoSamples((5.0, 6.0, 7.0), (1.0, 2.0, 3.0)),
            {"margin": Margin(absolute=1.0), "fail_at": "margin"},
            "canary 6 (n=3) against stable 2 (n=3); difference 4 (90% interval 2.259 to 5.741): worse than stable by "
            "more than 1; chance finding 1.1%, at most 5% is wanted (welch)",
        ),
        # bytes: as people say them
        (
            "welch",
            TwoSamples((5e9, 6e9, 7e9), (1e9, 2e9, 3e9)),
            {"margin": Margin(absolute=1e6)},
            "canary 6 billion (n=3) against stable 2 billion (n=3); difference 4 billion (90% interval 2.259 billion "
            "to 5.741 billion): worse than stable; chance finding 0.4%, at most 5% is wanted (welch)",
        ),
        (
            "poisson-e",
            TwoCounts(1_234_567, 2e9, 1_234_568, 2e9),
            {"margin": Margin(relative=0.5)},
            "canary 1234567 of 2000000000 (0.0006173) against stable 1234568 of 2000000000 (0.0006173); ratio 1 (90% "
            "interval 0.9979 to 1.002): not worse than stable by more than 50%; chance finding below 0.01%, at most 5% "
            "is wanted (poisson-e)",
        ),
        # a canary that never answered is no bad data: nothing is known of it
        ("welch", TwoSamples((NAN,) * 9, (1.0,) * 9), {}, "canary had no value in 9 looks: no verdict (welch)"),
        ("welch", TwoSamples((1.0,), (NAN,)), {}, "stable had no value in 1 look: no verdict (welch)"),
        ("welch", TwoSamples((), ()), {}, "canary had no value: no verdict (welch)"),
    ],
)
def test_the_reason_is_a_sentence(name, data, options, reason):
    tests = SAMPLE_TESTS | COUNT_TESTS
    assert tests[name].decide(data, **options).reason == reason


@pytest.mark.parametrize("name", [*SAMPLE_TESTS, *COUNT_TESTS])
def test_repeated_looks_are_refused_without_a_spending_rule(name):
    data = TwoSamples(HIGHER, STEADY) if name in SAMPLE_TESTS else TwoCounts(60, 1000, 120, 9000)
    decide = (SAMPLE_TESTS | COUNT_TESTS)[name].decide
    with pytest.raises(ValueError, match=rf"^{name} is made for a single look at the deadline and 24 are planned"):
        decide(data, looks=24)
    assert decide(data, look=24, looks=24, spending="obrien-fleming").phase is Phase.FAILED
    # the first of many looks may use next to nothing
    assert decide(data, look=1, looks=100, spending="obrien-fleming").phase is Phase.INCONCLUSIVE


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock"])
@pytest.mark.parametrize("looks", [2, 5, 24])
def test_the_looks_spend_exactly_alpha(spending, looks):
    levels = [look_level(0.05, look=k, looks=looks, spending=spending, test="t") for k in range(1, looks + 1)]
    assert sum(levels) == pytest.approx(0.05)
    assert min(levels) > 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("welch", {"margin": Margin(relative=-0.1)}, "margin.relative: -0.1 is no tolerated harm"),
        ("welch", {"margin": Margin(absolute=NAN)}, "margin.absolute: nan is no tolerated harm"),
        ("welch", {"margin": Margin(relative=0.1, absolute=1.0)}, "either relative or absolute is wanted"),
        ("welch", {"alpha": 0}, "0 is no error probability"),
        ("welch", {"beta": 1.5}, "1.5 is no error probability"),
        ("welch", {"look": 3, "looks": 2}, "look 3 of 2"),
        ("ks", {"margin": Margin(relative=0.1)}, "give margin.absolute between 0 and 1"),
        ("ks", {"margin": Margin(absolute=0.0)}, "give margin.absolute between 0 and 1"),
        ("fisher-exact", {"margin": Margin(absolute=0.1)}, "give margin.relative, or use poisson-e"),
    ],
)
def test_settings_that_make_no_sense(name, options, message):
    data = TwoSamples(STEADY, SAME) if name in SAMPLE_TESTS else TwoCounts(1, 100, 1, 100)
    with pytest.raises(ValueError) as caught:
        (SAMPLE_TESTS | COUNT_TESTS)[name].decide(data, **options)
    assert message in str(caught.value)


anything = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, -1.0, 1e300, 5e-324]))
series = st.lists(anything, max_size=15).map(tuple)
plain = st.lists(st.integers(1, 50).map(float), min_size=3, max_size=12).map(tuple)
direction = st.sampled_from(["increase", "decrease", "either"])


@pytest.mark.parametrize("name", SAMPLE_TESTS)
@given(series, series, direction, st.sampled_from(["noharm", "margin"]))
@settings(max_examples=60, deadline=None)
def test_no_series_raises(name, canary, stable, way, fail_at):
    for margin in (Margin(), margin_of(name)):
        found = SAMPLE_TESTS[name].decide(TwoSamples(canary, stable), margin=margin, direction=way, fail_at=fail_at)
        for p in (found.p_harm, found.p_safe):
            assert p is None or 0 <= p <= 1
        if len(set(canary)) < 2 and len(set(stable)) < 2:
            assert found.phase is Phase.INCONCLUSIVE


@pytest.mark.parametrize("name", COUNT_TESTS)
@given(st.tuples(anything, anything, anything, anything), direction)
@settings(max_examples=100, deadline=None)
def test_no_count_raises(name, counts, way):
    for margin in (Margin(), Margin(relative=0.5), Margin(relative=1.5)):
        found = COUNT_TESTS[name].decide(TwoCounts(*counts), margin=margin, direction=way)
        for p in (found.p_harm, found.p_safe):
            assert p is None or 0 <= p <= 1


@pytest.mark.parametrize("name", SAMPLE_TESTS)
@given(plain, plain, direction)
@settings(max_examples=40, deadline=None)
def test_swapping_the_arms_mirrors(name, x, y, way):
    decide = SAMPLE_TESTS[name].decide
    margin = SHARE if name == "ks" else Margin(absolute=5.0)
    there = decide(TwoSamples(x, y), margin=margin, direction=way)
    back = decide(TwoSamples(y, x), margin=margin, direction=OPPOSITE[way])
    assert there.phase == back.phase
    for one, other in ((there.p_harm, back.p_harm), (there.p_safe, back.p_safe)):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize("name", SAMPLE_TESTS)
@given(plain, plain, st.sampled_from([0.001, 60.0, 1e6]))
@settings(max_examples=40, deadline=None)
def test_the_unit_does_not_matter(name, x, y, unit):
    def decide(scale, margin):
        arms = TwoSamples(tuple(v * scale for v in x), tuple(v * scale for v in y))
        return SAMPLE_TESTS[name].decide(arms, margin=margin, direction="either")

    # a factor of 1.5, and whole numbers below 50: no value may tie with a moved one in one unit only
    margin = SHARE if name == "ks" else Margin(relative=0.0137)
    once, scaled = decide(1.0, margin), decide(unit, margin)
    assert once.phase == scaled.phase
    assert once.p_harm is None or once.p_harm == pytest.approx(scaled.p_harm, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", COUNT_TESTS)
@given(st.integers(0, 60), st.integers(0, 60), direction)
@settings(max_examples=40, deadline=None)
def test_swapping_counts_mirrors(name, x, y, way):
    decide = COUNT_TESTS[name].decide
    there = decide(TwoCounts(x, 200, y, 300), direction=way)
    back = decide(TwoCounts(y, 300, x, 200), direction=OPPOSITE[way])
    assert there.phase == back.phase
    # scipy truncates each Poisson at 1e-10, and not the same way round
    assert there.p_harm == pytest.approx(back.p_harm, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(
    ("canary", "stable", "block", "phase", "why"),
    [
        (HIGHER, STEADY, {}, "Failed", ""),
        (STEADY, SAME, {}, "Successful", ""),
        (HIGHER, STEADY, {"direction": "decrease"}, "Successful", ""),
        ((), STEADY, {}, "Inconclusive", "no-data"),
        ((), STEADY, {"mustHaveData": True}, "Failed", ""),
        ((), STEADY, {"critical": True}, "Failed", ""),
        # Kayenta scores this 100; it is no verdict
        ((2.0,), (1.0,), {}, "Inconclusive", "bad-data"),
    ],
)
def test_kayenta_as_a_test(canary, stable, block, phase, why):
    found, _ = kayenta(TwoSamples(canary, stable), options=parse_options(block), name="m")
    assert (found.phase.value, found.why, found.grade) == (phase, why, "none"), found.reason
