"""What every loader gives: a task with its answer key, and the question that contamination is judged by."""

from __future__ import annotations

from typing import Any

from parammem.core import AnswerKey, Task
from parammem.core.record import Record
from parammem.sandbox.trusted import trust_spec


class Item(Record):
    """One row of a benchmark."""

    task: Task
    key: AnswerKey
    question: str
    """The question alone: without passages, starter code and tests, which unrelated tasks may share."""


def code_item(
    task_id: str,
    text: str,
    question: str,
    visible: dict[str, Any],
    hidden: dict[str, Any],
    gold: str,
    tags: dict[str, str],
) -> Item:
    """Return an item of the domain `code`; `domains.real_code` says what `visible` and `hidden` hold. A benchmark's
    file is trusted as a program is: its tests run with this account's rights."""
    visible, hidden = (trust_spec(spec, origin=f"benchmark {task_id}") for spec in (visible, hidden))
    task = Task(task_id=task_id, domain="code", text=text, visible=visible)
    key = AnswerKey(task_id=task_id, domain="code", hidden=hidden, gold=gold, tags=tags)
    return Item(task=task, key=key, question=question)


class Missing(Exception):
    """A row lacks something that its format promises; the reader names the file and the row."""


def need(row: dict, *names: str) -> list:
    """Return the values of these fields. Raises Missing, naming those that are not there."""
    absent = [name for name in names if name not in row]
    if absent:
        raise Missing(f"no field {', '.join(map(repr, absent))} (it has {', '.join(sorted(map(str, row)))})")
    return [row[name] for name in names]
