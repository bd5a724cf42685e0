"""What a comparison notes in its measurement's metadata from look to look: the settings, the newest look, the forecast.

The metadata are saved together with the look, so what stands there belongs to it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from analysis_service.core.compare import interval
from analysis_service.core.compare.spec import READINGS
from analysis_service.core.model import Look, Measurement
from analysis_service.core.statistics.plan import Plan

if TYPE_CHECKING:
    from analysis_service.core.compare.looking import Looked
    from analysis_service.core.compare.state import Setup
    from analysis_service.core.statistics.outlook import Outlook

PLAN = "compare.plan"  # the settings, fixed before the first look
WAITING = "compare.waiting"  # looks taken before the settings were known
LAST_LOOK = "compare.lastLook"  # number and time of the last look: says which state belongs to it
FORECAST = "forecast"  # what the comparison can find in its time, in words
OUTLOOK = "compare.forecast"  # the same as data
NEXT_LOOK = "compare.nextLook"  # when the next look is due, while the measurement is resumed before it for its forecast
GUARANTEE = "guarantee"
SAMPLE_RATIO = "sampleRatio"  # whether routing delivers the configured share, as of the last look

_encode = msgspec.json.Encoder().encode


def memory(base: Measurement) -> interval.Memory:
    text = base.metadata.get(READINGS, "")
    return interval.load(text) if text else interval.Memory()


def plan(base: Measurement) -> Plan | None:
    """The settings as they were fixed before the first look."""
    text = base.metadata.get(PLAN, "")
    return msgspec.json.decode(text, type=Plan) if text else None


def with_plan(metadata: Mapping[str, str], plan: Plan) -> dict[str, str]:
    """The settings are written once: they never change, and some are long."""
    return {**metadata} if PLAN in metadata else {PLAN: msgspec.json.encode(plan).decode(), **metadata}


def told(metadata: Mapping[str, str], found: "Looked | None", newest: Look) -> dict[str, str]:
    """The metadata after a look. found: what the last look that was not missed came to; newest: the last of all."""
    after = {**metadata, **counted(newest)}
    if found is not None:
        after |= {GUARANTEE: found.guarantee, **({SAMPLE_RATIO: found.sample_ratio} if found.sample_ratio else {})}
    return after


def counted(newest: Look) -> dict[str, str]:
    return {LAST_LOOK: f"{newest.number} {newest.at.isoformat()}", "looks": str(newest.number)}


def number(mark: str) -> int:
    """Of the look that LAST_LOOK names; 0 before the first."""
    return int(mark.split()[0]) if mark else 0


def with_forecast(setup: "Setup", metadata: Mapping[str, str], outlook: "Outlook | None") -> dict[str, str]:
    """With the newest forecast, as data and in words."""
    from analysis_service.core.compare import foresight

    data = _encode(outlook).decode() if outlook is not None else ""
    if outlook is None or metadata.get(OUTLOOK) == data:
        return {**metadata}
    return {**metadata, FORECAST: foresight.told(setup, outlook), OUTLOOK: data}


def outlook(metadata: Mapping[str, str]) -> "Outlook | None":
    from analysis_service.core.statistics.outlook import Outlook

    text = metadata.get(OUTLOOK, "")
    return msgspec.json.decode(text, type=Outlook) if text else None


def next_look(metadata: Mapping[str, str]) -> datetime | None:
    text = metadata.get(NEXT_LOOK, "")
    return datetime.fromisoformat(text) if text else None


def at_end(metadata: Mapping[str, str]) -> dict[str, str]:
    """Without what only the next look would need."""
    return {key: text for key, text in metadata.items() if key not in (READINGS, WAITING, NEXT_LOOK)}
