"""Run one command, and end it when the process that asked for it ends.

    python -I -S guard.py COMMAND ARGUMENT...

DVC leaves its stage running when it is killed alone, and the stage later overwrites the next run's files. So the
command gets a process group of its own, and this guard ends the whole group as soon as its own stdin closes, which
happens when the asking process closes it on purpose and also when that process ends in any way, `kill -9` included.
It also ends a DVC that computes while the disk is full: the library of its databases (diskcache) tries again for ever.
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
FULL_BYTES = 16 << 10
"""What is free on a disk that is called full."""
LOOK_SECONDS = 2.0
SPIN_SECONDS = 6.0
"""CPU that DVC itself, without its stages, may use while the disk stays full; its own error takes it about one."""


def main(command: list[str]) -> int:
    """Run the command; its exit code, or 128 + the signal that ended it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler, not SIG_IGN: the command would inherit SIG_IGN and could no longer be interrupted.
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=stop_when_abandoned, args=(child,), daemon=True).start()
    code = wait(child, "dvc" in command[:3])
    send(child.pid, signal.SIGKILL)  # whatever the command left behind in its group
    return code if code >= 0 else 128 - code


def wait(child: subprocess.Popen[bytes], dvc: bool) -> int:
    """Wait for the command. Returns its exit code, 1 for a DVC that was ended because the disk was full."""
    since: float | None = None
    while True:
        try:
            return child.wait(LOOK_SECONDS if dvc else None)
        except subprocess.TimeoutExpired:
            since = (used(child.pid) if since is None else since) if is_full() else None
            if since is not None and used(child.pid) - since > SPIN_SECONDS:
                interrupt(child.pid)
                child.wait()
                print(f"ERROR: No space left on device: {os.getcwd()}; make room, and run the same again", flush=True)
                return 1


def is_full() -> bool:
    """Return whether the disk of the current folder is full."""
    found = os.statvfs(".")
    return found.f_bavail * found.f_frsize < FULL_BYTES


def used(process: int) -> float:
    """Return the seconds of CPU that a process has used, its children's not among them; 0 where the system does not
    tell."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            user, system = file.read().rpartition(b")")[2].split()[11:13]
    except (OSError, ValueError):
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def stop_when_abandoned(child: subprocess.Popen[bytes]) -> None:
    """Wait for the end of stdin, then interrupt the group, and kill it after the grace time."""
    while os.read(0, 4096):
        pass
    interrupt(child.pid)


def interrupt(group: int) -> None:
    """Interrupt a group, and kill it after the grace time."""
    send(group, signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while group_exists(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    send(group, signal.SIGKILL)


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
