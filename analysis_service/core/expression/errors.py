"""The one error of the condition language."""

from typing import Literal

Code = Literal[
    "Syntax",  # not a sentence of the language
    "TooLong",
    "TooDeep",
    "TooMuchWork",
    "UnknownName",
    "UnknownFunction",
    "NotAllowed",  # a name that is refused on purpose
    "WrongType",
    "NotBoolean",  # a condition that gives something else than true or false
    "NoData",
    "OutOfRange",
    "NotANumber",
    "IntegerOverflow",
    "DivisionByZero",
    "DataTooDeep",
    "BadPattern",
    "BadTime",
]


class ExpressionError(Exception):
    """What is wrong with a condition, or with the data under it.

    message: Argo's words (expr-lang's), which measurements carry.
    hint: what to do about it, in our words; may be empty.
    at, end: character offsets of the offending text in `source`, or -1 when it has no place.
    """

    def __init__(self, code: Code, message: str, *, hint: str = "", at: int = -1, end: int = -1) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.hint = hint
        self.at = at
        self.end = end
        self.source = ""

    def placed(self, at: int, end: int) -> "ExpressionError":
        """Itself, with a place if it had none: the innermost part that failed is the one to show."""
        if self.at < 0:
            self.at, self.end = at, end
        return self

    def copy(self) -> "ExpressionError":
        """A fresh error: one that is kept must not gather tracebacks each time it is raised."""
        twin = ExpressionError(self.code, self.message, hint=self.hint, at=self.at, end=self.end)
        twin.source = self.source
        return twin

    @property
    def line(self) -> int:
        """1-based line in the condition."""
        return self.source.count("\n", 0, max(self.at, 0)) + 1

    @property
    def column(self) -> int:
        """1-based column in that line; 0 when the error has no place in the source."""
        return self.at - self.source.rfind("\n", 0, self.at) if self.at >= 0 else 0

    def caret(self) -> str:
        """The source line with the offending text underlined, indented by four; empty without a place."""
        if self.at < 0:
            return ""
        start = self.source.rfind("\n", 0, self.at) + 1
        stop = self.source.find("\n", self.at)
        text = self.source[start : stop if stop >= 0 else len(self.source)]
        shown = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
        width = max(1, min(self.end, start + len(text)) - self.at)
        return f"    {shown}\n    {' ' * (self.at - start)}{'^' * width}"
