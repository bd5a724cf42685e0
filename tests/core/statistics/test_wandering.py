"""Slow wandering and lasting offsets: found where they are, and not where chance explains them."""

import numpy as np
import pytest

from analysis_service.core.statistics.wandering import block_factor, lasting_offset, memory_of


def ar1(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    noise = rng.normal(size=n)
    for k in range(1, n):
        noise[k] = phi * noise[k - 1] + np.sqrt(1 - phi * phi) * noise[k]
    return noise


@pytest.mark.parametrize(
    ("phi", "share", "low", "high"),
    [(0.0, 1.0, 1.0, 2.5), (0.8, 1.0, 4.0, 12.0), (0.98, 0.15, 3.0, 12.0)],  # the last hides from the lag-1 correlation
)
def test_blocks_see_slow_wandering(phi: float, share: float, low: float, high: float) -> None:
    rng = np.random.default_rng(5)
    found = np.median(
        [
            block_factor(np.sqrt(share) * ar1(rng, 720, phi) + np.sqrt(1 - share) * rng.normal(size=720))
            for _ in range(20)
        ]
    )
    assert low <= found <= high


@pytest.mark.parametrize("series", [[], [1.0], [3.0] * 500, [float("nan")] * 300])
def test_blocks_of_nothing(series: list[float]) -> None:
    assert block_factor(series) == 1.0


def test_memory_inverts_the_long_run_factor() -> None:
    assert memory_of((1 + 0.6) / (1 - 0.6)) == pytest.approx(0.6)
    assert (memory_of(1.0), memory_of(0.5), memory_of(1e9)) == (0.0, 0.0, 0.98)


def test_an_offset_that_stays() -> None:
    rng = np.random.default_rng(6)
    noise = rng.normal(size=360)
    assert lasting_offset(noise, 0.0) == 0.0
    assert 1.0 <= lasting_offset(noise + 0.6, 0.0) <= 1.8
    assert lasting_offset(noise[:50] + 0.6, 0.0) == 0.0  # too short to call it lasting
