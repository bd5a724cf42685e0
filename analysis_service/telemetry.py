"""What the service says of itself: Prometheus metrics and JSON logs.

No label carries a run, template or metric name: their number is not ours to bound.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

LATENESS_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Telemetry:
    """All metric families of one process, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.runs = Counter("tidegate_runs", "Finished analysis runs.", ["phase"], registry=r)
        self.live_runs = Gauge("tidegate_live_runs", "Runs this process owns and drives.", registry=r)
        self.measurements = Counter(
            "tidegate_measurements", "Measurements recorded.", ["provider", "phase"], registry=r
        )
        self.provider_seconds = Histogram(
            "tidegate_provider_request_duration_seconds",
            "Time of one question to a provider.",
            ["provider", "outcome"],
            buckets=REQUEST_BUCKETS,
            registry=r,
        )
        self.coalesced = Counter(
            "tidegate_coalesced_questions",
            "Questions answered by another run's equal question.",
            ["provider"],
            registry=r,
        )
        self.lateness = Histogram(
            "tidegate_measurement_lateness_seconds",
            "How long after its due time a reconcile began.",
            buckets=LATENESS_BUCKETS,
            registry=r,
        )
        self.fenced = Counter("tidegate_fenced_writes", "Writes refused because the run changed hands.", registry=r)
        self.store_errors = Counter("tidegate_store_errors", "Store operations that failed.", registry=r)
        self.rpcs = Counter("tidegate_rpcs", "Finished calls.", ["method", "code"], registry=r)
        self.rpc_seconds = Histogram(
            "tidegate_rpc_duration_seconds", "Time of one unary call.", ["method"], buckets=REQUEST_BUCKETS, registry=r
        )
        self.watchers = Gauge("tidegate_watchers", "Open watch streams.", registry=r)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


def configure_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """JSON lines, one event each, with the run id wherever one is bound. Control characters are escaped by JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _bounded,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _Forward) for handler in root.handlers):
        root.addHandler(_Forward(logging.WARNING))


class _Forward(logging.Handler):
    """What libraries log (asyncio, grpc, aiohttp) comes out in the same shape."""

    def emit(self, record: logging.LogRecord) -> None:
        event = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):  # somebody speaks no HTTP to us: no fault of ours, and no traceback
            structlog.get_logger().info(event, logger=record.name, error=str(error.message).splitlines()[0])
            return
        structlog.get_logger().log(record.levelno, event, logger=record.name, exc_info=record.exc_info)


def _bounded(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A hostile backend's text cannot flood the log."""
    for key, value in event.items():
        if isinstance(value, str) and len(value) > 4000:
            event[key] = value[:4000] + "..."
    return event
