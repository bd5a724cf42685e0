"""Ends with the one who started us: our standard input closes when the other end goes away, however it goes."""

import asyncio
import os
import threading


async def starter_gone() -> None:
    """Returns when standard input closes. A daemon thread, so that waiting for it never keeps a process alive."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock would outlive this thread at exit
            pass
        loop.call_soon_threadsafe(gone.set)

    threading.Thread(target=watch, daemon=True).start()
    await gone.wait()
