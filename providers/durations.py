"""Go durations ("1m30s", "300ms", "-1.5h"), read as Go reads them and refused in Go's words."""

import re
from decimal import Decimal

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(?P<number>[0-9]*(?:\.[0-9]*)?)(?P<unit>[^0-9.]*)")
_LARGEST = 2**63 - 1


def parse_seconds(text: str) -> float:
    """A Go duration in seconds.

    Raises ValueError with the message of Go's time.ParseDuration: `time: invalid duration "??"`.
    """
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    total = 0
    while rest:
        match = _PART.match(rest)
        if match is None or match["number"] in ("", "."):
            raise ValueError(f"time: invalid duration {quoted(text)}")
        if not match["unit"]:
            raise ValueError(f"time: missing unit in duration {quoted(text)}")
        scale = _NANOSECONDS.get(match["unit"])
        if scale is None:
            raise ValueError(f"time: unknown unit {quoted(match['unit'])} in duration {quoted(text)}")
        total += int(Decimal("0" + match["number"]) * scale)
        rest = rest[match.end() :]
    if total > _LARGEST:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    return sign * total / 1e9


def quoted(text: str) -> str:
    """Text in double quotes as Go's %q would print the usual cases; what is long is cut."""
    inner = text[:80].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{inner}"'
