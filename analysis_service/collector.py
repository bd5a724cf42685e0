"""Python's cycle collector, told what kind of process this is.

Ten thousand live runs are a million objects that form no cycles; a full collection would walk them all and hold the
loop for a tenth of a second, again and again. What is there at start is set aside for good, and full collections
become rare. A collection of what is young walks what has been made and kept since the last one, at up to a microsecond
an object: it comes often, so that it is short.
"""

import gc

YOUNG, MIDDLE, OLD = 2_000, 1_250, 1_000


def spare_the_collector() -> None:
    """Call once, when the process is composed and before it serves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
