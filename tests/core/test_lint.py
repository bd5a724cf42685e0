"""What a linter says: every mistake has a file, with the expected text next to it.

`python tests/core/test_lint.py` writes the texts anew; read the difference before you keep it.
"""

import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analysis_service.core.lint import lint, load, load_all, summary
from analysis_service.core.lint_rules import RULES, explanation, number
from analysis_service.core.problem import DocumentError, render

TEMPLATES = Path(__file__).parent.parent / "templates"
HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: t}\nspec:\n  metrics:\n"


def told(path: Path) -> str:
    """What a user sees of a file."""
    source = path.read_text()
    found = lint(source)
    lines = [f"{number(p.code)} {p.code}\n{render(p, source, path.name)}\n" for p in found]
    return "\n".join([*lines, summary(found)]) + "\n"


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.bad.yaml")), ids=lambda path: path.name)
def test_bad_template(path: Path) -> None:
    assert told(path) == path.with_suffix(".txt").read_text()


def test_every_bad_template_has_its_text_and_a_problem() -> None:
    texts = {path.stem for path in TEMPLATES.glob("*.bad.txt")}
    assert texts == {path.stem for path in TEMPLATES.glob("*.bad.yaml")}
    assert all("no problems" not in path.read_text() for path in TEMPLATES.glob("*.bad.txt"))


def metric(**fields: Any) -> str:
    body = {"name": "m", "provider": {"prometheus": {"query": "up"}}, **fields}
    return HEAD + "  - " + msgspec.json.encode(body).decode() + "\n"


def range_of(window: str) -> dict[str, Any]:
    return {"prometheus": {"query": f"rate(x[{window}])"}}


RANGE = {"prometheus": {"query": "up", "rangeQuery": {"start": "now()", "end": "now()", "step": "1m"}}}


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"successCondition": "len(result) > 0 && result[0] < 1"}, set()),
        ({"successCondition": "result[0] < 1"}, {"UnguardedIndex"}),
        ({"successCondition": "result[0] < 1", "onNoData": "fail"}, set()),
        ({"successCondition": "isNaN(result)"}, {"ResultType"}),  # a vector is no number
        ({"successCondition": "isNaN(result)", "provider": {"prometheus": {"query": "scalar(up)"}}}, set()),
        ({"successCondition": "result < 1", "provider": {"web": {"url": "http://x"}}}, set()),
        ({"successCondition": "len(result) > 0 && result[0] < 1", "provider": RANGE}, {"RangeFirstPoint"}),
        ({"successCondition": "all(result, # < 1)"}, {"EmptyPasses"}),
        ({"successCondition": "true"}, {"ConstantCondition"}),
        ({"successCondition": 'len(result) > 0 && "0.05" < "0.1"'}, {"TextComparison"}),
        ({"successCondition": "default(1, 2) == 2"}, {"IgnoredArgument"}),
        ({"successCondition": "result >"}, {"Syntax"}),
        ({"successCondition": "sqrt2(result[0]) < 1"}, {"UnknownFunction", "UnguardedIndex"}),
        ({"successCondition": "len(result) > 1", "failureCondition": "len(result) > 1"}, {"ConditionsOverlap"}),
        ({"successCondition": "len(result) > 0", "provider": range_of("10s")}, {"WindowTooShort"}),
        ({"successCondition": "len(result) > 0", "interval": "10m", "provider": range_of("5m")}, {"WindowGap"}),
        ({"successCondition": "len(result) > 0", "interval": "1m", "provider": range_of("5m")}, set()),
        # a tag may turn out to be anything: only what no value could mend is said
        ({"successCondition": "len(result) > {{args.n}}"}, {"UndeclaredArg"}),
        ({"successCondition": "{{args.condition}}"}, {"UndeclaredArg"}),
        ({"successCondition": "results > {{args.n}}"}, {"UndeclaredArg", "UnknownName"}),
        ({"successCondition": 'len(result) == "{{args.n}}"'}, {"UndeclaredArg"}),
    ],
)
def test_conditions(fields: dict[str, Any], codes: set[str]) -> None:
    found = {p.code for p in lint(metric(**fields))}
    assert found - {"UnguardedIndex"} == codes - {"UnguardedIndex"}
    assert ("UnguardedIndex" in found) == ("UnguardedIndex" in codes and "UnknownFunction" not in codes)


def test_a_condition_is_placed_to_the_character() -> None:
    text = HEAD + "  - name: m\n    provider: {web: {url: http://x}}\n    successCondition: 'result < 1 && foo'\n"
    (problem,) = lint(text)
    assert (problem.line, problem.column, problem.length) == (8, 38, 3)


