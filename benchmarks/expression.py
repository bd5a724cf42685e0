"""What a condition costs next to the same thing written as a Python lambda.

    python -m benchmarks.expression [--rounds N]

Both are measured in turns within one run, so that a busy machine slows both. The last line is one JSON object; `ratio`
is the median over the rounds, of `result[0] < 0.95 && len(result) > 0` on a vector.
"""

import argparse
import json
from array import array
from collections.abc import Callable
from statistics import median
from time import process_time_ns
from typing import Any

from analysis_service.core.expression import compile_condition

VECTOR = array("d", [0.4, 0.5, 0.6])
CASES: list[tuple[str, str, Callable[[Any], Any], Any]] = [
    ("vector", "result[0] < 0.95 && len(result) > 0", lambda r: r[0] < 0.95 and len(r) > 0, VECTOR),
    ("scalar", "result < 0.95", lambda r: r < 0.95, 0.4),
    ("all", "all(result, # < 0.95)", lambda r: all(x < 0.95 for x in r), VECTOR),
    ("map", 'result.data.ok && result.data.rate < 0.05', lambda r: r["data"]["ok"] and r["data"]["rate"] < 0.05,
     {"data": {"ok": True, "rate": 0.01}}),
]  # fmt: skip
CALLS = 2_000  # a block shorter than a time slice: a longer one is interrupted more often, and would look slower


def nanoseconds(run: Callable[[Any], Any], result: Any) -> float:
    """CPU per call."""
    start = process_time_ns()
    for _ in range(CALLS):
        run(result)
    return (process_time_ns() - start) / CALLS


def measure(rounds: int) -> dict[str, dict[str, float]]:
    ready = [(name, compile_condition(source).evaluate, native, result) for name, source, native, result in CASES]
    for name, condition, native, result in ready:
        assert condition(result) == native(result), name
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in ready}
    for _ in range(rounds):
        for name, condition, native, result in ready:
            taken[name].append((nanoseconds(condition, result), nanoseconds(native, result)))
    return {
        name: {
            "condition_ns": round(median(c for c, _ in pairs), 1),
            "lambda_ns": round(median(n for _, n in pairs), 1),
            "ratio": round(median(c / n for c, n in pairs), 2),
        }
        for name, pairs in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    found = measure(parser.parse_args().rounds)
    for name, figures in found.items():
        print(f"{name:8}", *(f"{key} {value}" for key, value in figures.items()))
    print(json.dumps({"benchmark": "expression", "ratio": found["vector"]["ratio"], "goal": 6.0, "cases": found}))


if __name__ == "__main__":
    main()
