"""NetflixACAJudge as a whole: labels, group scores, reasons, and what it never does (raise over data)."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.statistics.kayenta_classify import Label, classify
from analysis_service.core.statistics.kayenta_config import CanaryOptions, ConfigError, Direction, NanStrategy
from analysis_service.core.statistics.kayenta_interval import shift_interval
from analysis_service.core.statistics.kayenta_judge import Pair, judge, wire
from analysis_service.core.statistics.kayenta_prepare import clean
from analysis_service.core.statistics.kayenta_score import Scored, Thresholds, score_results

NAN, INF = math.nan, math.inf
LIMITS = Thresholds(95, 75)
STEADY = tuple(float(v) for v in (10, 11, 9, 10.5, 12, 10, 9.5, 11, 10, 10.2))
HIGHER = tuple(v * 3 for v in STEADY)
numbers = st.floats(allow_nan=True, allow_infinity=True)


def metric(name="m", groups=("g",), **canary):
    return {"name": name, "groups": list(groups), "analysisConfigurations": {"canary": canary}}


def judged(*metrics, pairs, weights=None, **options):
    config = {"metrics": list(metrics), "classifier": {"groupWeights": weights or {}}}
    return judge(config, pairs, LIMITS, **options)


@pytest.mark.parametrize(
    ("canary", "experiment", "control", "label", "critical", "score"),
    [
        ({}, STEADY, STEADY, "Pass", False, 100),
        ({}, HIGHER, STEADY, "High", False, 0),
        ({}, STEADY, HIGHER, "Low", False, 0),
        # the direction that does not matter passes
        ({"direction": "decrease"}, HIGHER, STEADY, "Pass", False, 100),
        # an effect below the allowed one passes
        ({"effectSize": {"allowedIncrease": 4.0}}, HIGHER, STEADY, "Pass", False, 100),
        ({"critical": True}, HIGHER, STEADY, "High", True, 0),
        # critical needs its own limit reached
        ({"critical": True, "effectSize": {"criticalIncrease": 4.0}}, HIGHER, STEADY, "High", False, 0),
        # no data: half of all results, so zero
        ({}, (), STEADY, "Nodata", False, 0),
        ({"critical": True}, (NAN, NAN), STEADY, "Nodata", True, 0),
        ({"mustHaveData": True}, (), STEADY, "NodataFailMetric", False, 0),
        # a critical metric that must have data is Nodata, and critical
        ({"mustHaveData": True, "critical": True}, (), STEADY, "Nodata", True, 0),
        # replace lets a missing series pass, whatever mustHaveData says
        ({"nanStrategy": "replace", "mustHaveData": True}, (), STEADY, "Pass", False, 100),
        # NaN counts as 0 under replace
        ({"nanStrategy": "replace"}, (NAN,) * 10, STEADY, "Low", False, 0),
        # muted: shown, not scored
        ({"muted": True, "critical": True}, HIGHER, STEADY, "High", True, 0),
        # one point a side cannot be judged, and Kayenta scores that 100
        ({}, (2.0,), (1.0,), "Error", False, 100),
        ({"critical": True}, (2.0,), (1.0,), "Error", False, 100),
    ],
)
def test_one_metric(canary, experiment, control, label, critical, score):
    result = judged(metric(**canary), pairs=[Pair("m", control, experiment)])
    found = result.results[0].classification
    assert (found.label.value, found.critical, result.score.score) == (label, critical, score)


def test_an_error_does_not_pass_unless_compatibility_is_asked_for():
    pair = Pair("m", (1.0,), (2.0,))
    assert judged(metric(), pairs=[pair]).score_class == "Pass"
    assert judged(metric(), pairs=[pair], compatible=False).score_class == "Fail"


def test_muted_metrics_are_listed_but_not_scored():
    result = judged(
        metric("bad", critical=True, muted=True),
        metric("good"),
        pairs=[Pair("bad", STEADY, HIGHER), Pair("good", STEADY, STEADY)],
    )
    assert [r.classification.label for r in result.results] == [Label.HIGH, Label.PASS]
    assert (result.score.score, result.score_class) == (100, "Pass")


def test_groups_are_weighted_and_the_reason_names_them():
    result = judged(
        metric("latency", ["latency"]),
        metric("errors", ["errors"]),
        pairs=[Pair("latency", STEADY, STEADY), Pair("errors", STEADY, HIGHER)],
        weights={"latency": 80, "errors": 20},
    )
    assert (result.score.score, result.score_class) == (80, "Marginal")
    assert result.reason == (
        "score 80 is between the marginal threshold 75 and pass 95 (groups: latency 100, errors 0)"
    )


def test_a_critical_failure_says_which():
    result = judged(metric(critical=True), pairs=[Pair("m", STEADY, HIGHER)])
    assert result.reason.startswith("Canary Failed: m: classified High; shift ")
    assert "ratio of means 3, limit 1" in result.reason


def test_a_pair_without_a_metric_fails_the_judgement():
    with pytest.raises(ConfigError, match="pair 'other': the canary config has no such metric; it has"):
        judged(metric(), pairs=[Pair("other", STEADY, STEADY)])


def test_wire_is_json_without_numbers_that_json_lacks():
    result = judged(metric(), pairs=[Pair("m", (0.0,) * 5, (1.0, 2.0, INF, 3.0, 4.0), id="7", tags={"zone": "a"})])
    written = json.loads(json.dumps(wire(result), allow_nan=False))
    assert written["results"][0]["resultMetadata"] == {"ratio": "NaN"}
    assert written["results"][0]["experimentMetadata"]["stats"]["max"] == "Infinity"
    assert written["results"][0]["controlMetadata"]["stats"] == {"min": 0, "max": 0, "mean": 0, "std": 0, "count": 5}
    assert set(written) == {"judgeName", "results", "groupScores", "score"}
    assert set(written["score"]) == {"score", "classification", "classificationReason"}


@pytest.mark.parametrize(
    ("values", "options", "kept"),
    [
        ((1.0, NAN, 3.0), {}, (1.0, 3.0)),
        ((1.0, NAN, 3.0), {"nan_strategy": NanStrategy.REPLACE}, (1.0, 0.0, 3.0)),
        # infinities stay unless they are outliers
        ((1.0, INF), {}, (1.0, INF)),
        # a lone spike among 200 is beyond the 99th percentile and the quartile fence
        ((1.0, 2.0) * 100 + (50.0,), {"remove_outliers": True}, (1.0, 2.0) * 100),
        # a constant series: both fences lie on the value, and nothing is strictly outside
        ((1.0, 1.0, 1.0), {"remove_outliers": True}, (1.0, 1.0, 1.0)),
        ((), {"remove_outliers": True}, ()),
    ],
)
def test_clean(values, options, kept):
    assert clean(values, CanaryOptions(**options)) == kept


@settings(deadline=None)
@given(st.lists(numbers, max_size=12), st.lists(numbers, max_size=12), st.sampled_from(list(Direction)))
def test_no_series_raises(experiment, control, direction):
    result = judged(metric(direction=direction.value), pairs=[Pair("m", tuple(control), tuple(experiment))])
    assert result.results[0].classification.label in Label
    json.dumps(wire(result), allow_nan=False)


finite = st.integers(-1000, 1000).map(float)
samples = st.lists(finite, min_size=4, max_size=25)


@settings(deadline=None)
@given(samples, samples)
def test_swapping_the_sides_mirrors_the_label(x, y):
    # the finder stops within a tolerance, so only a verdict that is clear of it must mirror
    mirror = {Label.HIGH: Label.LOW, Label.LOW: Label.HIGH}
    there, back = (classify(a, b, options=CanaryOptions()) for a, b in ((x, y), (y, x)))
    if there.shift is None or back.shift is None:
        assert there.label == mirror.get(back.label, back.label)
        return
    assert there.bound is not None
    clear = min(abs(there.shift.lower - there.bound), abs(there.shift.upper + there.bound)) > 1
    limits = there.effect is None or math.isnan(there.effect) or there.effect > 0
    if clear and limits and sum(x) > 0 and sum(y) > 0:
        assert there.label == mirror.get(back.label, back.label)


@settings(deadline=None)
@given(samples, samples, st.sampled_from([2.0, 8.0, 1024.0]))
def test_a_larger_unit_scales_the_interval(x, y, unit):
    if len({*x, *y}) == 1:
        return
    once = shift_interval(x, y, confidence=0.98)
    scaled = shift_interval([v * unit for v in x], [v * unit for v in y], confidence=0.98)
    for a, b in ((once.lower, scaled.lower), (once.upper, scaled.upper)):
        assert b == pytest.approx(a * unit, abs=2e-4 * unit)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Label)), st.sampled_from(["a", "b"])), min_size=1, max_size=10))
def test_scores_stay_in_range_and_more_passing_never_lowers_them(labels):
    def score(found):
        return score_results([Scored(label, (group,)) for label, group in found], group_weights={}).score

    before = score(labels)
    assert 0 <= before <= 100
    assert score([*labels, (Label.PASS, labels[0][1])]) >= before


VECTORS = Path(__file__).parents[2] / "vectors"
DERIVED = json.loads((VECTORS / "kayenta.json").read_text())["derived_edge_cases"]


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("runner_kayenta", VECTORS / "runners/kayenta.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("vector", DERIVED, ids=[v["id"] for v in DERIVED])
def test_derived_edge_cases(vector, runner):
    runner.run(vector)


@pytest.mark.parametrize("scale", [1e6, 1e9, 1e12])
def test_large_numbers_are_said_as_people_say_them(scale):
    """Bytes, requests: no sentence has an exponent in it."""
    word = {1e6: "million", 1e9: "billion", 1e12: "trillion"}[scale]
    found = classify([v * scale for v in HIGHER], [v * scale for v in STEADY], options=CanaryOptions(), name="memory")
    assert found.label is Label.HIGH
    assert "e+" not in found.reason
    assert found.reason.count(f" {word}") == 4  # the shift, both ends of its interval, and what it must clear
