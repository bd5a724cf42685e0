"""Phase, message and explanation of a measurement; and which part of a condition decided."""

from array import array
from typing import Any

import pytest

from analysis_service.core.expression import compile_condition, explain, judge

FLOATS = array("d", [0.08, 0.01])

RULE = [
    # success, failure -> phase
    ("", "", "Successful"),  # nothing to meet
    ("true", "", "Successful"),
    ("false", "", "Failed"),
    ("", "true", "Failed"),
    ("", "false", "Successful"),
    pytest.param("true", "true", "Failed", marks=pytest.mark.bad_input(50)),  # failure wins
    ("true", "false", "Successful"),
    ("false", "true", "Failed"),
    ("false", "false", "Inconclusive"),
    ("1", "true", "Error"),  # an error in either is an error
    ("true", "nope", "Error"),
    ("(", ")", "Error"),
]


@pytest.mark.parametrize(("success", "failure", "phase"), RULE)
def test_rule(success: str, failure: str, phase: str) -> None:
    verdict = judge(success, failure, 1.0)
    assert verdict.phase == phase
    assert bool(verdict.message) == (phase == "Error")
    assert verdict.explanation


MESSAGES = [
    # names the type that the result had, though the condition fits no result
    ("result + true > 1", "", 1.0, 'could not evaluate successCondition "result + true > 1": invalid operation: + '
     "(mismatched types float64 and bool)"),
    ("result > 'a'", "", 1.0, 'could not evaluate successCondition "result > \'a\'": invalid operation: > '
     "(mismatched types float64 and string)"),
    ("", "a == true", 1.0, 'could not evaluate failureCondition "a == true": unknown name a'),
    ("result[0] 10.0", "", 1.0, 'could not evaluate successCondition "result[0] 10.0": unexpected token '
     'Number("10.0")'),
    ("1", "", 1.0, 'could not evaluate successCondition "1": expected bool, but got int'),
    ("result[0] > 1", "", None, 'could not evaluate successCondition "result[0] > 1": metric result is nil or empty: '
     "no data returned from the metric provider"),
    ("result[0] > 1", "", array("d"), 'could not evaluate successCondition "result[0] > 1": metric result is nil or '
     "empty: no data returned from the metric provider"),
]  # fmt: skip


@pytest.mark.parametrize(("success", "failure", "result", "message"), MESSAGES)
def test_message_of_an_error(success: str, failure: str, result: Any, message: str) -> None:
    assert judge(success, failure, result).message == message


def test_no_data_is_told_apart_from_a_broken_condition() -> None:
    assert judge("result[0] > 1", "", array("d")).code == "NoData"
    assert judge("result[0] >", "", array("d")).code == "Syntax"


EXPLANATIONS = [
    ("result[0] < 0.05", FLOATS, "successCondition result[0] < 0.05: 0.08 < 0.05 is false"),
    ("len(result) > 0 && result[0] < 0.05", FLOATS, "successCondition result[0] < 0.05: 0.08 < 0.05 is false"),
    ("len(result) > 0 && result[0] < 0.5", FLOATS,
     "successCondition len(result) > 0 && result[0] < 0.5 holds"),
    ("result[0] > 1 || result[1] > 1", FLOATS,
     "successCondition result[0] > 1: 0.08 > 1 is false; result[1] > 1: 0.01 > 1 is false"),
    ("all(result, # < 0.05)", FLOATS, "successCondition all(result, # < 0.05): item 0: 0.08 < 0.05 is false"),
    ("any(result, # > 1)", FLOATS, "successCondition any(result, # > 1): not one of 2 items; is false"),
    ("not (result[0] < 1)", FLOATS, "successCondition not (result[0] < 1): not (0.08 < 1 is true)"),
    ("let x = result[0]; x > 1", FLOATS, "successCondition x > 1: 0.08 > 1 is false"),
    ("(result.a ?? 0) > 1 && result.b", {"b": True}, "successCondition (result.a ?? 0) > 1: 0 > 1 is false"),
    ("result.ok", {"ok": False}, "successCondition result.ok: result.ok is false"),
    ("result == 'up'", "down", "successCondition result == 'up': \"down\" == \"up\" is false"),
]  # fmt: skip


@pytest.mark.parametrize(("success", "result", "explanation"), EXPLANATIONS)
def test_explanation(success: str, result: Any, explanation: str) -> None:
    assert judge(success, "", result).explanation == explanation


@pytest.mark.bad_input(50)
def test_conditions_that_both_hold_fail_and_are_said_to_overlap() -> None:
    verdict = judge("result < 0.1", "result > 0.05", 0.08)
    assert verdict.phase == "Failed"
    assert "failureCondition result > 0.05: 0.08 > 0.05 is true; both hold, so the conditions overlap" in (
        verdict.explanation
    )


def test_explain_stops_where_evaluation_stopped() -> None:
    condition = compile_condition("len(result) > 0 && result[0] < 0.95")
    assert [(part.text, part.value) for part in explain(condition, array("d"))] == [("len(result) > 0", False)]
    assert [(part.text, part.value) for part in explain(condition, FLOATS)] == [
        ("len(result) > 0", True),
        ("result[0] < 0.95", True),
    ]


@pytest.mark.parametrize(
    ("source", "result", "detail"),
    [
        ("result[0] < 1", array("d"), "query returned no series; guard with len(result) > 0 or set onNoData"),
        ("result < 1", array("d"), "cannot compare list with number; use result[0], or all(result, # ...)"),
        ("result < 1", object(), "result holds a value of unsupported type object"),
    ],
)
def test_explain_never_raises(source: str, result: Any, detail: str) -> None:
    (part,) = explain(compile_condition(source), result)
    assert (part.value, part.detail) == (None, detail)


def test_a_condition_is_parsed_once() -> None:
    assert compile_condition("result < 1") is compile_condition("result < 1")
