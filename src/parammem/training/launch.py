"""Start the processes of a training with `accelerate launch`, wait for them, and end with them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 30
"""What the launcher has for ending its processes before it is killed."""


def command(processes: int, module: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line. `--multi_gpu` is accelerate's word for several processes, on a CPU too; how the model is
    spread is up to the module. Every setting that accelerate would take from the person's own config file is given."""
    settings = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"]
    settings += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    return [sys.executable, "-m", "accelerate.commands.launch", *settings, "--module", module, *arguments]


def launch(processes: int, module: str, arguments: Sequence[str]) -> int:
    """Run a module in that many processes of this machine; returns the launcher's exit code.

    One process that fails ends the others, too. Should this process be killed, or leave by an exception, the
    launcher ends too.
    """
    source = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    child = subprocess.Popen(
        command(processes, module, arguments),
        env={**os.environ, "PYTHONPATH": path},
        preexec_fn=end_with_parent_politely,
    )
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def end_with_parent(by: int = signal.SIGKILL) -> None:
    """Ask the kernel to end this process when its parent ends. Only Linux can; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(by), 0, 0, 0)


def end_with_parent_politely() -> None:
    """Ask the kernel to send SIGTERM when the parent ends; torch's launcher then ends its processes."""
    end_with_parent(signal.SIGTERM)
