"""Which tasks are kept for judging: decided by a hash of the task's text alone, so a task never changes sides."""

from __future__ import annotations

from parammem.core import Task, digest_of

SALT = "fresh slice"


def is_fresh(task: Task, share: float) -> bool:
    """Return True for about `share` of all tasks: these judge champion and challenger, and are never trained on."""
    return int(digest_of([SALT, task.content])[:12], 16) < share * 16**12
