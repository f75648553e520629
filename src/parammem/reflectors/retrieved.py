"""Advice that is looked up in the training rows: the controls `retrieved` (same rows, no training) and the constant
majority advice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from parammem.core import ReflectionExample, Task, digest_of
from parammem.embeddings import embed, nearest
from parammem.errors import DataError

RANKED = 64
"""Nearest tasks that are kept for each task: more than a run has iterations. 100,000 for each of a thousand is 6 GB."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Retrieved:
    """In iteration k, the reflection of the k-th nearest training task by similarity of the task texts.

    Of a training task with several rows the first one speaks. After the last task it begins again with the nearest.

    Raises:
        DataError: there are no rows.
    """

    rows: Sequence[ReflectionExample]
    embed: Embed = embed
    kind: Literal["text"] = "text"
    source: Literal["retrieved"] = "retrieved"
    _order: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.rows:
            raise DataError("no rows to retrieve advice from: the validated reflection data is empty")

    @property
    def author(self) -> str:
        """Digest of the row hashes in order, made as an adapter's `data_digest` is."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_of([row.row_hash for row in self.rows])

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Rank the training tasks for many tasks at once; `text` does it one by one where this was not called."""
        texts = [text for text in dict.fromkeys(task.text for task in tasks) if text not in self._order]
        if not texts:
            return
        ranked = nearest(self.embed(texts), self._vectors, RANKED)
        self._order.update(zip(texts, ranked, strict=True))

    def text(self, task: Task, iteration: int) -> str:
        """Return the advice for this iteration (1 is the first)."""
        self.prepare([task])
        place = (iteration - 1) % len(self._advice)
        if place >= RANKED:  # farther than any run goes: ranked anew, and not kept
            order = nearest(self.embed([task.text]), self._vectors, len(self._advice))[0]
        else:
            order = self._order[task.text]
        return self._advice[order[place]][1]

    @cached_property
    def _advice(self) -> list[tuple[str, str]]:
        """(task text, first reflection) of each training task, in the order of the rows."""
        first: dict[str, str] = {}
        for row in self.rows:
            first.setdefault(row.task_text, row.reflection)
        return list(first.items())

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        """(tasks, D)."""
        return self.embed([task_text for task_text, _ in self._advice])


@dataclass(frozen=True)
class Constant:
    """The same advice for every task and iteration: a control."""

    advice: str
    kind: Literal["text"] = "text"
    source: Literal["retrieved"] = "retrieved"

    @property
    def author(self) -> str:
        return digest_of(self.advice)

    def text(self, task: Task, iteration: int) -> str:
        return self.advice
