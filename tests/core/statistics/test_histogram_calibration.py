"""What a look-back says about histograms, edge by edge."""

import math

import numpy as np
import pytest

from analysis_service.core.statistics.histogram_calibration import calibrate_histogram, calibrate_histograms
from analysis_service.core.statistics.looks import ArmData, Histogram
from analysis_service.core.statistics.placebo import learn, pairs_of
from analysis_service.core.statistics.placebo_runs import run_placebos
from analysis_service.core.statistics.plan import Calibration, Margin, Plan

EDGES = (25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


def arm(rng: np.random.Generator, looks: int, size: int, shock: float, phi: float) -> np.ndarray:
    """Lognormal(4, 1) observations per look and bucket; the arm's level moves as an AR(phi) of this deviation."""
    level, rows = 0.0, []
    for _ in range(looks):
        level = phi * level + math.sqrt(1 - phi * phi) * shock * rng.normal()
        values = np.exp(rng.normal(size=size) + 4.0 + level)
        rows.append(np.bincount(np.searchsorted(EDGES, values), minlength=len(EDGES) + 1))
    return np.array(rows, float)


@pytest.mark.parametrize(
    ("shock", "phi", "middle", "tail", "memory"),
    [
        (0.0, 0.0, (1.0, 1.1), (1.0, 1.1), (0.0, 0.0)),  # independent observations
        (0.4, 0.0, (1.5, 9.0), (1.0, 2.5), (0.0, 0.0)),  # shocks of one look: the middle moves, the tail hardly
        (0.4, 0.9, (1.5, 9.0), (1.0, 2.5), (0.8, 0.98)),  # the tail shares a memory that it cannot show
    ],
)
def test_noise_edge_by_edge(
    shock: float, phi: float, middle: tuple[float, float], tail: tuple[float, float], memory: tuple[float, float]
) -> None:
    rng = np.random.default_rng(7)
    found = calibrate_histogram(arm(rng, 720, 40, shock, phi), arm(rng, 720, 360, shock, phi), EDGES)
    assert found.points == 720
    assert middle[0] <= found.at_edge(50.0).dispersion <= middle[1]
    assert tail[0] <= found.at_edge(1000.0).dispersion <= tail[1]
    for edge in (50.0, 1000.0):
        assert memory[0] <= found.at_edge(edge).memory <= memory[1]
    assert found.at_edge(60.0) == found.at_edge(50.0)  # the nearest one


@pytest.mark.parametrize(
    "rows",
    [[], [Histogram((1.0,), (1, 1))] * 80, [Histogram((1.0, 2.0), (1, 1, 1)), Histogram((3.0, 4.0), (1, 1, 1))]],
    ids=["none", "one edge", "nothing in common"],
)
def test_histograms_that_teach_nothing(rows: list[Histogram]) -> None:
    assert calibrate_histograms(rows, rows) == Calibration()


def test_empty_intervals_are_left_out() -> None:
    full, empty = Histogram((1.0, 2.0), (5, 3, 1)), Histogram((1.0, 2.0), (0, 0, 0))
    assert calibrate_histograms([full] * 70 + [empty] * 5, [full] * 75).points == 70


def test_pods_that_drift_do_not_fail_their_placebos() -> None:
    """Told nothing of the noise, the same comparison fails many of them."""
    rng = np.random.default_rng(11)
    pods: list[list[ArmData | None]] = [
        [Histogram(EDGES, tuple(row)) for row in arm(rng, 240, 40, 0.3, 0.9).tolist()] for _ in range(4)
    ]

    def plan(calibration: Calibration) -> Plan:
        return Plan(test="sequential-histogram", margin=Margin(relative=0.5), planned_looks=60, calibration=calibration)

    ignorant = run_placebos(plan(Calibration(points=240)), list(pairs_of(pods, 1)))
    assert ignorant.rate is not None
    assert ignorant.rate >= 0.3
    found = learn(pods, 1, plan)
    assert found.sufficient
    assert found.placebo_false_alarm is not None
    assert found.placebo_false_alarm <= 0.1
    assert found.at_edge(50.0).dispersion * found.at_edge(50.0).long_run > 3.0
