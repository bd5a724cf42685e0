"""`make demo`: the main job on real traffic, by itself, in under 90 seconds.

Starts the analysis service on a SQLite file, a small shop as it runs today, two new versions of it (one good, one
bad) and real traffic to all three. Stores a template in the service and has each new version compared with the one
that runs, look by look, through their own /metrics pages. Ends with one Successful and one Failed verdict, each with
its sentence.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
TEMPLATE = HERE / "templates" / "shop-compare.yaml"
PER_SECOND = 50
LONGEST_SECONDS = 85


@contextmanager
def child(*arguments: str, stderr: int | None = None, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """A Python module as a process that ends with us, whatever happens to us."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **variables},
    )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        process.terminate()
        process.wait(timeout=40)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tidegate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "analysis_service.cli", *arguments]
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    began = time.monotonic()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        shops = {
            version: first_line(stack.enter_context(child("examples.shop", "--version", version, *flags)))
            for version, flags in (("stable", []), ("good", []), ("bad", ["--bad"]))
        }
        stack.enter_context(
            child(
                "examples.traffic", *shops.values(), "--per-second", str(PER_SECOND), "--seconds", str(LONGEST_SECONDS)
            )
        )
        server, service = serve(stack, Path(folder))
        say(f"the service       {server}  (SQLite, gRPC)")
        for version, address in shops.items():
            say(f"the shop, {version:<8}{address}  with {PER_SECOND} requests a second")
        applied = tidegate("templates", "apply", str(TEMPLATE), "--server", server)
        say(f"stored            {applied.stdout.strip()}")
        say("comparing the good and the bad version with stable ...\n")
        gates = {
            version: subprocess.Popen(
                [
                    sys.executable, "-m", "analysis_service.cli", "check", "--server", server,
                    "--template", "shop-compare", "--name", f"shop-{version}",
                    "-a", f"canary-url={address}/metrics", "-a", f"stable-url={shops['stable']}/metrics",
                    "--timeout", "70s", "--quiet",
                ],
                text=True,
                stdout=subprocess.PIPE,
            )
            for version, address in shops.items()
            if version != "stable"
        }  # fmt: skip
        codes = {}
        for version, gate in gates.items():
            output, _ = gate.communicate()
            codes[version] = gate.returncode
            say(output)
        service.terminate()
    seconds = time.monotonic() - began
    if codes != {"good": 0, "bad": 10}:
        say(f"unexpected: the good version ended with {codes['good']}, the bad one with {codes['bad']}")
        return 1
    say(f"The good version may go on, the bad one is stopped. ({seconds:.0f} s; every process has ended.)")
    return 0


def serve(stack: ExitStack, folder: Path) -> tuple[str, "subprocess.Popen[str]"]:
    """(address, process) of a service on free ports; its log says where it listens."""
    import json

    process = stack.enter_context(
        child(
            "analysis_service.cli", "serve", "--store", f"sqlite:{folder}/tidegate.db",
            "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", stderr=subprocess.PIPE,
            TIDEGATE_DRAIN_DELAY_SECONDS="0",  # nobody has to notice that we leave
        )
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "serving":
            # The log goes on; somebody has to read it, or the service would stand still.
            subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
            return str(event["address"]), process
        sys.stderr.write(line)
    raise SystemExit("the service did not start")


if __name__ == "__main__":
    sys.exit(main())
