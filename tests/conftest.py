"""Which real servers a test talks to, and the table at the end that says what could not run here.

A test marked `requires("prometheus")` is skipped with the reason where that server is not installed, and fails there
when TIDEGATE_REQUIRE is `all` (or names it: `TIDEGATE_REQUIRE=prometheus,postgres`), so that a green run on a build
machine means that everything ran. Fixtures find the program with `server_path("prometheus")`.
"""

import importlib.util
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

MISSING = "cannot run here: "


@dataclass(frozen=True)
class Server:
    """find: the program's path, or None. remedy: what installs it, for the person reading the table."""

    find: Callable[[], str | None]
    remedy: str


def program(name: str, *places: str) -> Callable[[], str | None]:
    """On the PATH, or in one of the folders (glob patterns, newest name first)."""

    def find() -> str | None:
        for place in places:
            for path in sorted(Path("/").glob(f"{place.lstrip('/')}/{name}"), reverse=True):
                if os.access(path, os.X_OK):
                    return str(path)
        return shutil.which(name)

    return find


def module(name: str) -> Callable[[], str | None]:
    def find() -> str | None:
        spec = importlib.util.find_spec(name)
        return None if spec is None else spec.origin or name

    return find


SERVERS = {
    "prometheus": Server(program("prometheus"), "apt-get install prometheus"),
    "promtool": Server(program("promtool"), "apt-get install prometheus"),
    "postgres": Server(program("postgres", "/usr/lib/postgresql/*/bin"), "apt-get install postgresql"),
    "atheris": Server(module("atheris"), "pip install atheris"),
    "botocore": Server(module("botocore"), "pip install 'tidegate[aws]'"),
}


@cache
def path_of(name: str) -> str | None:
    if name not in SERVERS:
        raise pytest.UsageError(
            f"requires({name!r}): known are {', '.join(sorted(SERVERS))}; add it to tests/conftest.py"
        )
    return SERVERS[name].find()


def wanted(name: str) -> bool:
    asked = {word.strip() for word in os.environ.get("TIDEGATE_REQUIRE", "").split(",")}
    return bool(asked & {"all", name})


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires(*servers): the test talks to these real servers (tests/conftest.py)")
    config.addinivalue_line("markers", "bad_input(*numbers): proves the answer to these (tests/test_bad_inputs.py)")
    config.addinivalue_line("markers", "soak: takes minutes; runs only where `-m soak` asks for it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" in (config.option.markexpr or ""):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in [name for mark in item.iter_markers("requires") for name in mark.args]:
        item.user_properties.append(("requires", name))
        if path_of(name) is None:
            reason = f"{MISSING}{name} is not installed ({SERVERS[name].remedy})"
            if wanted(name):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@pytest.fixture(scope="session")
def server_path() -> Callable[[str], str]:
    """The path of a program that the test has marked as required."""

    def find(name: str) -> str:
        path = path_of(name)
        assert path is not None, f"mark the test with requires({name!r})"
        return path

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What ran against which server, and what could not run here and why. Read from the reports, so that it is whole
    under pytest-xdist too."""
    ran: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        ran.update(name for key, name in report.user_properties if key == "requires")
    for outcome in ("skipped", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
            if MISSING in text:
                missing[text.partition(MISSING)[2].splitlines()[0]] += 1
    if ran or missing:
        terminalreporter.section("real servers")
        for name, count in sorted(ran.items()):
            terminalreporter.write_line(f"{count:>5} passed with {name} ({path_of(name)})")
        for reason, count in sorted(missing.items()):
            terminalreporter.write_line(f"{count:>5} could not run: {reason}")
