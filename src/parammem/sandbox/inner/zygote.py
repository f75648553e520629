"""Set up the parent of all children of one worker: namespaces, cages, what is imported ahead; then it forks
children on order (forks.py)."""

from __future__ import annotations

import _socket  # the bare one: `socket` would bring a megabyte of names into every child
import ctypes
import gc
import marshal
import os

from . import child, forks, landlock, namespaces, seccomp
from .cage import Cage, inherit
from .preload import load, reach

_KILL = 9
_CUTTING = 3
"""The version of Landlock from which on it keeps files from being cut."""
_NEEDED = {"CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
"""What root needs to run children as a user that owns nothing, and to end them; numbers are from linux/capability.h."""


def prepare(level: str, user_namespace: bool, packages: list[str] | None = None) -> tuple[Cage, Cage]:
    """Return the cages of this zygote's children, without and with a scratch folder. `packages`: folders of installed
    packages that they may read besides. Raises OSError naming what is missing."""
    packages = packages or []
    with open("/proc/self/statm", encoding="ascii") as statm:
        base = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    if level == "none":
        open_cage = Cage(None, None, None, False, base)
        return open_cage, open_cage
    machine = seccomp.machine()
    uid = _free_user() if os.geteuid() == 0 else None
    if uid is not None:
        _see_capabilities()
    rules = landlock.ruleset([*landlock.readable(), *packages], []) if level == "strict" else None
    writing = "write" if landlock.abi() >= _CUTTING else "write old"
    filters = [
        seccomp.program(machine, kind) for kind in (("none", "none") if level == "nofiles" else ("read", writing))
    ]
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    alone = (uid is not None and uid != _NOBODY) or (user_namespace and release >= (5, 14))
    first, second = (Cage(kind, rules, uid, alone, base) for kind in filters)
    if uid is not None:
        reach(os.path.dirname(os.__file__))  # of a library below a closed folder such as /root
        if os.getgroups():
            os.setgroups([])
    inherit()
    return first, second


_NOBODY = 65534


def _free_user() -> int | None:
    """Return a user that owns nothing; nobody where the high numbers are not mapped; None where even nobody is not."""
    with open("/proc/self/uid_map", encoding="ascii") as table:
        ranges = [tuple(map(int, line.split())) for line in table]
    fresh = 2_000_000_000 + int.from_bytes(os.urandom(3), "little") * 8  # each worker its own, to count its threads
    for wanted in (fresh, _NOBODY):
        if any(inside <= wanted < inside + size for inside, _, size in ranges):
            return wanted
    return None


def _see_capabilities() -> None:
    """Raise an OSError that names what root lacks: as root, whose files are root's, no candidate is run."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        held = next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)
    lacking = lacking_of(held)
    if lacking:
        raise OSError(
            f"this is root without {', '.join(lacking)}, which cannot become a user that owns nothing; "
            "grant that, or run as an ordinary user"
        )


def lacking_of(held: int) -> list[str]:
    """Return names of the capabilities that root needs and that are not among those held, a set of bits."""
    return [name for name, number in _NEEDED.items() if not held >> number & 1]


def silence() -> None:
    """Point the standard descriptors at nothing."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def start(control: _socket.socket, level: str, layered: bool, preload: list[str], site: str) -> None:
    """Get ready, say so over `control`, then serve runs until the worker goes away. Never returns. `preload`: modules
    to import ahead; `site`: where numpy is, or ""."""
    try:
        _die_with_parent()
        silence()
        load(level == "nofiles", preload, site)
        child.rehearse()
        packages = [reach(f"{site}/numpy")] if site else []
        spaces = namespaces.enter() if layered and level != "none" else []
        hidden = []
        if spaces:
            first = os.fork()  # the first process of the new process namespace: when it ends, all in there end
            if first:
                control.close()
                os.waitpid(first, 0)
                return
            _die_with_parent()
            hidden = namespaces.hide(os.path.dirname(os.__file__))
        cages = prepare(level, "user" in spaces, packages)
        layers = {"namespaces": spaces, "hidden": hidden, "landlock_abi": landlock.abi(), "uid": cages[0].uid}
        gc.collect()
        gc.freeze()
        control.send(marshal.dumps({"ready": True, "why": "", **layers}, 2))
        forks.serve(control, cages)
    except BaseException as error:  # heard only if it is not ready yet: then it says why
        why = error.strerror if isinstance(error, OSError) else None
        control.send(marshal.dumps({"ready": False, "why": why or f"{type(error).__name__}: {error}"}, 2))
    finally:
        os._exit(0)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, _KILL, 0, 0, 0)
