"""What locks a child down: worked out in the zygote, carried out in the child before it gets a candidate."""

from __future__ import annotations

import ctypes
import os
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from . import landlock

_libc = ctypes.PyDLL(None)
_prctl, _prlimit = _libc.prctl, _libc.prlimit  # looked up once: what a child does first costs it page faults

Cage = namedtuple("Cage", "filter rules uid count_threads base_memory")
"""Everything that locks a child, prepared once in the zygote.

filter: the seccomp program; None at level none.
rules: descriptor of the Landlock rules, or None.
uid: the user to become; None to stay.
count_threads: whether the kernel's process limit counts this child's threads alone, so that it can be set.
base_memory: address space of the bare interpreter, in bytes.
"""


Step = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""What it does, a function and its arguments; it gives 0 or None where it worked."""


def lock_down(steps: list[Step], seal: tuple[Any, list[int], Any] | None) -> None:
    """Give up every right for good (at level none: nothing). Raises OSError, and then the candidate is never run.

    `seal` is that of the seccomp program, which comes last; None at level none.
    """
    for what, step, args in steps:
        if step(*args):
            raise OSError(f"{what} refused")
    if seal is not None:
        words, places, program = seal
        own = os.getpid()
        for place in places:
            words[place] = own
        if _prctl(22, 2, program, 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
            raise OSError("the seccomp filter was refused")


_RLIMITS = {"cpu": 0, "fsize": 1, "core": 4, "nproc": 6, "nofile": 7, "as": 9}
"""Numbers of the resource limits, the same on both architectures (asm-generic/resource.h)."""
_Pair = ctypes.c_ulong * 2


def inherit() -> None:
    """Give up, in the zygote, what neither a child nor the zygote needs: children inherit it. Raises OSError."""
    for what, step, args in [*_bounds({"core": 0, "nofile": 256}), ("no_new_privs", _prctl, (38, 1, 0, 0, 0))]:
        if step(*args):
            raise OSError(f"{what} refused")


def steps_of(cage: Cage, limits: dict[str, Any]) -> list[Step]:
    """What locks a child down beyond what it inherits, in this order, ahead of the seccomp program."""
    with_zygote = ("dying with the zygote", _prctl, (1, 9, 0, 0, 0))  # PR_SET_PDEATHSIG, SIGKILL
    if cage.filter is None:  # level none
        return [with_zygote]
    wanted = {
        "as": cage.base_memory + limits["memory_mb"] * 2**20,
        "fsize": max(limits["output_bytes"] + 1, limits["file_bytes"]),
        "cpu": int(limits["cpu_seconds"]) + 2,
    }
    if cage.count_threads:
        wanted["nproc"] = limits["threads"] + 3  # the zygote and its kin count too
    found = _bounds(wanted)
    if cage.uid is not None:
        found += [("the group", os.setresgid, (cage.uid,) * 3), ("the user", os.setresuid, (cage.uid,) * 3)]
    found.append(with_zygote)  # cleared by the change of user, so set after it
    if cage.rules is not None:
        found += [("Landlock", *landlock.restriction(cage.rules)), ("closing", os.close, (cage.rules,))]
    return found


def _bounds(wanted: dict[str, int]) -> list[Step]:
    """Resource limits as steps, each no higher than this process's own; no limit at all is the highest number."""
    found: list[Step] = []
    for name, most in wanted.items():
        now = _Pair()
        _prlimit(0, _RLIMITS[name], None, ctypes.byref(now))
        pair = _Pair(min(most, now[1]), min(most, now[1]))
        found.append((f"resource limit {name!r}", _prlimit, (0, _RLIMITS[name], ctypes.byref(pair), None)))
    return found
