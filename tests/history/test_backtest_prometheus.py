"""`tidegate backtest --prometheus` against a real server's two hours, and tables in Parquet where they can be read."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analysis_service.cli.backtest import command
from analysis_service.history.files import FileHistory
from providers.base import BadQuery

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: requests}
spec:
  metrics:
  - name: errors
    interval: 1m
    provider:
      compare:
        arms: {canary: {pod: a}, stable: {pod: "a|b"}}
        counts:
          events: {prometheus: {query: 'sum by (pod) (requests_total{pod=~"{{arm.pod}}"}) * 0.1'}}
          totals: {prometheus: {query: 'sum by (pod) (requests_total{pod=~"{{arm.pod}}"})'}}
        margin: {relative: 0.5}
        maxDuration: 20m
"""
END = "2024-01-01T01:59:00Z"


@pytest.fixture
def options(series: Path, run_prometheus: Callable[..., Any], tmp_path: Path) -> list[str]:
    shutil.copytree(series / "data", tmp_path / "data", ignore=shutil.ignore_patterns("lock", "queries.active"))
    (tmp_path / "t.yaml").write_text(TEMPLATE)
    return ["-f", str(tmp_path / "t.yaml"), "--prometheus", run_prometheus().address, "--end", END]


@pytest.mark.requires("prometheus", "promtool")
def test_a_real_server(options: list[str]) -> None:
    """Counters that grow evenly: no false alarm, and five times the errors are found at once."""
    done = CliRunner().invoke(command, [*options, "--start", "115m", "--shift", "5", "-o", "json"])
    assert done.exit_code == 0, done.output
    innocent, harmed = json.loads(done.stdout)["results"]
    assert innocent["runs"] == 10  # five stretches of twenty looks, with either pod as the canary
    assert (innocent["failed"], harmed["failed"]) == (0, 10)
    live = CliRunner().invoke(command, [*options, "--start", "30m"])
    assert live.exit_code == 0, live.output
    assert "as far as the noise is like the history's" in live.output or "Successful" in live.output


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "past.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(BadQuery, match="need pyarrow"):
            FileHistory([path])
        return
    import pandas as pd

    index = pd.date_range("2026-01-01", periods=3, freq="1min", tz="UTC", name="timestamp")
    pd.DataFrame({"errors.canary.events": [1.0, 2.0, 3.0]}, index=index).to_parquet(path)
    (one,) = FileHistory([path]).series
    assert list(one.values) == [1.0, 2.0, 3.0]
    assert one.labels == {"metric": "errors", "arm": "canary", "part": "events"}
    path.write_bytes(b"no table")
    with pytest.raises(BadQuery, match="is no table"):
        FileHistory([path])
