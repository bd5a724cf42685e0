"""JSON and numbers as Go writes and reads them: a measurement's `value` is text that other tools compare.

Reading differs from Go in what it refuses: bytes that are not UTF-8, and nesting deeper than MAX_DEPTH.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

MAX_DEPTH = 100  # far deeper than any API answers, far shallower than where recursion would hurt
MAX_NUMBER_CHARACTERS = 400  # no float64 needs that many to be told from its neighbours

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
# Go escapes <, > and & so that its output may stand in HTML, and the two separators JavaScript ends lines at.
_SPECIAL = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(ValueError):
    """The text is not JSON that we read; the message says why, without the text."""


class NotRead(NotJson):
    """It may well be JSON, but not such as we read: not UTF-8, too deep, a number out of range."""


class Unsupported(ValueError):
    """The value cannot be written as JSON, in Go's words."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """value: None, bool, float, str, list or dict; every number is a float, as in Go.

    duplicates: keys that stood twice in one object; the last one won.
    """

    value: Any
    duplicates: tuple[str, ...] = ()


def decode(body: bytes) -> Decoded:
    """One JSON text. Raises NotJson."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotRead(f"not UTF-8 at byte {error.start + 1}") from None
    if not text.strip(" \t\r\n"):
        raise NotJson("empty answer")
    if text.startswith("\ufeff"):
        raise NotJson("it starts with a byte order mark")
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            for key, _ in items:
                if key in seen and key not in duplicates:
                    duplicates.append(key)
                seen.add(key)
        return found

    try:
        value = json.loads(
            text, object_pairs_hook=pairs, parse_float=_number, parse_int=_number, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotRead(f"nested deeper than {MAX_DEPTH} levels") from None
    if depth_exceeds(value, MAX_DEPTH):
        raise NotRead(f"nested deeper than {MAX_DEPTH} levels")
    if "\\u" in text:  # only an escape can bring in half a surrogate pair
        value = _scrub(value)
    return Decoded(value, tuple(duplicates))


def _number(literal: str) -> float:
    if len(literal) >= MAX_NUMBER_CHARACTERS:
        raise NotRead(f"a number of {len(literal)} characters")
    number = float(literal)
    if math.isinf(number):
        raise NotRead(f"the number {literal[:30]} is out of range")
    return number


def _constant(literal: str) -> NoReturn:
    raise NotJson(f"{literal} is not a JSON value")


def _scrub(value: Any) -> Any:
    """Half of a surrogate pair becomes U+FFFD, as in Go; such a string could not even be written to a store."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_scrub(item) for item in value]
    if isinstance(value, dict):
        return {_LONE_SURROGATE.sub("\ufffd", key): _scrub(item) for key, item in value.items()}
    return value


def depth_exceeds(value: Any, limit: int) -> bool:
    """Whether lists and maps are nested more than `limit` deep; without recursion."""
    level = [value] if isinstance(value, list | dict) else []
    depth = 0
    while level:
        depth += 1
        if depth > limit:
            return True
        below: list[Any] = []
        for box in level:
            inside = box.values() if isinstance(box, dict) else box
            below.extend(item for item in inside if isinstance(item, list | dict))
        level = below
    return False


def encode(value: Any) -> str:
    """As json.Marshal writes it: keys sorted, no spaces, shortest floats. Raises Unsupported for all JSON cannot say.

    value: what `decode` gives, and whole numbers.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _json_float(value)
    if isinstance(value, Mapping):
        # Go sorts by bytes of UTF-8, Python by code point: the same order.
        items = sorted(value.items(), key=lambda item: str(item[0]))
        return "{" + ",".join(f"{_string(str(key))}:{encode(item)}" for key, item in items) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "[" + ",".join(map(encode, value)) + "]"
    raise Unsupported(f"json: unsupported type: {type(value).__name__}")


def _string(text: str) -> str:
    return f'"{_SPECIAL.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _ESCAPES.get(character) or f"\\u{ord(character):04x}"


def _json_float(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        raise Unsupported(f"json: unsupported value: {shortest(value)}")
    size = abs(value)
    if size != 0 and (size < 1e-6 or size >= 1e21):
        return _scientific(value)
    return shortest(value)


def shortest(value: float) -> str:
    """The fewest digits that read back as the same number, never with an exponent; NaN, +Inf, -Inf.

    As strconv.FormatFloat(value, 'f', -1, 64).
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" not in text:
        return text.removesuffix(".0")
    sign, digits, exponent = _parts(text)
    point = exponent + 1  # how many digits stand before the decimal point
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _scientific(value: float) -> str:
    """d.ddde±x of a finite number other than 0, with the fewest digits."""
    sign, digits, exponent = _parts(repr(value))
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent)}"


def _parts(text: str) -> tuple[str, str, int]:
    """(sign, digits without outer zeros, exponent of the first digit) of a repr."""
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    first = len(whole) - 1 - (len(whole + fraction) - len(digits))
    return sign, digits.rstrip("0") or "0", first + int(exponent or 0)


def quote(text: str) -> str:
    """Text in double quotes as Go's %q writes it."""
    out = []
    for character in text:
        if character in '"\\':
            out.append("\\" + character)
        elif character.isprintable():
            out.append(character)
        else:
            code = ord(character)
            named = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}.get(code)
            width = f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
            out.append(named or width)
    return '"' + "".join(out) + '"'
