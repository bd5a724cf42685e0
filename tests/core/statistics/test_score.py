"""The run-level score: which verdict, and the sentence that says why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.model import Phase
from analysis_service.core.statistics.score import Outcome, ScoreError, ScoreSpec, parse_score, score_outcomes

LIMITS = {"pass": 95, "marginal": 75}
PHASES = {"S": Phase.SUCCESSFUL, "F": Phase.FAILED, "E": Phase.ERROR, "I": Phase.INCONCLUSIVE, "R": Phase.RUNNING}


def outcomes(text):
    """ "a:S b:F! -:I?" = group:phase, ! for critical, ? for muted; metrics are m1, m2, ..."""
    found = []
    for number, word in enumerate(text.split(), 1):
        groups, _, phase = word.partition(":")
        found.append(
            Outcome(
                f"m{number}",
                PHASES[phase[0]],
                tuple(g for g in groups.split(",") if g != "-"),
                critical="!" in phase,
                muted="?" in phase,
                reason="5% over",
            )
        )
    return found


@pytest.mark.parametrize(
    ("weights", "seen", "phase", "score", "reason"),
    [
        ({}, "-:S -:S", "Successful", 100, "Score 100 (default 100) reaches the pass threshold 95"),
        ({}, "a:S a:F", "Failed", 50, "Score 50 (a 50) is below the marginal threshold 75; not passed: m2 Failed"),
        (
            {"a": 80, "b": 20},
            "a:S b:F",
            "Inconclusive",
            80,
            "Score 80 (a 100, b 0) lies between the marginal threshold 75 and the pass threshold 95; "
            "not passed: m2 Failed",
        ),
        # groups that are not listed share what is left
        ({"a": 80}, "a:S b:S c:F", "Inconclusive", 90, None),
        # a listed group without metrics loses its say, not the points
        ({"a": 60, "b": 40}, "a:S", "Successful", 100, None),
        # a metric in two groups counts in both
        ({"a": 50, "b": 50}, "a,b:F a:S", "Failed", 25, None),
        # nothing left for those in no group: shown, not scored
        ({"a": 100}, "a:S -:F", "Successful", 100, "Score 100 (a 100, default 0) reaches the pass threshold 95"),
        # a critical failure alone decides, an error likewise
        ({"a": 99, "b": 1}, "a:S b:F!", "Failed", 99, "Critical metric m2 ended Failed: 5% over"),
        ({"a": 99, "b": 1}, "a:S b:E!", "Error", 99, "Critical metric m2 ended Error: 5% over"),
        ({}, "a:F! a:E!", "Failed", 0, None),
        # muted metrics are not heard, critical or not
        ({}, "a:S a:F!?", "Successful", 100, None),
        # an error is no pass
        ({}, "a:E a:S", "Failed", 50, None),
        # and when nothing could be measured, nothing is known
        ({}, "a:E b:E", "Error", 0, "No metric could be measured: all 2 ended in Error"),
        # undecided metrics could still lift it
        (
            {},
            "a:S a:I",
            "Inconclusive",
            50,
            "Score 50 (a 50) is below the pass threshold 95 and could still become 100; undecided: m2",
        ),
        ({}, "a:S a:S a:S a:R", "Inconclusive", 75, None),
        # but not this one
        ({}, "a:F a:F a:I", "Failed", 0, None),
        # and a pass does not wait for them
        ({"a": 96, "b": 4}, "a:S b:R", "Successful", 96, None),
        ({}, "", "Inconclusive", None, "No metric counts: every one is muted or in a group without weight"),
        ({}, "a:F?", "Inconclusive", None, None),
        # thirds are rounded to two decimals
        ({}, "a:S a:S a:F", "Failed", 66.67, None),
    ],
)
def test_verdict(weights, seen, phase, score, reason):
    found = score_outcomes(ScoreSpec(95, 75, weights), outcomes(seen))
    assert (found.phase.value, found.score) == (phase, score), found.reason
    if reason is not None:
        assert found.reason == reason


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({}, "score.scoreThresholds: {pass, marginal} is wanted"),
        ({"scoreThresholds": {"pass": 95}}, "score.scoreThresholds.marginal: a number from 0 to 100 is wanted"),
        ({"scoreThresholds": {"pass": "95", "marginal": 75}}, "score.scoreThresholds.pass: a number from 0 to 100"),
        ({"scoreThresholds": {"pass": True, "marginal": 75}}, "pass: a number from 0 to 100 is wanted, found True"),
        ({"scoreThresholds": {"pass": 195, "marginal": 75}}, "found 195"),
        ({"scoreThresholds": {"pass": 70, "marginal": 75}}, "marginal: 75 is above pass 70"),
        ({"scoreThresholds": LIMITS, "groupWeights": [1]}, "score.groupWeights: a mapping"),
        ({"scoreThresholds": LIMITS, "groupWeights": {"a": -1}}, "score.groupWeights.a: a number from 0 up is wanted"),
        ({"scoreThresholds": LIMITS, "groupWeights": {"a": float("nan")}}, "found nan"),
        ({"scoreThresholds": LIMITS, "groupWeights": {"a": 60, "b": 60}}, "120 together; 100 at most"),
    ],
)
def test_what_is_refused(block, message):
    with pytest.raises(ScoreError) as caught:
        parse_score(block)
    assert message in str(caught.value)


def test_the_block():
    block = {"groupWeights": {"errors": 60, "latency": 40}, "scoreThresholds": LIMITS}
    assert parse_score(block) == ScoreSpec(95, 75, {"errors": 60, "latency": 40})


phases = st.lists(st.tuples(st.sampled_from(list(PHASES.values())), st.sampled_from(["a", "b", "c"])), max_size=12)
ORDER = [Phase.FAILED, Phase.INCONCLUSIVE, Phase.SUCCESSFUL]


@settings(deadline=None)
@given(phases, st.sampled_from([{}, {"a": 50}, {"a": 50, "b": 50}, {"a": 0, "b": 100}]), st.integers(0, 11))
def test_a_metric_that_passes_after_all_never_harms(found, weights, place):
    spec = ScoreSpec(95, 75, weights)
    before = score_outcomes(spec, [Outcome(f"m{i}", p, (g,)) for i, (p, g) in enumerate(found)])
    better = [(Phase.SUCCESSFUL, g) if i == place else (p, g) for i, (p, g) in enumerate(found)]
    after = score_outcomes(spec, [Outcome(f"m{i}", p, (g,)) for i, (p, g) in enumerate(better)])
    if before.score is None:
        return
    assert 0 <= before.score <= before.possible <= 100
    assert after.score >= before.score
    if Phase.ERROR not in (before.phase, after.phase):
        assert ORDER.index(after.phase) >= ORDER.index(before.phase)


@settings(deadline=None)
@given(phases)
def test_failed_is_final(found):
    """Failed says that no outcome of what is undecided would have helped."""
    outcome = [Outcome(f"m{i}", p, (g,)) for i, (p, g) in enumerate(found)]
    if score_outcomes(ScoreSpec(95, 75), outcome).phase is not Phase.FAILED:
        return
    lifted = [
        Outcome(o.metric, Phase.SUCCESSFUL if o.phase in (Phase.RUNNING, Phase.INCONCLUSIVE) else o.phase, o.groups)
        for o in outcome
    ]
    assert score_outcomes(ScoreSpec(95, 75), lifted).phase is Phase.FAILED
