"""The benchmark on real series, in small: it reads what is shipped, keeps out what was labelled, and counts rightly."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nab import FAMILIES, HERE, shifted, stretches, wilson

ROOT = Path(__file__).parent.parent.parent


def test_stretches_are_healthy() -> None:
    found = stretches(HERE)
    windows = json.loads((HERE / "anomaly-windows.json").read_text())
    assert len({one.file for one in found}) == len(list(HERE.glob("*.csv"))) == len(windows)
    assert sum(len(one.values) for one in found) < 90_000  # of 94,845 points
    assert {one.band for one in found} == {"0.0-0.3", "0.3-0.7", "0.7-0.9", "0.9-1.0"}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_pairs_are_seeded_and_of_the_asked_size(family: str) -> None:
    one = max(stretches(HERE), key=lambda stretch: len(stretch.values))
    pairs = [FAMILIES[family](np.random.default_rng(3), one, 24) for _ in range(2)]
    assert pairs[0] is not None
    assert pairs[1] is not None
    assert len(pairs[0].run[0]) == len(pairs[0].run[1]) == 24
    assert len(pairs[0].back[0]) == len(pairs[0].back[1]) == 360
    assert all(np.array_equal(a, b) for a, b in zip(pairs[0].run, pairs[1].run, strict=True))
    worse = shifted(np.random.default_rng(4), pairs[0], 1.0)
    assert worse.run[0].sum() > pairs[0].run[0].sum()
    assert np.array_equal(worse.run[1], pairs[0].run[1])


def test_wilson() -> None:
    """R: binom::binom.confint(5, 100, methods = "wilson")."""
    assert wilson(5, 100) == pytest.approx((0.02154368, 0.1117528), rel=1e-4)


def test_last_line_is_json() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.nab",
            "--runs",
            "40",
            "--shifted",
            "8",
            "--looks",
            "24",
            "--family",
            "inter",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    rows = {(row["band"], row["shift"]): row for row in found["results"]}
    assert (found["benchmark"], rows["all", 0.0]["runs"], rows["all", 1.0]["runs"]) == ("nab", 40, 8)
    assert rows["all", 0.0]["fail"] <= 0.1
    assert rows["all", 1.0]["fail"] >= 0.5
