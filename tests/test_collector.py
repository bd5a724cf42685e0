"""What is young is collected by the clock, however little is made meanwhile."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from analysis_service.collector import collect_by_the_clock


class Ring:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def not_by_number() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("not_by_number")
async def test_a_cycle_is_gone_by_the_clock() -> None:
    gone = asyncio.Event()
    ring = Ring()
    weakref.finalize(ring, gone.set)
    del ring
    assert not gone.is_set()
    collecting = asyncio.create_task(collect_by_the_clock())
    await asyncio.wait_for(gone.wait(), 20)
    collecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await collecting
