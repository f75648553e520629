"""The system call filter of a candidate's child, as classic BPF built by hand (seccomp(2), linux/filter.h).

An allow-list: what is not named is refused with EPERM, a foreign architecture or calling convention kills.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from . import syscalls

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _JUMP, _JEQ, _JSET, _JGE, _AND, _RET, _KEEP = 0x20, 0x05, 0x15, 0x45, 0x35, 0x54, 0x06, 0x07
_NR, _ARCH = 0, 4
_X32 = 0x40000000
_OWN_PID = 0xFFFFFFFE  # replaced by the child's own process id

_O_TRUNC = 0o1000
_O_WRITING = 0x1 | 0x2 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
_THREAD_FLAGS = 0x100 | 0x800 | 0x10000  # CLONE_VM, CLONE_SIGHAND, CLONE_THREAD
_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag
_FCNTL = (0, 1, 2, 3, 4, 1030)  # no F_SETOWN, F_SETSIG: they could signal other processes; no F_GETLK
_LOCKS = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW and those of open descriptors. They seem to work and do nothing: a lock on a library file could be
seen by another run, and within its own run a program needs none."""
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIO(N)CLEX
_PRCTL = (15, 16)  # PR_SET_NAME, PR_GET_NAME


def _op(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, k & 0xFFFFFFFF)


def _argument(index: int) -> int:
    """Return the offset of the low half of an argument (both architectures are little-endian)."""
    return 16 + 8 * index


class _Fprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Program:
    """A filter, laid out once for the kernel.

    seal: its 32-bit words, the places among them where the process id goes, and the reference that the kernel takes.
    """

    def __init__(self, code: bytes) -> None:
        self.code = code
        buffer = ctypes.create_string_buffer(code, len(code))
        words = memoryview(buffer).cast("B").cast("I")
        self._prog = _Fprog(len(code) // 8, ctypes.addressof(buffer))
        places = [place for place in range(1, len(words), 2) if words[place] == _OWN_PID]
        self.seal = words, places, ctypes.byref(self._prog)


def program(machine: str, opening: str) -> Program:
    """Return the filter for an architecture. `opening` is what files may be opened: "none", "read", "write", or "write
    old" where Landlock, before its version 3, lets any file be cut that may be opened.

    Raises:
        OSError: this architecture has no table.
    """
    numbers = syscalls.NUMBERS.get(machine)
    if numbers is None:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {machine!r}; there is one for x86_64 and aarch64")
    # Keeping a copy of the number does nothing but end the kernel's attempt to work out, for every number there is,
    # whether it is always allowed; that would cost each child more than its few calls save.
    head = [
        _op(_LOAD, _ARCH),
        _op(_JEQ, syscalls.AUDIT_ARCH[machine], 1),
        _op(_RET, _KILL),
        _op(_LOAD, _NR),
        _op(_KEEP, 0),
    ]
    if machine == "x86_64":
        head += [_op(_JGE, _X32, 0, 1), _op(_RET, _KILL)]
    names = syscalls.ALWAYS.split() + (syscalls.FILE_WRITING.split() if opening.startswith("write") else [])
    if opening == "write old":
        names.remove("truncate")
    rules = {numbers[name]: [_op(_RET, _ALLOW)] for name in names if name in numbers}
    rules |= {numbers[name]: rule for name, rule in _checked(opening).items() if name in numbers}
    return Program(b"".join(head + _search(_segments(rules))))


Segment = tuple[int, list[bytes]]
"""From this call number on, what is done."""


def _segments(rules: dict[int, list[bytes]]) -> list[Segment]:
    """Return all numbers from 0 on, cut where the rule changes; what has no rule is refused."""
    segments: list[Segment] = []
    for number in range(max(rules) + 2):
        rule = rules.get(number, [_refuse(errno.EPERM)])
        if not segments or segments[-1][1] != rule:
            segments.append((number, rule))
    return segments


def _search(segments: list[Segment]) -> list[bytes]:
    """Return the instructions of a binary search."""
    if len(segments) == 1:
        return segments[0][1]
    middle = len(segments) // 2
    left, right = _search(segments[:middle]), _search(segments[middle:])
    start = segments[middle][0]
    if len(left) < 256:
        return [_op(_JGE, start, len(left), 0), *left, *right]
    return [_op(_JGE, start, 0, 1), _op(_JUMP, len(left)), *left, *right]


def _refuse(number: int) -> bytes:
    return _op(_RET, _ERRNO | number)


def _one_of(index: int, values: tuple[int, ...], seeming: tuple[int, ...] = ()) -> list[bytes]:
    """Allow when the argument is one of the values; when it is one of the others, say 0 and do nothing."""
    every = [*values, *seeming]
    ends = [_refuse(errno.EPERM), _op(_RET, _ALLOW), *([_op(_RET, _ERRNO)] if seeming else [])]
    tests = [_op(_JEQ, value, len(every) - i + (i >= len(values))) for i, value in enumerate(every)]
    return [_op(_LOAD, _argument(index)), *tests, *ends]


def _no_bits(index: int, bits: int) -> list[bytes]:
    """Allow when the argument has none of the bits."""
    return [_op(_LOAD, _argument(index)), _op(_JSET, bits, 0, 1), _refuse(errno.EACCES), _op(_RET, _ALLOW)]


def _masked_equal(index: int, mask: int, value: int) -> list[bytes]:
    load = [_op(_LOAD, _argument(index)), _op(_AND, mask)]
    return [*load, _op(_JEQ, value, 1), _refuse(errno.EPERM), _op(_RET, _ALLOW)]


def _opened(opening: str, index: int) -> list[bytes]:
    """Return what may be opened, by the argument that holds the flags."""
    if opening == "none":
        return [_refuse(errno.EACCES)]
    if opening == "write old":  # cutting needs the right to write, which Landlock keeps inside the folder
        load = [_op(_LOAD, _argument(index)), _op(_AND, _O_TRUNC | 3)]
        return [*load, _op(_JEQ, _O_TRUNC, 1), _op(_JEQ, _O_TRUNC | 3, 0, 1), _refuse(errno.EACCES), _op(_RET, _ALLOW)]
    return _no_bits(index, {"read": _O_WRITING, "write": 0}[opening])


def _checked(opening: str) -> dict[str, list[bytes]]:
    own = _one_of(0, (_OWN_PID,))
    return {
        "openat": _opened(opening, 2),
        "open": _opened(opening, 1),
        "clone": _masked_equal(0, _THREAD_FLAGS | _NEW_NAMESPACES, _THREAD_FLAGS),
        "kill": own,
        "tgkill": own,
        "prlimit64": _one_of(0, (0, _OWN_PID)),
        "fcntl": _one_of(1, _FCNTL, seeming=_LOCKS),
        "flock": [_op(_RET, _ERRNO)],
        "ioctl": _one_of(1, _IOCTL),
        "prctl": _one_of(0, _PRCTL),
        # A local stream only: a datagram socket could reach other programs by address.
        "socketpair": [_op(_LOAD, _argument(0)), _op(_JEQ, 1, 1), _refuse(errno.EPERM)]
        + _masked_equal(1, ~0o2004000, 1),
        "clone3": [_refuse(errno.ENOSYS)],  # flags behind a pointer; libc falls back to clone
        "openat2": [_refuse(errno.ENOSYS)],
    }


def machine() -> str:
    """Return the architecture, by the kernel's name for it."""
    return os.uname().machine
