"""What a condition may cost. Whoever may write a template must not be able to stall or fill the service.

Work is counted where it can multiply: one step per element visited and per eight nodes of its predicate, and for
what is allocated or scanned (one step per list item, one per 64 characters). Everything else is bounded by the
number of nodes. 100 000 steps are below 50 ms of CPU.
"""

SOURCE_BYTES = 4_096
NODES = 500
DEPTH = 32  # brackets, calls, unary and ternary operators inside one another
HEIGHT = 100  # the tree's, which a chain such as a+b+c+... makes without any nesting; keeps recursion bounded
STEPS = 100_000
LIST_ITEMS = 100_000
TEXT_CHARACTERS = 65_536
RANGE_ITEMS = 10_000
EXPONENT = 64
DATA_DEPTH = 32
DATA_ITEMS = 2_000_000  # in all levels of a result; providers cap bodies at 8 MiB
PATTERN_BYTES = 256
INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
