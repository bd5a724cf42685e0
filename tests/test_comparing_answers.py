"""What comparisons ask, and how they read what is answered."""

from array import array
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analysis_service.arms import read
from analysis_service.asking import Asker, Question
from analysis_service.secrets import Secrets
from analysis_service.telemetry import Telemetry
from providers.base import Answer, BadAnswer, Sample
from tests.scripted import SCRIPTED, Scripted

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def samples(*found: tuple[dict[str, str], float, int]) -> Answer:
    """(labels, value, seconds) each."""
    made = tuple(Sample(labels, value, AT + timedelta(seconds=after)) for labels, value, after in found)
    return Answer(array("d", [one.value for one in made]), "", made)


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        (samples(({"pod": "a"}, 1.0, 0), ({"pod": "b"}, 2.0, 0)), [1.0, 2.0]),
        # other pages are read at other moments
        (samples(({"pod": "a"}, 1.0, 0), ({"pod": "b"}, 2.0, 3)), [1.0, 2.0]),
        # the same labels at one moment: two series whose name a function dropped
        (samples(({}, 1.0, 0), ({}, 2.0, 0)), [1.0, 2.0]),
        (Answer(3.0, "3"), [3.0]),
        (Answer([1.0, None], "[1,null]"), [1.0, None]),
        (Answer(None, ""), []),
    ],
)
def test_one_value_of_each_series(answer: Answer, values: list[float | None]) -> None:
    assert [one.value for one in read(answer).series] == values


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        # summed, each event would be counted as often as the range is long
        (samples(({"pod": "a"}, 1.0, 0), ({"pod": "a"}, 2.0, 5), ({"pod": "b"}, 9.0, 0)), "got a range"),
        (samples(({}, 1.0, 0), ({}, 2.0, 5)), "got a range"),
        (Answer("up", "up"), "needs numbers, got up"),
        (Answer({"a": 1}, "map[a:1]"), "needs numbers"),
        (Answer([True], "[true]"), "needs numbers"),
    ],
)
def test_what_is_no_value_of_now(answer: Answer, said: str) -> None:
    with pytest.raises(BadAnswer, match=said):
        read(answer)


class Ticking:
    """A clock that is later whenever it is asked."""

    seconds = 0

    def wall(self) -> datetime:
        self.seconds += 1
        return AT + timedelta(seconds=self.seconds)

    now = wall

    def monotonic(self) -> float:
        return float(self.seconds)


async def test_questions_that_belong_together_are_about_one_moment() -> None:
    async def answer(_query: str) -> Answer:
        return Answer(1.0, "1")

    provider = Scripted(answer)
    asker = Asker(provider.load, Secrets([]), Ticking(), Telemetry(), bucket_seconds=0.0)
    union: list[dict[str, Any]] = [{SCRIPTED: {"query": query}} for query in "abc"]
    for one in union[:2]:
        await asker.ask(Question(one, "n", at=AT))
    await asker.ask(Question(union[2], "n"))
    moments = [context.at for _, context in provider.asked]
    assert moments[:2] == [AT, AT]
    assert moments[2] > AT
