"""What a comparison says that looks at the split of the traffic alone."""

from datetime import UTC, datetime, timedelta

import pytest

from analysis_service.core.compare import state, telling
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.compare.state import Setup
from analysis_service.core.model import Metric, Phase
from analysis_service.core.statistics.looks import Counts, Look

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=30)
QUERY = {"web": {"url": "http://{{arm.v}}"}}


@pytest.mark.parametrize(
    ("configured", "over", "phase", "said"),
    [
        (
            20,
            False,
            Phase.FAILED,
            "split: 50% of the traffic goes to the canary; configured 20%; evidence for a wrong share 1 in more than a "
            "million; Failed at look 1; false-alarm chance at most 5%, all looks included. Seen: 500 on the canary, "
            "500 on stable, 1 look.",
        ),
        (50, False, Phase.RUNNING, "evidence for a wrong share none; not decided; false-alarm chance at most 5%"),
        # more traffic would not help
        (50, True, Phase.INCONCLUSIVE, "no wrong share was shown, and that it is right this test cannot show; false"),
    ],
)
def test_the_sentence_is_about_shares(configured: float, over: bool, phase: Phase, said: str) -> None:
    written = {
        "arms": {"canary": {"v": "c"}, "stable": {"v": "s"}},
        "counts": {"events": QUERY, "totals": QUERY},
        "test": "sample-ratio",
        "canaryWeight": configured,
        "maxDuration": "60s",
    }
    spec = parse(written, EVERY)
    setup = Setup("split", spec, plan_of(spec, 1.0))
    look = Look(1, START + EVERY, Counts(0.0, 500.0), Counts(0.0, 500.0), elapsed_seconds=30.0)
    _, told = state.step(setup, state.begin(setup), look)
    ending = telling.after_look(setup, Metric("split"), told, over=over)
    assert ending.phase is phase
    assert said in ending.reason
