"""The table that pipelines live by: what each end of a run means, with and without policies."""

import click
import pytest

from analysis_service.cli.options import read_codes
from analysis_service.cli.outcome import Outcome, Policies, outcome_of
from analysis_service.core.model import Cause, Measurement, MetricResult, Phase, Run, RunSpec

MEASURED = MetricResult("errors", Phase.SUCCESSFUL, count=3, successful=3)
ONE_ERROR = MetricResult("errors", Phase.ERROR, error=5)
DRY = MetricResult("errors", Phase.SUCCESSFUL, count=3, successful=3, dry_run=True)
UNMEASURED = MetricResult("errors", Phase.SUCCESSFUL)
NOTHING = Measurement(Phase.INCONCLUSIVE, 0, cause=Cause.NO_DATA)
GREY = Measurement(Phase.INCONCLUSIVE, 1, cause=Cause.INCONCLUSIVE_VALUES)
FORGIVEN = MetricResult("errors", Phase.SUCCESSFUL, count=1, inconclusive=1, measurements=(NOTHING,))
BETWEEN = MetricResult("errors", Phase.SUCCESSFUL, count=2, inconclusive=2, measurements=(NOTHING, GREY))

NONE = Policies()
PASS_ERRORS = Policies(on_error="pass")
FAIL_ERRORS = Policies(on_error="fail")
DOUBT_ERRORS = Policies(on_error="inconclusive")
PASS_DOUBT = Policies(on_inconclusive="pass")
FAIL_DOUBT = Policies(on_inconclusive="fail")
PASS_NO_DATA = Policies(on_no_data="pass")
FAIL_NO_DATA = Policies(on_no_data="fail")
PASS_ALL = Policies("pass", "pass", "pass")
OLD_TOOLS = Policies(exit_codes={Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 0})

ROWS = [
    # a verdict, with evidence
    (Phase.SUCCESSFUL, Cause.PASSED, MEASURED, NONE, 0),
    (Phase.SUCCESSFUL, Cause.NONE, MEASURED, NONE, 0),
    (Phase.FAILED, Cause.CONDITION_FAILED, MEASURED, NONE, 10),
    (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, MEASURED, NONE, 11),
    (Phase.INCONCLUSIVE, Cause.SUCCESSES_NOT_REACHED, MEASURED, NONE, 11),
    (Phase.INCONCLUSIVE, Cause.NOT_A_NUMBER, MEASURED, NONE, 11),
    # Successful as Argo says it, and nothing behind it
    (Phase.SUCCESSFUL, Cause.NO_EVIDENCE, UNMEASURED, NONE, 12),
    (Phase.SUCCESSFUL, Cause.PASSED, UNMEASURED, NONE, 12),
    (Phase.SUCCESSFUL, Cause.PASSED, None, NONE, 12),
    pytest.param(Phase.SUCCESSFUL, Cause.PASSED, DRY, NONE, 12, marks=pytest.mark.bad_input(47)),
    (Phase.SUCCESSFUL, Cause.NO_EVIDENCE, MEASURED, NONE, 12),
    # inconclusiveLimit forgives values between the limits, and makes no evidence of their absence
    (Phase.SUCCESSFUL, Cause.PASSED, FORGIVEN, NONE, 12),
    (Phase.SUCCESSFUL, Cause.PASSED, BETWEEN, NONE, 0),
    # ended on request: what is not finished has not passed
    (Phase.SUCCESSFUL, Cause.TERMINATED, MEASURED, NONE, 11),
    (Phase.INCONCLUSIVE, Cause.TERMINATED, MEASURED, NONE, 11),
    (Phase.FAILED, Cause.TERMINATED, MEASURED, NONE, 10),
    # no data has its own code, whatever phase it led to; a template that makes it a failure means that
    (Phase.ERROR, Cause.NO_DATA, ONE_ERROR, NONE, 12),
    (Phase.INCONCLUSIVE, Cause.NO_DATA, MEASURED, NONE, 12),
    (Phase.INCONCLUSIVE, Cause.NO_EVIDENCE, UNMEASURED, NONE, 12),
    (Phase.FAILED, Cause.NO_DATA, MEASURED, NONE, 10),
    # not the canary's fault
    (Phase.ERROR, Cause.PROVIDER_UNAVAILABLE, ONE_ERROR, NONE, 20),
    (Phase.ERROR, Cause.PROVIDER_REFUSED, ONE_ERROR, NONE, 20),
    (Phase.ERROR, Cause.BAD_QUERY, ONE_ERROR, NONE, 20),
    (Phase.ERROR, Cause.BAD_ANSWER, ONE_ERROR, NONE, 20),
    (Phase.ERROR, Cause.CONDITION_ERROR, ONE_ERROR, NONE, 20),
    (Phase.ERROR, Cause.QUARANTINED, None, NONE, 20),
    (Phase.ERROR, Cause.INTERNAL, ONE_ERROR, NONE, 20),
    (Phase.ERROR, Cause.SPEC_INVALID, None, NONE, 2),
    (Phase.ERROR, Cause.SECRET_NOT_FOUND, None, NONE, 2),
    # no verdict in time
    (Phase.RUNNING, Cause.NONE, MEASURED, NONE, 21),
    (Phase.PENDING, Cause.NONE, None, NONE, 21),
    (Phase.NEW, Cause.NONE, None, NONE, 21),
    # policies move what they name, and nothing else
    (Phase.ERROR, Cause.PROVIDER_UNAVAILABLE, ONE_ERROR, PASS_ERRORS, 0),
    (Phase.ERROR, Cause.PROVIDER_UNAVAILABLE, ONE_ERROR, FAIL_ERRORS, 10),
    (Phase.ERROR, Cause.PROVIDER_UNAVAILABLE, ONE_ERROR, DOUBT_ERRORS, 11),
    (Phase.RUNNING, Cause.NONE, MEASURED, PASS_ERRORS, 0),
    (Phase.RUNNING, Cause.NONE, MEASURED, FAIL_ERRORS, 10),
    (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, MEASURED, PASS_DOUBT, 0),
    (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, MEASURED, FAIL_DOUBT, 10),
    (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, MEASURED, PASS_ERRORS, 11),
    (Phase.ERROR, Cause.NO_DATA, ONE_ERROR, PASS_NO_DATA, 0),
    (Phase.ERROR, Cause.NO_DATA, ONE_ERROR, FAIL_NO_DATA, 10),
    (Phase.ERROR, Cause.NO_DATA, ONE_ERROR, PASS_ERRORS, 12),
    (Phase.SUCCESSFUL, Cause.TERMINATED, MEASURED, PASS_NO_DATA, 11),
    (Phase.SUCCESSFUL, Cause.PASSED, MEASURED, FAIL_ERRORS, 0),
    # one policy does not follow another: an error taken as inconclusive is not passed on
    (Phase.ERROR, Cause.BAD_ANSWER, ONE_ERROR, Policies("inconclusive", "pass", ""), 11),
    # nothing turns a failed canary or a wrong template into a pass
    (Phase.FAILED, Cause.CONDITION_FAILED, MEASURED, PASS_ALL, 10),
    (Phase.ERROR, Cause.SPEC_INVALID, None, PASS_ALL, 2),
    (Phase.ERROR, Cause.SECRET_NOT_FOUND, None, PASS_ALL, 2),
    # systems that know 0 and 1 only
    (Phase.FAILED, Cause.CONDITION_FAILED, MEASURED, OLD_TOOLS, 1),
    (Phase.INCONCLUSIVE, Cause.INCONCLUSIVE_VALUES, MEASURED, OLD_TOOLS, 0),
    (Phase.ERROR, Cause.BAD_ANSWER, ONE_ERROR, OLD_TOOLS, 20),
    (Phase.ERROR, Cause.BAD_ANSWER, ONE_ERROR, Policies("fail", exit_codes={Outcome.FAIL: 1}), 1),
]


