"""Who gives advice, before an attempt and from the task alone. There are two kinds, told apart by `kind`:

- a SamplingReflector says what to ask of which engine; it does not run the engine itself, so that the loop
  can batch the requests of many tasks;
- a TextReflector has its text and asks no engine.
"""

from __future__ import annotations

from typing import Literal, Protocol

from parammem.core import Task
from parammem.core.reflection import AdviceSource
from parammem.engines.base import Engine, Message


class SamplingReflector(Protocol):
    """Advice is one draw of `engine` for `messages(task)`."""

    @property
    def kind(self) -> Literal["sampling"]: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def source(self) -> AdviceSource: ...

    @property
    def author(self) -> str:
        """Digest of the adapter, or of the model where there is none."""
        ...

    def messages(self, task: Task) -> tuple[Message, ...]: ...


class TextReflector(Protocol):
    """Advice is looked up."""

    @property
    def kind(self) -> Literal["text"]: ...

    @property
    def source(self) -> AdviceSource: ...

    @property
    def author(self) -> str:
        """Digest of what the text comes from, e.g. of the training rows."""
        ...

    def text(self, task: Task, iteration: int) -> str:
        """Return the advice for this iteration (1 is the first). The same arguments always give the same text."""
        ...


Reflector = SamplingReflector | TextReflector
"""Gives advice from the task alone. Branch on `kind`."""
