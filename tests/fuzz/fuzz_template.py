"""Coverage-guided fuzzing of documents: whatever the text, an answer comes, and it fits the text.

    python tests/fuzz/fuzz_template.py -runs=100000 [corpus folder ...]

Half of the inputs are raw text; the others are put together from words of real documents, or else nearly all would
end at the first brace. Ends with an exception, and the input that caused it, when it finds one.
"""

import sys
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["analysis_service.core"]):
    from analysis_service.core.arguments import ArgumentError, resolve_metric
    from analysis_service.core.lint import check, lint
    from analysis_service.core.model import Argument
    from analysis_service.core.problem import LINE_BREAK, DocumentError, render
    from analysis_service.core.start import start
    from analysis_service.core.template import read_all

WORDS = (
    "\n", "\n  ", "\n    ", "\n  - ", "- ", ": ", ":", "{", "}", "[", "]", ", ", '"', "'", "|", ">", "#", "&a ", "*a",
    "<<", "!!str ", "---\n", "%YAML 1.1\n", "\t", "\x00", "\u202e", "é", "\\u202e", "\\ud83d", "{{args.a}}", "{{", "}}",
    "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: t}\nspec:\n  metrics:\n  - name: m\n"
    "    ",
    "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisRun\nspec:\n  metrics:\n  - name: m\n    ",
    '{"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "spec": {"metrics": [{"name": "m", ',
    "count: ", "interval: ", "failureLimit: ", "successCondition: ", "failureCondition: ", "provider: ", "prometheus: ",
    "query: ", "web: ", "url: ", "compare: ", "arms: ", "gauge: ", "plugin: ", "args: ", "name: ", "value: ",
    "dryRun: ",
    "metricName: ", "templates: ", "headers: ", "1m", "1:30", "010", "no", "5", "-1", "1e400", ".nan", "null", "true",
    "result[0] < 1", "result >", "x", "http://a@b", "(x{1000}){1000}", "9" * 50,
)  # fmt: skip


def text_of(data: bytes) -> str:
    if not data or data[0] % 2 == 0:
        return data[1:].decode("utf-8", "replace")
    return "".join(WORDS[byte % len(WORDS)] for byte in data[1:200])


def one_input(data: bytes) -> None:
    text = text_of(data)
    lines = len(LINE_BREAK.split(text))
    for problem in lint(text):
        assert problem.code
        assert 0 <= problem.line <= lines, problem
        assert problem.message
        render(problem, text, "f.yaml")
    with suppress(DocumentError):
        for parsed in read_all(text):
            check(parsed, strict=True, gate=True)
            start([parsed.template], lambda reference: None, args=[Argument("a", text[:50])])
            for metric in parsed.template.metrics:
                with suppress(ArgumentError):
                    resolve_metric(metric, [Argument("a", text[:50])])


def main() -> None:
    seeds = Path(__file__).parent.parent / "templates"
    for seed in sorted(seeds.glob("*.bad.yaml")):
        one_input(b"\x00" + seed.read_bytes())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
