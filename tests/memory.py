"""How much memory this process takes meanwhile, at its peak."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEGABYTES = 500
"""That any one input from outside may cost."""


@contextmanager
def memory_bound(megabytes: float = MEGABYTES) -> Iterator[None]:
    """Fails when the block takes more memory than this beyond what the process has. The peak is the kernel's, and set
    back first where that is possible: the peak of the whole process could be an earlier one, and hide this one."""
    _forget_peak()
    before = _held("VmRSS")
    yield
    assert (taken := _held("VmHWM") - before) < megabytes, f"{taken:.0f} MB"


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def _held(field: str) -> float:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.split(f"{field}:")[1].split()[0]) / 1024
