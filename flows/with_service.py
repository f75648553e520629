"""`parammem up` beside the schedules: started with them, and ended with them however they end."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from parammem.checkout.processes import GUARD

ADDRESS = "ParamMem listens on "


@contextlib.contextmanager
def advice_service(root: Path, words: Sequence[str] = ()) -> Iterator[str]:
    """Run `parammem up` in a repository; yields its address. Its log goes to stderr.

    Args:
        words: further arguments of `parammem up`.

    Raises:
        RuntimeError: it ended before it listened; its own message is on stderr.
    """
    command = [sys.executable, "-m", "parammem.cli", "up", *words]
    service = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert service.stdin is not None
    assert service.stdout is not None
    try:
        first = service.stdout.readline()
        if not first.startswith(ADDRESS):
            raise RuntimeError("the service for running agents ended at once; what it said stands above")
        threading.Thread(target=_passed_on, args=(service.stdout,), daemon=True).start()
        yield first.removeprefix(ADDRESS).strip()
    finally:
        service.stdin.close()  # the guard interrupts it: calls in flight are ended first
        service.wait()


def _passed_on(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, end="", flush=True)
