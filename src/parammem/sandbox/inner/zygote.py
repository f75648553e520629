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
from collections import namedtuple
from typing import Any

from . import child, landlock, namespaces, scratch, seccomp, wire
from .watch import watch

_KILL = 9

REPORT = struct.Struct("<Bid")
"""How a child ended: a place in REASONS, its wait status, its CPU seconds; then text, if it was refused."""
REASONS = ("", "stopped", "cpu", "threads", "files", "timeout", "refused")


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
        if os.getgroups():
            os.setgroups([])
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
    control.send(wire.encode({"ready": True, "why": "", **layers}))
    _serve(control, cages)


def _serve(control: _socket.socket, cages: tuple[child.Cage, child.Cage]) -> None:
    """An order is the limits of a run, with the descriptors it uses. When one like the last comes, the child of the
    next is forked and locked down ahead, while the worker is busy with what this one said."""
    plan = _plan(cages, b"")
    spare: _Child | None = None
    while True:
        order, ancillary, _, _ = control.recvmsg(4096, _RIGHTS_SPACE)
        if not order:
            return
        if order == b"K":  # for a run that has ended
            continue
        fds = ancillary[0][2]
        repeats = order == plan.order
        if spare is not None and not (repeats and _waits(spare)):
            _discard(spare)
            spare = None
        plan = plan if repeats else _plan(cages, order)
        one = spare or _fork(control, plan, fds)
        control.send(_run(control, plan, one, fds))
        spare = _fork(control, plan, b"") if repeats and plan.ahead else None


_RIGHTS_SPACE = _socket.CMSG_SPACE(4 * 3)
_Plan = namedtuple("_Plan", "order limits watched cage bounds ahead")
"""What is worked out once for runs with the same limits. `watched`: the limits that are kept; `ahead`: whether a child
may be forked before it is asked for."""
_Child = namedtuple("_Child", "pid talk cage folder")
"""A child that is locking itself down or waits for its run; `talk` is the socket on which it says so."""


def _plan(cages: tuple[child.Cage, child.Cage], order: bytes) -> _Plan:
    if not order:
        return _Plan(order, None, None, None, None, False)
    limits = marshal.loads(order)
    cage = cages[1] if limits["file_bytes"] else cages[0]
    watched = limits if cage.filter else {**limits, **_UNLIMITED}
    return _Plan(order, limits, watched, cage, child.bounds(cage, limits), bool(cage.filter and cage is cages[0]))


def _fork(control: _socket.socket, plan: _Plan, rights: bytes) -> _Child:
    """`rights` are descriptors that are open here and none of the new child's, until they are sent to it."""
    cage, folder = plan.cage, ""
    if plan.limits["file_bytes"]:
        folder = scratch.make(cage.uid)
        if cage.rules is not None:
            cage = cage._replace(rules=landlock.ruleset(readable(), [folder]))
    talk, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        for unwanted in (control.detach(), talk.detach(), *_descriptors(rights)):
            os.close(unwanted)
        _become_child(theirs, cage, plan.bounds, folder)
    theirs.close()
    if folder and cage.rules is not None:
        os.close(cage.rules)
    return _Child(pid, talk, cage, folder)


def _descriptors(rights: bytes) -> list[int]:
    return [fd for (fd,) in struct.iter_unpack("i", rights)]


def _waits(spare: _Child) -> bool:
    """Whether it is alive still: it may have waited long."""
    return os.waitid(os.P_PID, spare.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _discard(spare: _Child) -> None:
    os.kill(spare.pid, _KILL)
    os.waitpid(spare.pid, 0)
    spare.talk.close()


def _run(control: _socket.socket, plan: _Plan, one: _Child, rights: bytes) -> bytes:
    """Hand the run to a child once it says that it is locked down, watch it to its end, and report."""
    pid, talk, _, folder = one
    try:
        said = talk.recv(1000)
        if said == b"R":
            talk.sendmsg([said], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    except OSError:
        said = b""
    talk.close()
    for descriptor in _descriptors(rights):
        os.close(descriptor)
    reason = watch(control, pid, plan.watched, folder) if said == b"R" else "refused"
    if reason:
        os.kill(pid, _KILL)
    _, status, used = os.wait4(pid, 0)
    if folder:
        reason = "files" if scratch.size(folder) > plan.limits["file_bytes"] else reason
        scratch.remove(folder)
    why = b"" if said == b"R" else said[1:] or b"it died while it was locking itself down"
    return REPORT.pack(REASONS.index(reason), status, used.ru_utime + used.ru_stime) + why


def _become_child(talk: _socket.socket, cage: child.Cage, bounds: list[Any], folder: str) -> None:
    """Never returns. What the child says about its cage it says before the candidate is within reach."""
    code = 1
    try:
        if folder:
            os.chdir(folder)
            os.environ["TMPDIR"] = folder
        try:
            child.lock_down(cage, bounds)
        except BaseException as error:
            talk.send(f"!{type(error).__name__}: {error}".encode()[:1000])
            return
        talk.send(b"R")
        os.close(1)  # the first descriptor that comes takes its place
        _, ancillary, _, _ = talk.recvmsg(1, _RIGHTS_SPACE)
        talk.close()
        rights = ancillary[0][2]
        if len(rights) > 8:
            given = int.from_bytes(rights[8:], sys.byteorder)
            os.dup2(given, 0)
            os.close(given)
        child.serve(int.from_bytes(rights[4:8], sys.byteorder))
        code = 0
    finally:
        os._exit(code)
