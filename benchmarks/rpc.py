"""How fast GetAnalysisRun is answered, next to a bare grpc.aio echo of the same bytes.

Both servers are processes of their own (uvloop, one thread of work) and this process is their only client. In each
round both are asked N times, in turns of small blocks, by the same number of callers; the ratio is the median over
the rounds. The CPU that each server spends on a call is read from /proc.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import grpc.aio
import uvloop

from analysis_service.v1 import analysis_pb2 as pb

GOAL = 0.8
METHOD = "/analysis_service.v1.AnalysisService/GetAnalysisRun"
CREATE = "/analysis_service.v1.AnalysisService/CreateAnalysisRun"
CALLERS, BLOCK = 16, 500
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
METRIC = """
  - name: m{n}
    interval: 10s
    count: "10"
    initialDelay: 1h
    successCondition: result[0] < 0.05
    provider: {{prometheus: {{address: "http://127.0.0.1:1021", query: "sum(rate(http_requests_total[1m]))"}}}}
"""
TEMPLATE = (
    "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: bench}\nspec:\n  metrics:"
    + "".join(METRIC.format(n=n) for n in range(3))
)

ECHO = """
import asyncio, sys
import grpc, grpc.aio, uvloop

body = bytes.fromhex(sys.stdin.readline())

async def answer(request, context):
    return body

async def main():
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "analysis_service.v1.AnalysisService", {"GetAnalysisRun": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def start_service() -> tuple["subprocess.Popen[str]", str]:
    env = os.environ | {
        "TIDEGATE_STORE": "memory:", "TIDEGATE_LISTEN": "127.0.0.1:0", "TIDEGATE_ADMIN_LISTEN": "127.0.0.1:0",
        "TIDEGATE_DRAIN_DELAY_SECONDS": "0",
    }  # fmt: skip
    command = [sys.executable, "-c", "from analysis_service.cli import main; main()", "serve"]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    return process, json.loads(process.stderr.readline())["address"]


def start_echo(body: bytes) -> tuple["subprocess.Popen[str]", str]:
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(body.hex() + "\n")
    process.stdin.flush()
    return process, process.stdout.readline().strip()


async def block(call: Any, request: bytes, calls: int) -> float:
    """Seconds for so many calls by CALLERS callers, each with a deadline as real clients have."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await call(request, timeout=10)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return time.perf_counter() - began


async def measure(rounds: int, calls: int) -> dict[str, object]:
    service, address = start_service()
    started = [service]
    try:
        async with grpc.aio.insecure_channel(address) as ours:
            request = pb.CreateAnalysisRunRequest(namespace="bench", inline_text=TEMPLATE).SerializeToString()
            run = pb.AnalysisRun.FromString(await ours.unary_unary(CREATE)(request))
            await asyncio.sleep(0.5)  # it is running now, and waits
            get = pb.GetAnalysisRunRequest(name=run.name).SerializeToString()
            body = await ours.unary_unary(METHOD)(get)
            echo, echo_address = start_echo(body)
            started.append(echo)
            async with grpc.aio.insecure_channel(echo_address) as theirs:
                pairs = {
                    "get": (ours.unary_unary(METHOD), service.pid),
                    "echo": (theirs.unary_unary(METHOD), echo.pid),
                }
                return await compare(pairs, get, len(body), rounds, calls)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.communicate()


async def compare(
    pairs: dict[str, tuple[Any, int]], get: bytes, size: int, rounds: int, calls: int
) -> dict[str, object]:
    rates: dict[str, list[float]] = {name: [] for name in pairs}
    cpu: dict[str, list[float]] = {name: [] for name in pairs}
    for call, _ in pairs.values():
        await block(call, get, 4 * BLOCK)  # warm
    for number in range(rounds):
        seconds = dict.fromkeys(pairs, 0.0)
        before = {name: cpu_seconds(pid) for name, (_, pid) in pairs.items()}
        for turn in range(calls // BLOCK):
            order = list(pairs) if (turn + number) % 2 else list(reversed(pairs))
            for name in order:
                seconds[name] += await block(pairs[name][0], get, BLOCK)
        for name, (_, pid) in pairs.items():
            rates[name].append(calls / seconds[name])
            cpu[name].append((cpu_seconds(pid) - before[name]) / calls * 1e6)
    return {
        "benchmark": "rpc",
        "ratio": round(median(a / b for a, b in zip(rates["get"], rates["echo"], strict=True)), 3),
        "goal": GOAL,
        "per_second": {name: round(median(values)) for name, values in rates.items()},
        "server_cpu_us": {name: round(median(values), 1) for name, values in cpu.items()},
        "answer_bytes": size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=4000)
    chosen = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(chosen.rounds, chosen.calls))))


if __name__ == "__main__":
    main()
