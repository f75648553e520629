"""Who gives advice. A reflector says what to ask of which engine; it does not run the engine itself,
so that the loop can batch the requests of many tasks."""

from __future__ import annotations

from typing import Protocol

from parammem.core import Task
from parammem.core.reflection import AdviceSource
from parammem.engines.base import Engine, Message


class Reflector(Protocol):
    """Gives advice from the task alone, before an attempt."""

    @property
    def engine(self) -> Engine: ...

    @property
    def source(self) -> AdviceSource: ...

    def messages(self, task: Task) -> tuple[Message, ...]: ...
