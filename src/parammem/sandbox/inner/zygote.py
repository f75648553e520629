"""The warm parent of all children of one worker: forks a child per run, has it watched, reports how it ended.

It never sees source, inputs or values: those go between worker and child over a channel of their own.
"""

from __future__ import annotations

import _socket  # the bare one: `socket` would bring a megabyte of names into every child
import ctypes
import marshal
import os
import struct
import sys
import time
from collections import namedtuple
from typing import Any

from . import child, landlock, namespaces, scratch, seccomp, text, wire
from .cage import Cage, Step, inherit, lock_down, steps_of
from .watch import cpu_clock, watch

_KILL = 9

REPORT = struct.Struct("<Bid")
"""How a child ended: a place in REASONS, its wait status, its CPU seconds. The channel of the next may come along."""
REASONS = ("", "stopped", "cpu", "threads", "files", "timeout")
RIGHTS_SPACE = _socket.CMSG_SPACE(4 * 3)
"""Room for the descriptors that go to the worker with each child: its channel, what it prints, what it reads."""


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


def prepare(level: str, user_namespace: bool) -> tuple[Cage, Cage]:
    """The cages of this zygote's children, without and with a scratch folder. Raises OSError naming what is missing."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        base = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    if level == "none":
        open_cage = Cage(None, None, None, False, base)
        return open_cage, open_cage
    machine = seccomp.machine()
    uid = _free_user() if os.geteuid() == 0 else None
    rules = landlock.ruleset(readable(), []) if level == "strict" else None
    filters = [
        seccomp.program(machine, kind) for kind in (("none", "none") if level == "nofiles" else ("read", "write"))
    ]
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    alone = (uid is not None and uid != _NOBODY) or (user_namespace and release >= (5, 14))
    first, second = (Cage(kind, rules, uid, alone, base) for kind in filters)
    if uid is not None:
        _reach_library()
        if os.getgroups():
            os.setgroups([])
    inherit()
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


def launch(control: _socket.socket, level: str, layered: bool) -> None:
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
    ctypes.CDLL(None).prctl(1, _KILL, 0, 0, 0)


def _main(control: _socket.socket, level: str, spaces: list[str], hidden: list[str]) -> None:
    child.warm(everything=level == "nofiles")
    try:
        cages = prepare(level, "user" in spaces)
    except OSError as error:
        control.send(wire.encode({"ready": False, "why": str(error.strerror or error)}))
        return
    layers = {"namespaces": spaces, "hidden": hidden, "landlock_abi": landlock.abi(), "uid": cages[0].uid}
    text.enlarge()
    control.send(wire.encode({"ready": True, "why": "", **layers}))
    _serve(control, cages)


def _serve(control: _socket.socket, cages: tuple[Cage, Cage]) -> None:
    """An order is the limits of a run, and whether it reads its stdin. When one like the last comes, the child of the
    next is forked and locks itself down ahead, while the worker is busy with what this one said."""
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
        self.given = [self.ours.fileno(), os.memfd_create("stdout")]
        if program:
            self.given.append(os.memfd_create("stdin"))

    def give(self, control: _socket.socket, word: bytes) -> None:
        """Send the worker its ends along with a word."""
        rights = struct.pack(f"{len(self.given)}i", *self.given)
        control.sendmsg([word], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()
        for descriptor in self.given[1:]:
            os.close(descriptor)


_Plan = namedtuple("_Plan", "order limits watched cage steps program ahead")
"""What is worked out once for runs with the same limits. watched: the limits that are kept; steps: what locks the child
down; program: whether it reads its stdin; ahead: whether a child may be forked before it is asked for."""


def _plan(cages: tuple[Cage, Cage], order: bytes) -> _Plan:
    limits, program = marshal.loads(order)
    cage = cages[1] if limits["file_bytes"] else cages[0]
    watched = limits if cage.filter else {**limits, **_UNLIMITED}
    ahead = bool(cage.filter and cage is cages[0])
    return _Plan(order, limits, watched, cage, steps_of(cage, limits), program, ahead)


def _fork(control: _socket.socket, plan: _Plan, channel: _Channel) -> tuple[int, str]:
    """A child that locks itself down, says so on its channel and waits for its run; and its scratch folder, if any."""
    _, limits, _, cage, steps, _, _ = plan
    folder = ""
    if limits["file_bytes"]:
        folder = scratch.make(cage.uid)
        if cage.rules is not None:
            cage = cage._replace(rules=landlock.ruleset(readable(), [folder]))
            steps = steps_of(cage, limits)
    link, given, unwanted = channel.theirs.fileno(), channel.given, control.fileno()
    seal = cage.filter and cage.filter.seal
    pid = os.fork()
    if pid == 0:
        _become_child(link, given, unwanted, steps, seal, folder)
    channel.close()
    if folder and cage.rules is not None:
        os.close(cage.rules)
    return pid, folder


def _discard(pid: int) -> None:
    os.kill(pid, _KILL)
    os.waitpid(pid, 0)


def _run(control: _socket.socket, plan: _Plan, pid: int, folder: str) -> bytes:
    """Watch a child to its end, and report."""
    reason = watch(control, pid, plan.watched, folder)
    if reason:
        os.kill(pid, _KILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    used = time.clock_gettime(cpu_clock(pid))  # wait4(2) would import a module for its answer
    _, status = os.waitpid(pid, 0)
    if folder:
        reason = "files" if scratch.size(folder) > plan.limits["file_bytes"] else reason
        scratch.remove(folder)
    return REPORT.pack(REASONS.index(reason), status, used)


def _become_child(link: int, given: list[int], control: int, steps: list[Step], seal: Any, folder: str) -> None:
    """Never returns. What the child says about its cage it says before the candidate is within reach."""
    code = 1
    try:
        close = os.close
        close(control)
        close(given[0])
        os.dup2(given[1], 1)
        close(given[1])
        if len(given) > 2:
            os.dup2(given[2], 0)
            close(given[2])
        if folder:
            os.chdir(folder)
            os.environ["TMPDIR"] = folder
        try:
            lock_down(steps, seal)
        except BaseException as error:
            os.write(link, child.refused(error))
            return
        child.serve(link)
        code = 0
    finally:
        os._exit(code)
