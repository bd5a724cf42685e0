"""How large the tree of a condition may grow."""

from .errors import ExpressionError
from .limits import HEIGHT, NODES
from .tree import Node, children


class Growth:
    """What was made of one tree so far."""

    def __init__(self) -> None:
        self._heights: dict[int, tuple[Node, int]] = {}

    def made(self, node: Node) -> Node:
        """Count a node and its height: chains make deep trees without nesting. Raises ExpressionError."""
        below = max((self._heights[id(c)][1] for c in children(node)), default=0)
        self._heights[id(node)] = (node, below + 1)
        if len(self._heights) > NODES:
            message = f"the expression has more than {NODES} parts"
            raise ExpressionError("TooMuchWork", message, at=node.at, end=node.end)
        if below >= HEIGHT:
            message = f"a chain of more than {HEIGHT} operations"
            raise ExpressionError("TooDeep", message, at=node.at, end=node.end)
        return node
