"""The parent of all children of one worker: forks a child per run, has it watched, reports how it ended.

It never sees source, inputs or values: those go between worker and child over a channel of their own.
"""

from __future__ import annotations

import _socket  # the bare one: `socket` would bring a megabyte of names into every child
import marshal
import os
import struct
import time
from collections import namedtuple
from os import close, fork, memfd_create, waitpid

from . import child, landlock, scratch
from .cage import Cage, seal_of, steps_of
from .watchdog import cpu_clock, watch

_KILL = 9
_UNLIMITED = {"cpu_seconds": 1e9, "threads": 1_000_000, "stack_mb": 0}
"""At level none only the wall limit is kept, or nothing would ever end."""

REPORT = struct.Struct("<Bid")
"""How a child ended: a place in REASONS, its wait status, its CPU seconds. The channel of the next may come along."""
REASONS = ("", "stopped", "cpu", "threads", "files", "timeout", "memory")
RIGHTS_SPACE = _socket.CMSG_SPACE(4 * 3)
"""Room for the descriptors that go to the worker with each child: its channel, what it prints, what it reads."""


def serve(control: _socket.socket, cages: tuple[Cage, Cage]) -> None:
    """Serve orders: run a forked child for each and report on it. An order is the limits of a run, and whether it reads
    its stdin. When one like the last comes, the child of the next is forked and locks itself down ahead, while the
    worker is busy with what this one said."""
    plan: _Plan | None = None
    ahead: tuple[int, str] | None = None
    while order := control.recv(4096):
        if order == b"K":  # for a run that has ended
            continue
        repeats = plan is not None and order == plan.order
        if ahead is not None and not repeats:
            _discard(ahead[0])
            ahead = None
        if plan is None or not repeats:
            plan = _plan(cages, order)
        if ahead is None:
            channel = _Channel(plan.program)
            channel.give(control, b"C")
            ahead = _fork(control, plan, channel)
        report = _run(control, plan, *ahead)
        if repeats and plan.ahead:
            channel = _Channel(plan.program)
            channel.give(control, report)
            ahead = _fork(control, plan, channel)
        else:
            control.send(report)
            ahead = None


class _Channel:
    """What a child and the worker share: a socket pair, the memory that it prints to, for a program what it reads."""

    def __init__(self, program: bool) -> None:
        self.ours, self.theirs = _socket.socketpair()
        self.given = [self.ours.fileno(), memfd_create("stdout")]
        if program:
            self.given.append(memfd_create("stdin"))

    def give(self, control: _socket.socket, word: bytes) -> None:
        """Send the worker its ends along with a word."""
        rights = struct.pack(f"{len(self.given)}i", *self.given)
        control.sendmsg([word], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()
        for descriptor in self.given[1:]:
            close(descriptor)


_Plan = namedtuple("_Plan", "order limits watched cage steps seal program ahead")
"""What is worked out once for runs with the same limits. watched: the limits that are kept; steps and seal: what locks
the child down; program: whether it reads its stdin; ahead: whether a child may be forked before it is asked for."""


def _plan(cages: tuple[Cage, Cage], order: bytes) -> _Plan:
    limits, program = marshal.loads(order)
    cage = cages[1] if limits["file_bytes"] else cages[0]
    watched = limits if cage.filter else {**limits, **_UNLIMITED}
    ahead = bool(cage.filter and cage is cages[0])
    return _Plan(order, limits, watched, cage, steps_of(cage, limits), seal_of(cage), program, ahead)


def _fork(control: _socket.socket, plan: _Plan, channel: _Channel) -> tuple[int, str]:
    """Return a child that locks itself down, says so on its channel and waits for its run; and its scratch folder, if
    any."""
    _, limits, _, cage, steps, seal, _, _ = plan
    folder = ""
    if limits["file_bytes"]:
        folder = scratch.make(cage.uid)
        if cage.rules is not None:
            cage = cage._replace(rules=landlock.ruleset(landlock.readable(), [folder]))
            steps = steps_of(cage, limits)
    link, given, unwanted = channel.theirs.fileno(), channel.given, [control.fileno()]
    pid = fork()
    if pid == 0:
        child.live(link, given, unwanted, steps, seal, folder)
    channel.close()
    if folder and cage.rules is not None:
        close(cage.rules)
    return pid, folder


def _discard(pid: int) -> None:
    os.kill(pid, _KILL)
    waitpid(pid, 0)


def _run(control: _socket.socket, plan: _Plan, pid: int, folder: str) -> bytes:
    """Watch a child to its end, and report."""
    reason = watch(control, pid, plan.watched, folder)
    if reason:
        os.kill(pid, _KILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    used = time.clock_gettime(cpu_clock(pid))  # wait4(2) would import a module for its answer
    _, status = waitpid(pid, 0)
    if folder:
        most = plan.limits["file_bytes"]
        reason = "files" if scratch.size(folder, most) > most else reason
        scratch.remove(folder)
    return REPORT.pack(REASONS.index(reason), status, used)
