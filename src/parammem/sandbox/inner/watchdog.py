"""Watching one child: its own end, a word of the worker, or a limit of CPU, wall clock, files or threads."""

from __future__ import annotations

import _socket
import os
import select
import time
from typing import Any

from . import scratch

_TICK = 0.02
_STACK_TICK = 0.005
"""How often a child's memory is measured, in seconds, where address space does not bound it."""
PATIENCE = 10
"""Waiting for a busy CPU stretches the wall limit at most this many times."""


def watch(control: _socket.socket, pid: int, limits: dict[str, Any], folder: str) -> str:
    """Wait for the child's end, a word of the worker, or a limit; returns which limit, "stopped", or ""."""
    handle = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.register(control, select.POLLIN)
    start = time.monotonic()
    stacks = limits["stack_mb"]
    most = limits["memory_mb"] * 2**20 + _held("self") if stacks else 0
    wait = max(1, int(1000 * min(limits["cpu_seconds"], limits["wall_seconds"], _STACK_TICK if stacks else _TICK)))
    try:
        while True:
            ready = poller.poll(wait)
            if not ready:
                reason = _limit_hit(pid, start, limits, folder)
                if not reason and stacks and _held(_seen_pid(pid)) > most:
                    reason = "memory"
                if reason:
                    return reason
                wait = int(1000 * _STACK_TICK if stacks else 2000 * _TICK)
            elif ready[0][0] == handle or len(ready) > 1:
                return ""
            else:
                control.recv(1)
                return "stopped"
    finally:
        os.close(handle)


def cpu_clock(pid: int) -> int:
    """The CPU clock of a process, all its threads together (clock_getcpuclockid(3)). It stands until it is reaped."""
    return (~pid << 3) | 2


def _limit_hit(pid: int, start: float, limits: dict[str, Any], folder: str) -> str:
    cpu = time.clock_gettime(cpu_clock(pid))
    if cpu >= limits["cpu_seconds"]:
        return "cpu"
    outer = _seen_pid(pid)
    if folder and scratch.size(folder, limits["file_bytes"], outer) > limits["file_bytes"]:
        return "files"
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


def _held(pid: int | str) -> int:
    """Bytes of memory that a process has written to, in memory or swapped out; 0 where it may not be asked."""
    total = 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(("RssAnon:", "RssShmem:", "VmSwap:")):
                    total += int(line.split()[1]) * 1024
    except (OSError, IndexError, ValueError):
        return total
    return total


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
