"""A small real web shop: one page, counters and a latency histogram on /metrics. `--bad` makes it a bad release.

    python -m examples.shop --port 0 --version v2 --bad

The first line it prints is its address.
"""

import argparse
import asyncio
import random
from contextlib import suppress

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from examples.lifeline import starter_gone

GOOD_ERROR_SHARE, BAD_ERROR_SHARE = 0.01, 0.12
GOOD_DELAY_SECONDS, BAD_DELAY_SECONDS = 0.004, 0.011
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1)


def shop(version: str, bad: bool) -> web.Application:
    """The application. Errors and delays are drawn anew for each request."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    requests = Counter("http_requests", "Requests served.", ["version", "code"], registry=registry)
    seconds = Histogram(
        "http_request_duration_seconds", "Time to serve.", ["version"], buckets=BUCKETS, registry=registry
    )
    draw = random.Random()
    error_share = BAD_ERROR_SHARE if bad else GOOD_ERROR_SHARE
    delay = BAD_DELAY_SECONDS if bad else GOOD_DELAY_SECONDS

    async def buy(_request: web.Request) -> web.Response:
        with seconds.labels(version).time():
            await asyncio.sleep(draw.lognormvariate(0, 0.5) * delay)
            code = 500 if draw.random() < error_share else 200
        requests.labels(version, str(code)).inc()
        return web.Response(status=code, text=f"{version}\n")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/", buy), web.get("/metrics", metrics)])
    return app


async def serve(port: int, version: str, bad: bool) -> None:
    runner = web.AppRunner(shop(version, bad), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    print(f"http://{host}:{bound}", flush=True)
    await starter_gone()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--version", default="v1")
    parser.add_argument("--bad", action="store_true", help="more errors and slower answers")
    args = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(args.port, args.version, args.bad))


if __name__ == "__main__":
    main()
