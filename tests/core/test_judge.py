"""One answer, one measurement: conditions, and the policies that stand before them."""

from array import array
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.judge import Answered, NotAnswered, judge, mark_error, terminated
from analysis_service.core.model import Cause, Measurement, Metric, Phase

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
END = START + timedelta(seconds=1)
NAN = float("nan")


def floats(*values: float) -> Any:
    return array("d", values)


def taken(value: Any, text: str = "", *, strict: bool = False, **fields: Any) -> Measurement:
    metric = Metric("errors", **{"provider": {"prometheus": {}}, **fields})
    answer = value if isinstance(value, Answered | NotAnswered) else Answered(value, text)
    return judge(metric, answer, ordinal=4, started_at=START, finished_at=END, strict=strict)


@pytest.mark.parametrize(
    ("value", "fields", "phase", "cause"),
    [
        (0.01, {"success_condition": "result < 0.05"}, Phase.SUCCESSFUL, Cause.PASSED),
        (0.08, {"success_condition": "result < 0.05"}, Phase.FAILED, Cause.CONDITION_FAILED),
        (0.08, {"failure_condition": "result > 0.05"}, Phase.FAILED, Cause.CONDITION_FAILED),
        (0.01, {"failure_condition": "result > 0.05"}, Phase.SUCCESSFUL, Cause.PASSED),
        # between the two conditions nobody can say
        (
            0.08,
            {"success_condition": "result < 0.05", "failure_condition": "result > 0.1"},
            Phase.INCONCLUSIVE,
            Cause.INCONCLUSIVE_VALUES,
        ),
        (0.01, {}, Phase.SUCCESSFUL, Cause.PASSED),
        # a condition that does not fit the value is an error of the template
        ("x", {"success_condition": "result < 1"}, Phase.ERROR, Cause.CONDITION_ERROR),
        (0.5, {"success_condition": "results < 1"}, Phase.ERROR, Cause.CONDITION_ERROR),
        # no data, as Argo: an error if the condition indexes it, a pass if it asks for all of nothing
        (floats(), {"success_condition": "result[0] < 1"}, Phase.ERROR, Cause.NO_DATA),
        (floats(), {"success_condition": "all(result, # < 1)"}, Phase.SUCCESSFUL, Cause.PASSED),
        # an empty map is an answer
        ({}, {"success_condition": "len(result) == 0", "on_no_data": "fail"}, Phase.SUCCESSFUL, Cause.PASSED),
    ],
)
def test_conditions(value: Any, fields: dict[str, Any], phase: Phase, cause: Cause) -> None:
    measurement = taken(value, "text", **fields)
    assert (measurement.phase, measurement.cause) == (phase, cause)
    assert (measurement.ordinal, measurement.started_at, measurement.finished_at) == (4, START, END)
    # only an error of the condition has a message in Argo; the value is not kept then
    assert bool(measurement.message) == (phase is Phase.ERROR)
    assert measurement.value == ("" if phase is Phase.ERROR else "text")
    assert measurement.reason.startswith("errors: text")


@pytest.mark.parametrize(("provider", "value"), [("graphite", "[0.5]"), ("cloudWatch", "[0.5]"), ("prometheus", "")])
def test_two_providers_keep_the_value_of_a_condition_that_failed(provider: str, value: str) -> None:
    kept = taken(floats(0.5), "[0.5]", provider={provider: {}}, success_condition="result < 1")
    assert (kept.phase, kept.value) == (Phase.ERROR, value)


WORDS = {"fail": Phase.FAILED, "error": Phase.ERROR, "inconclusive": Phase.INCONCLUSIVE, "pass": Phase.SUCCESSFUL}


@pytest.mark.parametrize(("word", "phase"), WORDS.items())
@pytest.mark.parametrize(
    ("value", "field", "cause"),
    [
        (None, "on_no_data", Cause.NO_DATA),
        (floats(), "on_no_data", Cause.NO_DATA),
        (NotAnswered("NoData", "no results"), "on_no_data", Cause.NO_DATA),
        (NAN, "on_na_n", Cause.NOT_A_NUMBER),
        # one NaN among good values is one too many
        (floats(0.5, NAN), "on_na_n", Cause.NOT_A_NUMBER),
    ],
)
def test_policies(word: str, phase: Phase, value: Any, field: str, cause: Cause) -> None:
    policy: dict[str, Any] = {field: word}
    measurement = taken(value, "x", **policy, success_condition="result[0] < 1")
    assert measurement.phase is phase
    assert measurement.cause is (Cause.PASSED if phase is Phase.SUCCESSFUL else cause)
    assert f": {word})" in measurement.message


