"""Builtins on texts, and how Go prints values."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from analysis_service.core.timing import format_duration

from .admit import admit
from .budget import Frame, charge, text_of, too_much
from .demand import is_list, string, to_int
from .errors import ExpressionError
from .kinds import Strings, Value, go_type
from .limits import DATA_DEPTH, LIST_ITEMS, TEXT_CHARACTERS

_SPACE = "\t\n\v\f\r \x85\xa0"


def format_float(value: float, low: int = -4, high: int = 6) -> str:
    """The shortest text that reads back as `value`; an exponent below 10**low and from 10**high, as Go's %v has it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    digits, _, tail = repr(value).partition("e")
    sign, digits = ("-", digits[1:]) if digits[0] == "-" else ("", digits)
    whole, _, fraction = digits.partition(".")
    fraction = "" if fraction == "0" else fraction
    significant = (whole + fraction).lstrip("0")
    point = len(whole) + int(tail or "0") - (len(whole + fraction) - len(significant))
    significant = significant.rstrip("0")
    if not significant:
        return sign + "0"
    exponent = point - 1
    if low <= exponent < high:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{significant}"
        if point >= len(significant):
            return sign + significant + "0" * (point - len(significant))
        return f"{sign}{significant[:point]}.{significant[point:]}"
    mantissa = significant[0] + ("." + significant[1:] if len(significant) > 1 else "")
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def go_text(value: Value) -> str:
    """What Go's %v prints: [1 2], map[a:1], <nil>."""
    parts: list[str] = []
    _print(value, parts, DATA_DEPTH * 2)
    return "".join(parts)


def _print(value: Value, parts: list[str], depth: int) -> None:
    if depth < 0:
        raise ExpressionError("DataTooDeep", f"data nested deeper than {DATA_DEPTH}")
    if len(parts) > TEXT_CHARACTERS:
        raise too_much(f"a text of more than {TEXT_CHARACTERS} characters")
    if value is None:
        parts.append("<nil>")
    elif value is True or value is False:
        parts.append("true" if value else "false")
    elif type(value) is float:
        parts.append(format_float(value))
    elif is_list(value):
        parts.append("[")
        for i, item in enumerate(value):
            if i:
                parts.append(" ")
            _print(item, parts, depth - 1)
        parts.append("]")
    elif type(value) is dict:
        parts.append("map[")
        for i, key in enumerate(_sorted_keys(value)):
            if i:
                parts.append(" ")
            _print(key, parts, depth - 1)
            parts.append(":")
            _print(value[key], parts, depth - 1)
        parts.append("]")
    elif type(value) is datetime:
        name = value.tzname() or ""
        fraction = f".{value.microsecond:06d}".rstrip("0").rstrip(".")
        parts.append(f"{value:%Y-%m-%d %H:%M:%S}{fraction} {value:%z} {name}")
    elif type(value) is timedelta:
        parts.append(format_duration(value))
    else:
        parts.append(str(value))


def _sorted_keys(value: dict[Value, Value]) -> list[Value]:
    return sorted(value, key=lambda k: (type(k).__name__, k if isinstance(k, str) else str(k)))


def length(value: Value) -> int:
    """len(x): characters, items or keys."""
    if type(value) is str or type(value) is dict or is_list(value):
        return len(value)
    message = f"invalid argument for len (type {go_type(value)})"
    raise ExpressionError("WrongType", message, hint="len wants a list, a map or a text")


def to_text(arguments: Sequence[Value], frame: Frame | None) -> str:
    return text_of(go_text(arguments[0]), frame)


def trim(arguments: Sequence[Value], frame: Frame | None) -> str:
    return text_of(string(arguments[0]).strip(string(arguments[1]) if len(arguments) > 1 else _SPACE), frame)


def trim_prefix(arguments: Sequence[Value], frame: Frame | None) -> str:
    return text_of(string(arguments[0]).removeprefix(string(arguments[1]) if len(arguments) > 1 else " "), frame)


