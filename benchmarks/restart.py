"""How long a service with 10 000 live runs takes to be ready after kill -9.

A process writes the runs and is killed with its lease still in force; then, a few times over, the real service is
started on that file, timed until its health says SERVING and until it drives every run, and killed again.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

GOAL_SECONDS = 3.0

WRITER = """
import asyncio, os, signal, sys
from datetime import timedelta
from pathlib import Path
from analysis_service.api.creation import uuid7
from analysis_service.clock import SystemClock
from analysis_service.core.model import Metric, Run, RunSpec
from analysis_service.stores.base import NewRun
from analysis_service.stores.sqlite import SqliteStore

async def main():
    store, clock = await SqliteStore.open(Path(sys.argv[1])), SystemClock()
    provider = {"prometheus": {"address": "http://127.0.0.1:1021", "query": "up"}}
    metric = Metric(name="m", interval="1h", initial_delay="10h", count=10, success_condition="result[0] == 1",
                    provider=provider)
    now = clock.now()
    def new(n):
        run = Run(id=uuid7(now), namespace="bench", name=f"r{n}", spec=RunSpec(metrics=(metric,)), created_at=now)
        return NewRun(run=run, due_at=now + timedelta(hours=1), owner="gone")
    await store.renew("gone", now, timedelta(seconds=15))
    total = int(sys.argv[2])
    for start in range(0, total, 1000):
        await asyncio.gather(*(store.create_run(new(n), now) for n in range(start, min(start + 1000, total))))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def restart(path: Path, runs: int) -> tuple[float, float]:
    """(seconds until ready, seconds until every run is driven)."""
    env = os.environ | {
        "TIDEGATE_STORE": f"sqlite:{path}", "TIDEGATE_LISTEN": "127.0.0.1:0", "TIDEGATE_ADMIN_LISTEN": "127.0.0.1:0",
    }  # fmt: skip
    command = [sys.executable, "-c", "from analysis_service.cli import main; main()", "serve"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = json.loads(process.stderr.readline())
        with grpc.insecure_channel(line["address"]) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while health.Check(health_pb2.HealthCheckRequest(), timeout=10).status != 1:
                time.sleep(0.005)
        ready = time.perf_counter() - began
        while f"tidegate_live_runs {float(runs)}" not in _metrics(line["admin"]):
            time.sleep(0.02)
        return ready, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def _metrics(admin: str) -> str:
    with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)  # a run that was claimed so often and never saved is suspect
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder, "restart.db")
        subprocess.run([sys.executable, "-c", WRITER, str(path), str(chosen.runs)], check=False)
        taken = [restart(path, chosen.runs) for _ in range(chosen.rounds)]
    found = {
        "benchmark": "restart",
        "ready_seconds": round(median(ready for ready, _ in taken), 2),
        "all_driven_seconds": round(median(driven for _, driven in taken), 2),
        "goal_seconds": GOAL_SECONDS,
        "runs": chosen.runs,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
