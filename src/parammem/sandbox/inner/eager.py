"""Pages that every child writes to are copied by the kernel at the fork, all at once.

A child shares the zygote's memory until one of the two writes to it, and then a fault copies a page: some three hundred
for a short run, dearer than the program itself. Memory that is pinned, as if a device were about to write there, is
not shared: fork(2) copies it there and then (Linux 5.10 and later), at a third of the price. io_uring(7) pins what is
registered with it as a buffer, and needs no privilege. Nothing rests on it: where the kernel does not allow it,
everything stays as it was.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable

_PAGE = os.sysconf("SC_PAGESIZE")
_SETUP, _REGISTER = 425, 427  # the same on every architecture
_REGISTER_BUFFERS = 0
_MOST_BUFFERS = 1024
_PRESENT, _NOT_ANONYMOUS, _EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56  # Documentation/admin-guide/mm/pagemap.rst


def copy(life: Callable[[], None]) -> list[int]:
    """Have what a child writes to copied at every fork from now on.

    `life`: what a child does; it is tried out in one, to see what it writes to. Gives the descriptor that keeps the
    pages pinned as long as it is open, and that children have no use for; none where it cannot be done.
    """
    try:
        return [_pin(_written(life))]
    except OSError:
        return []


def _written(life: Callable[[], None]) -> list[int]:
    """Numbers of the pages that a child has for itself at its end, in order. Raises OSError."""
    ranges = _writable()
    notes = os.memfd_create("pages")
    pid = os.fork()
    if pid == 0:
        try:
            pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
            life()
            found = [page for low, high in ranges for page in _own_pages(pagemap, low, high)]
            os.write(notes, struct.pack(f"{len(found)}Q", *found))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    data = os.pread(notes, 1 << 20, 0)
    os.close(notes)
    return list(struct.unpack(f"{len(data) // 8}Q", data))


def _writable() -> list[tuple[int, int]]:
    """First and last page of all private memory that may be written to."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for where, rights, *_ in map(str.split, file):
            if rights[1] == "w" and rights[3] == "p":
                low, high = (int(part, 16) // _PAGE for part in where.split("-"))
                found.append((low, high))
    return found


def _own_pages(pagemap: int, low: int, high: int) -> list[int]:
    """Those pages of a range that are mapped here alone."""
    entries = memoryview(os.pread(pagemap, (high - low) * 8, low * 8)).cast("Q")
    wanted = _PRESENT | _EXCLUSIVE
    return [low + i for i, entry in enumerate(entries) if entry & (wanted | _NOT_ANONYMOUS) == wanted]


def _pin(pages: list[int]) -> int:
    """Pin pages; gives the descriptor of the ring that holds them. Raises OSError."""
    spans: list[list[int]] = []
    for page in pages:
        if spans and sum(spans[-1]) == page:
            spans[-1][1] += 1
        else:
            spans.append([page, 1])
    spans = spans[:_MOST_BUFFERS]
    buffers = b"".join(struct.pack("QQ", page * _PAGE, count * _PAGE) for page, count in spans)
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(_SETUP, ctypes.c_uint(1), ctypes.create_string_buffer(120))
    if ring < 0:
        raise OSError(ctypes.get_errno(), "no io_uring here")
    if libc.syscall(_REGISTER, ring, _REGISTER_BUFFERS, buffers, ctypes.c_uint(len(spans))) < 0:
        os.close(ring)
        raise OSError(ctypes.get_errno(), "these pages cannot be pinned")
    return ring
