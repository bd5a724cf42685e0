"""What one evaluation may use: steps are taken from its frame, and what is new is capped and paid for."""

from datetime import datetime

from .errors import ExpressionError
from .kinds import Value
from .limits import LIST_ITEMS, STEPS, TEXT_CHARACTERS


class Frame:
    """What one evaluation carries: the time, the steps left, the variables."""

    __slots__ = ("now", "slots", "steps")

    def __init__(self, now: datetime | None, slots: int) -> None:
        self.now = now
        self.steps = STEPS
        self.slots: list[Value] = [None] * slots


def charge(frame: Frame | None, steps: int) -> None:
    """Take `steps` from the budget. Without a frame there are no loops, and the number of nodes is the bound."""
    if frame is not None:
        frame.steps -= steps
        if frame.steps < 0:
            raise too_much(f"more than {STEPS} steps")


def too_much(what: str) -> ExpressionError:
    return ExpressionError("TooMuchWork", f"the expression asks for too much work: {what}")


def text_of(value: str, frame: Frame | None) -> str:
    """A new text, within its cap and paid for."""
    if len(value) > TEXT_CHARACTERS:
        raise too_much(f"a text of {len(value)} characters; limit {TEXT_CHARACTERS}")
    charge(frame, len(value) >> 6)
    return value


def list_of_values(value: list[Value], frame: Frame | None) -> list[Value]:
    """A new list, within its cap and paid for."""
    if len(value) > LIST_ITEMS:
        raise too_much(f"a list of {len(value)} items; limit {LIST_ITEMS}")
    charge(frame, len(value))
    return value
