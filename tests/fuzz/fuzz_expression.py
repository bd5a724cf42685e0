"""Coverage-guided fuzzing of the condition language: nothing but ExpressionError may come out, and soon.

    python tests/fuzz/fuzz_expression.py -runs=100000 [corpus folder ...]

The first byte chooses the result, the rest is the source. Ends with an exception, and the input that caused it, when
it finds one.
"""

import math
import sys
from array import array
from contextlib import suppress
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["analysis_service.core.expression"]):
    from analysis_service.core.expression import (
        ExpressionError,
        Strings,
        compile_condition,
        evaluate_time,
        explain,
        judge,
    )

NOW = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
RESULTS = [
    None,
    1.5,
    math.nan,
    3,
    True,
    "text",
    array("d", [1.0, 2.5]),
    array("d"),
    Strings(["a", "b"]),
    [1.0, 2, "x", None, [3.0]],
    {"a": 1.0, "b": {"c": [1.0, {"d": None}]}, "e": "x" * 5_000},
]


def one_input(data: bytes) -> None:
    if not data:
        return
    result = RESULTS[data[0] % len(RESULTS)]
    source = data[1:].decode("utf-8", "surrogateescape")
    judge(source, "", result, now=NOW)
    with suppress(ExpressionError):
        evaluate_time(source, NOW)
    with suppress(ExpressionError):
        condition = compile_condition(source)
        explain(condition, result, now=NOW)
        condition.expect("float|floats|map")


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
