"""Collects the vectors: every *.json of one folder is a list of them, every module of runners/ knows some kinds.

The folder is `TIDEGATE_VECTORS` if set, else this one; any subset of the files will do. A vector whose kind has no
runner is a failure. In this folder, and only here, prefixes that belong to later work are deselected (tables.LATER).

A runner module offers one or more of
* `RUNNERS: dict[kind, runner]`; `runner(given, expect)` asserts (or is a coroutine function that does). Where two
  modules know one kind, each says which vectors are its own: `PREFIXES: set[str]`, the prefixes of their ids;
* `FILES: dict[file stem, runner]` for the files whose vectors have another shape; `runner(vector)` gets it whole;
* `IDS: dict[vector id, runner]`, likewise, where several modules share such a file.
"""

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
PREFIX_OF_FILE = {"statistics": "STAT"}  # ids there are words, one prefix each would be no table


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"vectors_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = load(HERE / "tables.py")
CHOSEN = os.environ.get("TIDEGATE_VECTORS")
FOLDER = Path(CHOSEN) if CHOSEN else HERE


@dataclass(frozen=True)
class Vector:
    """One vector: where it stands, and its JSON value as it is."""

    file: str
    body: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def kind(self) -> str:
        return str(self.body.get("kind", self.file))

    @property
    def prefix(self) -> str:
        return PREFIX_OF_FILE.get(self.file) or self.id.rstrip("0123456789").rstrip("-")

    @property
    def later(self) -> bool:
        return CHOSEN is None and self.prefix in tables.LATER and self.id not in tables.LATER_EXCEPT


def read(folder: Path) -> list[Vector]:
    found = []
    for path in sorted(folder.glob("*.json")):
        vectors = [Vector(path.stem, body) for body in json.loads(path.read_text())["vectors"]]
        assert vectors, f"{path}: no vectors in it"
        found += vectors
    return found


class Runners:
    """Which function runs which vector."""

    def __init__(self) -> None:
        self.modules = [load(path) for path in sorted((HERE / "runners").glob("[!_]*.py"))]

    def of(self, vector: Vector) -> Callable[[], Any]:
        """The call that runs this vector; LookupError with a sentence if there is none, or more than one."""
        whole = [run for m in self.modules if (run := getattr(m, "IDS", {}).get(vector.id))]
        whole += [run for m in self.modules if (run := getattr(m, "FILES", {}).get(vector.file))]
        if whole:
            return lambda: whole[0](vector.body)
        fits = [
            m
            for m in self.modules
            if vector.kind in getattr(m, "RUNNERS", {}) and vector.prefix in getattr(m, "PREFIXES", {vector.prefix})
        ]
        if len(fits) != 1:
            names = ", ".join(m.__name__ for m in fits) or "none"
            raise LookupError(
                f"{vector.id}: one runner wanted for kind {vector.kind!r} of {vector.file}, found {names}"
            )
        run = fits[0].RUNNERS[vector.kind]
        return lambda: run(vector.body["given"], vector.body["expect"])


@pytest.fixture(scope="session")
def runners() -> Runners:
    return Runners()


@pytest.fixture(scope="session")
def wrong() -> dict[str, str]:
    return dict(tables.WRONG)


@pytest.fixture(scope="session")
def all_vectors() -> list[Vector]:
    return read(FOLDER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vector" in metafunc.fixturenames:
        vectors = read(FOLDER)
        assert vectors, f"no vectors in {FOLDER}"
        metafunc.parametrize("vector", vectors, ids=[v.id for v in vectors])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def later(item: pytest.Item) -> bool:
        vector = _vector(item)
        return vector is not None and vector.later

    waiting = [item for item in items if later(item)]
    if waiting:
        config.hook.pytest_deselected(items=waiting)
        items[:] = [item for item in items if not later(item)]
    _seen.later.update(v.prefix for item in waiting if (v := _vector(item)))
    _seen.ids.update({item.nodeid: v for item in items if (v := _vector(item))})


@dataclass
class _Seen:
    """What this session ran; the table at the end is made of it."""

    ids: dict[str, Vector]
    later: Counter[str]
    ran: Counter[str]
    failed: Counter[str]


_seen = _Seen({}, Counter(), Counter(), Counter())


def _vector(item: pytest.Item) -> Vector | None:
    found = getattr(item, "callspec", None)
    value = found.params.get("vector") if found else None
    return value if isinstance(value, Vector) else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    vector = _seen.ids.get(report.nodeid)
    if vector is None:
        return
    if report.when == "call":
        _seen.ran[vector.prefix] += 1
    if report.failed:
        _seen.failed[vector.prefix] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    write = terminalreporter.write_line
    if not _seen.ran and not _seen.later:
        return
    terminalreporter.section(f"vectors of {FOLDER}")
    for prefix in sorted(_seen.ran):
        failed = _seen.failed[prefix]
        write(f"{prefix:<8}{_seen.ran[prefix]:>5} ran" + (f", {failed} FAILED" if failed else ""))
    for prefix, count in sorted(_seen.later.items()):
        write(f"{prefix:<8}{count:>5} belongs to later work: {tables.LATER[prefix]}")
    for name, reason in tables.WRONG.items():
        write(f"{name:<8} held to be wrong: {reason}")
    write(f"{'all':<8}{_seen.ran.total():>5} ran, {_seen.failed.total()} failed, {_seen.later.total()} later")
