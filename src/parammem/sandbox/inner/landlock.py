"""Landlock: which files a candidate may open, without root and without installing anything (landlock(7))."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every architecture
_READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
_WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14  # write, remove and make files and folders, truncate

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return version of Landlock here; 0 where the kernel has none or it is switched off."""
    return max(0, _libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def readable() -> list[str]:
    """Return what a candidate may read: the interpreter's own library, shared libraries, time zones, a few devices."""
    library = os.path.dirname(os.__file__)
    return [
        library,
        *(os.path.join(sys.base_prefix, "lib", name) for name in os.listdir(os.path.join(sys.base_prefix, "lib"))
          if ".so" in name),
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo", "/etc/localtime",
        "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
    ]  # fmt: skip


def ruleset(readable: list[str], writable: list[str]) -> int:
    """Return a descriptor of rules that refuse everything but reading below some paths and writing below others.

    Raises:
        OSError: no Landlock here.
    """
    version = abi()
    if version < 1:
        raise OSError(
            "Landlock is not available: it needs Linux 5.13 or later with `landlock` among its security modules"
        )
    handled = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    fields = struct.pack("=QQQ", handled, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    attributes = fields[: 24 if version >= 6 else 16 if version >= 4 else 8]
    descriptor = _libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "Landlock rules refused")
    for path in readable:
        _allow(descriptor, path, _READ & handled)
    for path in writable:
        _allow(descriptor, path, (_READ | _WRITE) & handled)
    return descriptor


def _allow(ruleset_fd: int, path: str, rights: int) -> None:
    """Allow rights below a path; a path that is not there needs no rule."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= ~(_READ & ~(1 << 2)) & ~(1 << 4 | 1 << 5 | 1 << 7 | 1 << 8)
        rule = struct.pack("=Qi", rights, place)
        if _libc.syscall(_ADD_RULE, ruleset_fd, ctypes.c_int(1), rule, ctypes.c_uint(0)) != 0:
            raise OSError(ctypes.get_errno(), f"Landlock refused a rule for {path}")
    finally:
        os.close(place)


def restriction(ruleset_fd: int) -> tuple[Callable[..., int], tuple[int, int, int]]:
    """Return the call, and its arguments, that puts the rules on a process for good, and gives 0; no_new_privs must be
    set."""
    return ctypes.PyDLL(None).syscall, (_RESTRICT, ruleset_fd, 0)
