"""A classic BPF interpreter for seccomp filters (linux/filter.h), so that a filter can be tried on any machine."""

from __future__ import annotations

import struct

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LONGEST = 4096


def verdict(code: bytes, arch: int, number: int, args: tuple[int, ...] = ()) -> int:
    """What the filter returns for a call. Checks what the kernel checks: jumps forward and inside, a return at the end.

    Raises:
        AssertionError: this is no filter that a kernel would take.
    """
    steps = list(struct.iter_unpack("=HBBI", code))
    assert 0 < len(steps) <= _LONGEST
    data = struct.pack("=iIQ6Q", number, arch, 0, *(args + (0,) * 6)[:6])
    accumulator, at = 0, 0
    for _ in steps:
        operation, true, false, k = steps[at]
        at += 1
        if operation == 0x06:  # RET K
            return k
        if operation == 0x20:  # LD W ABS
            assert k % 4 == 0
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif operation == 0x54:  # AND K
            accumulator &= k
        elif operation == 0x07:  # TAX: a second register, which no operation here reads
            pass
        elif operation == 0x05:  # JA
            at += k
        else:
            hit = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[operation]
            at += true if hit else false
        assert at < len(steps)
    raise AssertionError("the filter does not return")
