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
    at, end: character offsets of the offending text in the condition, or -1 when it has no place.
    """

    def __init__(self, code: Code, message: str, *, hint: str = "", at: int = -1, end: int = -1) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.hint = hint
        self.at = at
        self.end = end

    def placed(self, at: int, end: int) -> "ExpressionError":
        """Itself, with a place if it had none: the innermost part that failed is the one to show."""
        if self.at < 0:
            self.at, self.end = at, end
        return self

    def copy(self) -> "ExpressionError":
        """A fresh error: one that is kept must not gather tracebacks each time it is raised."""
        return ExpressionError(self.code, self.message, hint=self.hint, at=self.at, end=self.end)