def test_consequences_are_not_reported_again() -> None:
    codes = [p.code for p in lint(HEAD + "  - name: m\n    sucessCondition: x\n    provider: {promethues: {}}\n")]
    assert codes == ["UnknownField", "UnknownProvider"]  # neither AlwaysPasses nor NoProvider


def test_every_code_has_a_number_of_its_own() -> None:
    numbers = [rule.number for rule in RULES.values()]
    assert len(set(numbers)) == len(numbers)
    assert number("CannotFail") == "TG101"
    assert number("NoSuchCode") == "NoSuchCode"
    assert explanation("CannotFail")
    told_of = {line.split()[1] for path in TEMPLATES.glob("*.bad.txt") for line in path.read_text().splitlines()
               if line.startswith("TG")}  # fmt: skip
    assert told_of <= RULES.keys()


def test_load_all_gives_the_problems_of_every_document() -> None:
    good, bad = metric(successCondition="len(result) > 0"), metric(successCondition="foo")
    assert len(load_all(good + "---\n" + good)) == 2
    with pytest.raises(DocumentError) as error:
        load_all(bad + "---\n" + bad)
    assert [(p.code, p.line) for p in error.value.problems] == [("UnknownName", 6), ("UnknownName", 13)]
    with pytest.raises(DocumentError):
        load(good, kinds=("AnalysisRun",))


def test_other_documents_of_a_file_are_left_alone() -> None:
    good = metric(successCondition="len(result) > 0")
    service = "apiVersion: v1\nkind: Service\nmetadata: &m {name: x}\nspec: {selector: *m}\n"
    assert lint(service + "---\n" + good) == ()
    assert [one.parsed.kind for one in load_all(service + "---\n" + good)] == ["AnalysisTemplate"]
    assert "WrongKind" in {p.code for p in lint(service)}  # nothing else in the file
    misspelt = good.replace("AnalysisTemplate", "AnalysisTemplat")
    assert [p.code for p in lint(good + "---\n" + misspelt)] == ["WrongKind"]


ARGS = "  args: [{name: a, value: '1 || x'}, {name: b}]\n"


@pytest.mark.parametrize(
    "text",
    [
        metric(successCondition="{{args.a}}" * 20_000) + ARGS,
        metric(provider={"prometheus": {"query": "'{{args.nobody}}'" * 10_000}}) + ARGS,
        metric(interval="1s" * 100_000),
        HEAD + "".join(f"  - {{name: m{i}, provider: {{web: {{url: x}}}}}}\n" for i in range(1_500)),
        HEAD + "  - {name: m}\n  dryRun:\n" + "".join(f"  - {{metricName: 'a{i}.*'}}\n" for i in range(2_000)),
        HEAD + "  - {" + ", ".join(f"suksessCondition{i}: 1" for i in range(4_000)) + "}\n",
        metric() + "  args:\n" + "".join(f"  - {{name: argument{i}}}\n" for i in range(3_000)),
    ],
    ids=["condition", "query", "duration", "metrics", "rules", "fields", "arguments"],
)
def test_ten_thousand_mistakes_are_cheap(text: str) -> None:
    """A generous bound on processor time: each takes minutes if anything is quadratic."""
    started = time.process_time()
    assert 0 < len(lint(text, strict=True)) <= 50
    assert time.process_time() - started < 10


def test_warnings_cannot_hide_an_error() -> None:
    doubtful = "".join(f"  - {{name: a{i}, value: 1:{i % 50 + 10}}}\n" for i in range(60))
    text = metric(successCondition="true") + "  args:\n" + doubtful + "  - {name: last, valeu: x}\n"
    assert len(lint(text)) == 50
    with pytest.raises(DocumentError) as error:
        load(text)
    assert [p.code for p in error.value.problems if p.severity == "error"] == ["UnknownField"]


def test_start_up_imports_little() -> None:
    """Everything a linter needs, and nothing heavy."""
    import subprocess

    program = (
        "import sys; from analysis_service.core import lint, schema, start; lint.lint('a: 1');"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'scipy', 'pandas', 'aiohttp', 'grpc', 'apsw',"
        "'asyncio', 'socket', 'providers', 'logging'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


if __name__ == "__main__":
    for bad in sorted(TEMPLATES.glob("*.bad.yaml")):
        bad.with_suffix(".txt").write_text(told(bad))
