"""Which series of a metrics page are meant: `http_requests_total{code=~"5..",method!="GET"}`, as PromQL writes it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from providers.base import BadQuery

LONGEST = 4096  # characters of a selector

_NAME = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*")
_MATCHER = re.compile(
    r"""\s*(?P<label>[a-zA-Z_][a-zA-Z0-9_]*)\s*(?P<op>=~|!~|!=|=)\s*"""
    r"""(?:"(?P<double>[^"\\\n]*(?:\\.[^"\\\n]*)*)"|'(?P<single>[^'\\\n]*(?:\\.[^'\\\n]*)*)')\s*"""
)
_END = re.compile(r"\s*\}\s*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """equal_to: the one value taken, if the operator is `=`."""

    label: str
    takes: Callable[[str], bool]
    equal_to: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """name: the one metric name meant, or "" where `__name__` is matched otherwise. A missing label is ""."""

    name: str
    matchers: tuple[Matcher, ...]

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with these labels is meant; its name was compared before."""
        return all(m.takes(labels.get(m.label, "")) for m in self.matchers if m.label != "__name__")

    def takes_name(self, name: str) -> bool:
        if self.name and name != self.name:
            return False
        return all(m.takes(name) for m in self.matchers if m.label == "__name__")


def parse_selector(text: str) -> Selector:
    """Raises BadQuery with the column and what was expected there."""
    if len(text) > LONGEST:
        raise BadQuery(f"query: {len(text)} characters; limit {LONGEST}")
    start = _NAME.match(text)
    assert start is not None  # it matches nothing, too
    name, at = start[1] or "", start.end()
    found: list[Matcher] = []
    if at < len(text) and text[at] == "{":
        at += 1
        while not (end := _END.match(text, at)):
            matcher = _MATCHER.match(text, at)
            if matcher is None:
                raise BadQuery(_expected(text, at, 'label="value", or "}"'))
            found.append(_matcher(text, matcher))
            at = matcher.end()
            if at < len(text) and text[at] == ",":
                at += 1
            elif not text.startswith("}", at):
                raise BadQuery(_expected(text, at, '"," or "}"'))
        at = end.end()
    if at < len(text):
        raise BadQuery(_expected(text, at, "the end; a selector has no functions or operators"))
    names = [matcher for matcher in found if matcher.label == "__name__"]
    if not name and not names:
        raise BadQuery('query: name the metric, such as http_requests_total{code=~"5.."}')
    if not name and len(names) == 1:
        name = names[0].equal_to
    return Selector(name, tuple(found))


def _matcher(text: str, written: re.Match[str]) -> Matcher:
    label, value, op = written["label"], _unquote(written), written["op"]
    if op == "=":
        return Matcher(label, value.__eq__, value)
    if op == "!=":
        return Matcher(label, value.__ne__)
    import re2  # the user's pattern runs in linear time, whatever it is; loaded only where there is one

    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(value, options)
    except re2.error:
        where = "double" if written["double"] is not None else "single"
        raise BadQuery(_expected(text, written.start(where), "a regular expression (RE2)")) from None
    if op == "=~":
        return Matcher(label, lambda found: pattern.fullmatch(found) is not None)
    return Matcher(label, lambda found: pattern.fullmatch(found) is None)


def _unquote(matcher: re.Match[str]) -> str:
    quoted = matcher["double"] if matcher["double"] is not None else matcher["single"]
    # an unknown escape stays as it is: "\\." and "\." both reach the regular expression
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), str(quoted))


def _expected(text: str, at: int, what: str) -> str:
    return f"query: column {at + 1}: expected {what}, found {text[at : at + 20]!r}"
