"""The house has walls: who may import whom. A broken rule fails with the sentence that says which, and where."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

IO_MODULES = frozenset(
    "asyncio socket ssl subprocess threading multiprocessing logging structlog time os pathlib io shutil "
    "aiohttp grpc apsw asyncpg requests uvloop click rich".split()
)

RULES: list[tuple[str, str, str]] = [
    # (these modules, must not import, because)
    ("analysis_service.core", "providers", "the core judges answers, it does not fetch them"),
    ("analysis_service.core", "analysis_service.engine", "the core decides, the engine acts"),
    ("analysis_service.core", "analysis_service.stores", "the core does not know where runs are kept"),
    ("analysis_service.core", "analysis_service.api", "the core does not know who asks"),
    ("analysis_service.core", "analysis_service.cli", "the core does not know who asks"),
    ("analysis_service.core", "analysis_service.v1", "the wire is the API's business"),
    ("providers", "analysis_service", "providers are a leaf: anybody may take them away"),
    ("providers", "controller_shim", "providers are a leaf"),
    ("analysis_service", "controller_shim", "the service does not know its clients"),
    ("analysis_service.engine", "analysis_service.api", "the engine serves, it does not ask"),
    ("analysis_service.engine", "analysis_service.v1", "the wire is the API's business"),
    ("analysis_service.stores", "analysis_service.engine", "stores keep, they do not act"),
    ("analysis_service.stores", "analysis_service.api", "stores keep, they do not act"),
    ("analysis_service.stores", "providers", "stores keep, they do not ask"),
]

IMPLEMENTATIONS = (
    "analysis_service.stores.memory",
    "analysis_service.stores.sqlite",
    "analysis_service.stores.postgres",
)
MAY_CHOOSE = ("analysis_service.main", "analysis_service.cli", "analysis_service.stores")


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("analysis_service", "providers", "controller_shim"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not name.startswith("analysis_service.v1"):
                yield name, path


def imports(path: Path, name: str) -> Iterator[tuple[str, int]]:
    """Every module a file imports, anywhere in it, with its line; imports for type checkers alone do not count."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                for _ in range(node.level - 1):
                    package = package.rpartition(".")[0]
                base = f"{package}.{base}".rstrip(".")
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize(("name", "path"), [pytest.param(n, p, id=n) for n, p in modules()])
def test_walls(name: str, path: Path) -> None:
    broken = []
    for imported, line in imports(path, name):
        for here, there, because in RULES:
            if within(name, here) and within(imported, there):
                broken.append(f"{path.relative_to(ROOT)}:{line}: {name} imports {imported}; {because}")
        if within(name, "analysis_service.core") and imported.split(".")[0] in IO_MODULES:
            broken.append(f"{path.relative_to(ROOT)}:{line}: {name} imports {imported}; the core is pure")
        if any(within(imported, i) for i in IMPLEMENTATIONS) and not any(within(name, m) for m in MAY_CHOOSE):
            broken.append(f"{path.relative_to(ROOT)}:{line}: {name} imports {imported}; only main chooses a store")
        if (
            within(name, "controller_shim")
            and within(imported, "analysis_service")
            and "analysis_service.v1" not in imported
        ):
            broken.append(f"{path.relative_to(ROOT)}:{line}: {name} imports {imported}; the shim only knows the wire")
    assert not broken, "\n" + "\n".join(broken)


def test_the_rules_can_fail(tmp_path: Path) -> None:
    """The reader of imports sees each way to write one."""
    file = tmp_path / "x.py"
    file.write_text("import providers.http\nfrom providers import base\ndef f():\n    from ..stores import sqlite\n")
    found = {imported for imported, _ in imports(file, "analysis_service.core.x")}
    assert {"providers.http", "providers.base", "analysis_service.stores.sqlite"} <= found
