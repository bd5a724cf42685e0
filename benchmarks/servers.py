"""Real servers for benchmarks, on free ports of this machine, gone when the benchmark is."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """A Prometheus that scrapes itself every second."""

    address: str
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of the process so far (Linux)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def prometheus() -> Iterator[Running]:
    program = shutil.which("prometheus")
    if program is None:
        raise SystemExit("this benchmark needs a real Prometheus: apt-get install prometheus")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
        )
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _answers(f"{address}/-/ready", b"")
            _answers(f"{address}/api/v1/query?query=up", b'"1"')  # a first scrape
            yield Running(address, process.pid)
        finally:
            process.terminate()
            process.wait()


@contextmanager
def stub() -> Iterator[str]:
    """The address of a `benchmarks.stub` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stub"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def _answers(url: str, wanted: bytes) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=1) as response:
                if wanted in response.read():
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{url} does not answer with {wanted!r}")
