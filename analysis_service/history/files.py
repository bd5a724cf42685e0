"""Past data in CSV or Parquet files.

Long form: a column `timestamp` (RFC 3339, or seconds or milliseconds since 1970) and a column `value`; `metric`, `arm`
(canary, stable, history) and `part` (events, totals, buckets, level) say what a row belongs to; every other column is a
label (`pod`, `le`). Wide form: every column but `timestamp` is a series, named as Prometheus would,
`errors{arm="canary",part="events",pod="a"}`, or plainly `errors`, or `errors.canary.events`.

A series without a metric, an arm or a part answers for any: one column of numbers is enough for one plain metric.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis_service.history.base import Asked, Frame, Series, is_scalar
from analysis_service.history.frames import cut, name_of, series_of, spacing
from providers.base import BadQuery, NoData

if TYPE_CHECKING:
    import pandas as pd

TIME_COLUMNS = ("timestamp", "time", "at", "date")
PLACE = ("metric", "arm", "part")  # labels that say what a series belongs to; never handed on
PARTS = ("events", "totals", "buckets", "level")
ARMS = ("canary", "stable", "history")
_LABELS = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|\Z)')


class FileHistory:
    """Reads each file once, at the first question."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises BadQuery: a file that cannot be read, or is no table of times and values."""
        self._series = tuple(one for path in paths for one in read_table(path))

    @property
    def span(self) -> tuple[float, float]:
        """First and last time, in seconds."""
        ends = [(one.times[0], one.times[-1]) for one in self._series if one.times]
        if not ends:
            raise NoData("the files hold no values")
        return min(first for first, _ in ends), max(last for _, last in ends)

    @property
    def spacing(self) -> timedelta:
        return min((spacing(one) for one in self._series if len(one.times) > 1), default=timedelta())

    @property
    def series(self) -> tuple[Series, ...]:
        return self._series

    def range(self, asked: Asked, start: datetime, end: datetime, step: timedelta) -> Frame:
        found = [one for one in self._series if _belongs(one.labels, asked)]
        if not found:
            held = ", ".join(sorted({name_of(one.labels) for one in self._series})[:6])
            raise NoData(f"the files have no series for {asked}; they have {held or 'none'}")
        reach = max([step, *(spacing(one) for one in found)])
        kept = tuple(
            Series({k: v for k, v in one.labels.items() if k not in (*PLACE, "__name__")}, one.times, one.values)
            for one in (cut(one, start - reach, end) for one in found)
        )
        return Frame(kept, start, end, step, reach, is_scalar(asked.provider))

    def close(self) -> None:
        return None


def _belongs(labels: Mapping[str, str], asked: Asked) -> bool:
    wanted = {"metric": asked.metric, "arm": asked.arm, "part": asked.part}
    return all(key not in labels or labels[key] == value for key, value in wanted.items())


def read_table(path: Path) -> list[Series]:
    """All series of a CSV or Parquet file. Raises BadQuery."""
    table = _load(path)
    times = next((c for c in table.columns if str(c).strip().lower() in TIME_COLUMNS), None)
    if times is None:
        raise BadQuery(
            f"{path}: no column of times; want one of {', '.join(TIME_COLUMNS)}, found {', '.join(map(str, table))}"
        )
    seconds = _seconds(table[times], path)
    columns = [c for c in table.columns if c != times]
    if not columns:
        raise BadQuery(f"{path}: a column of times and no other; want a column of values")
    if "value" in columns:
        return _long(table, seconds, [c for c in columns if c != "value"], path)
    return [series_of(parse_name(str(c)), seconds, _numbers(table[c], path)) for c in columns]


def _load(path: Path) -> "pd.DataFrame":
    import pandas as pd

    kind = path.suffix.lower()
    try:
        if kind in (".parquet", ".pq"):
            if find_spec("pyarrow") is None:
                remedy = "which is not installed (pip install pyarrow); CSV always works"
                raise BadQuery(f"{path}: Parquet files need pyarrow, {remedy}")
            return pd.read_parquet(path).reset_index()
        return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except FileNotFoundError:
        raise BadQuery(f"{path} does not exist") from None
    except OSError as error:
        raise BadQuery(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, UnicodeError) as error:  # pandas' own parser errors are ValueErrors
        raise BadQuery(f"{path} is no table: {str(error).splitlines()[0][:200]}") from None


def _long(table: "pd.DataFrame", seconds: list[float], labels: list[str], path: Path) -> list[Series]:
    values = _numbers(table["value"], path)
    keys = [table[label].astype(str).str.strip().tolist() for label in labels]
    groups: dict[tuple[str, ...], tuple[list[float], list[float]]] = {}
    for row, key in enumerate(zip(*keys, strict=True) if keys else [()] * len(values)):
        times, found = groups.setdefault(key, ([], []))
        times.append(seconds[row])
        found.append(values[row])
    return [
        series_of({name: text for name, text in zip(labels, key, strict=True) if text != ""}, times, found)
        for key, (times, found) in groups.items()
    ]


def parse_name(text: str) -> dict[str, str]:
    """`errors{arm="canary"}`, `errors.canary.events` or `errors`: the labels it stands for."""
    name, brace, rest = text.strip().partition("{")
    labels: dict[str, str] = {}
    if brace:
        inside, at = rest.rstrip().removesuffix("}"), 0
        while at < len(inside.rstrip()):
            match = _LABELS.match(inside, at)
            if match is None:
                raise BadQuery(f'the column {text[:80]!r} is no series name; want name{{label="value",...}}')
            labels[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
            at = match.end()
    words = name.strip().split(".")
    while len(words) > 1 and words[-1] in (*PARTS, *ARMS):
        labels.setdefault("part" if words[-1] in PARTS else "arm", words[-1])
        words.pop()
    if len(words) == 1 and words[0] in ARMS and "arm" not in labels:
        return {"arm": words[0], **labels}
    if name.strip() and name.strip() != "value":
        labels.setdefault("metric", ".".join(words))
    return labels


def _seconds(column: "pd.Series[Any]", path: Path) -> list[float]:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    if not numbers.isna().any():
        found = [float(v) for v in numbers]
        # seconds of the year 5138 would be milliseconds of today: nobody measures there
        return [v / 1000.0 for v in found] if found and max(found) > 1e11 else found
    times = pd.to_datetime(column, utc=True, errors="coerce", format="mixed")
    wrong = times.isna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise BadQuery(f"{path}:{row + 2}: {str(column.iloc[row])[:40]!r} is no time; want 2026-01-02T03:04:05Z")
    return [float(t.timestamp()) for t in times]


def _numbers(column: "pd.Series[Any]", path: Path) -> list[float]:
    """Empty cells and NaN are gaps. Raises BadQuery for anything else that is no number."""
    found: list[float] = []
    for row, cell in enumerate(column):
        text = str(cell).strip()
        if text in ("", "null", "None", "<NA>"):
            found.append(float("nan"))
            continue
        try:
            found.append(float(text))
        except ValueError:
            raise BadQuery(
                f"{path}:{row + 2}: {text[:40]!r} in column {str(column.name)[:40]!r} is no number"
            ) from None
    return found
