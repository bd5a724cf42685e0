"""Steady traffic on local addresses: `python -m examples.traffic URL... --per-second 50 --seconds 60`.

Sends only to loopback, at a bounded rate and for a bounded time, and ends when its standard input closes.
"""

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
from yarl import URL

from examples.lifeline import starter_gone


async def drive(urls: Sequence[str], per_second: float, seconds: float) -> None:
    """Open loop: a slow answer does not slow the rate, as with real users."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

        async def visit(url: str) -> None:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(url) as response:
                    await response.read()

        began, visits = loop.time(), set[asyncio.Task[None]]()
        for n in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, began + n / per_second - loop.time()))
            for url in urls:
                visits.add(task := asyncio.create_task(visit(url)))
                task.add_done_callback(visits.discard)
        await asyncio.gather(*visits)


async def drive_until_closed(urls: Sequence[str], per_second: float, seconds: float) -> None:
    driving = asyncio.create_task(drive(urls, per_second, seconds))
    gone = asyncio.create_task(starter_gone())
    await asyncio.wait({driving, gone}, return_when=asyncio.FIRST_COMPLETED)
    driving.cancel()
    gone.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--per-second", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    for url in args.urls:
        if URL(url).host not in ("127.0.0.1", "localhost", "::1"):
            parser.error(f"{url} is not on this machine")
    with suppress(KeyboardInterrupt):
        asyncio.run(drive_until_closed(args.urls, args.per_second, args.seconds))


if __name__ == "__main__":
    main()
