"""What is imported at start need not be imported while looks wait for it."""

import subprocess
import sys

CODE = """
import sys
from datetime import UTC, datetime, timedelta

from analysis_service.core.compare import looking

looking.warm_up()
warm = set(sys.modules)

from analysis_service.core.compare import foresight, state, telling
from analysis_service.core.compare.spec import parse, plan_of
from analysis_service.core.model import Metric
from analysis_service.core.statistics.looks import Counts, Gauge, Histogram, Look

QUERY = {"prometheus": {"query": "{{arm.v}}"}}
DATA = {
    "counts": lambda k: Counts(k, 100.0),
    "gauge": lambda k: Gauge(10.0 + (7 * k) % 5),
    "histogram": lambda k: Histogram((1.0, 2.0), (30.0, 20.0, k)),
}
for shape, data in DATA.items():
    written = {shape: {"events": QUERY, "totals": QUERY} if shape == "counts" else QUERY}
    arms = {"canary": {"v": "c"}, "stable": {"v": "s"}}
    spec = parse({"arms": arms, "margin": {"relative": 0.5}, "maxDuration": "20m", **written}, timedelta(seconds=30))
    setup = state.Setup("m", spec, plan_of(spec, 1.0))
    now = state.begin(setup)
    for k in range(1, 21):
        now, told = state.step(setup, now, Look(k, datetime(2026, 1, 1, tzinfo=UTC), data(k), data(2 * k)))
        telling.after_look(setup, Metric("m"), told, over=False)
    assert foresight.foresee(setup, now) is not None
print(*sorted(set(sys.modules) - warm))
"""


def test_the_usual_looks_import_nothing_more() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.split() == []
