"""Run every benchmark, one after the other, each in a process of its own: `python -m benchmarks [NAME...]`."""

import subprocess
import sys
from pathlib import Path

NAMES = sorted(
    p.stem
    for p in Path(__file__).parent.glob("*.py")
    if p.stem not in ("__init__", "__main__", "servers", "interleave") and not p.stem.startswith("verdict_")
)


def main() -> int:
    failed = []
    for name in sys.argv[1:] or NAMES:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
