"""The `matches` operator: RE2 only, which runs in time linear in the text whatever the pattern."""

from functools import lru_cache
from typing import Protocol, cast

from .errors import ExpressionError
from .limits import PATTERN_BYTES

_CACHE = 64  # patterns; they are literals of a few templates


class Pattern(Protocol):
    def search(self, text: str) -> object | None: ...


@lru_cache(maxsize=_CACHE)
def pattern(text: str) -> Pattern:
    """Compile a pattern. Raises ExpressionError (BadPattern)."""
    if len(text.encode("utf-8", "replace")) > PATTERN_BYTES:
        raise ExpressionError("BadPattern", f"a pattern of more than {PATTERN_BYTES} bytes")
    import re2  # loaded when the first pattern is: lint of a template without one must not pay for it

    options = re2.Options()
    options.log_errors = False
    try:
        return cast(Pattern, re2.compile(text, options))
    except (re2.error, UnicodeError) as error:
        detail = error.args[0] if error.args else ""
        reason = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise ExpressionError("BadPattern", f"error parsing regexp: {reason}") from None


def matches(text: str, expression: str) -> bool:
    """Does the pattern occur anywhere in the text? Lone surrogates, which UTF-8 cannot hold, match nothing."""
    try:
        return pattern(expression).search(text) is not None
    except UnicodeError:
        return False
