"""Tables of past data, promtool's notation, and recordings: what is read, and what is refused and how."""

import io
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analysis_service.history.base import Asked
from analysis_service.history.files import FileHistory, parse_name
from analysis_service.history.frames import to_pandas
from analysis_service.history.notation import NotationError, parse_values
from analysis_service.history.recording import Recorder, RecordingHistory
from providers.base import Answer, BadQuery, NoData, Sample

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1+2x3", [1, 3, 5, 7]),  # n + 1 values, as promtool
        ("1-2x2", [1, -1, -3]),
        ("-5x1", [-5, -5]),
        ("0x0", [0]),
        ("1 2.5 .5 1e3", [1, 2.5, 0.5, 1000]),
        ("_ _x2 3 stale", [None, None, None, 3, None]),
        ("+Inf -Inf", [float("inf"), float("-inf")]),
    ],
)
def test_notation(text: str, values: list[float | None]) -> None:
    assert parse_values(text) == values


@pytest.mark.parametrize("text", ["", "1x", "x5", "1+x5", "1 two", "1x99999999", "_x9999999", "1+2*3"])
def test_notation_refused(text: str) -> None:
    with pytest.raises(NotationError):
        parse_values(text)


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        ("errors", {"metric": "errors"}),
        ("value", {}),
        ("errors.canary.events", {"metric": "errors", "arm": "canary", "part": "events"}),
        ("stable", {"arm": "stable"}),
        ('errors{arm="canary",pod="a,b"}', {"metric": "errors", "arm": "canary", "pod": "a,b"}),
        ("http.server.errors", {"metric": "http.server.errors"}),  # dots that name no part
        (r'x{a="say \"hi\""}', {"metric": "x", "a": 'say "hi"'}),
    ],
)
def test_column_names(column: str, labels: dict[str, str]) -> None:
    assert parse_name(column) == labels


WIDE = """timestamp,errors.canary.events,"errors{arm=""stable"",part=""events"",pod=""a""}"
2026-01-01T00:00:00Z,1,10
2026-01-01T00:02:00Z,3,
2026-01-01T00:01:00Z,2,NaN
"""
LONG = """metric,arm,part,pod,timestamp,value
errors,canary,events,a,1767225600,1
errors,canary,events,a,1767225660,2
errors,canary,events,b,1767225600,5
errors,stable,events,c,1767225600,7
"""


def history(tmp_path: Path, text: str) -> FileHistory:
    (tmp_path / "data.csv").write_text(text)
    return FileHistory([tmp_path / "data.csv"])


def test_wide(tmp_path: Path) -> None:
    data = history(tmp_path, WIDE)
    frame = data.range(Asked("errors", {}, "canary", "events"), START, START + 2 * MINUTE, MINUTE)
    assert [frame.answer(START + k * MINUTE).value for k in range(3)] == [array("d", [v]) for v in (1, 2, 3)]
    stable = data.range(Asked("errors", {}, "stable", "events"), START, START + 2 * MINUTE, MINUTE)
    # the empty cell and the NaN are gaps: nothing is made up for them
    assert [list(stable.answer(START + k * MINUTE).value) for k in range(3)] == [[10], [], []]
    with pytest.raises(NoData, match="no series for errors/stable/totals"):
        data.range(Asked("errors", {}, "stable", "totals"), START, START + MINUTE, MINUTE)


def test_long(tmp_path: Path) -> None:
    data = history(tmp_path, LONG)
    frame = data.range(Asked("errors", {}, "canary", "events"), START, START + MINUTE, MINUTE)
    assert [(dict(s.labels), s.value) for s in frame.answer(START).samples] == [({"pod": "a"}, 1), ({"pod": "b"}, 5)]
    assert to_pandas(frame).columns.tolist() == ['{pod="a"}', '{pod="b"}']
    assert data.spacing == MINUTE


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("1767225600", 1767225600.0), ("1767225600000", 1767225600.0), ("2026-01-01 00:00:00", 1767225600.0),
     ("2026-01-01T01:00:00+01:00", 1767225600.0)],
)  # fmt: skip
def test_times(tmp_path: Path, stamp: str, seconds: float) -> None:
    assert history(tmp_path, f"time,value\n{stamp},1\n").span == (seconds, seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no column of times"),
        ("timestamp\n1\n", "no other"),
        ("timestamp,value\nyesterday,1\n", "data.csv:2: 'yesterday' is no time"),
        ("timestamp,value\n0,1\n60,many\n", "data.csv:3: 'many' in column 'value' is no number"),
        ('timestamp,"x{a=1}"\n0,1\n', "no series name"),
        ("", "is no table"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        history(tmp_path, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadQuery, match="does not exist"):
        FileHistory([tmp_path / "nothing.csv"])


QUERY = {"prometheus": {"address": "http://p", "query": "errors", "headers": [{"key": "X", "value": "hush"}]}}


def recorded(tmp_path: Path) -> Path:
    file = io.StringIO()
    recorder = Recorder(file)
    for minute in range(3):
        at = START + minute * MINUTE
        samples = (Sample({"pod": "a"}, float(minute), at), Sample({"pod": "s3cret"}, float("nan"), at))
        recorder.add(QUERY, at, Answer(None, "", samples), metric="errors", masked=("s3cret",))
    recorder.add({"web": {"url": "http://w"}}, START, Answer(0.5, "0.5"), metric="ratio")
    recorder.add({"web": {"url": "http://w"}}, START + MINUTE, RuntimeError("down: s3cret"), masked=("s3cret",))
    assert "hush" not in file.getvalue()
    assert "s3cret" not in file.getvalue()
    path = tmp_path / "run.jsonl"
    path.write_text(file.getvalue())
    return path


def test_recording(tmp_path: Path) -> None:
    data = RecordingHistory(recorded(tmp_path))
    without: Any = {"prometheus": {"address": "http://p", "query": "errors"}}  # credentials are no part of a question
    frame = data.range(Asked("renamed", without), START, START + 2 * MINUTE, MINUTE)
    assert [frame.answer(START + k * MINUTE).value[0] for k in range(3)] == [0, 1, 2]
    assert str(frame.answer(START).value[1]) == "nan"
    by_name = data.range(Asked("ratio", {"web": {"url": "http://other"}}), START, START + MINUTE, MINUTE)
    assert by_name.answer(START).value == 0.5
    assert list(by_name.answer(START + 2 * MINUTE).value) == []  # an error is no answer
    with pytest.raises(NoData):
        data.range(Asked("other", {"web": {"url": "http://other"}}), START, START, MINUTE)


@pytest.mark.parametrize("text", ["{", '{"at": "never"}', "[]", "[" * 5000])
def test_bad_recordings(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(BadQuery, match="no line of a recording"):
        RecordingHistory(tmp_path / "x.jsonl")
