"""The log: one JSON object a line, whoever logs, however hostile the text."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from analysis_service.telemetry import Telemetry, configure_logging


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    structlog.reset_defaults()
    configure_logging("info", stream)
    yield stream
    structlog.reset_defaults()
    configure_logging("error")


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_hostile_text_stays_in_its_line(log: io.StringIO) -> None:
    structlog.get_logger().info("answered", text="\x1b[31m\nfake line\r\0 \u202e", run_id="1")
    structlog.get_logger().info("answered", text="x" * 100_000)
    structlog.get_logger().debug("not at this level")
    first, second = lines(log)
    assert (first["run_id"], first["level"]) == ("1", "info")
    assert "\x1b" not in log.getvalue()
    assert len(str(second["text"])) < 5000


def test_libraries_log_in_the_same_shape(log: io.StringIO) -> None:
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("grpc._cython").exception("unexpected %s", "thing")
    logging.getLogger("aiohttp").info("chatter")
    (line,) = lines(log)
    assert (line["event"], line["logger"], line["level"]) == ("unexpected thing", "grpc._cython", "error")
    assert "ValueError: inside" in str(line["exception"])


def test_no_metric_is_labelled_by_what_users_name() -> None:
    labels = {
        label for family in Telemetry().registry.collect() for sample in family.samples for label in sample.labels
    }
    assert labels <= {"le", "phase", "provider", "outcome", "method", "code"}
