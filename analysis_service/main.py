"""The server's composition root: the only file that chooses implementations. Start it with `tidegate serve`."""

import asyncio
import contextlib
import gc
import importlib.metadata
import os
import signal
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import structlog
from aiohttp import web
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

import providers
from analysis_service.api import grpc as api_grpc
from analysis_service.api.admin import Readiness, admin_app
from analysis_service.api.lanes import Lanes
from analysis_service.api.resources import Tokens
from analysis_service.api.runs import Runs
from analysis_service.api.templates import Templates
from analysis_service.api.watching import Feed
from analysis_service.asking import Asker
from analysis_service.clock import SystemClock
from analysis_service.collector import collect_by_the_clock, spare_the_collector
from analysis_service.config import Settings
from analysis_service.core.expression import evaluate_time
from analysis_service.engine import Engine
from analysis_service.history.apart import Apart, workers
from analysis_service.history.calibrating import Calibrator
from analysis_service.history.prometheus import PrometheusHistory
from analysis_service.measuring import Measurer
from analysis_service.secrets import EnvironmentSecrets, FileSecrets, KubernetesSecrets, Secrets, SecretSource
from analysis_service.stores.base import Store, StoreError
from analysis_service.telemetry import Telemetry
from providers.addresses import AddressPolicy
from providers.base import Provider
from providers.http import Http
from providers.prometheus import ADDRESS_VARIABLE
from providers.tools import Tools

HEALTH_SECONDS = 1.0
_log = structlog.get_logger()


class StartError(Exception):
    """Why the service cannot start, in a sentence."""


async def open_store(where: str, on_fatal: Callable[[str], None]) -> Store:
    """`memory:` or `sqlite:PATH`. Raises StoreError with what is wrong with the file."""
    if where == "memory:":
        from analysis_service.stores.memory import MemoryStore

        return MemoryStore()
    from analysis_service.stores.sqlite import SqliteStore

    return await SqliteStore.open(Path(where.removeprefix("sqlite:")), on_fatal=on_fatal)


def secret_sources(settings: Settings) -> Secrets:
    sources: list[SecretSource] = [EnvironmentSecrets(os.environ)]
    if settings.secrets_directory is not None:
        sources.append(FileSecrets(settings.secrets_directory))
    in_cluster = KubernetesSecrets.in_cluster()
    return Secrets([*sources, in_cluster] if in_cluster else sources)


def own_providers() -> None:
    """Another distribution of the name `providers` would shadow ours; refuse with a sentence instead."""
    owners = set(importlib.metadata.packages_distributions().get("providers", [])) - {"tidegate"}
    if owners:
        raise StartError(
            f"The distribution {sorted(owners)[0]!r} also installs a package named 'providers'; "
            "give Tidegate an environment of its own."
        )


def provider_table(tools: Tools) -> Callable[[str], Provider]:
    """One instance of each provider, made when it is first asked for. Unknown names raise LookupError."""
    made: dict[str, Provider] = {}

    def get(name: str) -> Provider:
        if name not in made:
            made[name] = providers.load(name)(tools)
        return made[name]

    return get


@dataclass(slots=True)
class Parts:
    """Everything a running engine needs, for the server and for the command line's embedded engine alike."""

    clock: SystemClock
    telemetry: Telemetry
    store: Store
    http: Http
    asker: Asker
    engine: Engine
    templates: Templates
    runs: Runs
    calibrator: Calibrator
    apart: Apart

    async def close(self) -> None:
        self.calibrator.close()
        await asyncio.to_thread(self.apart.close)
        await self.http.close()
        await self.store.close()
        await self.asker.secrets.close()


async def compose(
    settings: Settings, on_fatal: Callable[[str], None] = lambda reason: None, store: Store | None = None
) -> Parts:
    """Wire the parts; starts nothing. on_fatal: told when the disk can no longer be trusted. store: instead of the
    one that the settings name.
    """
    own_providers()
    clock, telemetry = SystemClock(), Telemetry()
    store = store or await open_store(settings.store, on_fatal)
    http = Http(
        policy=AddressPolicy(
            allow_private=settings.allow_private_addresses, allow_loopback=settings.allow_loopback_addresses
        )
    )
    asker = Asker(
        load=provider_table(Tools(http=http, evaluate_time=evaluate_time)),
        secrets=secret_sources(settings),
        clock=clock,
        telemetry=telemetry,
        environ=settings.argo_environment,
        controller_namespace=settings.controller_namespace,
        in_flight=settings.max_questions_in_flight,
    )
    measurer = Measurer(asker, clock)
    history = PrometheusHistory(
        settings.argo_environment.get(ADDRESS_VARIABLE, ""), policy=http.policy, env=settings.argo_environment
    )
    apart = Apart()
    calibrator = Calibrator(
        history, clock.wall, apart, workers(), told=lambda text: _log.info("uncalibrated", why=text)
    )
    measurer.comparer.settling.calibrate = calibrator
    engine = Engine(store, measurer, clock, telemetry, owner=str(uuid.uuid4()))
    tokens = Tokens(store)
    templates = Templates(store, clock, tokens, settings.strict, engine.live_from)
    runs = Runs(
        store=store,
        engine=engine,
        feed=Feed(store),
        clock=clock,
        tokens=tokens,
        strict=settings.strict,
        max_live=settings.max_live_runs,
        check_provider=measurer.comparer.check,
        secrets=asker.secrets,
    )
    return Parts(clock, telemetry, store, http, asker, engine, templates, runs, calibrator, apart)


