"""Kubernetes JSONPath: what is found, what is refused and in which words."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import jsonpath
from providers.jsonpath import JsonPathError, TooMuchWork

STORE = {
    "name": "jsonpath",
    "book": [
        {"category": "reference", "author": "Nigel Rees", "title": "Sayings", "price": 8.95},
        {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword", "price": 12.99},
        {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "price": 8.99},
    ],
    "bicycle": [{"color": "red", "price": 19.95, "isNew": True}, {"color": "green", "price": 20.01, "isNew": False}],
    "labels": {"web/html": 15.0, "k8s-app": 20.0, "a.b": "dotted", "empty": ""},
    "employees": {"jason": "manager", "dan": "clerk"},
    "nothing": None,
    "list": [0.0, 1.0, 2.0, 3.0, 4.0],
}


def found(path: str, data: Any = STORE) -> list[Any]:
    return [value for values in jsonpath.parse(path).find(data) for value in values]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{$}", [STORE]),
        ("{@}", [STORE]),
        ("{}", [STORE]),
        ("{$.name}", ["jsonpath"]),
        ("{.name}", ["jsonpath"]),
        ("{ .name }", ["jsonpath"]),
        # what stands outside of braces is a result too, and comes first if it stands first
        ("hello {.name}", ["hello ", "jsonpath"]),
        ("$.name", ["$.name"]),
        ('{"it is "}{.name}', ["it is ", "jsonpath"]),
        (r'{"a\tb\u00e9\x21\101"}', ["a\tbé!A"]),
        (r"{'it\'s'}", ["it's"]),
        ("{true}{false}", [True, False]),
        ("{-1.5}{7}", [-1.5, 7.0]),
        # fields and keys; a dot in a key is escaped, in brackets too
        ("{.labels.web/html}", [15.0]),
        ("{.labels.k8s-app}", [20.0]),
        (r"{.labels.a\.b}", ["dotted"]),
        (r"{.labels['a\.b']}", ["dotted"]),
        ("{['name']}", ["jsonpath"]),
        # a field of several values: those that have it
        ("{.*.jason}", ["manager"]),
        # indexes and slices
        ("{.book[0].author}", ["Nigel Rees"]),
        ("{.book[-1].author}", ["Herman Melville"]),
        ("{.list[1:3]}", [1.0, 2.0]),
        ("{.list[:2]}", [0.0, 1.0]),
        ("{.list[3:]}", [3.0, 4.0]),
        ("{.list[-2:]}", [3.0, 4.0]),
        ("{.list[0:-1]}", [0.0, 1.0, 2.0, 3.0]),
        ("{.list[::2]}", [0.0, 2.0, 4.0]),
        ("{.list[1:5:3]}", [1.0, 4.0]),
        ("{.list[2:2]}", []),
        ("{.list[]}", [0.0]),
        # wildcards: a map in the order of its keys
        ("{.list[*]}", [0.0, 1.0, 2.0, 3.0, 4.0]),
        ("{.book[*].price}", [8.95, 12.99, 8.99]),
        ("{.employees.*}", ["clerk", "manager"]),
        ("{.labels.empty.*}", []),
        # unions
        ("{.book[0,2].title}", ["Sayings", "Moby Dick"]),
        ("{.book[0]['author', 'title']}", ["Nigel Rees", "Sayings"]),
        ("{['name','employees'].jason}", ["manager"]),
        # recursive descent: containers and texts that are not empty, in document order of sorted keys
        ("{..price}", [19.95, 20.01, 8.95, 12.99, 8.99]),
        ("{.book..title}", ["Sayings", "Sword", "Moby Dick"]),
        ("{.employees..}", [{"jason": "manager", "dan": "clerk"}, "clerk", "manager"]),
        ("{.bicycle..color}", ["red", "green"]),
        # filters
        ('{.book[?(@.author=="Evelyn Waugh")].price}', [12.99]),
        ("{.book[?(@.author=='Evelyn Waugh')].price}", [12.99]),
        ("{.book[?(@.price > 8.98)].title}", ["Sword", "Moby Dick"]),
        ("{.book[?(@.price<=8.95)].title}", ["Sayings"]),
        ('{.book[?(@.category!="fiction")].title}', ["Sayings"]),
        ("{.bicycle[?(@.isNew==true)].color}", ["red"]),
        ("{.bicycle[?(@.isNew!=true)].color}", ["green"]),
        ("{.bicycle[?(@.isNew)].color}", ["red", "green"]),  # it is there, whatever it says
        ("{.book[?(@.isbn)]}", []),
        ("{.list[?(@==2)]}", [2.0]),
        ("{.list[?(@>=3.0)]}", [3.0, 4.0]),
        ('{.book[?(@.author < "F")].author}', ["Evelyn Waugh"]),
        # ranges
        ("{range .bicycle[*]}{.color}, {end}!", ["red", ", ", "green", ", ", "!"]),
        ("{range .bicycle[*]}{range .color}[{@}]{end};{end}", ["[", "red", "]", ";", "[", "green", "]", ";"]),
        ("{range .labels.empty.*}{.x}{end}done", ["done"]),
        ("{range .bicycle[*]}{.color}", ["red", "green"]),  # no {end}: to the end
        # null has nothing inside, and is not an error where others have something
        ("{.nothing}", [None]),
        ("{.nothing[0]}", []),
        ("{.nothing.*}", []),
        ("{.nothing..}", []),
    ],
)
def test_find(path: str, expected: list[Any]) -> None:
    assert found(path) == expected


def test_the_order_of_recursive_descent_is_each_before_what_it_holds() -> None:
    data: Any = {"a": {"x": [1.0, {"y": "deep"}]}, "b": {"x": "late"}}
    assert found("{..}", data) == [
        data,
        data["a"],
        data["a"]["x"],
        {"y": "deep"},
        "deep",
        data["b"],
        "late",
    ]


@pytest.mark.parametrize(
    ("path", "message", "column"),
    [
        ("{$.", "unclosed action", 4),
        ("{.name", "unclosed action", 7),
        ("{.a\n}", "unclosed action", 4),
        ("{!}", "unrecognized character in action: U+0021 '!'", 2),
        ("{..*}", "unrecognized character in action: U+002A '*'", 4),
        ("{....name}", "invalid multiple recursive descent", 4),
        ('{"unended}', "unterminated quoted string", 2),
        (r'{"\q"}', r'unquote string "\q" error invalid syntax', 2),
        ("{.list[0}", "unterminated array", 7),
        ("{.list[name]}", "invalid array index name", 8),
        ("{.list[1:2:3:4]}", "invalid array index 1:2:3:4", 8),
        ("{.list[-]}", "array index - is not a number", 8),
        ("{.list[?(@.x]}", "unterminated filter", 7),
        ("{.list[?(@.x)}", "unclosed array expect ]", 14),
        ("{.list[?(@.x == !)]}", "unrecognized character in action: U+0021 '!'", 17),
        ("{1.2.3}", "cannot parse number 1.2.3", 2),
        ("{.a" * 2000, "longer than 4096 characters", 4096),
    ],
)
def test_a_wrong_template_says_where(path: str, message: str, column: int) -> None:
    with pytest.raises(JsonPathError) as caught:
        jsonpath.parse(path)
    assert (str(caught.value), caught.value.column) == (message, column)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{.nope}", "nope is not found"),
        ("{.}", " is not found"),
        ("{.name.first}", "first is not found"),
        ("{.nothing.first}", "first is not found"),
        ("{..nope}", "nope is not found"),
        ("{.list[5]}", "array index out of bounds: index 5, length 5"),
        ("{.list[-6]}", "array index out of bounds: index -1, length 5"),
        ("{.list[0:6]}", "array index out of bounds: index 5, length 5"),
        ("{.list[3:1]}", "starting index 3 is greater than ending index 1"),
        ("{.list[0:2:0]}", "step must be > 0"),
        ("{.name[0]}", "string is not array or slice"),
        ("{.employees[0]}", "map[string]interface {} is not array or slice"),
        ("{.bicycle[0].isNew[0]}", "bool is not array or slice"),
        ("{.list[0][0]}", "float64 is not array or slice"),
        ("{.employees[?(@.x)]}", "map[string]interface {} is not array or slice and cannot be filtered"),
        ('{.list[?(@=="1")]}', "incompatible types for comparison"),
        ("{.book[?(@.isbn==1)]}", "isbn is not found"),
        ("{.bicycle[?(@.isNew<true)]}", "invalid type for comparison"),
        ("{.list[?(@=!1)]}", "unrecognized filter operator =!"),
        ("{.book[?(@.*==1)]}", "can only compare one element at a time"),
        ("{hello}", "unrecognized identifier hello"),
        ("{end}", "not in range, nothing to end"),
        ("{range $}" * 17, "ranges nested deeper than 16"),
    ],
)
def test_a_template_that_does_not_fit_the_data(path: str, message: str) -> None:
    with pytest.raises(JsonPathError) as caught:
        found(path)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "path",
    [
        "{..x}",
        "{.*[*]}",
        "{.list[*]}",
        "{.list[?(@.x)]}",
        "{range .list[*]}{range $}{@}{end}{end}",
        "{..}{..}{..}",
        "{" + ".*" * 100 + "}",
    ],
)
def test_work_is_bounded(path: str) -> None:
    data = {"list": [{"x": [float(i)]} for i in range(300_000)]}
    with pytest.raises(TooMuchWork, match="more than 250000 values visited"):
        found(path, data)


def test_deep_data_needs_no_deep_stack() -> None:
    data: Any = "bottom"
    for _ in range(20_000):
        data = [data]
    assert found("{..}", data)[-1] == "bottom"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abx.", max_size=3), inner, max_size=4),
    max_leaves=20,
)
MARKS = "{ } $ @ . .. * [ ] [*] [0] [-1:] [?( )] a b x 'a' \" \\ == < 1 - , end true é {end} {.a}".split(" ")
PIECES = st.sampled_from([*MARKS, " ", "\n", "range ", "{range .a[*]}"])


@given(st.lists(PIECES, max_size=12).map("".join), JSON)
def test_nothing_but_its_own_error(path: str, data: Any) -> None:
    with contextlib.suppress(JsonPathError):
        jsonpath.parse(path).find(data)


@given(st.text(max_size=60))
def test_any_text_parses_or_says_why(path: str) -> None:
    column = 1
    try:
        jsonpath.parse(path)
    except JsonPathError as error:
        column = error.column
    assert 1 <= column <= len(path) + 2


@given(JSON)
def test_every_leaf_is_found_where_it_stands(data: Any) -> None:
    def leaves(value: Any, path: str) -> list[tuple[str, Any]]:
        if isinstance(value, dict):
            inside = [(f"{path}.{_escaped(key)}", item) for key, item in value.items() if key]
            return [leaf for deeper, item in inside for leaf in leaves(item, deeper)]
        if isinstance(value, list):
            return [leaf for at, item in enumerate(value) for leaf in leaves(item, f"{path}[{at}]")]
        return [(path, value)]

    for path, value in leaves(data, ""):
        assert found(f"{{${path}}}", data) == [value], json.dumps(data)


def _escaped(key: str) -> str:
    return "".join("\\" + character if character in "." else character for character in key)
