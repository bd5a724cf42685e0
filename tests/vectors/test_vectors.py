"""Conformance: what the vectors say, this code does."""

import inspect
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"


async def test_vector(vector: Any, runners: Any, wrong: dict[str, str]) -> None:
    run = runners.of(vector)
    try:
        outcome = run()
        if inspect.isawaitable(outcome):
            await outcome
    except AssertionError:
        if vector.id in wrong:
            return
        raise
    assert vector.id not in wrong, f"{vector.id} passes: take it out of tables.WRONG and of the README"


def test_ids_are_unique(all_vectors: list[Any]) -> None:
    ids = [v.id for v in all_vectors]
    assert sorted(ids) == sorted(set(ids))


def test_readme_lists_exactly_what_is_held_to_be_wrong(wrong: dict[str, str]) -> None:
    rows = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {reason} |" for name, reason in wrong.items()]
