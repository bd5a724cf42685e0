"""What an interval of the look-back brought, all processes together."""

import pytest

from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram
from analysis_service.core.statistics.plan import Traffic
from analysis_service.core.statistics.traffic import traffic

EDGES = (1.0, 2.0)


@pytest.mark.parametrize(
    ("pods", "canary_pods", "found"),
    [
        # two processes, two intervals; the canary is a third process
        (
            [[Counts(1, 100), Counts(3, 100)], [Counts(2, 50), Counts(2, 50)]],
            1,
            Traffic(events=4.0, total=150.0, canary_share=1 / 3),
        ),
        # one process was down for an interval: the traffic went to the other
        ([[Counts(1, 100), None], [Counts(2, 50), Counts(3, 150)]], 2, Traffic(3.0, 150.0, 0.5)),
        # nobody was there in the second interval: that is a gap of the history, not of the traffic
        ([[Counts(1, 100), None]], 1, Traffic(1.0, 100.0, 0.5)),
        # a sum over processes: nobody knows which part will be the canary's
        ([[Counts(1, 100)]], None, Traffic(1.0, 100.0, None)),
        (
            [[Histogram(EDGES, (4, 2, 0))], [Histogram(EDGES, (2, 2, 1))]],
            2,
            Traffic(total=11.0, canary_share=0.5, edges=EDGES, counts=(6.0, 4.0, 1.0)),
        ),
        # only what all share can be added up
        (
            [[Histogram(EDGES, (4, 2, 0))], [Histogram((1.0, 1.5, 2.0), (2, 1, 1, 1))]],
            2,
            Traffic(total=11.0, canary_share=0.5, edges=EDGES, counts=(6.0, 4.0, 1.0)),
        ),
        ([[Histogram((1.0,), (4, 2))]], 1, None),
        ([[Gauge(1.0)]], 1, None),
        ([[None, None]], 1, None),
        ([], 1, None),
    ],
)
def test_traffic(pods: list[list[ArmData | None]], canary_pods: int | None, found: Traffic | None) -> None:
    assert traffic(pods, canary_pods) == found