def trim_suffix(arguments: Sequence[Value], frame: Frame | None) -> str:
    return text_of(string(arguments[0]).removesuffix(string(arguments[1]) if len(arguments) > 1 else " "), frame)


def upper(arguments: Sequence[Value], frame: Frame | None) -> str:
    return text_of(_short(arguments[0]).upper(), frame)


def lower(arguments: Sequence[Value], frame: Frame | None) -> str:
    return text_of(_short(arguments[0]).lower(), frame)


def _short(value: Value) -> str:
    """A text that may be copied."""
    text = string(value)
    if len(text) > TEXT_CHARACTERS:
        raise too_much(f"a text of {len(text)} characters; limit {TEXT_CHARACTERS}")
    return text


def split(arguments: Sequence[Value], frame: Frame | None) -> Strings:
    return _split(arguments, frame, keep=False)


def split_after(arguments: Sequence[Value], frame: Frame | None) -> Strings:
    return _split(arguments, frame, keep=True)


def _split(arguments: Sequence[Value], frame: Frame | None, *, keep: bool) -> Strings:
    """SplitN: at most n parts when n > 0, none when n is 0; an empty separator parts every character."""
    text, separator = string(arguments[0]), string(arguments[1])
    limit = to_int(arguments[2]) if len(arguments) > 2 else -1
    parts = text.count(separator) + 1
    if parts > LIST_ITEMS and not 0 <= limit < LIST_ITEMS:
        raise too_much(f"a list of {parts} items; limit {LIST_ITEMS}")
    charge(frame, (len(text) >> 6) + min(parts, LIST_ITEMS))
    if limit == 0:
        return Strings()
    if separator == "":
        cut_at = len(text) if limit < 0 else min(limit - 1, len(text))
        rest = [text[cut_at:]] if cut_at < len(text) else []
        return Strings([*text[:cut_at], *rest])
    pieces = text.split(separator, limit - 1 if limit > 0 else -1)
    return Strings([piece + separator for piece in pieces[:-1]] + pieces[-1:] if keep else pieces)


def replace(arguments: Sequence[Value], frame: Frame | None) -> str:
    text, old, new = (string(value) for value in arguments[:3])
    limit = to_int(arguments[3]) if len(arguments) > 3 else -1
    hits = text.count(old) if limit < 0 else min(text.count(old), limit)
    size = len(text) + hits * (len(new) - len(old))
    if size > TEXT_CHARACTERS:  # before it is made
        raise too_much(f"a text of {size} characters; limit {TEXT_CHARACTERS}")
    charge(frame, len(text) >> 6)
    return text_of(text.replace(old, new, limit if limit >= 0 else -1), frame)


def repeat(arguments: Sequence[Value], frame: Frame | None) -> str:
    text, count = string(arguments[0]), to_int(arguments[1])
    if count < 0:
        message = f"invalid argument for repeat (expected positive integer, got {count})"
        raise ExpressionError("OutOfRange", message)
    if len(text) * count > TEXT_CHARACTERS:
        raise too_much(f"a text of {len(text) * count} characters; limit {TEXT_CHARACTERS}")
    return text_of(text * count, frame)


def join(arguments: Sequence[Value], frame: Frame | None) -> str:
    items, glue = arguments[0], string(arguments[1]) if len(arguments) > 1 else ""
    if not is_list(items) or isinstance(items, range):
        raise ExpressionError("WrongType", f"invalid argument for join (type {go_type(items)})")
    charge(frame, len(items))
    size = sum(len(string(item)) for item in items) + len(glue) * max(len(items) - 1, 0)
    if size > TEXT_CHARACTERS:
        raise too_much(f"a text of {size} characters; limit {TEXT_CHARACTERS}")
    return text_of(glue.join(items), frame)


def index_of(arguments: Sequence[Value], frame: Frame | None) -> int:
    return _octets(arguments, frame, str.find)


def last_index_of(arguments: Sequence[Value], frame: Frame | None) -> int:
    return _octets(arguments, frame, str.rfind)


