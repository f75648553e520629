"""What the trusted tests themselves may use: a candidate chooses what they have to compare."""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PAGE = os.sysconf("SC_PAGESIZE")


@contextmanager
def cpu(seconds: float) -> Iterator[None]:
    """End this process, by SIGXCPU, when what is done inside takes more CPU time than that (to the second).

    A handler would not do: a set of numbers whose hashes collide is built without a look at signals. The pool can tell
    what this ending means.
    """
    before = resource.getrlimit(resource.RLIMIT_CPU)
    most = math.ceil(time.process_time() + seconds)
    inside = before[0] == resource.RLIM_INFINITY or most < before[0]
    if inside:
        resource.setrlimit(resource.RLIMIT_CPU, (most, before[1]))
    try:
        yield
    finally:
        if inside:
            resource.setrlimit(resource.RLIMIT_CPU, before)


@contextmanager
def memory(megabytes: int) -> Iterator[None]:
    """Let this process have so much more address space inside; what would need more raises MemoryError there."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # a file object costs more than most tests
    now = int(os.read(statm, 64).split()[0]) * _PAGE
    os.close(statm)
    most = now + megabytes * 2**20
    inside = before[0] == resource.RLIM_INFINITY or most < before[0]
    if inside:
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        if inside:
            resource.setrlimit(resource.RLIMIT_AS, before)
