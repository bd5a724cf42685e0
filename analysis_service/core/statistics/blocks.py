"""Residuals of counts summed over blocks of looks: their dispersion is the long-run one, learnt during the run."""

import math
from functools import lru_cache

import msgspec

FEWEST = 1e-3  # expected variance below which a run shows no dispersion
BLOCK = 40  # looks
BLOCKS_WANTED = 10


class Blocks(msgspec.Struct, frozen=True, omit_defaults=True):
    """Blocks of BLOCK looks: the open one, and what the differences of closed neighbours have shown."""

    n: int = 0  # looks in the open block
    residual: float = 0.0
    variance: float = 0.0
    closed: int = 0
    last_residual: float = 0.0
    last_variance: float = 0.0
    square: float = 0.0
    expected: float = 0.0
    largest: float = 0.0  # the largest single term of `square`: an onset makes one, noise is what remains


def extended(blocks: Blocks, residual: float, variance: float) -> Blocks:
    n, residual, variance = blocks.n + 1, blocks.residual + residual, blocks.variance + variance
    if n < BLOCK:
        return Blocks(
            n,
            residual,
            variance,
            blocks.closed,
            blocks.last_residual,
            blocks.last_variance,
            blocks.square,
            blocks.expected,
            blocks.largest,
        )
    term = 0.5 * (residual - blocks.last_residual) ** 2 if blocks.closed else 0.0
    return Blocks(
        closed=blocks.closed + 1,
        last_residual=residual,
        last_variance=variance,
        square=blocks.square + term,
        expected=blocks.expected + (0.5 * (variance + blocks.last_variance) if blocks.closed else 0.0),
        largest=max(blocks.largest, term),
    )


@lru_cache(maxsize=256)
def shown(memory: float) -> float:
    """The part of an AR(1)'s long-run variance that differences of neighbouring blocks of BLOCK looks show."""
    edge = memory / ((1.0 - memory * memory) * BLOCK)  # what a block's end still knows of the next one
    decayed = 1.0 - memory**BLOCK
    return max(1.0 - 2.0 * edge * decayed - edge * decayed * decayed, 0.1)


def long_run(blocks: Blocks, memory: float) -> float:
    """Dispersion of the block sums, the largest step left out (it may be the harm's onset).

    One standard error down, as noise would raise it; where the look-back was correlated as it is, and what the steps
    do not show put back.
    """
    steps = blocks.closed - 1
    if steps < BLOCKS_WANTED or blocks.expected <= FEWEST:
        return 1.0
    rest = (blocks.square - blocks.largest) / (blocks.expected * (steps - 1) / steps)
    return rest / shown(memory) if memory else rest / (1.0 + math.sqrt(2.0 / steps))
