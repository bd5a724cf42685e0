"""One service shared by the tests that leave it running, and others for those that do not."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import Backend, Service, run_backend, serve


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    yield from run_backend()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Over SQLite. Tests keep apart by their namespaces."""
    folder = tmp_path_factory.mktemp("service")
    running = serve(folder / "log", env={"TIDEGATE_STORE": f"sqlite:{folder / 'store.db'}"})
    yield running
    running.close()


@pytest.fixture
def stub(service: Service) -> Any:
    return service.stub


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    import hashlib

    return "t-" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts services of the test's own; flags and environment as `serve` takes them. All are gone afterwards."""
    started: list[Service] = []

    def begin(*flags: str, env: dict[str, str] | None = None, **options: Any) -> Service:
        running = serve(tmp_path / f"log-{len(started)}", *flags, env=env, **options)
        started.append(running)
        return running

    yield begin
    for running in started:
        running.close()
