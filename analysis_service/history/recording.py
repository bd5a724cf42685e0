"""Recordings: what live measurements were answered, one JSON object a line, to be replayed by tests and backtests.

Credentials are left out before anything is written: an answer is found again by its metric and by its provider's
spec without `authentication`, `headers` and `secretRef`.
"""

import hashlib
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import msgspec

from analysis_service.core.compare.spec import Spec as Comparison
from analysis_service.core.statistics.plan import Calibration
from analysis_service.history.base import Asked, Frame, Series, is_scalar
from analysis_service.history.frames import spacing
from analysis_service.history.rhythm import in_step
from analysis_service.settling import Calibrate
from providers.base import Answer, BadQuery, Context, NoData, Provider, Spec
from providers.redact import Redactor

PRIVATE = frozenset({"authentication", "headers", "secretRef"})
_encode = msgspec.json.Encoder(order="deterministic").encode


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer, or what a comparison learnt from its look-back before its first look.

    provider: the key of its spec; query: what a person would look for. samples: labels and value.
    """

    at: datetime
    provider: str
    metric: str = ""
    query: str = ""
    samples: tuple[tuple[dict[str, str], float | str], ...] = ()
    value: float | str | None = None  # of an answer without samples
    error: str = ""
    calibration: Calibration | None = None  # of the comparison `metric`


def key_of(provider: Mapping[str, Any]) -> str:
    """Equal for equal questions whoever asks them, and tells nothing of credentials."""
    return hashlib.blake2b(_encode(_public(provider)), digest_size=12).hexdigest()


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _public(inner) for key, inner in value.items() if key not in PRIVATE}
    if isinstance(value, list | tuple):
        return [_public(inner) for inner in value]
    return value


class Recorder:
    """Writes answers as they come."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(
        self,
        provider: Mapping[str, Any],
        at: datetime,
        answer: Answer | Exception,
        *,
        metric: str = "",
        masked: Sequence[str] = (),
        with_query: bool = True,
    ) -> None:
        """masked: secrets that were filled into the spec; they are never written."""
        hide = Redactor(masked)
        spec: object = next(iter(provider.values()), None)
        query = str(spec.get("query", spec.get("url", ""))) if isinstance(spec, Mapping) and with_query else ""
        if isinstance(answer, Exception):
            line = Line(at, key_of(provider), metric, hide(query), error=hide(str(answer)))
        else:
            line = Line(
                at,
                key_of(provider),
                metric,
                hide(query),
                tuple(_samples(answer, hide)),
                _number(answer.value) if not answer.samples and not answer.histograms else None,
            )
        self._write(line)

    def learnt(self, metric: str, at: datetime, calibration: Calibration) -> None:
        self._write(Line(at, "", metric, calibration=calibration))

    def _write(self, line: Line) -> None:
        self._file.write(msgspec.json.encode(line).decode() + "\n")
        self._file.flush()


def _samples(answer: Answer, hide: Redactor) -> Iterable[tuple[dict[str, str], float | str]]:
    for sample in answer.samples:
        yield {k: hide(v) for k, v in sample.labels.items()}, _text(sample.value)
    for histogram in answer.histograms:
        for bound, count in zip(histogram.bounds, histogram.cumulative, strict=True):
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            yield {**{k: hide(v) for k, v in histogram.labels.items()}, "le": le}, _text(count)


def _text(value: float) -> float | str:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else str(value)


def _number(value: Any) -> float | str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _text(float(value))


class RecordingHistory:
    """A recording, asked as any other history."""

    def __init__(self, path: Path) -> None:
        """Raises BadQuery: not readable, or a line that is none."""
        self._lines: dict[str, list[Line]] = {}
        self._named: dict[str, list[Line]] = {}
        self._learnt: dict[str, Calibration] = {}
        decode = msgspec.json.Decoder(Line).decode
        try:
            texts = path.read_bytes().splitlines()
        except OSError as error:
            raise BadQuery(f"{path} cannot be read: {error.strerror or error}") from None
        for number, text in enumerate(texts, start=1):
            if not text.strip():
                continue
            try:
                line = decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise BadQuery(f"{path}:{number}: no line of a recording: {error}") from None
            if line.calibration is not None:
                self._learnt[line.metric] = line.calibration
                continue
            self._lines.setdefault(line.provider, []).append(line)
            if line.metric:
                self._named.setdefault(line.metric, []).append(line)

    @property
    def span(self) -> tuple[float, float]:
        times = [line.at.timestamp() for lines in self._lines.values() for line in lines]
        if not times:
            raise NoData("the recording is empty")
        return min(times), max(times)

    async def calibrate(self, name: str, spec: Comparison) -> Calibration | None:
        """As `Comparer.calibrate`: what the comparison had learnt when it was recorded; None: nothing."""
        return self._learnt.get(name)

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        lines = self._lines.get(key_of(asked.provider)) or (self._named.get(asked.metric, []) if not asked.arm else [])
        if not lines:
            raise NoData(f"the recording holds no answer to {asked}'s query")
        points: dict[tuple[tuple[str, str], ...], tuple[list[float], list[float]]] = {}
        ordered = sorted((line for line in lines if not line.error), key=lambda one: one.at)
        first = (start + asked.after).timestamp()
        looked, unit = in_step([line.at.timestamp() for line in ordered], first, step.total_seconds())
        for at, line in dict(zip(looked, ordered, strict=True)).items():  # two answers to one look: the later one
            found = line.samples or ((({}, line.value),) if line.value is not None else ())
            for labels, value in found:
                times, values = points.setdefault(tuple(sorted(labels.items())), ([], []))
                times.append(at)
                values.append(float(value))
        series = tuple(
            Series(dict(key), array("d", times), array("d", values)) for key, (times, values) in points.items()
        )
        # a look that was not answered finds nothing; in another rhythm a point stands until the next one is overdue
        reach = timedelta(seconds=unit) if unit else 1.25 * max([step, *(spacing(one) for one in series)])
        return Frame(series, start, end, step, reach, is_scalar(asked.provider))

    def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A provider whose answers are written down. The query's text is not: it may hold what was a secret."""

    provider: Provider
    recorder: Recorder

    @property
    def name(self) -> str:
        return self.provider.name

    def check(self, spec: Spec) -> list[str]:
        return self.provider.check(spec)

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return self.provider.describe(spec)

    def timeout_seconds(self, spec: Spec) -> float:
        return self.provider.timeout_seconds(spec)

    def credentials(self, spec: Spec, context: Context) -> str:
        return self.provider.credentials(spec, context)

    async def query(self, spec: Spec, context: Context) -> Answer:
        answer = await self.provider.query(spec, context)
        self.recorder.add({self.name: spec}, context.at, answer, with_query=False)
        return answer

    async def close(self) -> None:
        await self.provider.close()


def learning(calibrate: Calibrate, recorder: Recorder, now: Callable[[], datetime]) -> Calibrate:
    """`Comparer.calibrate` that writes down what is learnt."""

    async def learn(name: str, spec: Comparison) -> Calibration | None:
        calibration = await calibrate(name, spec)
        if calibration is not None:
            recorder.learnt(name, now(), calibration)
        return calibration

    return learn


def recorded(load: Callable[[str], Provider], recorder: Recorder) -> Callable[[str], Provider]:
    """`Asker.load` that writes down what every provider answers."""
    made: dict[str, Provider] = {}

    def get(name: str) -> Provider:
        if name not in made:
            made[name] = Recorded(load(name), recorder)  # type: ignore[assignment]
        return made[name]

    return get
