"""From a run to an exit code. Fails closed: 0 only for a stored Successful verdict with evidence behind it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from analysis_service.core.model import Cause, MetricResult, Phase, Run


class Outcome(Enum):
    """What a gate can end in, with its published exit code."""

    PASS = 0
    FAIL = 10
    INCONCLUSIVE = 11
    NO_DATA = 12
    ERROR = 20
    TIMED_OUT = 21
    BAD_SPEC = 2
    INTERRUPTED = 130  # or 128 + the signal's number

    @property
    def word(self) -> str:
        return self.name.replace("_", " ").lower()

    @property
    def option(self) -> str:
        """As `--exit-code` names it."""
        return self.name.replace("_", "-").lower()


POLICY_WORDS = ("fail", "pass", "inconclusive")
CHOOSABLE = {outcome.option: outcome for outcome in Outcome if outcome is not Outcome.INTERRUPTED}
_AS = {"fail": Outcome.FAIL, "pass": Outcome.PASS, "inconclusive": Outcome.INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class Policies:
    """How outcomes that are neither pass nor fail are to be taken. "" keeps their own exit code, which is no pass."""

    on_error: str = ""
    on_inconclusive: str = ""
    on_no_data: str = ""
    exit_codes: Mapping[Outcome, int] = field(default_factory=dict)

    def chosen(self) -> dict[str, str]:
        """What was chosen, as recorded in the run."""
        codes = ",".join(f"{outcome.option}={code}" for outcome, code in self.exit_codes.items())
        named = {
            "onError": self.on_error,
            "onInconclusive": self.on_inconclusive,
            "onNoData": self.on_no_data,
            "exitCode": codes,
        }
        return {name: word for name, word in named.items() if word}

    def options(self) -> str:
        """What was chosen, as written on a command line."""
        names = {"onError": "on-error", "onInconclusive": "on-inconclusive", "onNoData": "on-no-data"}
        return " ".join(f"--{names.get(name, 'exit-code')}={word}" for name, word in self.chosen().items())

    def apply(self, outcome: Outcome) -> tuple[Outcome, str]:
        """(the outcome after policies, the sentence that says so or "")."""
        words = {
            Outcome.ERROR: ("--on-error", self.on_error),
            Outcome.TIMED_OUT: ("--on-error", self.on_error),
            Outcome.INCONCLUSIVE: ("--on-inconclusive", self.on_inconclusive),
            Outcome.NO_DATA: ("--on-no-data", self.on_no_data),
        }
        option, word = words.get(outcome, ("", ""))
        if not word or _AS[word] is outcome:
            return outcome, ""
        return _AS[word], f"{outcome.word} is taken as {word} because of {option}={word}"

    def code(self, outcome: Outcome) -> int:
        return self.exit_codes.get(outcome, outcome.value)


def outcome_of(run: Run) -> Outcome:
    """What a finished run means for a gate; a run that is not finished has timed out.

    A run that was ended on request before its metrics were through is not a pass here, though its phase is
    Successful (as Argo's): what is not finished has not passed.
    """
    if run.phase is Phase.SUCCESSFUL:
        if not _has_evidence(run) or run.cause is Cause.NO_EVIDENCE:
            return Outcome.NO_DATA
        return Outcome.INCONCLUSIVE if run.cause is Cause.TERMINATED else Outcome.PASS
    if run.phase is Phase.FAILED:
        return Outcome.FAIL
    if run.phase is Phase.INCONCLUSIVE:
        return Outcome.NO_DATA if run.cause in (Cause.NO_DATA, Cause.NO_EVIDENCE) else Outcome.INCONCLUSIVE
    if run.phase is Phase.ERROR:
        if run.cause in (Cause.SPEC_INVALID, Cause.SECRET_NOT_FOUND):
            return Outcome.BAD_SPEC
        return Outcome.NO_DATA if run.cause in (Cause.NO_DATA, Cause.NO_EVIDENCE) else Outcome.ERROR
    return Outcome.TIMED_OUT


def _has_evidence(run: Run) -> bool:
    """At least one metric that counts was measured to a conclusion: nothing measured is nothing known."""
    return any(result.count > 0 and not result.dry_run and not _empty(result) for result in run.results)


def _empty(result: MetricResult) -> bool:
    """Whether inconclusiveLimit forgave all that was measured, and none of it had any data."""
    taken = result.measurements
    concluded = result.successful + result.failed > 0
    return not concluded and bool(taken) and all(m.cause in (Cause.NO_DATA, Cause.NO_EVIDENCE) for m in taken)
