"""promtool's series notation: `1+2x5`, `0x10`, `3-1x4`, `_`, `_x3`, `stale`, and plain numbers, separated by blanks.

`a+bxn` is a, a+b, ..., n + 1 values, as promtool has it; `axn` is n + 1 times a; `_xn` is n gaps. `stale` ends the
series until the next number: here too a gap.
"""

import re

LONGEST = 1_000_000
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[Ii]nf|[Nn]a[Nn]"
_TERM = re.compile(rf"(?P<first>{_NUMBER})(?:(?P<step>[+-](?:{_NUMBER.replace('[+-]?', '')}))?x(?P<times>[0-9]+))?\Z")
_GAP = re.compile(r"_(?:x(?P<times>[0-9]+))?\Z")


class NotationError(ValueError):
    """What is wrong with a series, and what would work."""


def parse_values(text: str) -> list[float | None]:
    """The values, None for a gap. Raises NotationError."""
    values: list[float | None] = []
    for word in text.split():
        if word == "stale":
            values.append(None)
        elif gap := _GAP.match(word):
            values += [None] * _count(gap["times"] or "1", word)
        elif term := _TERM.match(word):
            first, step = float(term["first"]), float(term["step"] or 0.0)
            count = 0 if term["times"] is None else _count(term["times"], word)
            values += [first + step * k for k in range(count + 1)]
        else:
            raise NotationError(
                f"{word[:40]!r} is no series: want a number, a+bxn or axn (n + 1 values), _ or _xn (gaps), or stale"
            )
        if len(values) > LONGEST:
            raise NotationError(f"more than {LONGEST} values")
    if not values:
        raise NotationError("a series without values")
    return values


def _count(text: str, word: str) -> int:
    if len(text) > 7 or int(text) > LONGEST:
        raise NotationError(f"{word[:40]!r}: more than {LONGEST} values")
    return int(text)
