"""The interpreter's own code in huge pages.

A child finds no page of a file mapped, and pays a fault for every sixteen that it runs code from: about forty for the
interpreter. Huge pages of plain memory are taken over by fork(2) with one entry for two megabytes. Nothing rests on
it: where the kernel or the layout do not allow it, everything stays as it was.
"""

from __future__ import annotations

import ctypes

_HUGE = 2 << 20
_READ, _WRITE, _RUN = 1, 2, 4
_PRIVATE_ANONYMOUS, _MADV_HUGEPAGE, _MAYMOVE_FIXED = 0x22, 14, 3


def enlarge() -> int:
    """Put the interpreter's code and constants in huge pages, as far as they fill whole ones; gives the bytes moved.

    Must run while this process has one thread. No page is ever writable and executable at once.
    """
    low, high = _code()
    start = -(-low // _HUGE) * _HUGE
    size = high // _HUGE * _HUGE - start
    if size <= 0 or not _allowed():
        return 0
    libc = ctypes.PyDLL(None)
    address, length, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    mmap = libc["mmap"]
    mmap.restype, mmap.argtypes = address, [address, length, number, number, number, ctypes.c_long]
    mremap = libc["mremap"]
    mremap.restype, mremap.argtypes = address, [address, length, length, number, address]
    madvise, mprotect, munmap = libc["madvise"], libc["mprotect"], libc["munmap"]
    madvise.argtypes = mprotect.argtypes = [address, length, number]
    munmap.argtypes = [address, length]
    area = mmap(None, size + _HUGE, _READ | _WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if area in (None, ctypes.c_void_p(-1).value):
        return 0
    copy = -(-area // _HUGE) * _HUGE
    moved = False
    if madvise(copy, size, _MADV_HUGEPAGE) == 0:
        ctypes.memmove(copy, start, size)
        if _huge(copy, size) and mprotect(copy, size, _READ | _RUN) == 0:
            moved = mremap(copy, size, size, _MAYMOVE_FIXED, start) == start
    rest = copy + size if moved else copy  # what was not moved is given back
    if copy > area:
        munmap(area, copy - area)
    if area + size + _HUGE > rest:
        munmap(rest, area + size + _HUGE - rest)
    return size if moved else 0


def _allowed() -> bool:
    """Whether this kernel gives huge pages to those who ask."""
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
            return "[never]" not in file.read()
    except OSError:
        return False


def _maps(name: str) -> list[list[str]]:
    with open(f"/proc/self/{name}", encoding="utf-8", errors="replace") as file:
        return [line.split(maxsplit=5) for line in file]


def _code() -> tuple[int, int]:
    """From where to where the interpreter's file is mapped read-only without a gap."""
    inside = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value or 0
    found: list[tuple[int, int, str]] = []
    for where, rights, *_, name in (row for row in _maps("maps") if len(row) == 6):
        low, high = (int(part, 16) for part in where.split("-"))
        if "w" in rights or "r" not in rights or not name.startswith("/"):
            continue
        if found and found[-1][1:] == (low, name):
            low = found.pop()[0]
        found.append((low, high, name))
    return next(((low, high) for low, high, _ in found if low <= inside < high), (0, 0))


def _huge(start: int, size: int) -> bool:
    """Whether all of this memory is in huge pages."""
    here = False
    for row in _maps("smaps"):
        if "-" in row[0]:
            low, high = (int(part, 16) for part in row[0].split("-"))
            here = low <= start and start + size <= high
        elif here and row[0] == "AnonHugePages:":
            return int(row[1]) * 1024 >= size
    return False
