"""What an unquoted YAML scalar means: the core schema of YAML 1.2, with a mark where YAML 1.1 disagrees.

Kubernetes' reader (and so Argo's) takes `no` for false, `010` for 8 and `1_000` for 1000; YAML 1.2 takes the first
for text and the second for 10. A text is refused or kept by the field it stands in; here it is only marked.
"""

import math
import re
from dataclasses import dataclass

from analysis_service.core.nodes import Position, ScalarNode
from analysis_service.core.problem import echo, grouped

# C0 and C1 controls except tab, line feed and carriage return; line and paragraph separators; embedding, override
# and isolate marks, which make a text read other than it is written; non-characters
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_BOOL_11 = {
    word: value
    for value, words in ((True, ("yes", "on")), (False, ("no", "off")))
    for low in words
    for word in (low, low.capitalize(), low.upper())
}
_LETTERS = frozenset("yYnN")  # true and false to YAML 1.1, but readers disagree
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL, _HEX = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_OCTAL_11 = re.compile(r"[-+]?0[0-9]+", re.ASCII)
_GROUPED = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?|0x[0-9a-fA-F_]+", re.ASCII)  # if it holds a "_"
_BINARY = re.compile(r"0b[01_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?", re.ASCII)
_STARTS_A_NUMBER = frozenset("+-.0123456789")
_MAX_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Complaint:
    code: str
    message: str
    hint: str = ""


def read_scalar(text: str, at: Position, *, quoted: bool) -> tuple[ScalarNode, Complaint | None]:
    """The meaning of a scalar; with a complaint if no field could hold it."""
    if hidden := CONTROL.search(text):
        return ScalarNode(text, text, at), Complaint("ControlCharacter", f"U+{ord(hidden[0]):04X} in the text")
    if quoted:
        return ScalarNode(text, text, at), None
    if text in _NULL:
        return ScalarNode(None, text, at), None
    if text in _BOOL:
        return ScalarNode(_BOOL[text], text, at), None
    if text in _BOOL_11:
        return ScalarNode(_BOOL_11[text], text, at, "bool"), None
    if text in _LETTERS:
        return ScalarNode(text, text, at, "letter"), None
    if text[0] not in _STARTS_A_NUMBER:
        return ScalarNode(text, text, at), None
    return _number(text, at)


def _number(text: str, at: Position) -> tuple[ScalarNode, Complaint | None]:
    if _SEXAGESIMAL.fullmatch(text):
        return ScalarNode(text, text, at, "time"), None
    if _BINARY.fullmatch(text) or ("_" in text and _GROUPED.fullmatch(text)):
        bare = text.replace("_", "")
        return _integer(bare, at, "int", text) if "." not in bare else (ScalarNode(float(bare), text, at, "int"), None)
    if _OCTAL_11.fullmatch(text):
        return _integer(text, at, "int", text)
    if _INT.fullmatch(text) or _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return _integer(text, at, "", text)
    if _NOT_FINITE.fullmatch(text):
        complaint = Complaint("NotJsonNumber", f"{text} is not a number JSON can hold", "Quote it if it is text.")
        return ScalarNode(text, text, at), complaint
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            return ScalarNode(text, text, at), Complaint("NotJsonNumber", f"{echo(text)} is too large for a number")
        return ScalarNode(number, text, at), None
    return ScalarNode(text, text, at), None


def _integer(digits: str, at: Position, doubt: str, text: str) -> tuple[ScalarNode, Complaint | None]:
    if complaint := too_large(digits):
        return ScalarNode(text, text, at), complaint
    sign, body = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2)):
        if body.startswith(prefix):
            return ScalarNode(sign * int(body[2:] or "0", base), text, at, doubt), None
    octal = doubt and len(body) > 1 and body[0] == "0" and not set(body) & {"8", "9"}
    number = sign * int(body, 8 if octal else 10)
    if number.bit_length() > 63:
        return ScalarNode(text, text, at), Complaint("NumberTooLarge", f"{echo(text)} does not fit 64 bits")
    return ScalarNode(number, text, at, doubt), None


def too_large(digits: str) -> Complaint | None:
    """A complaint about an integer literal that is too long to convert."""
    if len(digits) <= _MAX_DIGITS:
        return None
    return Complaint("NumberTooLarge", f"integer of {grouped(len(digits))} digits; at most 64 bits are allowed")
