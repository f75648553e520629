"""Writes what calls said into the run book, in threads of its own: no answer waits for it, and none breaks by it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Lock

LANES = 2
"""Threads. What is said of one run is written by one of them, in order."""
MOST_BYTES = 2**26
"""Of texts that wait to be written; beyond it calls are not recorded."""

log = logging.getLogger("parammem.service")


class Recorder:
    """Carries out writes in the order in which they were handed over, for each run by itself."""

    def __init__(self, lost: Callable[[str], None]) -> None:
        """lost: called with the reason, in a word, for each call that was not written."""
        self._lanes = [ThreadPoolExecutor(1, f"record-{number}") for number in range(LANES)]
        self._lost, self._lock = lost, Lock()
        self._waiting = 0

    def put(self, run: object, size: int, write: Callable[[], object]) -> None:
        """Let a write be done. Never raises and never waits.

        Args:
            run: whatever tells runs apart.
            size: bytes that are kept until it is done.
        """
        with self._lock:
            if self._waiting + size > MOST_BYTES:
                self._lost("too much waits to be written")
                return
            self._waiting += size
        try:
            self._lanes[hash(run) % LANES].submit(self._do, size, write)
        except RuntimeError:  # the service ends
            self._done(size)
            self._lost("the service ends")

    def close(self) -> None:
        """Write what waits, for a few seconds at most."""
        ends = [lane.submit(int) for lane in self._lanes]
        wait(ends, timeout=10)
        for lane in self._lanes:
            lane.shutdown(wait=False, cancel_futures=True)

    def _do(self, size: int, write: Callable[[], object]) -> None:
        try:
            if write() is False:
                self._lost("the spool is full or the run is over")
        except Exception as error:
            self._lost("it could not be written")
            log.warning("a call was not recorded: %s", type(error).__name__)
        finally:
            self._done(size)

    def _done(self, size: int) -> None:
        with self._lock:
            self._waiting -= size
