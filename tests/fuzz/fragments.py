"""Valid JSON made of fuzzer's bytes: C parsers give no coverage, so random text would hardly ever get past them."""

import json
from collections.abc import Sequence

LEAVES = ("null", "true", "0", "-1.5", "1e400", "1598867925000", '""', '"group"', '"number"', '"x<y"', '"\\ud800"')
MAX_DEPTH = 8


class Bytes:
    """Hands out choices, one byte each; zeros when there is nothing left, which ends every structure."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def choose(self, count: int) -> int:
        self._at += 1
        return self._data[self._at - 1] % count if self._at <= len(self._data) else 0


def fragment(data: Bytes, keys: Sequence[str], depth: int = 0) -> str:
    """Any JSON value; its maps have some of `keys`, now and then one of them twice."""
    kind = data.choose(len(LEAVES) + 6)
    if kind < len(LEAVES) or depth >= MAX_DEPTH:
        return LEAVES[kind % len(LEAVES)]
    items = [fragment(data, keys, depth + 1) for _ in range(data.choose(4))]
    if kind < len(LEAVES) + 3:
        return f"[{','.join(items)}]"
    return "{" + ",".join(f"{json.dumps(keys[data.choose(len(keys))])}:{item}" for item in items) + "}"
