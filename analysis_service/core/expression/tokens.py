"""Text to tokens."""

import math

import msgspec

from .errors import ExpressionError
from .limits import INT_MAX

IDENTIFIER, NUMBER, TEXT, OPERATOR, BRACKET, END = "Identifier", "Number", "String", "Operator", "Bracket", "EOF"

_WORD_OPERATORS = frozenset(
    {"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}
)
_DOUBLE = "&=*"  # what may follow one of & ! = * < >
_SMART_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_HEX_LENGTH = {"x": 2, "u": 4, "U": 8}


class Token(msgspec.Struct, frozen=True, gc=False):
    kind: str
    value: str
    at: int
    end: int

    def __str__(self) -> str:
        """As expr-lang names a token in its messages: Number("10"), EOF."""
        return f"{self.kind}({go_quote(self.value)})" if self.value else self.kind


def go_quote(text: str) -> str:
    """A Go string literal of `text` (strconv.Quote)."""
    short = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b"}
    short |= {"\f": "\\f", "\v": "\\v"}
    out = []
    for c in text:
        if c in short:
            out.append(short[c])
        elif c.isprintable():
            out.append(c)
        else:
            code = ord(c)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


def is_letter(c: str) -> bool:
    return c in ("_", "$") or c.isalpha()


def is_word(c: str) -> bool:
    return c in ("_", "$") or c.isalpha() or c.isdecimal()


def tokenize(source: str) -> list[Token]:
    """All tokens of `source`, an END last. Raises ExpressionError (Syntax)."""
    tokens: list[Token] = []
    at, size = 0, len(source)
    while at < size:
        c = source[at]
        end = at + 1
        if c.isspace():
            at = end
            continue
        if c in "'\"":
            value, end = _quoted(source, at)
            tokens.append(Token(TEXT, value, at, end))
        elif c == "`":
            value, end = _raw(source, at)
            tokens.append(Token(TEXT, value, at, end))
        elif _is_digit(c) or (c == "." and _is_digit(source[end : end + 1])):
            end = _number(source, at)
            tokens.append(Token(NUMBER, source[at:end], at, end))
        elif c == "/" and source[end : end + 1] == "/":
            at = source.find("\n", at)
            at = size if at < 0 else at
            continue
        elif c == "/" and source[end : end + 1] == "*":
            stop = source.find("*/", at + 2)
            if stop < 0:
                raise ExpressionError("Syntax", "unclosed comment", at=at, end=at + 2)
            at = stop + 2
            continue
        elif c in "([{)]}":
            tokens.append(Token(BRACKET, c, at, end))
        elif is_word(c):
            while end < size and is_word(source[end]):
                end += 1
            word = source[at:end]
            tokens.append(Token(OPERATOR if word in _WORD_OPERATORS else IDENTIFIER, word, at, end))
        else:
            end += _second(source, at)
            tokens.append(Token(OPERATOR, source[at:end], at, end))
        at = end
    tokens.append(Token(END, "", size, size))
    return tokens


def _second(source: str, at: int) -> int:
    """1 when the operator that starts at `at` has two characters, 0 when it has one."""
    c, following = source[at], source[at + 1 : at + 2]
    if c in ",;%+-^/":
        return 0
    if c in "&!=*<>":
        return int(following != "" and following in _DOUBLE)
    if c == "?":
        return int(following != "" and following in ".?")
    if c in "|:.#":
        return int(following == c)
    shown = f" '{c}'" if c.isprintable() else ""
    hint = f"character U+{ord(c):04X}"
    hint += "; use plain quotes" if c in _SMART_QUOTES else " has no meaning outside a quoted text"
    raise ExpressionError("Syntax", f"unrecognized character: U+{ord(c):04X}{shown}", hint=hint, at=at, end=at + 1)


def _is_digit(c: str) -> bool:
    return c != "" and c in "0123456789"


def _run(source: str, at: int, allowed: str) -> int:
    while at < len(source) and source[at] in allowed:
        at += 1
    return at


def _number(source: str, at: int) -> int:
    """Where the number that starts at `at` ends."""
    digits, start = "0123456789_", at
    prefix = source[at : at + 2].lower()
    if prefix in ("0x", "0o", "0b"):
        digits = {"0x": "0123456789abcdefABCDEF_", "0o": "01234567_", "0b": "01_"}[prefix]
        at += 2
    at = _run(source, at, digits)
    if source[at : at + 1] == "." and source[at + 1 : at + 2] != ".":
        at = _run(source, at + 1, digits)
    if source[at : at + 1] in ("e", "E"):
        at += 1
        at += int(source[at : at + 1] in ("+", "-"))
        at = _run(source, at, digits)
    if at < len(source) and is_word(source[at]):
        bad = source[start : at + 1]
        raise ExpressionError("Syntax", f"bad number syntax: {go_quote(bad)}", at=start, end=at + 1)
    return at


def numeral(token: Token) -> int | float:
    """The number that a NUMBER stands for. Raises ExpressionError (Syntax) when it has no value in 64 bits."""
    text = token.value.replace("_", "")
    lower = text.lower()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(lower[:2], 10)
    word = {16: "hex", 8: "octal", 2: "binary"}.get(base, "integer")
    if base != 16 and ("." in lower or "e" in lower):
        word = "float"
    try:
        value: int | float = float(text) if word == "float" else int(text, base)
    except ValueError:
        raise ExpressionError("Syntax", f"invalid {word} literal: {text}", at=token.at, end=token.end) from None
    if value == math.inf or (value > INT_MAX and word != "float"):
        function = "ParseFloat" if word == "float" else "ParseInt"
        message = f'invalid {word} literal: strconv.{function}: parsing "{text}": value out of range'
        raise ExpressionError("Syntax", message, hint="numbers have 64 bits", at=token.at, end=token.end)
    return value


def _quoted(source: str, at: int) -> tuple[str, int]:
    """A text in single or double quotes: its value and where it ends."""
    quote, i = source[at], at + 1
    out: list[str] = []
    while i < len(source):
        c = source[i]
        if c == quote:
            return "".join(out), i + 1
        if c == "\n":
            break
        if c == "\\":
            value, i = _escape(source, i, quote)
            out.append(value)
        else:
            out.append(c)
            i += 1
    raise ExpressionError("Syntax", "literal not terminated", at=at, end=i)


def _escape(source: str, at: int, quote: str) -> tuple[str, int]:
    """The character that the backslash at `at` stands for, and where its escape ends."""
    c = source[at + 1 : at + 2]
    start, end = at + 2, at + 2
    if c in _ESCAPES and (c not in "'\"`?" or c == quote):
        return _ESCAPES[c], at + 2
    base = 16
    if c in _HEX_LENGTH and c != "":
        if c == "u" and source[start : start + 1] == "{":
            stop = source.find("}", start)
            start, end, after = start + 1, stop, stop + 1
            if not 1 <= stop - start <= 6:
                end = start
        else:
            end = start + _HEX_LENGTH[c]
            after = end
    elif c in "01234567" and c != "":
        base, start, end = 8, at + 1, at + 4
        after = end
    digits = source[start:end]
    allowed = "0123456789abcdefABCDEF" if base == 16 else "01234567"
    if digits and len(digits) == end - start and all(d in allowed for d in digits):
        code = int(digits, base)
        if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 and (base == 16 or code < 256):
            return chr(code), after
    raise ExpressionError("Syntax", "invalid char escape", at=at, end=min(at + 2, len(source)))


def _raw(source: str, at: int) -> tuple[str, int]:
    """A text in backticks, where a doubled backtick stands for one."""
    i = at + 1
    while (i := source.find("`", i)) >= 0:
        if source[i + 1 : i + 2] != "`":
            return source[at + 1 : i].replace("``", "`"), i + 1
        i += 2
    raise ExpressionError("Syntax", "literal not terminated", at=at, end=len(source))