async def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT, then drain. Returns the exit code."""
    stop = Stop()
    parts = await compose(settings, stop.disk_failed)
    parts.engine.measurer.comparer.foretelling.foresee = parts.apart.foresee
    spare_the_collector()
    collecting = asyncio.create_task(collect_by_the_clock())
    try:
        return await _serve(settings, parts, stop)
    finally:
        collecting.cancel()
        with contextlib.suppress(StoreError):
            await parts.close()


async def _serve(settings: Settings, parts: Parts, stop: "Stop") -> int:
    engine, runs = parts.engine, parts.runs
    server = grpc.aio.server(options=api_grpc.SERVER_OPTIONS)
    lanes = Lanes.of_width(settings.max_calls, settings.max_watchers)
    wrapper = api_grpc.Wrapper(parts.telemetry, lanes, settings.slow_watcher_seconds)
    server.add_generic_rpc_handlers((api_grpc.method_handlers(parts.templates, runs, wrapper),))
    probe = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probe, server)
    if settings.reflection:
        from grpc_reflection.v1alpha import reflection

        reflection.enable_server_reflection([api_grpc.SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    port = bind(server, settings)
    runner = web.AppRunner(
        admin_app(parts.telemetry, engine.alive, lambda: readiness(parts, stop)), access_log=None, handle_signals=False
    )
    await runner.setup()
    host, _, admin_port = settings.admin_listen.rpartition(":")
    try:
        await web.TCPSite(runner, host.strip("[]") or None, int(admin_port)).start()
    except OSError as error:
        await runner.cleanup()
        raise StartError(f"admin_listen: cannot listen on {settings.admin_listen}: {error.strerror}") from None
    stop.listen(asyncio.get_running_loop())
    working = asyncio.create_task(engine.serve())
    working.add_done_callback(stop.engine_ended)
    feeding = asyncio.create_task(runs.feed.run())
    await server.start()
    reporting = asyncio.create_task(report_health(probe, lambda: readiness(parts, stop)))
    admin_host, admin_bound = runner.addresses[0][:2]
    _log.info(
        "serving",
        address=f"{settings.listen.rpartition(':')[0]}:{port}",
        admin=f"http://{f'[{admin_host}]' if ':' in admin_host else admin_host}:{admin_bound}",
        store=settings.store,
        tls=settings.tls_certificate is not None,
        version=importlib.metadata.version("tidegate"),
    )
    await engine.measurer.comparer.load()  # while there is little to hold up
    gc.collect()
    gc.freeze()  # what is here now stays: full collections need not walk it again and again
    await stop.wait()
    _log.info("draining", seconds=settings.drain_seconds, signal=stop.signal)
    asyncio.get_running_loop().call_later(settings.drain_seconds + settings.drain_delay_seconds, os._exit, 1)
    reporting.cancel()
    await probe.enter_graceful_shutdown()
    if stop.signal == "SIGTERM":
        await asyncio.sleep(settings.drain_delay_seconds)
    runs.drain()
    stopping = asyncio.create_task(server.stop(settings.drain_seconds * 2 / 3))
    await engine.drain(settings.drain_seconds / 2)
    await stopping
    feeding.cancel()
    await runner.cleanup()
    _log.info("stopped", exit_code=stop.exit_code)
    return stop.exit_code


class Stop:
    """Why and how this process ends: told once to drain, told twice to leave at once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.signal = ""
        self.exit_code = 0

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        await self._event.wait()

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self.asked:
            os._exit(1)  # leaving is always safe: the store takes care of the rest
        self.signal = number.name
        self._event.set()

    def disk_failed(self, reason: str) -> None:
        _log.critical("the disk cannot be trusted any more; leaving", reason=reason)
        self.exit_code = 20
        self._event.set()

    def engine_ended(self, task: "asyncio.Task[None]") -> None:
        """Normal in a drain; at any other time a bug, and a service without its engine is of no use."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.critical("the engine stopped", exc_info=error)
            self.exit_code = self.exit_code or 1
        self._event.set()


async def report_health(probe: health.aio.HealthServicer, problems: Readiness) -> None:
    """gRPC health says what /readyz says. A change is logged with its reason."""
    last: list[str] | None = None
    while True:
        found = await problems()
        serving = health_pb2.HealthCheckResponse
        for name in ("", api_grpc.SERVICE):
            await probe.set(name, serving.NOT_SERVING if found else serving.SERVING)
        if found != last:
            _log.info("ready") if not found else _log.warning("not ready", reasons=found)
        last = found
        await asyncio.sleep(HEALTH_SECONDS if not found else HEALTH_SECONDS / 10)


async def readiness(parts: Parts, stop: Stop) -> list[str]:
    """What stands in the way of serving, in sentences."""
    problems = []
    if stop.asked or parts.runs.draining:
        problems.append("draining")
    if not parts.engine.alive():
        problems.append("the engine's loop does not turn")
    if not parts.engine.owns_lease():
        problems.append("the lease on the runs is not held")
    try:
        info = await parts.store.info()
        problems += [f"store: {info.detail['writes']}"] if "writes" in info.detail else []
    except StoreError as error:
        problems.append(f"store: {error}")
    return problems


def bind(server: grpc.aio.Server, settings: Settings) -> int:
    """The port bound. TLS 1.2 or newer where a certificate is given; plain only where Settings allowed it."""
    if settings.tls_certificate and settings.tls_key:
        try:
            pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
            ca = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
        except OSError as error:
            raise StartError(f"cannot read {error.filename}: {error.strerror}") from None
        credentials = grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)
    else:
        credentials = None
    try:
        if credentials is None:
            port = server.add_insecure_port(settings.listen)
        else:
            port = server.add_secure_port(settings.listen, credentials)
    except RuntimeError:
        port = 0
    if not port:
        raise StartError(f"listen: cannot listen on {settings.listen}; is another server there?")
    return port
