"""Tasks and answer keys of the pipeline's own files: the one place where tests that were read from disk become trusted.

What came through the inbox (data/experience, data/fresh, data/keys/fresh) is read by `core.read_jsonl` and stays plain
text: its tests never run outside a child.
"""

from __future__ import annotations

from parammem.checkout.places import Places
from parammem.core import AnswerKey, Task, read_jsonl
from parammem.sandbox.trusted import trust_spec


def stage_tasks(places: Places, split: str) -> list[Task]:
    """The tasks of a split that the stage `tasks` wrote, with trusted tests. Raises RecordError, SandboxError."""
    file = places.tasks(split)
    origin = str(file.relative_to(places.root))
    return [
        task.model_copy(update={"visible": trust_spec(task.visible, origin=origin)}) for task in read_jsonl(file, Task)
    ]


def stage_keys(places: Places, split: str) -> list[AnswerKey]:
    """The answer keys of a split that the stage `tasks` wrote, with trusted tests. Raises RecordError, SandboxError."""
    file = places.keys(split)
    origin = str(file.relative_to(places.root))
    return [
        key.model_copy(update={"hidden": trust_spec(key.hidden, origin=origin)}) for key in read_jsonl(file, AnswerKey)
    ]
