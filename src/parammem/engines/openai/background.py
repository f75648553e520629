"""The event loop of the servers: one thread per process, so that engines can be called from anywhere."""

from __future__ import annotations

import asyncio
import os
import threading

_loops: dict[int, asyncio.AbstractEventLoop] = {}
_lock = threading.Lock()


def background_loop() -> asyncio.AbstractEventLoop:
    """Return this process's event loop for servers, in a thread that ends with the process."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="parammem-servers", daemon=True).start()
            _loops[os.getpid()] = loop
        return loop


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _loops.clear()


os.register_at_fork(after_in_child=_after_fork)
