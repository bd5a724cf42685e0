"""How long the command takes to start, next to `python -c 'import click'`, which it cannot do without.

    python -m benchmarks.startup [--rounds N]

Whole processes, in turns within one run, so that a busy machine slows all of them; medians of the ratios of each
round. CPU time (of the process itself, user and system) stands beside wall time: it tells slow from waiting. The
last line is one JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: checkout-errors}
spec:
  args: [{name: service}, {name: limit, value: "0.05"}]
  metrics:
    - name: error-rate
      interval: 30s
      count: 5
      failureLimit: 1
      successCondition: len(result) > 0 && result[0] < 0.05
      provider:
        prometheus:
          address: http://prometheus.example:9090
          query: sum(rate(http_requests_total{service="{{args.service}}",code=~"5.."}[2m]))
"""
GOALS = {"help": 2.0, "lint": 5.0}


def run(command: list[str]) -> tuple[float, float]:
    """(wall seconds, CPU seconds) of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return wall, used.ru_utime + used.ru_stime


def measure(rounds: int) -> dict[str, dict[str, float]]:
    script = str(Path(sys.executable).with_name("tidegate"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "template.yaml")
        file.write_text(TEMPLATE)
        commands = {
            "click": [sys.executable, "-c", "import click"],
            "help": [script, "--help"],
            "lint": [script, "lint", str(file)],
        }
        for command in commands.values():
            run(command)  # everything is compiled and in the page cache after this
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(run(command))
    base = taken["click"]
    found = {}
    for name, times in taken.items():
        found[name] = {
            "wall_ms": round(median(wall for wall, _ in times) * 1e3, 1),
            "cpu_ms": round(median(cpu for _, cpu in times) * 1e3, 1),
        }
        if name != "click":
            found[name]["ratio"] = round(median(t[0] / b[0] for t, b in zip(times, base, strict=True)), 2)
            found[name]["cpu_ratio"] = round(median(t[1] / b[1] for t, b in zip(times, base, strict=True)), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    found = measure(parser.parse_args().rounds)
    for name, figures in found.items():
        print(f"{name:6}", *(f"{key} {value}" for key, value in figures.items()))
    ratios = {f"{name}_ratio": found[name]["ratio"] for name in GOALS}
    goals = {f"{name}_goal": goal for name, goal in GOALS.items()}
    print(json.dumps({"benchmark": "startup", **ratios, **goals, "cases": found}))


if __name__ == "__main__":
    main()
