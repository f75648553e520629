"""Commands that a run starts: they end with it, and while one is alive the run's lock is held."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from parammem.checkout.git import ELSEWHERE
from parammem.checkout.held_files import held
from parammem.checkout.leftovers import mend_register

GUARD = Path(__file__).with_name("guard.py")
TAIL_LINES = 40
BAR = re.compile(r"\d{1,3}%\|[^|]{0,200}\||\d{1,3}% ?\[[-=>#. ]{3,200}\]|[━╸╺]{5}")
"""The state of a progress bar, as tqdm and rich draw it. What the project itself says of progress is plain lines."""
PARENT_DIES = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def run_guarded(
    command: list[str], root: Path, say: Callable[[str], None], env: Mapping[str, str] | None = None
) -> tuple[int, list[str]]:
    """Run a command that ends when this process ends. Returns its exit code and its last TAIL_LINES lines.

    Whatever is raised in the meantime (Ctrl-C, a cancelled flow, a time limit) stops the command with all its
    children before it goes on upwards.

    Args:
        env: by default `environment(root)`.
    """
    if "dvc" in command[:3] and mend_register(root):
        say("an earlier DVC was cut short: its unreadable .dvc/tmp/rwlock is taken away")
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command],
        cwd=root,
        env=environment(root) if env is None else env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=held(),
    )
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    reader = threading.Thread(target=_read_lines, args=(process, tail, say), daemon=True)
    reader.start()
    try:
        code = process.wait()
        reader.join(timeout=5)
        return code, list(tail)
    finally:
        if process.stdin is not None:
            process.stdin.close()  # tells the guard to stop everything, if anything is left
        process.wait()


def ends_with_us() -> Callable[[], None] | None:
    """Return a `preexec_fn` for one process without children that is started without the guard: Linux kills it when
    this process ends. None elsewhere."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # before the fork: a child of a process with threads may not load anything
    return lambda: library.prctl(PARENT_DIES, signal.SIGKILL)


def _read_lines(process: subprocess.Popen[bytes], tail: deque[str], say: Callable[[str], None]) -> None:
    """Say each line that the command prints, but for the states of progress bars, which are many."""
    assert process.stdout is not None
    for line in process.stdout:  # bytes, so that a carriage return ends no line: a bar is redrawn by it
        text = line.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
        if text and not BAR.search(text):
            tail.append(text)
            say(text)


def environment(root: Path | None = None, python: Path | None = None) -> dict[str, str]:
    """Return this process's environment: the interpreter's programs first on PATH, the sources of the tree at `root`
    before installed ones, no telemetry, and nothing that would point git or a flow's child at another place.

    Args:
        python: the interpreter; None: this one.
    """
    path = os.pathsep.join([str((python or Path(sys.executable)).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DVC_NO_ANALYTICS": "1", "GX_ANALYTICS_ENABLED": "false", "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}
    found = {**os.environ, **quiet, "PATH": path}
    for name in ELSEWHERE:
        found.pop(name, None)
    sources = root / "src" if root else None
    if sources and (sources / "parammem").is_dir():
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(sources.resolve()), os.environ.get("PYTHONPATH")]))
    return found
