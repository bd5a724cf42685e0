"""What a finished analysis run means for the rollout it belongs to."""

from dataclasses import dataclass
from enum import StrEnum

from analysis_service.core.model import Phase


class Kind(StrEnum):
    """Where in a rollout the run stands; the value is the word of Argo's message."""

    STEP = "Step-based"
    BACKGROUND = "Background"
    PRE_PROMOTION = "Blue/green pre-promotion"
    POST_PROMOTION = "Blue/green post-promotion"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rollout does: phase Healthy, Progressing, Paused or Degraded; why, in Argo's words."""

    phase: str
    reason: str = ""
    message: str = ""


def outcome(kind: Kind, run: Phase, message: str = "", *, fully_promoted: bool = False) -> Outcome:
    """What `run` ending in that phase does to its rollout.

    Inconclusive pauses it and asks a person; Failed and Error abort it. Once the rollout is fully promoted its run is
    only being ended, and its phase changes nothing any more.
    """
    if fully_promoted:
        return Outcome("Healthy")
    if run is Phase.INCONCLUSIVE:
        return Outcome("Paused", "InconclusiveAnalysisRun")
    if run in (Phase.FAILED, Phase.ERROR):
        text = f"{kind.value} analysis phase error/failed"
        return Outcome("Degraded", "RolloutAborted", f"{text}: {message}" if message else text)
    return Outcome("Progressing")
