"""The run machine against a small model that knows only lists of letters.

Whatever happens between - restarts (the run goes through JSON), a clock that jumps back, answers that come late,
twice or for the wrong slot, a request to terminate at any time - the machine's counters are the fold over what was
accepted, slots are used once and in order, and a verdict never changes. Afterwards the accepted measurements alone
are replayed and give the same run.
"""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from analysis_service.core.due import Op
from analysis_service.core.model import Cause, Measurement, Metric, Phase, Run, RunSpec
from analysis_service.core.reconcile import Step, Task, plan, settle, terminate
from analysis_service.core.record import Taken

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
NAMES = ("a", "b")
LETTERS = {"S": Phase.SUCCESSFUL, "F": Phase.FAILED, "I": Phase.INCONCLUSIVE, "E": Phase.ERROR}
ACROSS = ["", "S", "I", "E", "F"]  # worse to the right


class Letters:
    """One metric, seen as the string of its accepted letters."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits, self.seen, self.open, self.verdict = limits, "", False, ""

    def trailing(self, letters: str) -> int:
        return len(self.seen) - len(self.seen.rstrip(letters))

    def judge(self, stopping: bool) -> None:
        """The rules of the manual, in the words of a person counting letters."""
        if self.verdict or self.open:
            return
        if not self.seen:
            self.verdict = "S" if stopping else ""
            return
        counted = len(self.seen.replace("E", ""))
        if self.trailing("E") > self.limits["consecutive_error_limit"]:
            self.verdict = "E"
        elif self.seen.count("I") > self.limits["inconclusive_limit"]:
            self.verdict = "I"
        elif self.seen.count("F") > self.limits["failure_limit"]:
            self.verdict = "F"
        elif 0 < self.limits["consecutive_success_limit"] <= self.trailing("S"):
            self.verdict = "S"
        elif counted >= self.limits["count"]:
            self.verdict = "I" if self.limits["consecutive_success_limit"] else "S"
        elif stopping:
            self.verdict = "S"


class Reconcile(RuleBasedStateMachine):
    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        small = st.integers(0, 2)
        metrics = []
        self.model: dict[str, Letters] = {}
        for name in NAMES:
            limits = data.draw(
                st.fixed_dictionaries(
                    {
                        "failure_limit": small,
                        "inconclusive_limit": small,
                        "consecutive_error_limit": small,
                        "consecutive_success_limit": small,
                        "count": st.integers(4, 7),
                    }
                )
            )
            self.model[name] = Letters(limits)
            metrics.append(
                Metric(
                    name,
                    interval="10s",
                    success_condition="result < 1",
                    provider={"web": {"url": "http://127.0.0.1/"}},
                    **limits,  # type: ignore[arg-type]
                )
            )
        self.run_ = Run("run", "default", "run", RunSpec(tuple(metrics)))
        self.now = self.latest = START
        self.late: list[Taken] = []
        self.log: list[tuple[list[Taken] | None, datetime]] = []  # what took effect; None: asked to terminate
        self.verdict: Run | None = None
        self.terminated = False

    # --- what may happen

    @rule(letters=st.text("SFIER", min_size=2, max_size=2), again=st.booleans())
    def reconcile(self, letters: str, again: bool) -> None:
        step = plan(self.run_, self.now)
        assert plan(self.run_, self.now) == step, "planning twice plans the same"
        taken = [self.answer(task, letter) for task, letter in zip(step.measure, letters, strict=False)]
        self.settle(taken * 2 if again else taken)
        self.late += taken

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def late_answer(self, data: st.DataObject) -> None:
        """What was answered before comes once more."""
        self.settle([data.draw(st.sampled_from(self.late))])

    @rule(name=st.sampled_from(NAMES), ordinal=st.integers(-1, 12), letter=st.sampled_from("SFIE"))
    def stray_answer(self, name: str, ordinal: int, letter: str) -> None:
        """An answer that nobody asked for counts only if it is for the slot that is open."""
        self.settle([(name, self.measurement(ordinal, letter))])

    @rule()
    def restart(self) -> None:
        self.run_ = msgspec.json.decode(msgspec.json.encode(self.run_), type=Run)

    @rule(seconds=st.integers(-30, 60))
    def clock(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def to_the_next_interval(self) -> None:
        self.now = max(self.now, self.latest) + timedelta(seconds=11)

    @precondition(lambda self: not self.terminated)
    @rule(really=st.integers(0, 5))
    def ask_to_terminate(self, really: int) -> None:
        if really == 0:
            self.terminated = not self.run_.phase.done
            self.run_ = terminate(self.run_)
            self.log.append((None, self.now))

    # --- what must hold

    @invariant()
    def a_verdict_never_changes(self) -> None:
        if self.verdict is not None:
            assert self.run_ == self.verdict
        elif self.run_.phase.done:
            self.verdict = self.run_

    @invariant()
    def counters_are_the_fold(self) -> None:
        for result in self.run_.results:
            model = self.model[result.name]
            assert result.successful == model.seen.count("S")
            assert result.failed == model.seen.count("F")
            assert result.inconclusive == model.seen.count("I")
            assert result.error == model.seen.count("E")
            assert result.count == len(model.seen) - model.seen.count("E")
            assert result.consecutive_error == model.trailing("E")
            assert result.consecutive_success == model.trailing("S")
            assert (LETTERS[model.verdict] if model.verdict else Phase.RUNNING) == result.phase

    @invariant()
    def slots_are_used_once_and_in_order(self) -> None:
        for result in self.run_.results:
            ordinals = [m.ordinal for m in result.measurements]
            assert ordinals == list(range(result.taken - len(ordinals), result.taken))
            assert len(ordinals) == min(result.taken, 10)

    def teardown(self) -> None:
        """The accepted measurements alone give the same run."""
        if not hasattr(self, "run_"):
            return
        replayed = Run("run", "default", "run", replace(self.run_.spec, terminate=False))
        for accepted, now in self.log:
            replayed = terminate(replayed) if accepted is None else settle(replayed, accepted, now).run
        assert replayed == self.run_

    # --- tools

    def answer(self, task: Task, letter: str) -> Taken:
        if task.op is Op.TERMINATE and letter == "R":
            letter = "I"
        return task.name, self.measurement(task.ordinal, letter)

    def measurement(self, ordinal: int, letter: str) -> Measurement:
        if letter == "R":
            return Measurement(Phase.RUNNING, ordinal, started_at=self.now, resume_at=self.now + timedelta(seconds=5))
        return Measurement(LETTERS[letter], ordinal, started_at=self.now, finished_at=self.now, cause=Cause.PASSED)

    def settle(self, taken: list[Taken]) -> None:
        before, stopping = self.run_, self.stopping()
        step = settle(before, taken, self.now)
        if before.phase.done:
            assert step == Step(before)
            return
        accepted = self.accept(taken)
        assert list(step.recorded) == accepted
        self.latest = max(self.latest, self.now)
        for model in self.model.values():
            if model.seen or model.open:
                model.judge(stopping)
        self.log.append((accepted, self.now))
        self.run_ = step.run
        assert step.run.phase == self.phase(stopping)
        assert (step.wake_at is None) == step.run.phase.done

    def accept(self, taken: list[Taken]) -> list[Taken]:
        accepted = []
        for name, measurement in taken:
            model = self.model[name]
            used = len(model.seen)
            if model.verdict or measurement.ordinal != used:
                continue
            model.open = measurement.phase is Phase.RUNNING
            if not model.open:
                model.seen += next(letter for letter, phase in LETTERS.items() if phase is measurement.phase)
            accepted.append((name, measurement))
        return accepted

    def stopping(self) -> bool:
        return self.run_.spec.terminate or any(model.verdict in ("F", "I", "E") for model in self.model.values())

    def phase(self, stopping: bool) -> Phase:
        verdicts = [model.verdict for model in self.model.values()]
        if not stopping and not all(verdicts):
            return Phase.RUNNING
        return LETTERS[max(verdicts, key=ACROSS.index) or "S"]


Reconcile.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestReconcile = Reconcile.TestCase