@pytest.mark.parametrize(("phase", "cause", "result", "policies", "code"), ROWS)
def test_exit_code(phase: Phase, cause: Cause, result: MetricResult | None, policies: Policies, code: int) -> None:
    results = () if result is None else (result,)
    run = Run("id", "default", "r", RunSpec(()), phase=phase, cause=cause, results=results)
    outcome, note = policies.apply(outcome_of(run))
    assert policies.code(outcome) == code
    assert bool(note) == (outcome is not outcome_of(run))


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.SUCCESSFUL])
@pytest.mark.parametrize("cause", list(Cause))
def test_only_a_successful_run_passes(phase: Phase, cause: Cause) -> None:
    for results in ((), (MEASURED,), (DRY,), (MEASURED, ONE_ERROR)):
        run = Run("id", "default", "r", RunSpec(()), phase=phase, cause=cause, results=results)
        assert outcome_of(run).value != 0


def test_every_outcome_has_a_code_of_its_own() -> None:
    assert {outcome.name: outcome.value for outcome in Outcome} == {
        "PASS": 0, "BAD_SPEC": 2, "FAIL": 10, "INCONCLUSIVE": 11, "NO_DATA": 12, "ERROR": 20, "TIMED_OUT": 21,
        "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "codes"),
    [
        (("fail=1",), {Outcome.FAIL: 1}),
        (("fail=1,inconclusive=0",), {Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 0}),
        (("no-data=3", "timed-out=255"), {Outcome.NO_DATA: 3, Outcome.TIMED_OUT: 255}),
        ((), {}),
    ],
)
def test_codes_of_ones_own(texts: tuple[str, ...], codes: dict[Outcome, int]) -> None:
    assert read_codes(texts) == codes


@pytest.mark.parametrize(
    "text", ["fail", "fail=", "fail=x", "fail=-1", "fail=256", "=1", "interrupted=0", "fail=٣", ""]
)
def test_codes_that_are_none(text: str) -> None:

    with pytest.raises(click.BadParameter, match="is not OUTCOME="):
        read_codes((text,))


def test_what_was_chosen_is_recorded() -> None:
    policies = Policies("pass", "", "fail", {Outcome.FAIL: 1})
    assert policies.chosen() == {"onError": "pass", "onNoData": "fail", "exitCode": "fail=1"}
    assert policies.options() == "--on-error=pass --on-no-data=fail --exit-code=fail=1"
