"""/metrics, /livez and /readyz on a port of their own.

Live: the loop still turns. Ready: the store answers, the engine owns its runs, nothing is draining; what is not so is
named.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from analysis_service.telemetry import Telemetry

Readiness = Callable[[], Awaitable[list[str]]]
"""What stands in the way of serving, in sentences; empty when ready."""


def admin_app(telemetry: Telemetry, alive: Callable[[], bool], readiness: Readiness) -> web.Application:
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if alive() else web.Response(status=503, text="the engine's loop is stuck\n")

    async def readyz(_request: web.Request) -> web.Response:
        problems = await readiness()
        if problems:
            return web.Response(status=503, text="".join(f"not ready: {p}\n" for p in problems))
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/livez", livez), web.get("/readyz", readyz)])
    return app
