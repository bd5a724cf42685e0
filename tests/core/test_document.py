"""Documents that should not get past the front door, and the answer each one is given."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.document import MAX_BYTES, parse_document, parse_documents
from analysis_service.core.nodes import plain
from analysis_service.core.problem import DocumentError, Problem
from analysis_service.core.template import read

HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: t}\n"


def problems_of(data: bytes | str) -> tuple[Problem, ...]:
    try:
        return read(data).problems
    except DocumentError as error:
        return error.problems


def document(metric: str) -> str:
    """A template with one metric; `metric` is what follows its name, indented by four."""
    return f"{HEAD}spec:\n  metrics:\n  - name: m\n    provider: {{web: {{url: 'http://x'}}}}\n    {metric}\n"


@pytest.mark.parametrize(
    ("data", "code", "path", "message"),
    [
        pytest.param(
            "", "EmptyDocument", "", "no document found; expected kind AnalysisTemplate", marks=pytest.mark.bad_input(1)
        ),
        ("# only a comment\n---\n", "EmptyDocument", "", "no document found"),
        pytest.param(
            "a: " + "x" * 263_165,
            "TooLarge",
            "",
            "template is 263 168 bytes; limit 262 144",
            marks=pytest.mark.bad_input(2),
        ),
        # deep nesting is found while reading, long before it could cost anything
        pytest.param(
            "[" * 30_000, "TooDeep", "", "nesting deeper than 32 at line 1 column 33", marks=pytest.mark.bad_input(3)
        ),
        pytest.param(
            "- " * 1_100 + "x",
            "TooDeep",
            "",
            "nesting deeper than 32 at line 1 column 65",
            marks=pytest.mark.bad_input(4),
        ),
        ('{"a":' * 40, "TooDeep", "", "nesting deeper than 32 at line 1 column 161"),
        ("{a: " * 40, "TooDeep", "", "nesting deeper than 32"),
        pytest.param(
            "a0: &a0 [x]\nb: [*a0, *a0]",
            "AliasNotAllowed",
            "a0",
            "anchors and aliases are not allowed (line 1: &a0)",
            marks=pytest.mark.bad_input(5),
        ),
        pytest.param(
            "a: &a [*a]",
            "AliasNotAllowed",
            "a",
            "anchors and aliases are not allowed (line 1: &a)",
            marks=pytest.mark.bad_input(6),
        ),
        pytest.param(
            "a:\n  <<: {b: 1}\n",
            "MergeKeyNotAllowed",
            "a",
            "merge key << is not allowed",
            marks=pytest.mark.bad_input(7),
        ),
        pytest.param(
            "a: !!python/object/apply:os.system [ls]",
            "TagNotAllowed",
            "a",
            "only plain YAML types",
            marks=pytest.mark.bad_input(8),
        ),
        pytest.param(
            document("failureLimit: 0\n    count: 1\n    failureLimit: 100"),
            "DuplicateKey",
            "spec.metrics[0].failureLimit",
            "failureLimit given at line 8 and 10",
            marks=pytest.mark.bad_input(9),
        ),
        ('{"a": 1,\n "a": 2}', "DuplicateKey", "a", "a given at line 1 and 2"),
        pytest.param("a:\n\tb: 1", "Syntax", "a", "tab in indentation", marks=pytest.mark.bad_input(10)),
        pytest.param(
            "a: 1\n---\nb: 2",
            "MultipleDocuments",
            "",
            "found 2 documents where one is wanted",
            marks=pytest.mark.bad_input(11),
        ),
        pytest.param(b"\xff\xfea\x00", "NotUtf8", "", "byte 0xff at offset 0", marks=pytest.mark.bad_input(12)),
        pytest.param(b"a: \xc3\x28", "NotUtf8", "", "byte 0xc3 at offset 3", marks=pytest.mark.bad_input(12)),
        ("a: \ud800", "NotUtf8", "", "lone surrogate"),
        pytest.param(
            "metadata:\n  name: a\u202eb",
            "ControlCharacter",
            "metadata.name",
            "U+202E at metadata.name",
            marks=pytest.mark.bad_input(13),
        ),
        pytest.param(
            "metadata:\n  name: a\x00b",
            "ControlCharacter",
            "metadata.name",
            "U+0000 at metadata.name",
            marks=pytest.mark.bad_input(13),
        ),
        pytest.param(
            "metadata:\n  name: a\x07b",
            "ControlCharacter",
            "metadata.name",
            "U+0007 at metadata.name",
            marks=pytest.mark.bad_input(13),
        ),
        ('metadata:\n  name: "a\\u202eb"', "ControlCharacter", "metadata.name", "U+202E in the text"),
        ('{"metadata": {"name": "a\\u0000"}}', "ControlCharacter", "metadata.name", "U+0000 in the text"),
        pytest.param(
            document("count: no"),
            "AmbiguousScalar",
            "spec.metrics[0].count",
            "`no` reads as false in YAML 1.1",
            marks=pytest.mark.bad_input(14),
        ),
        pytest.param(
            document("interval: 1:30"),
            "AmbiguousScalar",
            "spec.metrics[0].interval",
            "`1:30` reads as 90 in YAML 1.1",
            marks=pytest.mark.bad_input(14),
        ),
        pytest.param(
            document("count: 010"),
            "AmbiguousScalar",
            "spec.metrics[0].count",
            "`010` reads as 8 in YAML 1.1 and as 10",
            marks=pytest.mark.bad_input(14),
        ),
        (document("count: 1_000"), "AmbiguousScalar", "spec.metrics[0].count", "`1_000` reads as 1000"),
        pytest.param(
            "apiVersion: argoproj.io/v1beta9\nkind: AnalysisTemplate\nspec: {}",
            "UnknownApiVersion",
            "apiVersion",
            "unknown apiVersion 'argoproj.io/v1beta9'",
            marks=pytest.mark.bad_input(15),
        ),
        pytest.param(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {}",
            "WrongKind",
            "kind",
            "kind 'Rollout'",
            marks=pytest.mark.bad_input(16),
        ),
        pytest.param(
            document("sucessCondition: result < 1"),
            "UnknownField",
            "spec.metrics[0].sucessCondition",
            "unknown field 'sucessCondition'",
            marks=pytest.mark.bad_input(17),
        ),
        pytest.param(
            document("successCondition: 5"),
            "WrongType",
            "spec.metrics[0].successCondition",
            "want string, got integer",
            marks=pytest.mark.bad_input(18),
        ),
        pytest.param(
            HEAD + "spec:\n  metrics: {}",
            "WrongType",
            "spec.metrics",
            "want list, got map",
            marks=pytest.mark.bad_input(19),
        ),
        (HEAD + "spec:\n- a", "WrongType", "spec", "want map, got list"),
        ("- a", "WrongType", "", "want a map with apiVersion, kind and spec, got list"),
        pytest.param('{"a": 1,}', "Syntax", "", "comma before '}'", marks=pytest.mark.bad_input(20)),
        ('{"a": [1,]}', "Syntax", "a", "comma before ']'"),
        pytest.param('{"a": 1 // x\n}', "Syntax", "", "JSON has no comments", marks=pytest.mark.bad_input(20)),
        ('{"a": "x\ny"}', "Syntax", "a", "raw line break"),
        pytest.param(
            '{"count": NaN}',
            "NotJsonNumber",
            "count",
            "NaN is not a number JSON can hold",
            marks=pytest.mark.bad_input(21),
        ),
        pytest.param(
            '{"count": 1e400}', "NotJsonNumber", "count", "1e400 is too large", marks=pytest.mark.bad_input(21)
        ),
        ("count: .nan", "NotJsonNumber", "count", ".nan is not a number JSON can hold"),
        pytest.param(
            '{"count": ' + "9" * 5_000 + "}",
            "NumberTooLarge",
            "count",
            "integer of 5 000 digits",
            marks=pytest.mark.bad_input(22),
        ),
        pytest.param(
            "count: " + "9" * 5_000,
            "NumberTooLarge",
            "count",
            "integer of 5 000 digits",
            marks=pytest.mark.bad_input(22),
        ),
        ('{"count": 9223372036854775808}', "NumberTooLarge", "count", "does not fit 64 bits"),
        pytest.param(
            "- a\n" * 10_000, "TooManyNodes", "[9999]", "more than 10 000 values", marks=pytest.mark.bad_input(23)
        ),
        # the commonest mistake with arguments
        (document("count: {{args.n}}"), "Syntax", "spec.metrics[0].count", "text that starts with {{ must be quoted"),
    ],
)
def test_refused(data: bytes | str, code: str, path: str, message: str) -> None:
    found = [p for p in problems_of(data) if p.code == code and p.path == path]
    assert found, problems_of(data)
    assert message in found[0].message
    assert found[0].severity == "error"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: true\nb: null\nc: ~\nd:", {"a": True, "b": None, "c": None, "d": None}),
        (
            "a: 10\nb: -1\nc: 0x1f\nd: 0o17\ne: 1.5\nf: 1e3\ng: .5",
            {"a": 10, "b": -1, "c": 31, "d": 15, "e": 1.5, "f": 1000.0, "g": 0.5},
        ),
        ("a: 2024-01-01\nb: 1.2.3\nc: NaN", {"a": "2024-01-01", "b": "1.2.3", "c": "NaN"}),
        ("a: \"no\"\nb: '010'\nc: |\n  yes\n", {"a": "no", "b": "010", "c": "yes\n"}),
        (
            '{"a": "\\ud83d\\ude00\\n\\/", "b": [], "c": {}, "d": -1.5e3}',
            {"a": "😀\n/", "b": [], "c": {}, "d": -1500.0},
        ),
        ("\ufeffa: 1", {"a": 1}),  # a byte order mark
        ("{a: b, c: [d]}", {"a": "b", "c": ["d"]}),  # YAML in flow style is not JSON
        ("5: x\ntrue: z", {"5": "x", "true": "z"}),  # keys are text
    ],
)
def test_read(text: str, value: Any) -> None:
    found = parse_document(text)
    assert plain(found.root) == value
    assert found.problems == ()


def test_all_problems_of_a_document_come_at_once() -> None:
    text = document("count: no\n    sucessCondition: a\n    interval: 5\n    query: &x y")
    codes = {problem.code for problem in problems_of(text)}
    assert codes == {"AmbiguousScalar", "UnknownField", "WrongType", "AliasNotAllowed"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # however many refer to it, it is one mistake at one place
        ("a: &a [x]\nb: [" + ", ".join(["*a"] * 60) + "]", {"a": "60 places refer to it (line 2)"}),
        ("a: &a 1\nb: *a\n", {"a": "1 place refers to it (line 2)."}),
        # a name that is given again is another place
        (
            "a: &a 1\nb: *a\nc: &a 2\nd: *a\ne: *a",
            {"a": "1 place refers to it", "c": "2 places refer to it (lines 4 to 5)"},
        ),
        # nobody refers to it
        ("a: &a 1", {"a": "Write the value out where it is used."}),
        # as a key too
        ("a: &a x\n*a : 1", {"a": "1 place refers to it"}),
        # what it refers to is not here
        ("a: *b\nc: *b", {"a": "1 place refers to it (line 2)"}),
    ],
)
def test_an_anchor_is_one_mistake(text: str, told: dict[str, str]) -> None:
    problems = parse_document(text).problems
    assert [(problem.code, problem.path) for problem in problems] == [("AliasNotAllowed", path) for path in told]
    for problem in problems:
        assert told[problem.path] in problem.hint


def test_at_most_fifty_problems() -> None:
    text = HEAD + "spec: {" + ", ".join(f"field{i}: 1" for i in range(80)) + "}"
    assert len(problems_of(text)) == 50


def test_several_documents() -> None:
    found = parse_documents("a: 1\n---\n---\nb: 2\n")
    assert [plain(one.root) for one in found] == [{"a": 1}, {"b": 2}]


def test_every_value_knows_its_place() -> None:
    found = parse_document("a:\n  - b: 1\n    c: |\n      xy\n      zz\n  - 'it''s'\n")
    assert found.source.locate("a[0].b").line == 2
    assert (found.source.locate("a[1]").line, found.source.locate("a[1]").column) == (6, 5)
    assert found.source.locate("a[0].nothing").line == 2
    assert found.source.inside("a[0].c", 4).line == 5  # the second z
    assert found.source.inside("a[0].c", 4).column == 8


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_BYTES,
        "- " * (MAX_BYTES // 2),
        '"' + "\\u0041" * 40_000 + '"',
        "[" + "a," * 120_000,
        "a: " + "x" * 250_000,
        "? " * 100_000,
        "#" * MAX_BYTES,
        '{"a": "' + "\\n" * 120_000 + '"}',
        "%TAG ! tag:x,2000:\n" * 10_000,
        "{[" * 100_000,
        "a: 0" + "_" * 250_000 + "x",
        "a: 0x" + "_" * 250_000 + "x",
        "a: " + "1:0" * 80_000 + "x",
        "\x01" * 250_000,
    ],
)
def test_hostile_texts_are_cheap(text: str) -> None:
    """A generous bound on processor time: each of these takes minutes if anything is quadratic or recursive."""
    started = time.process_time()
    with suppress(DocumentError):
        parse_document(text)
    assert time.process_time() - started < 10


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abcdeß😀 ,:#'{}[]&*!|>%@`\"\\\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ /'.", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), json_values, min_size=1, max_size=4), st.booleans())
def test_json_and_yaml_mean_the_same(value: dict[str, Any], indent: bool) -> None:
    text = json.dumps(value, indent=2 if indent else None)
    assert plain(parse_document(text).root) == value
    dumped = yaml.safe_dump(value, allow_unicode=True)
    assert plain(parse_document(dumped).root) == value


@settings(max_examples=300)
@given(st.text(max_size=60) | st.text("{}[]:,-?&*!|>'\"%@` \n\tab0", max_size=40) | st.binary(max_size=40))
def test_nothing_but_document_errors(data: bytes | str) -> None:
    problems_of(data)
