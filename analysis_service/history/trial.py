"""One test of a template: the run over the given series, what was expected of it, and the negative controls."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from analysis_service.core.compare.season import FIELD
from analysis_service.core.compare.spec import Spec, comparison_of
from analysis_service.core.model import Phase, Run, RunSpec
from analysis_service.core.prepare import prepare
from analysis_service.history.base import Frame, is_scalar
from analysis_service.history.calibrating import Calibrator
from analysis_service.history.cases import EPOCH, Case, Expected
from analysis_service.history.controls import Control, controls_of, said_of
from analysis_service.history.recording import RecordingHistory
from analysis_service.history.replay import Question, Replayed, begins, ends, questions, replay, without_secrets
from providers.base import BadQuery, NoData

if TYPE_CHECKING:
    from analysis_service.core.statistics.plan import Calibration
    from analysis_service.history.files import FileHistory


@dataclass(frozen=True, slots=True)
class Result:
    """wrong: every expectation that was not met, in a sentence. run: None if it could not even start."""

    case: Case
    wrong: tuple[str, ...]
    controls: tuple[Control, ...] = ()
    run: Run | None = None

    @property
    def passed(self) -> bool:
        return not self.wrong and all(control.fine for control in self.controls)


async def judge_case(case: Case, compose: Callable[[Mapping[str, str], bool], RunSpec], folder: Path) -> Result:
    """Run one test. compose: the template's spec with these arguments. Raises ProviderError for unusable data."""
    spec = without_secrets(compose(case.args, case.strict))
    asked = questions(spec)
    start, end, frames = _frames(case, asked, folder)
    past = _past(case, spec, folder)
    try:
        replayed = await replay(spec, frames, start, end, calibrate=past)
        wrong = list(_unmet(case, replayed))
        found = controls_of(spec, asked, frames, start, end, harm=case.control, past=past)
        against = [one async for one in found] if case.control >= 0 else []
    finally:
        past.close()
    return Result(case, tuple(wrong), tuple(against), replayed.run)


@dataclass(frozen=True, slots=True)
class _Past:
    """What comparisons know before their first look: what was recorded, and the days before for what is compared with
    them. Nothing else is asked for: a test asks nobody.
    """

    recording: "RecordingHistory | None" = None
    calibrator: Calibrator | None = None

    async def __call__(self, name: str, spec: Spec) -> "Calibration | None":
        known = await self.recording.calibrate(name, spec) if self.recording is not None else None
        if known is None and self.calibrator is not None and spec.season is not None:
            return await self.calibrator(name, spec)
        return known

    def close(self) -> None:
        if self.calibrator is not None:
            self.calibrator.close()


def _past(case: Case, spec: RunSpec, folder: Path) -> _Past:
    if case.given is not None:
        return _Past()
    history = _history(case, folder)
    recording = history if isinstance(history, RecordingHistory) else None
    written = (comparison_of(ready.metric.provider) for ready in prepare(spec).metrics)
    if not any(one is not None and one.get(FIELD) for one in written):
        return _Past(recording)
    start = case.start or datetime.fromtimestamp(history.span[0], UTC)
    return _Past(recording, Calibrator(history, lambda: start))


def _history(case: Case, folder: Path) -> "FileHistory | RecordingHistory":
    from analysis_service.history.files import FileHistory

    return RecordingHistory(folder / case.recording) if case.recording else FileHistory([folder / case.data])


def _frames(case: Case, asked: Sequence[Question], folder: Path) -> tuple[datetime, datetime, dict[str, Frame]]:
    if case.given is not None:
        _refuse_strangers(case, asked)
        given, start = case.given, EPOCH
        frames = {}
        for question in asked:
            frame = given.range(question.asked, start, given.end, case.step)
            if frame is not None:
                frames[question.key] = _as_provider(frame, question)
        return start, given.end, frames
    history = _history(case, folder)
    first, last = (datetime.fromtimestamp(seconds, UTC) for seconds in history.span)
    start = case.start or (begins(asked, first) if case.recording else first)
    if case.start is not None and not first <= start <= last:
        raise BadQuery(f"start {start.isoformat()} is not within the data, {first.isoformat()} to {last.isoformat()}")
    frames = {}
    for question in asked:
        try:
            frames[question.key] = history.range(question.asked, start, last, question.every or case.step)
        except NoData:
            if not (case.recording or question.optional):
                raise
    if not frames:
        raise NoData("the recording holds no answer to any query of the template")
    return start, ends(frames.values(), last) if case.recording else last, frames


def _refuse_strangers(case: Case, asked: Sequence[Question]) -> None:
    """A series that no metric asks for is a spelling mistake, and a metric without a series would be tested on none."""
    assert case.given is not None
    wanted = {(one.asked.metric, one.asked.arm) for one in asked}
    for metric, arm in case.given.series:
        if (metric, arm) not in wanted:
            there = ", ".join(sorted({"/".join(filter(None, pair)) for pair in wanted}))
            name = "/".join(filter(None, (metric, arm)))
            raise BadQuery(f"series {name}: the template asks for no such; it asks for {there}")


def _as_provider(frame: Frame, question: Question) -> Frame:
    scalar = is_scalar(question.asked.provider) and len(frame.series) <= 1 and not question.asked.arm
    return Frame(frame.series, frame.start, frame.end, frame.step, frame.reach, scalar)


def _unmet(case: Case, replayed: Replayed) -> Iterator[str]:
    run = replayed.run
    yield from _differences("the run", case.expect, run.phase, f"{run.reason} {run.message}", None)
    for name, expected in case.metrics.items():
        result = run.result(name)
        if result is None:
            names = ", ".join(one.name for one in run.results) or "none"
            yield f"{name}: was never measured; measured were {names}"
            continue
        looks = replayed.looks.get(name)
        yield from _differences(name, expected, result.phase, said_of(result), len(looks) if looks else result.taken)


def _differences(what: str, expected: Expected, phase: Phase, said: str, looks: int | None) -> Iterator[str]:
    if expected.phase and expected.phase != phase.value:
        yield f"{what}: expected {expected.phase}, got {phase.value or 'Pending'}: {said.strip() or 'no reason'}"
    if expected.reason and not re.search(expected.reason, said):
        yield f"{what}: no match for {expected.reason!r} in: {said.strip() or 'no reason'}"
    if expected.looks is not None and looks is not None and looks > expected.looks:
        yield f"{what}: took {looks} looks, at most {expected.looks} were expected"
