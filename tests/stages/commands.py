"""The `parammem` command in a process of its own, and how to stop it in the middle."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.stages.arena import ROOT

CACHE = ".cache/completions/completions.sqlite"
PATIENCE = 240


def environment() -> dict[str, str]:
    """This checkout's sources first, one thread, waiting threads asleep."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "parammem.cli", *arguments]


def parammem(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=project, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )


def stopped_when(project: Path, reached: Callable[[], bool], how: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Start the command, send the signal as soon as `reached` says so; exit code and stderr. The code is that of an
    unbroken run if it was over first."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=project,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + PATIENCE
    while process.poll() is None and not reached():
        assert time.monotonic() < end, "the command neither ended nor got to the point where it was to be stopped"
        time.sleep(0.001)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def recorded(project: Path) -> list[str]:
    """Keys of the completions made so far, in order: one for each time that one was made."""
    file = project / CACHE
    if not file.is_file():
        return []
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
        try:
            return [key for (key,) in connection.execute("SELECT key FROM made ORDER BY number")]
        finally:
            connection.close()
    except sqlite3.OperationalError:  # between the making of the file and that of its tables
        return []


def some_points(last: int, count: int, seed: int) -> list[int]:
    """Increasing random numbers of completions in the first half: where nobody looks for a while, as on a busy machine,
    the command is still not over."""
    return sorted(random.Random(seed).sample(range(1, last // 2), count))
