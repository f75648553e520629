"""Labels from the task alone by a teacher that is shown one demonstration (the paper's recipe; its self-improvement,
where the teacher is the agent's own model, is the same with another engine).

Used by `labels` for label `task-only` where the prompts have such a one: those of real benchmarks.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from parammem.agents.asking import MOST_FAILED, ask_each, check_answers
from parammem.agents.repair import Mended, mend
from parammem.core import Task, digest_of
from parammem.core.words import count
from parammem.engines.base import Engine, Message, Request

TAGS = {"code": "pitfalls", "math": "pitfalls", "qa": "decomposition"}
"""Style of prompts → the tag that its teaching prompt asks for."""
ASKED = 3
"""A teacher whose answer holds no label is asked so often in all, each time for another draw."""
log = logging.getLogger(__name__)


@runtime_checkable
class Teaches(Protocol):
    """Prompts with one for teachers."""

    @property
    def style(self) -> str: ...

    def teach(self, task_text: str) -> tuple[Message, ...]: ...


@dataclass(frozen=True)
class Taught:
    """What a teacher's labelling came to."""

    labels: dict[str, Mended]
    """Task id → label, in the order of the tasks."""
    unread: tuple[str, ...]
    """Tasks for which no answer held a label."""
    failed: tuple[str, ...] = ()
    """Tasks about which a request got no answer."""

    def summary(self) -> str:
        """Return in one line: how many labels, what was mended how often, how many tasks have none."""
        repairs = Counter(repair for label in self.labels.values() for repair in label.repairs)
        mended = ", ".join(f"{name} {number}" for name, number in repairs.most_common()) or "nothing"
        lost = f"; without an answer: {len(self.failed)}" if self.failed else ""
        return f"{count(len(self.labels), 'label')}; mended: {mended}; without a label: {len(self.unread)}{lost}"


def taught(
    engine: Engine,
    prompts: Teaches,
    tasks: Sequence[Task],
    temperature: float,
    max_tokens: int,
    max_failed_share: float = MOST_FAILED,
) -> Taught:
    """Return a label for each task, drawn at this temperature; none, with a warning, where a request got no answer.

    Raises:
        TooManyFailures: a larger share of the tasks than `max_failed_share` got none.
        EngineError: it concerns all requests.
    """
    labels: dict[str, Mended] = {}
    failed: dict[str, Exception] = {}
    left = list(tasks)
    for draw in range(ASKED):
        if not left:
            break
        replies = ask_each(engine, [_request(prompts, task, temperature, max_tokens, draw) for task in left])
        for task, reply in zip(left, replies, strict=True):
            if isinstance(reply, Exception):
                log.warning("no label for task %r: the teacher did not answer: %s", task.task_id, reply)
                failed[task.task_id] = reply
                continue
            made = mend(reply[0].text, TAGS[prompts.style], cut=reply[0].finish == "length")
            if made is not None:
                labels[task.task_id] = made
        check_answers(failed, len(tasks), max_failed_share)
        left = [task for task in left if task.task_id not in labels and task.task_id not in failed]
    found = Taught(
        labels={task.task_id: labels[task.task_id] for task in tasks if task.task_id in labels},
        unread=tuple(task.task_id for task in left),
        failed=tuple(failed),
    )
    if tasks:
        log.warning("%s: %s", tasks[0].domain, found.summary())
    return found


def _request(prompts: Teaches, task: Task, temperature: float, max_tokens: int, draw: int) -> Request:
    return Request(
        messages=prompts.teach(task.text),
        temperature=temperature,
        max_tokens=max_tokens,
        seed=int(digest_of(["task-only", task.task_id])[:12], 16),
        first_draw=draw,
        role="teacher",
    )
