"""Unit tests of templates as their author writes them: YAML in, cases out; mistakes with file, line and remedy."""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from analysis_service.core.document import parse_document
from analysis_service.core.nodes import Entry, ListNode, MapNode, Node, ScalarNode
from analysis_service.core.problem import DocumentError
from analysis_service.core.shape import nearest
from analysis_service.core.timing import parse_duration
from analysis_service.history.base import Asked, Frame, Series
from analysis_service.history.notation import NotationError, parse_values

FORMAT = """\
template: errors.yaml         # or a list of files; paths are relative to this file
args: {service: checkout}     # the template's arguments
step: 30s                     # the time between two values of every series (default 1m)
tests:
- name: a doubled error rate fails
  args: {}                    # over those above
  strict: false               # Argo's traps off
  series:                     # what each metric's query answers, step by step
    error-rate: 0.01x10 0.2x5             # a plain metric: promtool's notation, one value or, by name, several:
    latency: {pod-a: 120x9, pod-b: 110x9}
    errors:                               # a comparison of counts: counters per process, or of all together
      canary: {events: 0+9x40, totals: {pod-a: 0+100x40, pod-b: 0+100x40}}
      stable: {events: 0+9x40, totals: 0+900x40}
    p99: {canary: 120x40, stable: {pod-a: 110x40}}            # a comparison of a gauge
    spread: {canary: {"0.1": 0+9x40, "+Inf": 0+10x40}, ...}   # of a histogram: cumulative buckets
  data: past.csv              # or a table instead of series (see tidegate backtest --help)
  recording: past.jsonl       # or a recording
  start: 2026-01-01T00:00:00Z # of data or a recording: where the run begins (default: where they begin)
  expect:
    phase: Failed             # Successful, Failed, Inconclusive, Error; or pass, fail, inconclusive, error
    reason: error.rate        # a regular expression that the run's reason matches somewhere
    metrics:
      errors: {phase: Failed, reason: 'x[23]', looks: 12}     # looks: at most so many (of a plain metric: measurements)
  control: true               # false: without negative controls; a number: how many times worse the injected harm is

Values: 1+2x3 is 1 3 5 7; 5x3 is 5 four times; _ is none, _x3 three times none; stale ends a series.
Each comparison is also run on its negative controls: stable's data (with seasonalBaseline the past's figures) on both
sides must not fail, and made worse in the canary's place must fail, or the output says why they did not."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PHASES = {
    "pass": "Successful",
    "fail": "Failed",
    **{word.lower(): word for word in ("Successful", "Failed", "Inconclusive", "Error", "Running")},
}
ARMS = ("canary", "stable")


class CaseError(Exception):
    """A file of tests that cannot be read: one line for each mistake."""


@dataclass(frozen=True, slots=True)
class Expected:
    phase: str = ""
    reason: str = ""
    looks: int | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """Series of a case by (metric, arm); part and process are in the labels `part`, `pod` and `le`."""

    series: Mapping[tuple[str, str], tuple[tuple[str, Series], ...]]
    end: datetime

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame | None:
        """None if the case has nothing for it."""
        found = self.series.get((asked.metric, asked.arm))
        if found is None:
            return None
        mine = tuple(one for part, one in found if part in ("", asked.part))
        return Frame(mine, start, end, step, step)


@dataclass(frozen=True, slots=True)
class Case:
    """One test. given: series written in the file; else data or recording name a file."""

    name: str
    line: int
    args: Mapping[str, str]
    strict: bool
    step: timedelta
    given: Given | None
    data: str
    recording: str
    start: datetime | None
    expect: Expected
    metrics: Mapping[str, Expected] = field(default_factory=dict)
    control: float = 0.0  # 0: the usual harm; negative: no controls


@dataclass(frozen=True, slots=True)
class Suite:
    templates: tuple[str, ...]
    cases: tuple[Case, ...]


def parse_suite(name: str, data: bytes) -> Suite:
    """Raises CaseError with everything that is wrong."""
    try:
        document = parse_document(data)
        if document.problems:
            raise DocumentError(document.problems)
    except DocumentError as error:
        raise CaseError("\n".join(f"{name}:{p.line}: {p.message}" for p in error.problems)) from None
    reader = _Reader()
    suite = reader.suite(document.root)
    if reader.wrong:
        said = [f"{name}:{line}: {text}" for line, text in sorted(set(reader.wrong))]  # what many tests share: once
        raise CaseError("\n".join(said))
    return suite


class _Reader:
    def __init__(self) -> None:
        self.wrong: list[tuple[int, str]] = []  # line, what is wrong there
        self.longest = 0  # steps of the longest series of the present test, gaps at its end included

    def say(self, node: Node | Entry, text: str) -> None:
        self.wrong.append((node.at.line, text))

    def fields(self, node: Node | None, what: str, known: tuple[str, ...]) -> dict[str, Entry]:
        """A map's entries by key; unknown keys are mistakes. known (): any."""
        if node is None or (isinstance(node, ScalarNode) and node.value is None):
            return {}
        if not isinstance(node, MapNode):
            self.say(node, f"{what}: want a map")
            return {}
        found: dict[str, Entry] = {}
        for entry in node.entries:
            if known and entry.key not in known:
                near = nearest(entry.key, known)
                hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
                self.say(entry, f"{what}: unknown field {entry.key!r}; {hint}")
                if near:
                    found.setdefault(near, entry)  # what is misspelt is not missing
            else:
                found[entry.key] = entry
        return found

    def text(self, entry: Entry | None, default: str = "") -> str:
        if entry is None:
            return default
        if not isinstance(entry.node, ScalarNode) or entry.node.value is None:
            self.say(entry, f"{entry.key}: want a text")
            return default
        value = entry.node.value
        return value if isinstance(value, str) else entry.node.text

    def suite(self, root: Node) -> Suite:
        top = self.fields(root, "the file", ("template", "args", "step", "strict", "tests"))
        templates: tuple[str, ...] = ()
        if "template" not in top:
            self.say(root, "template is missing: the template file that is tested")
        elif isinstance(top["template"].node, ListNode):
            items = top["template"].node.items
            templates = tuple(item.text for item in items if isinstance(item, ScalarNode))
        else:
            templates = (self.text(top["template"]),)
        tests = top["tests"].node if "tests" in top else None
        if not isinstance(tests, ListNode) or not tests.items:
            self.say(root if tests is None else tests, "tests is missing: a list of tests")
            return Suite(templates, ())
        return Suite(templates, tuple(self.case(node, top, k) for k, node in enumerate(tests.items, start=1)))

    def case(self, node: Node, top: Mapping[str, Entry], number: int) -> Case:
        known = ("name", "args", "strict", "step", "series", "data", "recording", "start", "expect", "control")
        own = self.fields(node, "test", known)
        step = self.duration(own.get("step") or top.get("step"))
        sources = [key for key in ("series", "data", "recording") if key in own]
        if len(sources) != 1:
            self.say(node, f"want exactly one of series, data, recording; found {', '.join(sources) or 'none'}")
        given = self.given(own["series"].node, step) if "series" in own else None
        if "expect" not in own:
            self.say(node, "expect is missing: what the run is to come to, such as {phase: Failed}")
        expect = self.fields(own["expect"].node, "expect", ("phase", "reason", "metrics")) if "expect" in own else {}
        metrics = self.fields(expect["metrics"].node, "metrics", ()) if "metrics" in expect else {}
        return Case(
            name=self.text(own.get("name"), f"test {number}"),
            line=node.at.line,
            args={**self.args(top.get("args")), **self.args(own.get("args"))},
            strict=self.flag(own.get("strict") or top.get("strict")),
            step=step,
            given=given,
            data=self.text(own.get("data")),
            recording=self.text(own.get("recording")),
            start=self.time(own.get("start")),
            expect=self.expected(expect),
            metrics={
                key: self.expected(self.fields(entry.node, key, ("phase", "reason", "looks")))
                for key, entry in metrics.items()
            },
            control=self.control(own.get("control")),
        )

    def args(self, entry: Entry | None) -> dict[str, str]:
        return {key: self.text(one) for key, one in self.fields(entry.node if entry else None, "args", ()).items()}

    def flag(self, entry: Entry | None) -> bool:
        if entry is None:
            return False
        if not isinstance(entry.node, ScalarNode) or not isinstance(entry.node.value, bool):
            self.say(entry, f"{entry.key}: want true or false")
            return False
        return entry.node.value

    def control(self, entry: Entry | None) -> float:
        if entry is None:
            return 0.0
        value = entry.node.value if isinstance(entry.node, ScalarNode) else None
        if isinstance(value, bool):
            return 0.0 if value else -1.0
        if not isinstance(value, int | float) or not 1.0 < value < 1e6:
            self.say(entry, "control: want true, false, or how many times worse the injected harm is, such as 3")
            return 0.0
        return float(value)

    def duration(self, entry: Entry | None) -> timedelta:
        if entry is None:
            return timedelta(minutes=1)
        try:
            found = parse_duration(self.text(entry))
        except ValueError as error:
            self.say(entry, f"{entry.key}: {error}; want 30s or 1m")
            return timedelta(minutes=1)
        if found <= timedelta():
            self.say(entry, f"{entry.key}: want more than 0, such as 30s")
            return timedelta(minutes=1)
        return found

    def time(self, entry: Entry | None) -> datetime | None:
        if entry is None:
            return None
        try:
            found = datetime.fromisoformat(self.text(entry))
        except ValueError:
            self.say(entry, f"{entry.key}: want a time such as 2026-01-01T00:00:00Z")
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def expected(self, entries: Mapping[str, Entry]) -> Expected:
        import re

        phase = ""
        if "phase" in entries:
            word = self.text(entries["phase"])
            phase = PHASES.get(word.lower(), "")
            if not phase:
                self.say(entries["phase"], f"phase: {word!r} is none; want one of {', '.join(PHASES.values())}")
        reason = self.text(entries.get("reason"))
        try:
            re.compile(reason)
        except re.error as error:
            self.say(entries["reason"], f"reason: no regular expression: {error}")
        looks = entries["looks"].node if "looks" in entries else None
        count = looks.value if isinstance(looks, ScalarNode) else None
        if looks is not None and (not isinstance(count, int) or count < 1):
            self.say(entries["looks"], "looks: want a number of looks, 1 or more")
        return Expected(phase, reason, count if isinstance(count, int) else None)

    def given(self, node: Node, step: timedelta) -> Given:
        found: dict[tuple[str, str], tuple[tuple[str, Series], ...]] = {}
        self.longest = 0
        for metric, entry in self.fields(node, "series", ()).items():
            arms = isinstance(entry.node, MapNode) and {e.key for e in entry.node.entries} & set(ARMS)
            for arm, inner in self.arms(entry) if arms else [("", entry)]:
                some = tuple(self.parts(inner, step))
                found[metric, arm] = some
        return Given(found, EPOCH + self.longest * step)

    def arms(self, entry: Entry) -> Iterator[tuple[str, Entry]]:
        yield from self.fields(entry.node, entry.key, ARMS).items()

    def parts(self, entry: Entry, step: timedelta) -> Iterator[tuple[str, Series]]:
        """(part or "", series). A map names parts, buckets or processes; a text is the one series there is."""
        if not isinstance(entry.node, MapNode):
            yield from self.one(entry, "", {}, step)
            return
        for inner in entry.node.entries:
            if inner.key in ("events", "totals", "buckets", "level"):
                nested = inner.node.entries if isinstance(inner.node, MapNode) else (inner,)
                for process in nested:
                    labels = self.labels(process.key) if isinstance(inner.node, MapNode) else {}
                    yield from self.one(process, inner.key, labels, step)
            else:
                yield from self.one(inner, "", self.labels(inner.key), step)

    def labels(self, key: str) -> dict[str, str]:
        try:
            float(key)
        except ValueError:
            return {"pod": key}
        return {"le": key}

    def one(self, entry: Entry, part: str, labels: Mapping[str, str], step: timedelta) -> Iterator[tuple[str, Series]]:
        if not isinstance(entry.node, ScalarNode):
            self.say(entry, f"{entry.key}: want values such as 0+5x40")
            return
        try:
            values = parse_values(entry.node.text)
        except NotationError as error:
            self.say(entry, f"{entry.key}: {error}")
            return
        begin, seconds = EPOCH.timestamp(), step.total_seconds()
        kept = [(begin + k * seconds, value) for k, value in enumerate(values) if value is not None]
        self.longest = max(self.longest, len(values) - 1)
        yield part, Series(labels, array("d", [t for t, _ in kept]), array("d", [v for _, v in kept]))
