"""Start-up is a budget: what the quick commands do not need is not loaded. The figure is in benchmarks/startup.py."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "aiohttp", "asyncio", "grpc", "google", "numpy", "scipy", "pandas", "rich", "structlog", "prometheus_client",
    "uvloop", "apsw", "re2", "providers", "ssl", "http", "datadog_api_client",
    "analysis_service.main", "analysis_service.api", "analysis_service.engine", "analysis_service.v1",
)  # fmt: skip
PROGRAM = """
import sys
from analysis_service.cli import main
sys.argv = ["tidegate", *{arguments!r}]
try:
    main()
except SystemExit as leaving:
    print("code", leaving.code)
print("modules", *sys.modules)
"""
TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: good}
spec:
  metrics:
    - name: errors
      successCondition: len(result) > 0 && result[0] < 0.05
      provider: {prometheus: {address: "http://prometheus.example:9090", query: errors}}
"""


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["--help"], ("yaml", "msgspec", "json", "dataclasses", "analysis_service.core")),
        (["--version"], ("yaml", "msgspec", "analysis_service.core")),
        (["lint", "t.yaml"], ()),
        (["lint", "t.yaml", "-o", "sarif"], ()),
        (["check", "--help"], ("yaml", "google")),
        (["runs", "list", "--help"], ("yaml",)),
        (["schema"], ("yaml",)),
    ],
)
def test_what_is_not_loaded(arguments: list[str], more: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(TEMPLATE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments=arguments)],
        capture_output=True, text=True, cwd=tmp_path, timeout=40,
    )  # fmt: skip
    assert "code 0\n" in done.stdout, done
    loaded = done.stdout.rpartition("modules ")[2].split()
    assert "analysis_service.cli" in loaded
    found = [name for name in loaded if any(name == m or name.startswith(m + ".") for m in (*HEAVY, *more))]
    assert found == []
