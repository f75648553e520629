"""Run one command, and end it when the process that asked for it ends.

    python -I -S guard.py COMMAND ARGUMENT...

DVC leaves its stage running when it is killed alone, and the stage later overwrites the next run's files. So the
command gets a process group of its own, and this guard ends the whole group as soon as its own stdin closes, which
happens when the asking process closes it on purpose and also when that process dies in any way, `kill -9` included.
Standard library only: it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = float(os.environ.get("PARAMMEM_STOP_GRACE", "10"))
"""How long an interrupted stage may take to put its things in order before it is killed."""


def main(command: list[str]) -> int:
    """Run the command; its exit code, or 128 + the signal that ended it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler, not SIG_IGN: the command would inherit SIG_IGN and could no longer be interrupted.
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=stop_when_abandoned, args=(child,), daemon=True).start()
    code = child.wait()
    send(child.pid, signal.SIGKILL)  # whatever the command left behind in its group
    return code if code >= 0 else 128 - code


def stop_when_abandoned(child: subprocess.Popen[bytes]) -> None:
    """Wait for the end of stdin, then interrupt the group, and kill it after the grace time."""
    while os.read(0, 4096):
        pass
    send(child.pid, signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while group_exists(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    send(child.pid, signal.SIGKILL)


def send(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
