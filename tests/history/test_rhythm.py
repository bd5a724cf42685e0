"""When recorded answers count: each at the look that it answered, although it came a little later."""

from itertools import accumulate

import pytest

from analysis_service.history.rhythm import in_step


@pytest.mark.parametrize(
    ("came", "every", "looks", "unit"),
    [
        # a few milliseconds after each look
        ([0.0, 2.001, 4.003, 6.0], 2, [0, 2, 4, 6], 2),
        # the first look of this metric waited for its look-back, others' did not
        ([1.0, 3.001, 5.0], 2, [0, 2, 4], 2),
        # the second waited: its time is the grid's all the same, and so is the third's
        ([0.0, 3.0, 4.0, 6.0, 8.0, 10.0], 2, [0, 2, 4, 6, 8, 10], 2),
        # so late that the third followed at once
        ([0.0, 2.0, 2.05, 3.0, 4.0, 5.0], 1, [0, 1, 2, 3, 4, 5], 1),
        # a look that could not be taken is a gap
        ([0.0, 30.0, 90.2, 120.1], 30, [0, 30, 90, 120], 30),
        ([90.2, 120.1], 30, [90, 120], 30),
        # a second answer within a look's time: the same look
        ([0.0, 2.0, 4.0, 4.4, 6.0], 2, [0, 2, 4, 4, 6], 2),
        # asked more often, and less often, than it was recorded
        ([0.0, 2.0, 4.01], 1, [0, 2, 4], 2),
        ([0.0, 2.0, 4.01, 6.0], 4, [0, 2, 4, 6], 2),
        # another rhythm: nothing is moved
        ([0.0, 2.0, 4.01], 3, [0, 2, 4.01], 0),
        # what came before the start stays before it
        ([-3.99, -2.01, 0.01, 2.0], 2, [-4, -2, 0, 2], 2),
        ([-4.0, -2.0], 2, [-4.0, -2.0], 0),
        # one answer, none
        ([0.3], 2, [0], 2),
        ([], 2, [], 0),
    ],
)
def test_in_step(came: list[float], every: float, looks: list[float], unit: float) -> None:
    found, seconds = in_step(came, 0.0, every)
    assert found == pytest.approx(looks)
    assert seconds == unit


def test_measurements_that_drift_leave_no_gap() -> None:
    """Argo's interval begins when the measurement before is done: 200 of them drift by four intervals."""
    came = list(accumulate([1.02] * 200, initial=0.0))
    assert in_step(came, 0.0, 1.0)[0] == pytest.approx(list(range(201)))
