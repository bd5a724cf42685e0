"""The text that a process shows under /metrics: the Prometheus format 0.0.4 and OpenMetrics 1.0, read for some series.

A page may have a hundred thousand lines of which a query means ten. So lines are looked for by name, and only
those are read; the rest of the page is never split. Sources: prometheus.io "Exposition formats", OpenMetrics 1.0.0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from providers.base import BadAnswer, TooLarge
from providers.selector import Selector

MAX_SERIES = 10_000  # taken from one page
MAX_LINE = 64 * 1024
MAX_LABELS = 128

STARTED = "process_start_time_seconds"
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")

_LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*(,|(?=\}))')
_QUOTED_NAME = re.compile(r'\{[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*(,|(?=\}))')
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_REST = re.compile(r"[ \t]+([^ \t#]+)(?:[ \t]+([^ \t#]+))?[ \t]*(?:#[ \t]*\{.*)?\Z")
_NUMBER = re.compile(
    r"(?:[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[Ii][Nn][Ff](?:inity)?|[Nn]a[Nn])\Z"
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}


@dataclass(frozen=True, slots=True)
class Series:
    """One line. `seconds` is the sample's own unix time, if it has one."""

    name: str
    labels: Mapping[str, str]
    value: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The series a selector means.

    types: family -> its type, in the page's words. started: `process_start_time_seconds`, if the page has it.
    known: the page has that metric, whether or not one of its series is meant.
    """

    series: tuple[Series, ...]
    types: Mapping[str, str]
    started: float | None
    known: bool


def read_page(body: bytes, selector: Selector, *, openmetrics: bool) -> Page:
    """The meant series of one page. A histogram named by its family gives its buckets, sum and count.

    Raises BadAnswer for what is no such page (as far as it was read), TooLarge above MAX_SERIES series.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadAnswer(f"not UTF-8 at byte {error.start + 1}", reason="Malformed") from None
    _look_at_the_first_line(text, openmetrics)
    if openmetrics and not text.rstrip("\r\n").endswith("# EOF"):
        raise BadAnswer("the page is cut: an OpenMetrics page ends with # EOF", reason="Malformed")
    types = dict(_types(text))
    started = next((s.value for s in _named(text, STARTED, openmetrics) if not s.labels), None)
    if _NAME.fullmatch(selector.name):
        names = [selector.name]
        if types.get(selector.name) == "histogram":
            names = [selector.name + part for part in HISTOGRAM_PARTS]
        found = (series for name in names for series in _named(text, name, openmetrics))
    else:
        found = (series for series in _all(text, openmetrics) if selector.takes_name(series.name))
    taken: list[Series] = []
    known = family_of(selector.name, types) != ""
    for series in found:
        known = True
        if selector.takes(series.labels):
            if len(taken) == MAX_SERIES:
                raise TooLarge(f"more than {MAX_SERIES:,} series; name fewer in the query".replace(",", " "))
            taken.append(series)
    return Page(tuple(taken), types, started, known)


def is_cumulative(name: str, types: Mapping[str, str]) -> bool:
    """Whether a series, or a histogram, only grows while its process lives. Without a type its name says so."""
    family = family_of(name, types)
    kind = types.get(family, "untyped")
    if kind in ("untyped", "unknown"):
        return name.endswith(("_total", "_bucket"))
    if kind == "summary":
        return name != family  # its sum and count; its quantiles are levels
    return kind in ("counter", "histogram") and not name.endswith("_created")


def family_of(name: str, types: Mapping[str, str]) -> str:
    """The family a series belongs to, "" if the page declares none. OpenMetrics calls that of a_total just `a`."""
    if name in types:
        return name
    stems = (name.removesuffix(suffix) for suffix in ("_total", "_created", *HISTOGRAM_PARTS) if name.endswith(suffix))
    return next((stem for stem in stems if stem in types), "")


def read_line(line: str, *, openmetrics: bool) -> Series:
    """One sample line. Raises BadAnswer with the beginning of the line."""
    if len(line) > MAX_LINE:
        raise BadAnswer(f"a line of {len(line)} characters; limit {MAX_LINE}", reason="Malformed")
    labels: dict[str, str] = {}
    at = 0
    if line.startswith("{"):  # {"name.with.dots",label="x"} 1
        quoted = _QUOTED_NAME.match(line)
        if quoted is None:
            raise _malformed(line)
        name, at, inside = _unescape(quoted[1]), quoted.end(), True
    else:
        plain = _NAME.match(line)
        if plain is None:
            raise _malformed(line)
        name, at = plain[0], plain.end()
        rest_of_line = line[at:].lstrip(" \t")
        if rest_of_line.startswith("{"):
            at = len(line) - len(rest_of_line)
        inside = line.startswith("{", at)
        at += inside
    while inside:
        label = _LABEL.match(line, at)
        if label is None:
            end = re.compile(r"[ \t]*\}").match(line, at)
            if end is None:
                raise _malformed(line)
            at = end.end()
            break
        if label[1] in labels or len(labels) >= MAX_LABELS:
            raise _malformed(line)
        labels[label[1]] = _unescape(label[2])
        at = label.end()
    rest = _REST.match(line, at)
    if rest is None:
        raise _malformed(line)
    return Series(name, labels, _number(rest[1], line), _seconds(rest[2], line, openmetrics))


def _named(text: str, name: str, openmetrics: bool) -> Iterator[Series]:
    """All lines of one name, found without looking at the others."""
    line_start = "\n" + name
    at = 0 if text.startswith(name) else text.find(line_start) + 1
    while at or text.startswith(name):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if text[at + len(name) : at + len(name) + 1] in ("{", " ", "\t"):
            yield read_line(text[at:end].rstrip("\r"), openmetrics=openmetrics)
        at = text.find(line_start, end) + 1
        if not at:
            return


def _all(text: str, openmetrics: bool) -> Iterator[Series]:
    for line in text.split("\n"):
        if line and not line.startswith("#") and not line.isspace():
            yield read_line(line.rstrip("\r"), openmetrics=openmetrics)


def _types(text: str) -> Iterator[tuple[str, str]]:
    at = text.find("# TYPE ")
    while at >= 0:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        words = text[at:end].split()
        if len(words) == 4 and (at == 0 or text[at - 1] == "\n"):
            yield words[2].strip('"'), words[3]
        at = text.find("# TYPE ", end)


def _look_at_the_first_line(text: str, openmetrics: bool) -> None:
    """Tells a page of another kind from metrics text in which the query finds nothing."""
    head = text[: 2 * MAX_LINE]
    line = next((line for line in head.split("\n") if line.strip()), "")
    if not line:
        raise BadAnswer("empty answer", reason="Malformed")
    if not line.startswith("#"):
        read_line(line.rstrip("\r"), openmetrics=openmetrics)


def _number(text: str, line: str) -> float:
    if len(text) > 350 or not _NUMBER.match(text):
        raise _malformed(line)
    return float(text)


def _seconds(text: str | None, line: str, openmetrics: bool) -> float | None:
    """Milliseconds in the old format, seconds in OpenMetrics."""
    if text is None:
        return None
    number = _number(text, line)
    return number if openmetrics else number / 1000


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), text) if "\\" in text else text


def _malformed(line: str) -> BadAnswer:
    return BadAnswer(f"not a line of metrics text: {line[:80]!r}", reason="Malformed")