@pytest.mark.parametrize(
    ("value", "condition", "argo", "strict"),
    [
        # the two classic traps: a metric that vanished passes
        (NAN, {"failure_condition": "result > 0.05"}, Phase.SUCCESSFUL, Phase.INCONCLUSIVE),
        (floats(), {"success_condition": "all(result, # < 1)"}, Phase.SUCCESSFUL, Phase.INCONCLUSIVE),
        (NAN, {"success_condition": "result < 0.05"}, Phase.FAILED, Phase.INCONCLUSIVE),
        # an author who asks for the case has decided it
        (NAN, {"success_condition": "isNaN(result) || result < 1"}, Phase.SUCCESSFUL, Phase.SUCCESSFUL),
        (floats(), {"success_condition": "len(result) == 0"}, Phase.SUCCESSFUL, Phase.SUCCESSFUL),
        # values that are values are not touched
        (0.01, {"failure_condition": "result > 0.05"}, Phase.SUCCESSFUL, Phase.SUCCESSFUL),
    ],
)
def test_strict_mode_does_not_pass_what_is_no_value(
    value: Any, condition: dict[str, Any], argo: Phase, strict: Phase
) -> None:
    assert taken(value, **condition).phase is argo
    assert taken(value, **condition, strict=True).phase is strict


@pytest.mark.parametrize(
    ("value", "samples", "wanted", "phase"),
    [
        (floats(0.1, 0.2), None, 2, Phase.SUCCESSFUL),
        (floats(0.1), None, 2, Phase.INCONCLUSIVE),
        # what the provider says of its samples counts before the length of the list
        (0.1, 12, 12, Phase.SUCCESSFUL),
        (0.1, None, 2, Phase.INCONCLUSIVE),
    ],
)
def test_min_samples(value: Any, samples: int | None, wanted: int, phase: Phase) -> None:
    assert taken(Answered(value, "x", samples=samples), min_samples=wanted).phase is phase


def test_min_samples_follows_on_no_data() -> None:
    measurement = taken(floats(0.1), "[0.1]", min_samples=2, on_no_data="fail")
    assert (measurement.phase, measurement.message) == (
        Phase.FAILED,
        "1 sample, minSamples wants 2 (onNoData: fail)",
    )


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("Unreachable", Cause.PROVIDER_UNAVAILABLE),
        ("TimedOut", Cause.PROVIDER_UNAVAILABLE),
        ("Throttled", Cause.PROVIDER_UNAVAILABLE),
        ("AuthFailed", Cause.PROVIDER_REFUSED),
        ("NotAllowed", Cause.PROVIDER_REFUSED),
        ("BadQuery", Cause.BAD_QUERY),
        ("BadAnswer", Cause.BAD_ANSWER),
        ("TooLarge", Cause.BAD_ANSWER),
        ("NoData", Cause.NO_DATA),
        ("SecretNotFound", Cause.SECRET_NOT_FOUND),
        # a class we do not know is ours to explain
        ("ZeroDivisionError", Cause.INTERNAL),
    ],
)
def test_no_answer_is_an_error_with_the_providers_words(kind: str, cause: Cause) -> None:
    measurement = taken(NotAnswered(kind, "said so", {"attempts": "2"}), success_condition="result < 1")
    assert (measurement.phase, measurement.message, measurement.cause) == (Phase.ERROR, "said so", cause)
    assert measurement.metadata == {"attempts": "2"}
    assert measurement.reason == f"errors: {cause.value}: said so"


def test_a_long_value_is_cut_in_the_sentence_only() -> None:
    measurement = taken("x" * 500, "x" * 500)
    assert len(measurement.value) == 500
    assert len(measurement.reason) < 200


def test_mark_error_and_terminated() -> None:
    flying = Measurement(Phase.RUNNING, 3, started_at=START, metadata={"job": "j"})
    failed = mark_error(flying, "boom", END)
    assert (failed.phase, failed.message, failed.finished_at, failed.ordinal) == (Phase.ERROR, "boom", END, 3)
    for phase, message in (
        (Phase.SUCCESSFUL, "Metric Terminated"),
        (Phase.INCONCLUSIVE, "Metric Terminated"),
        (Phase.FAILED, "why"),
    ):
        ended = terminated(flying, phase, END, "why")
        assert (ended.message, ended.finished_at, ended.metadata) == (message, END, {"job": "j"})
    assert terminated(flying, Phase.RUNNING, END).finished_at is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
) | st.lists(st.floats(), max_size=4).map(lambda values: array("d", values))


@given(
    value=VALUES,
    success=st.sampled_from(["", "result < 1", "result[0] < 1", "all(result, # > 0)", "result.a == nil", ")("]),
    failure=st.sampled_from(["", "isNaN(result)", "len(result) == 0", "1/0"]),
    policy=st.sampled_from(["", *WORDS]),
    strict=st.booleans(),
)
def test_any_answer_gives_one_finished_measurement(
    value: Any, success: str, failure: str, policy: str, strict: bool
) -> None:
    fields: dict[str, Any] = {
        "success_condition": success,
        "failure_condition": failure,
        "on_no_data": policy,
        "on_na_n": policy,
    }
    measurement = taken(value, "text", strict=strict, **fields)
    assert measurement.done
    assert measurement.cause is not Cause.NONE
    assert measurement.reason
    assert (measurement.cause is Cause.PASSED) == (measurement.phase is Phase.SUCCESSFUL)
