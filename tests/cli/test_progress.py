"""What is said on standard error while a run goes on."""

import pytest

from analysis_service.cli.progress import Lines
from analysis_service.core.model import Measurement, MetricResult, Phase, Run, RunSpec


def at_look(looks: int, *, missed: int = 0, phase: Phase = Phase.RUNNING, forecast: str = "") -> Run:
    metadata = {"looks": str(looks)} if looks else {}
    if forecast:
        metadata["forecast"] = forecast
    reason = "errors: a look could not be taken" if missed else f"errors: x1.{looks} of stable. {forecast}".rstrip(". ")
    one = Measurement(phase, 0, value=f"x1.{looks}", metadata=metadata, reason=reason, missed=missed)
    return Run("id", "n", "run", RunSpec(()), results=(MetricResult("errors", phase, measurements=(one,)),))


def said(capsys: pytest.CaptureFixture[str], *runs: Run) -> list[str]:
    lines = Lines()
    for run in runs:
        lines.update(run)
    return capsys.readouterr().err.splitlines()


def test_a_comparison_is_heard_of_at_looks_that_double(capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty minutes of silence look like a hanging pipeline; forty lines are read by nobody."""
    heard = said(capsys, *(at_look(n // 2) for n in range(41)))  # an update may come without a look
    assert [line.split("  ")[1] for line in heard] == [f"look {n}" for n in (1, 2, 4, 8, 16)]
    assert heard[0] == "◌ errors  look 1  x1.1  x1.1 of stable"


def test_a_forecast_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    heard = said(capsys, at_look(0), *(at_look(n, forecast="20 looks find x2 or more") for n in (0, 1, 1)))
    assert heard == ["◌ errors  20 looks find x2 or more", "◌ errors  look 1  x1.1  x1.1 of stable."]


def test_a_backend_that_fails_is_said_once_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [at_look(1), at_look(2), at_look(3, missed=1), at_look(4, missed=2), at_look(5), at_look(6, missed=1)]
    heard = said(capsys, *runs, at_look(7, phase=Phase.SUCCESSFUL))
    looks = [line.split("  ")[1] for line in heard[:-2]]
    assert looks == ["look 1", "look 2", "look 3", "look 4", "look 6"]  # the fourth is due
    assert "a look could not be taken" in heard[2]
    assert heard[-1] == "✔ errors: Successful"
