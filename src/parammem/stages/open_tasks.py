"""Tasks of a domain of kind open: those that its user gives in data/tasks-in, and those that experience was kept with.

Which of the given ones judge is decided by a hash of their text, as for experience, so that none changes sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from parammem.checkout.places import TASKS_IN, Places
from parammem.config import Params
from parammem.core import AnswerKey, Task, write_jsonl
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl
from parammem.errors import DataError
from parammem.experience.split import is_fresh

"""Folder of the tasks that a user gives: one file per domain, one JSON object a line with `text`, or `task`."""
SPLITS = ("train", "bank", "eval", "unseen")


def write_open_tasks(params: Params, places: Places) -> set[Path]:
    """Write the splits and their keys, and return the files. Bank and unseen are empty: there is nothing to fill them.

    A key of such a task holds nothing: it says that the judge may be asked.

    Raises:
        DataError: the file of given tasks has a line that is none.
    """
    share = params.domains[places.domain].held_out
    given = _each_once(given_tasks(places))
    kept = (e.task for file in places.fresh for e in iter_jsonl(file, Experience) if e.task.domain == places.domain)
    held = [task for task in given if is_fresh(task, share)]
    splits = {"train": [task for task in given if not is_fresh(task, share)], "eval": _each_once([*held, *kept])}
    for split in SPLITS:
        tasks = [_named(task, places.domain) for task in splits.get(split, ())]
        write_jsonl(places.tasks(split), tasks)
        keys = [AnswerKey(task_id=task.task_id, domain=task.domain, hidden={}, gold="") for task in tasks]
        write_jsonl(places.keys(split), keys)
    return {*map(places.tasks, SPLITS), *map(places.keys, SPLITS)}


def given_tasks(places: Places) -> Iterator[Task]:
    """Return the tasks of data/tasks-in/<domain>.jsonl, if there is such a file. Raises DataError: a line is no
    task."""
    file = places.root / TASKS_IN / f"{places.domain}.jsonl"
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield Task(task_id="", domain=places.domain, text=_text(line, f"{file}:{number}"))


def _text(line: bytes, where: str) -> str:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: no JSON ({type(error).__name__}); write one object with `text` a line") from None
    text = (row.get("text") or row.get("task")) if isinstance(row, dict) else row
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: no text of a task; write one object with `text` a line")
    return text.strip()


def _each_once(tasks: Iterable[Task]) -> list[Task]:
    """Return every task once, by its content, in the order in which they came."""
    return list({task.content: task for task in tasks}.values())


def _named(task: Task, domain: str) -> Task:
    """Return the task under a name made from its content: ids from elsewhere may repeat."""
    return Task(task_id=f"{domain}-{task.content[:16]}", domain=domain, text=task.text)
