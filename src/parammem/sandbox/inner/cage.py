"""What locks a child down, worked out in the zygote; the child carries it out (`child.lock_down`)."""

from __future__ import annotations

import ctypes
import os
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from . import landlock

_libc = ctypes.PyDLL(None)

Cage = namedtuple("Cage", "filter rules uid count_threads base_memory")
"""Everything that locks a child, prepared once in the zygote.

filter: the seccomp program; None at level none.
rules: descriptor of the Landlock rules, or None.
uid: the user to become; None to stay.
count_threads: whether the kernel's process limit counts this child's threads alone, so that it can be set.
base_memory: address space of the bare interpreter, in bytes.
"""

Step = tuple[Callable[..., Any], tuple[Any, ...], str]
"""A function, its arguments, and what it does; it gives 0 or None where it worked."""
Seal = tuple[Any, list[int], Callable[..., Any], tuple[Any, ...]]
"""The last step: words of the seccomp program, the places among them of the child's process id, function, arguments."""

_RLIMITS = {"cpu": 0, "fsize": 1, "core": 4, "nproc": 6, "nofile": 7, "as": 9}
"""Numbers of the resource limits, the same on both architectures (asm-generic/resource.h)."""
_Pair = ctypes.c_ulong * 2


def inherit() -> None:
    """Give up, in the zygote, what neither a child nor the zygote needs: children inherit it. Raises OSError."""
    for step, args, what in [*_bounds({"core": 0, "nofile": 256}), (_libc["prctl"], (38, 1, 0, 0, 0), "no_new_privs")]:
        if step(*args):
            raise OSError(f"{what} refused")


def steps_of(cage: Cage, limits: dict[str, Any]) -> list[Step]:
    """Return what locks a child down beyond what it inherits, in this order, ahead of the seccomp program."""
    with_zygote = (_libc["prctl"], (1, 9, 0, 0, 0), "dying with the zygote")  # PR_SET_PDEATHSIG, SIGKILL
    if cage.filter is None:  # level none
        return [with_zygote]
    wanted = {
        "as": cage.base_memory + (limits["memory_mb"] + limits["stack_mb"]) * 2**20,
        "fsize": max(limits["output_bytes"] + 1, limits["file_bytes"]),
        "cpu": int(limits["cpu_seconds"]) + 2,
    }
    if cage.count_threads:
        wanted["nproc"] = limits["threads"] + 3  # the zygote and its kin count too
    found = _bounds(wanted)
    if cage.uid is not None:
        found += [(os.setresgid, (cage.uid,) * 3, "the group"), (os.setresuid, (cage.uid,) * 3, "the user")]
    found.append(with_zygote)  # cleared by the change of user, so set after it
    if cage.rules is not None:
        found += [(*landlock.restriction(cage.rules), "Landlock"), (os.close, (cage.rules,), "closing")]
    return found


def seal_of(cage: Cage) -> Seal | None:
    """Return the last step, which puts the seccomp program in force; None at level none."""
    if cage.filter is None:
        return None
    words, places, program = cage.filter.seal
    return words, places, _libc["prctl"], (22, 2, program, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _bounds(wanted: dict[str, int]) -> list[Step]:
    """Return resource limits as steps, each no higher than this process's own; no limit at all is the highest
    number."""
    set_limit = _libc["prlimit"]
    found: list[Step] = []
    for name, most in wanted.items():
        now = _Pair()
        set_limit(0, _RLIMITS[name], None, ctypes.byref(now))
        pair = _Pair(min(most, now[1]), min(most, now[1]))
        found.append((set_limit, (0, _RLIMITS[name], ctypes.byref(pair), None), f"resource limit {name!r}"))
    return found
