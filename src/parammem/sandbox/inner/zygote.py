"""The warm parent of all children of one worker: forks a child per run, watches its limits, reports how it ended.

It never sees source, inputs or values: those go between worker and child over a channel of their own.
"""

from __future__ import annotations

import array
import ctypes
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

from . import child, landlock, namespaces, seccomp, wire

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


def prepare(level: str, user_namespace: bool) -> tuple[child.Cage, child.Cage]:
    """The cages of this zygote's children, without and with a scratch folder. Raises OSError naming what is missing."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        base = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    if level == "none":
        open_cage = child.Cage(None, None, None, False, base)
        return open_cage, open_cage
    machine = seccomp.machine()
    uid = _free_user() if os.geteuid() == 0 else None
    rules = landlock.ruleset(readable(), []) if level == "strict" else None
    filters = [
        seccomp.program(machine, kind) for kind in (("none", "none") if level == "nofiles" else ("read", "write"))
    ]
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    alone = (uid is not None and uid != _NOBODY) or (user_namespace and release >= (5, 14))
    first, second = (child.Cage(kind, rules, uid, alone, base) for kind in filters)
    if uid is not None:
        _reach_library()
    return first, second


_NOBODY = 65534
_UNLIMITED = {"cpu_seconds": 1e9, "threads": 1_000_000}
"""At level none only the wall limit is kept, or nothing would ever end."""


def _free_user() -> int | None:
    """A user that owns nothing; nobody where the high numbers are not mapped; None where even nobody is not."""
    with open("/proc/self/uid_map", encoding="ascii") as table:
        ranges = [tuple(map(int, line.split())) for line in table]
    fresh = 2_000_000_000 + int.from_bytes(os.urandom(3), "little") * 8  # each worker its own, to count its threads
    for wanted in (fresh, _NOBODY):
        if any(inside <= wanted < inside + size for inside, _, size in ranges):
            return wanted
    return None


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


def silence() -> None:
    """Point the standard descriptors at nothing."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def launch(control: socket.socket, level: str, layered: bool) -> None:
    """Enter what namespaces there are (if `layered`), then serve runs until the worker goes away."""
    _die_with_parent()
    silence()
    spaces = namespaces.enter() if layered and level != "none" else []
    if not spaces:
        return _main(control, level, [], [])
    first = os.fork()  # the first process of the new process namespace: when it dies, all in there die
    if first == 0:
        _die_with_parent()
        hidden = namespaces.hide(os.path.dirname(os.__file__))
        _main(control, level, spaces, hidden)
        os._exit(0)
    control.close()
    os.waitpid(first, 0)
    return None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def _main(control: socket.socket, level: str, spaces: list[str], hidden: list[str]) -> None:
    child.warm(everything=level == "nofiles")
    try:
        cages = prepare(level, "user" in spaces)
    except OSError as error:
        control.send(wire.encode({"ready": False, "why": str(error.strerror or error)}))
        return
    layers = {"namespaces": spaces, "hidden": hidden, "landlock_abi": landlock.abi(), "uid": cages[0].uid}
    control.send(wire.encode({"ready": True, "why": "", **layers}))
    while True:
        message, ancillary, _, _ = control.recvmsg(65536, socket.CMSG_SPACE(4 * 4))
        if not message:
            return
        if message == b"K":
            continue
        limits = wire.decode(message)
        _run(control, cages[1] if limits["file_bytes"] else cages[0], limits, _descriptors(ancillary))


def _descriptors(ancillary: Any) -> list[int]:
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _run(control: socket.socket, cage: child.Cage, limits: dict[str, Any], fds: list[int]) -> None:
    scratch = scratch_folder(cage) if limits["file_bytes"] else ""
    if scratch and cage.rules is not None:
        cage = replace(cage, rules=landlock.ruleset(readable(), [scratch]))
    pid = os.fork()
    if pid == 0:
        _become_child(control, cage, limits, fds, scratch)
    for descriptor in fds:
        os.close(descriptor)
    reason = _watch(control, pid, limits if cage.filter else {**limits, **_UNLIMITED}, scratch)
    if reason:
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    if scratch:
        reason = "files" if folder_size(scratch) > limits["file_bytes"] else reason
        shutil.rmtree(scratch, ignore_errors=True)
        if cage.rules is not None:
            os.close(cage.rules)
    report = {"reason": reason, "status": status, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss}
    control.send(wire.encode(report))


def _become_child(
    control: socket.socket, cage: child.Cage, limits: dict[str, Any], fds: list[int], scratch: str
) -> None:
    """Never returns."""
    code = 1
    try:
        control.close()
        os.dup2(fds[1], 1)
        os.dup2(fds[2], 0)
        for descriptor in fds[1:]:
            os.close(descriptor)
        if scratch:
            os.chdir(scratch)
            os.environ["TMPDIR"] = scratch
        child.main(fds[0], cage, limits)
        code = 0
    finally:
        os._exit(code)


def scratch_folder(cage: child.Cage) -> str:
    """A fresh folder that the child owns."""
    place = next((p for p in ("/tmp", "/var/tmp", "/dev/shm") if os.access(p, os.W_OK)), "/tmp")
    folder = tempfile.mkdtemp(dir=place, prefix="run-")
    if cage.uid is not None:
        os.chown(folder, cage.uid, cage.uid)
    return folder


def folder_size(folder: str) -> int:
    """Bytes in use below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _watch(control: socket.socket, pid: int, limits: dict[str, Any], scratch: str) -> str:
    """Wait for the child's end, a word of the worker, or a limit; returns which limit, "stopped", or ""."""
    handle = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.register(control.fileno(), select.POLLIN)
    start = time.monotonic()
    wait = min(limits["cpu_seconds"], limits["wall_seconds"], _TICK)
    try:
        while True:
            ready = {fd for fd, _ in poller.poll(max(1, int(wait * 1000)))}
            if handle in ready:
                return ""
            if ready:
                control.recv(1)
                return "stopped"
            reason = _limit_hit(pid, start, limits, scratch)
            if reason:
                return reason
            wait = 2 * _TICK
    finally:
        os.close(handle)


def _limit_hit(pid: int, start: float, limits: dict[str, Any], scratch: str) -> str:
    clock = (~pid << 3) | 2  # the child's own CPU clock, all its threads together (clock_getcpuclockid(3))
    cpu = time.clock_gettime(clock)
    if cpu >= limits["cpu_seconds"]:
        return "cpu"
    if scratch and folder_size(scratch) > limits["file_bytes"]:
        return "files"
    outer = _seen_pid(pid)
    if _threads(outer) > limits["threads"]:
        return "threads"
    wall = time.monotonic() - start
    if wall < limits["wall_seconds"]:
        return ""
    blocked = wall - cpu - _queued(outer)
    return "timeout" if blocked >= limits["wall_seconds"] or wall >= PATIENCE * limits["wall_seconds"] else ""


def _seen_pid(pid: int) -> int:
    """The child's number in this /proc, which may belong to an outer process namespace."""
    ours = os.readlink("/proc/self")
    if ours == str(os.getpid()):
        return pid
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as stat:
                if stat.read().rpartition(")")[2].split()[1] == ours:
                    return int(name)
        except (OSError, IndexError):
            continue
    return 0


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 1


def _queued(pid: int) -> float:
    """Seconds in which the child could have run but had to wait for a CPU; 0 where the kernel does not say."""
    total = 0
    try:
        for name in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{name}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[1])
    except (OSError, IndexError, ValueError):
        return total / 1e9
    return total / 1e9
