"""What Datadog's answers mean, without a network."""

import json
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import BadAnswer, BadQuery, ProviderError, TooLarge
from providers.datadog_answers import groups_metadata, parse_v1, parse_v2
from providers.http import Response

START, END = 1704070500, 1704070800


def response(body: object, status: int = 200) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"Content-Type": "application/json"}, raw, ("secret-api-key",))


def v1(body: object) -> Any:
    return parse_v1(response(body), start=START, end=END)


def v2(*columns: object) -> Any:
    return parse_v2(response({"data": {"attributes": {"columns": columns}}}))


def points(*found: object) -> dict[str, object]:
    return {"status": "ok", "series": [{"pointlist": found}]}


def numbers(*values: object, **more: object) -> dict[str, object]:
    return {"type": "number", "name": "query", "values": values, **more}


def group(*values: object, name: str = "pod") -> dict[str, object]:
    return {"type": "group", "name": name, "values": values}


NOW = END * 1000


@pytest.mark.parametrize(
    ("body", "value", "text", "metadata"),
    [
        (points([NOW - 60_000, 5], [NOW, 1e-9]), 1e-9, "0.000000001", {}),
        (points([NOW, 1e21]), 1e21, "1" + "0" * 21, {}),
        # the first series counts, the others do not
        ({"series": [{"pointlist": [[NOW, 1]]}, {"pointlist": [[NOW, 2]]}]}, 1.0, "1", {}),
        # nothing: nil, and the series as text
        pytest.param({"series": []}, None, "[]", {}, marks=pytest.mark.bad_input(160)),
        ({"series": None}, None, "null", {}),
        ({}, None, "null", {}),
        pytest.param(points(), None, '[{"pointlist":[]}]', {}, marks=pytest.mark.bad_input(160)),
        ({"series": [{}]}, None, '[{"pointlist":null}]', {}),
        # null is read as 0, and said
        pytest.param(
            points([NOW, None]),
            0.0,
            "0",
            {"null": "the last point has no value; it counts as 0, as in Argo Rollouts"},
            marks=pytest.mark.bad_input(160),
        ),
        # old and early points are used, and said; a rollup may begin a little before the window
        (points([NOW - 359_000, 1]), 1.0, "1", {}),
        (points([NOW - 10_800_000, 1]), 1.0, "1", {"stale": "the last point is 10800s old"}),
        (points([NOW + 600_000, 1]), 1.0, "1", {"stale": "the last point is 600s ahead"}),
        (points([None, 1]), 1.0, "1", {}),
        (points([1e300, 1]), 1.0, "1", {"stale": "the last point is " + f"{1e300 / 1000 - END:.0f}s ahead"}),
        # keys twice: the last one, as everywhere, but it is said
        (b'{"series":[],"series":[{"pointlist":[[1704070800000,3]]}]}', 3.0, "3", {"duplicateKeys": "series"}),
    ],
)
def test_v1(body: object, value: float | None, text: str, metadata: dict[str, str]) -> None:
    found = v1(body)
    assert (found.value, found.text, found.metadata) == (value, text, metadata)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        pytest.param(
            points([NOW]), BadAnswer, "Datapoint does not have 2 values (it has 1)", marks=pytest.mark.bad_input(160)
        ),
        (points(None), BadAnswer, "Datapoint does not have 2 values (it has 0)"),
        (points([1, 2, 3]), BadAnswer, "Datapoint does not have 2 values (it has 3)"),
        (points([NOW, "1"]), BadAnswer, "Could not parse JSON body: Expected `float | null`, got `str`"),
        ({"series": "invalid"}, BadAnswer, "Could not parse JSON body: Expected `array | null`, got `str`"),
        (b'{"series":[{"pointlist":[[1,1e400]]}]}', BadAnswer, "Could not parse JSON body: the number 1e400 is out of"),
        pytest.param(
            b'{"series":[{"pointlist":[[1,%s]]}]}' % (b"9" * 400),
            BadAnswer,
            "a number of 400 characters",
            marks=pytest.mark.bad_input(170),
        ),
        (b'{"series":[{"pointlist":[[1,NaN]]}]}', BadAnswer, "Could not parse JSON body: NaN is not a JSON value"),
        # an error with status 200 is none the less one
        ({"status": "error", "error": "Rule 'avg' unknown"}, BadQuery, "errors in your query: Rule 'avg' unknown"),
        ({"status": "error"}, BadQuery, "the query failed and Datadog does not say why"),
    ],
)
def test_v1_errors(body: object, error: type[ProviderError], message: str) -> None:
    with pytest.raises(error) as caught:
        v1(body)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "value", "text"),
    [
        ([numbers(0.25)], 0.25, "0.25"),
        ([{"values": [0.25]}], 0.25, "0.25"),  # a column without a type holds numbers
        ([numbers(None, 2, 3)], 2.0, "2"),
        ([numbers(1), numbers(2)], 1.0, "1"),
        ([group(["a"], ["b"]), numbers(1, 2)], [1.0, 2.0], "[1,2]"),
        # what is neither a number nor a group is passed over
        ([{"type": "text", "values": ["x"]}, numbers(7)], 7.0, "7"),
        ([numbers()], None, "[]"),
        ([numbers(None)], None, "[]"),
        ([{"type": "number"}], None, "[]"),
        pytest.param([], None, "[]", marks=pytest.mark.bad_input(161)),
        pytest.param([group(["a"])], None, "[]", marks=pytest.mark.bad_input(161)),
        # more labels than numbers
        pytest.param([group(["a"], ["b"], ["c"]), numbers(1)], [1.0], "[1]", marks=pytest.mark.bad_input(161)),
        # a skipped row needs no label
        ([group(["a"], 5), numbers(1, None)], [1.0], "[1]"),
    ],
)
def test_v2(columns: list[object], value: Any, text: str) -> None:
    found = v2(*columns)
    assert found.text == text
    assert (list(found.value) if isinstance(found.value, array) else found.value) == value


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        pytest.param(
            [numbers(1, "oops")],
            BadAnswer,
            r'could not parse numeric value "\"oops\"" in column "query": Expected `float`, got `str`',
            marks=pytest.mark.bad_input(161),
        ),
        ([numbers(True)], BadAnswer, 'could not parse numeric value "true" in column "query"'),
        ([numbers({"a": 1})], BadAnswer, r'could not parse numeric value "{\"a\": 1}" in column "query"'),
        ([group(["a"], None), numbers(1, 2)], BadAnswer, "could not parse group label at index 1"),
        ([group(["a"]), numbers(1, 2)], BadAnswer, "could not parse group label at index 1"),
        ([group("a"), numbers(1)], BadAnswer, "could not parse group label at index 0"),
        ([group([]), numbers(1)], BadAnswer, "could not parse group label at index 0"),
        ([group([5]), numbers(1)], BadAnswer, "could not parse group label at index 0"),
        pytest.param(
            [numbers(*[1] * 10_001)],
            TooLarge,
            "10 001 rows; limit 10 000; aggregate in the query",
            marks=pytest.mark.bad_input(168),
        ),
    ],
)
def test_v2_errors(columns: list[object], error: type[ProviderError], message: str) -> None:
    with pytest.raises(error) as caught:
        v2(*columns)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"data": {"errors": "no such metric"}}, "There were errors in your query: no such metric"),
        # Argo knows the text form alone
        pytest.param(
            {"data": {"errors": ["one", "two"]}},
            "There were errors in your query: one, two",
            marks=pytest.mark.bad_input(162),
        ),
        ({"errors": "the key secret-api-key is bad"}, "There were errors in your query: the key [redacted] is bad"),
        ({"errors": [{"detail": "x"}]}, 'There were errors in your query: {"detail":"x"}'),
        ({"errors": "x" * 400}, "There were errors in your query: " + "x" * 297 + "..."),
    ],
)
def test_v2_reported_errors(body: object, message: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_v2(response(body))
    assert str(caught.value) == message


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": {"attributes": None, "errors": ""}}])
def test_v2_nothing(body: object) -> None:
    assert (parse_v2(response(body)).value, parse_v2(response(body)).text) == (None, "[]")


def test_many_groups_keep_the_extremes() -> None:
    rows = [(f"g{i}", float((i * 37) % 101)) for i in range(101)]
    metadata = groups_metadata(rows)
    kept = [row["value"] for row in json.loads(metadata["groups"])]
    assert kept == [*range(50), *range(51, 101)]
    assert metadata["groups_truncated"] == "true"
    assert groups_metadata(rows[:100]).keys() == {"groups"}


def test_group_labels_name_the_samples() -> None:
    found = v2(group(["eu"], ["us"], name="region"), group(["a"], ["b"]), numbers(1, 2))
    assert [(sample.labels, sample.value) for sample in found.samples] == [
        ({"group": "eu,a"}, 1),
        ({"group": "us,b"}, 2),
    ]


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("group")
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from("series pointlist data attributes columns values type name errors status error".split()),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)
SHAPED = st.fixed_dictionaries(
    {
        "series": JSON | st.lists(st.fixed_dictionaries({"pointlist": JSON | st.lists(st.lists(LEAVES, max_size=3))})),
        "data": JSON
        | st.fixed_dictionaries(
            {
                "attributes": st.fixed_dictionaries(
                    {
                        "columns": JSON
                        | st.lists(
                            st.fixed_dictionaries({"type": st.sampled_from(["group", "number", ""]), "values": JSON}),
                            max_size=3,
                        )
                    }
                )
            }
        ),
    }
)


@given(
    (SHAPED | JSON).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100), st.sampled_from([200, 500])
)
def test_nothing_but_provider_errors(body: bytes, status: int) -> None:
    for parse in (lambda r: parse_v1(r, start=START, end=END), parse_v2):
        message = "-"
        try:
            found = parse(response(body, status))
            assert found.value is None or isinstance(found.value, float | array)
        except ProviderError as error:
            message = str(error)
        assert message
