"""Named places where a test can end this process as a crash would.

`TIDEGATE_FAIL_AT=after_cas` ends it at the first passage of that place, `after_cas:7` at the seventh, and only
with `TESTING=1`. Where it is off, `load` gives None and the hot path pays one comparison.

`TIDEGATE_BROKEN=fence` switches a guard off, so that the tests which rely on it can be seen to fail.
"""

import os
from collections.abc import Callable, Mapping

Failpoint = Callable[[str], None]


def load(environment: Mapping[str, str]) -> Failpoint | None:
    """The armed failpoint of this environment, if any. Raises ValueError for a count that is none."""
    if environment.get("TESTING") != "1":
        return None
    name, _, count = environment.get("TIDEGATE_FAIL_AT", "").partition(":")
    if not name:
        return None
    remaining = int(count or "1")

    def reached(place: str) -> None:
        nonlocal remaining
        if place == name:
            remaining -= 1
            if remaining == 0:
                os._exit(9)

    return reached


def broken(environment: Mapping[str, str], guard: str) -> bool:
    """Whether a test asked for this guard to be off."""
    return environment.get("TESTING") == "1" and environment.get("TIDEGATE_BROKEN") == guard
