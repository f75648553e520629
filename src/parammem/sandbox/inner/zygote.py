"""The warm parent of all children of one worker: forks a child per run, watches its limits, reports how it ended.

It never sees source, inputs or values: those go between worker and child over a channel of their own.
"""

from __future__ import annotations

import array
import ctypes
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from . import child, landlock, seccomp, wire

_TICK = 0.02
PATIENCE = 10
"""Waiting for a busy CPU stretches the wall limit at most this many times."""


def readable() -> list[str]:
    """What a candidate may read: the interpreter's own library, shared libraries, time zones, a few devices."""
    library = os.path.dirname(os.__file__)
    return [
        library,
        *(os.path.join(sys.base_prefix, "lib", name) for name in os.listdir(os.path.join(sys.base_prefix, "lib"))
          if ".so" in name),
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/etc/localtime",
        "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
    ]  # fmt: skip


def prepare(level: str) -> child.Cage:
    """The cage of every child of this zygote. Raises OSError naming what is missing."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        base = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    if level == "none":
        return child.Cage(None, None, None, base)
    opening = "none" if level == "nofiles" else "read"
    rules = None
    if level == "strict":
        rules = landlock.ruleset(readable(), [])
    uid = None
    if os.geteuid() == 0:
        uid = _free_user()
        _reach_library()
    return child.Cage(seccomp.program(seccomp.machine(), opening), rules, uid, base)


def _free_user() -> int:
    """A user that owns nothing; nobody where the high numbers are not mapped."""
    with open("/proc/self/uid_map", encoding="ascii") as table:
        ranges = [tuple(map(int, line.split())) for line in table]
    wanted = 2_000_000_000 + os.getpid() % 1_000_000
    return wanted if any(inside <= wanted < inside + size for inside, _, size in ranges) else 65534


def _reach_library() -> None:
    """Let a child that is no longer root import from a library below a closed folder such as /root.

    The path goes over an open descriptor, which was opened as root and needs no search right on its parents.
    """
    library = os.path.dirname(os.__file__)
    handle = os.open(library, os.O_PATH | os.O_DIRECTORY)
    open_path = f"/proc/self/fd/{handle}"
    sys.path[:] = [p.replace(library, open_path) if p.startswith(library) else p for p in sys.path]
    for module in list(sys.modules.values()):
        folders = getattr(module, "__path__", None)
        if isinstance(folders, list):
            folders[:] = [p.replace(library, open_path) if p.startswith(library) else p for p in folders]
    sys.path_importer_cache.clear()


def main(control: socket.socket, level: str) -> None:
    """Serve runs until the worker goes away."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # die with the worker
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    child.warm()
    try:
        cage = prepare(level)
    except OSError as error:
        control.send(wire.encode({"ready": False, "why": str(error.strerror or error)}))
        return
    control.send(wire.encode({"ready": True, "why": ""}))
    while True:
        message, ancillary, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(4 * 4))
        if not message:
            return
        if message == b"K":
            continue
        _run(control, cage, wire.decode(message), _descriptors(ancillary))


def _descriptors(ancillary: Any) -> list[int]:
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _run(control: socket.socket, cage: child.Cage, limits: dict[str, Any], fds: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        _become_child(control, cage, limits, fds)
    for descriptor in fds:
        os.close(descriptor)
    reason = _watch(control, pid, limits)
    if reason:
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    cpu = used.ru_utime + used.ru_stime
    report = {"reason": reason, "status": status, "cpu": cpu, "peak": used.ru_maxrss}
    control.send(wire.encode(report))


def _become_child(control: socket.socket, cage: child.Cage, limits: dict[str, Any], fds: list[int]) -> None:
    """Never returns."""
    code = 1
    try:
        control.close()
        os.dup2(fds[1], 1)
        os.dup2(fds[2], 0)
        for descriptor in fds[1:]:
            os.close(descriptor)
        child.main(fds[0], cage, limits)
        code = 0
    finally:
        os._exit(code)


def _watch(control: socket.socket, pid: int, limits: dict[str, Any]) -> str:
    """Wait for the child's end, a word of the worker, or a limit; returns which limit, "stopped", or ""."""
    handle = os.pidfd_open(pid)
    clock = (~pid << 3) | 2  # the child's own CPU clock (clock_getcpuclockid(3))
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.register(control.fileno(), select.POLLIN)
    start = time.monotonic()
    cores = os.cpu_count() or 1
    try:
        wait = min(limits["cpu_seconds"] / cores, limits["wall_seconds"], _TICK)
        while True:
            ready = {fd for fd, _ in poller.poll(max(1, int(wait * 1000)))}
            if handle in ready:
                return ""
            if ready:
                control.recv(1)
                return "stopped"
            reason = _limit_hit(pid, clock, start, limits)
            if reason:
                return reason
            wait = 2 * _TICK
    finally:
        os.close(handle)


def _limit_hit(pid: int, clock: int, start: float, limits: dict[str, Any]) -> str:
    cpu = time.clock_gettime(clock)
    if cpu >= limits["cpu_seconds"]:
        return "cpu"
    wall = time.monotonic() - start
    if wall < limits["wall_seconds"]:
        return ""
    blocked = wall - cpu - _queued(pid)
    return "wall" if blocked >= limits["wall_seconds"] or wall >= PATIENCE * limits["wall_seconds"] else ""


def _queued(pid: int) -> float:
    """Seconds in which the child could have run but had to wait for a CPU; 0 where the kernel does not say."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
            return int(stat.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