def _octets(arguments: Sequence[Value], frame: Frame | None, find: Callable[[str, str], int]) -> int:
    """A position in UTF-8 bytes, as Go counts them."""
    text, part = string(arguments[0]), string(arguments[1])
    charge(frame, len(text) >> 6)
    at = find(text, part)
    return at if at <= 0 else len(text[:at].encode("utf-8", "surrogatepass"))


def has_prefix(arguments: Sequence[Value], frame: Frame | None) -> bool:
    return string(arguments[0]).startswith(string(arguments[1]))


def has_suffix(arguments: Sequence[Value], frame: Frame | None) -> bool:
    return string(arguments[0]).endswith(string(arguments[1]))


def to_base64(arguments: Sequence[Value], frame: Frame | None) -> str:
    from base64 import b64encode

    return text_of(b64encode(_short(arguments[0]).encode("utf-8", "surrogatepass")).decode(), frame)


def from_base64(arguments: Sequence[Value], frame: Frame | None) -> str:
    from base64 import b64decode

    try:
        octets = b64decode(_short(arguments[0]).encode("ascii"), validate=True)
    except ValueError:
        raise ExpressionError("WrongType", "illegal base64 data") from None
    return text_of(octets.decode("utf-8", "replace"), frame)


def from_json(arguments: Sequence[Value], frame: Frame | None) -> Value:
    """JSON as Go decodes it: every number is a float64."""
    import json

    text = _short(arguments[0])
    try:
        value = json.loads(text, parse_int=_json_number, parse_float=_json_number, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ExpressionError("WrongType", f"invalid JSON: {error}") from None
    charge(frame, len(text) >> 3)
    admit(value)
    return value


def _json_number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"cannot unmarshal number {text[:40]} into Go value of type float64")
    return value


def _refuse(text: str) -> float:
    raise ValueError(f"invalid character in {text}")


def to_json(arguments: Sequence[Value], frame: Frame | None) -> str:
    """JSON with an indent of two, keys sorted, as Go marshals it."""
    parts: list[str] = []
    _marshal(arguments[0], parts, "\n", frame)
    return text_of("".join(parts), frame)


def _marshal(value: Value, parts: list[str], newline: str, frame: Frame | None) -> None:
    import json

    if len(newline) > 4 * DATA_DEPTH:
        raise ExpressionError("DataTooDeep", f"data nested deeper than {DATA_DEPTH}")
    if len(parts) > TEXT_CHARACTERS:
        raise too_much(f"a text of more than {TEXT_CHARACTERS} characters")
    charge(frame, 1)
    deeper = newline + "  "
    if value is None or value is True or value is False:
        parts.append(json.dumps(value))
    elif type(value) is int:
        parts.append(str(value))
    elif type(value) is float:
        if not math.isfinite(value):
            raise ExpressionError("WrongType", f"json: unsupported value: {format_float(value)}")
        text = format_float(value, -6, 21)
        parts.append(text.replace("e-0", "e-"))
    elif type(value) is str:
        text = json.dumps(value, ensure_ascii=False)
        for raw, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
            text = text.replace(raw, escaped)
        parts.append(text)
    elif is_list(value):
        for i, item in enumerate(value):
            parts.append(("," if i else "[") + deeper)
            _marshal(item, parts, deeper, frame)
        parts.append(newline + "]" if len(value) else "[]")
    elif type(value) is dict:
        if any(type(key) is not str for key in value):
            raise ExpressionError("WrongType", "json: unsupported type: map[interface {}]interface {}")
        for i, key in enumerate(sorted(value)):
            parts.append(("," if i else "{") + deeper)
            _marshal(key, parts, deeper, frame)
            parts.append(": ")
            _marshal(value[key], parts, deeper, frame)
        parts.append(newline + "}" if value else "{}")
    elif type(value) is timedelta:
        parts.append(str(value // timedelta(microseconds=1) * 1_000))
    else:
        parts.append(f'"{value.isoformat().replace("+00:00", "Z")}"')
