"""Disks of a test's own, which nothing can leave behind."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.stores.suite")

CLONE_NEWNS = 0x00020000


@pytest.fixture(scope="session")
def own_mounts() -> None:
    """What this process mounts from here on, only it and its children see: the kernel takes it away with them, however
    they end. Skips where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a disk needs root")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        pytest.skip(f"no mounts of one's own here: {os.strerror(ctypes.get_errno())}")
    if subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, check=False).returncode:
        pytest.skip("no mounts of one's own here")


@pytest.fixture
def mount_tmpfs(own_mounts: None) -> Iterator[Callable[..., None]]:
    """`mount_tmpfs(folder, "size=1500k")`; unmounted afterwards, also from under open files."""
    mounted: list[Path] = []

    def mount(folder: Path, *options: str) -> None:
        chosen = ["-o", ",".join(options)] if options else []
        done = subprocess.run(["mount", "-t", "tmpfs", *chosen, "tmpfs", str(folder)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode(errors='replace').strip()}")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)
