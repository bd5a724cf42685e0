"""Python's cycle collector, told what kind of process this is.

Ten thousand live runs are a million objects that form no cycles; a full collection would walk them all and hold the
loop for a tenth of a second, again and again. What is there at start is set aside for good, and full collections
become rare.

A collection of the young walks what has been made since the last one and is still there, a third of a microsecond or
more for each. Python counts what is made less what is freed, whatever its age: where every look replaces the objects of
the look before, a hundred thousand may be young before it counts two thousand. So they are collected by the clock.
"""

import asyncio
import gc
from itertools import count

YOUNG, MIDDLE, OLD = 10_000, 1_000_000, 1_000  # by number: a burst of the young, and else nothing
EVERY_SECONDS = 0.1
FULL = 36_000  # one in so many is a full collection: once an hour


def spare_the_collector() -> None:
    """Call once, when the process is composed and before it serves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


async def collect_by_the_clock() -> None:
    """For as long as the process serves; ends when it is cancelled."""
    for turn in count(1):
        await asyncio.sleep(EVERY_SECONDS)
        gc.collect(0 if turn % FULL else 2)
