"""A task, what an agent did on it, and how it ended: the line of an experience batch.

Schema 2 has steps in attempts, outcomes with a value and a source, the advice that the run was given, and the run's id.
A row that has none of these is written as schema 1 always was, byte for byte, so that digests of old rows stay.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from parammem.core.advice import GivenAdvice
from parammem.core.outcome import Outcome
from parammem.core.record import Record
from parammem.core.task import Task
from parammem.core.trajectory import Trajectory

SCHEMAS = (1, 2)
"""Versions of a row that are read. The last one goes up when a field changes its meaning."""


def _with_schema(described: dict[str, Any]) -> None:
    said = "Version of the row; left out: told from its fields."
    described["properties"]["schema"] = {"enum": list(SCHEMAS), "description": said}


class Experience(Record):
    """One finished run of an agent in use: a task, what was done on it, how it ended."""

    model_config = ConfigDict(json_schema_extra=_with_schema)

    task: Task
    trajectory: Trajectory
    outcome: Outcome
    """Whether it turned out right: true, false or null (not known), or an outcome with value and source. Never the
    answer."""
    advice: tuple[GivenAdvice, ...] = ()
    """What the run was advised. It is no part of the task."""
    run_id: str = ""
    """The run's name in the log that it was read from; outcomes that come later name it."""

    @model_validator(mode="before")
    @classmethod
    def _without_schema(cls, given: Any) -> Any:
        if isinstance(given, dict) and "schema" in given:
            if given["schema"] not in SCHEMAS or isinstance(given["schema"], bool):
                raise ValueError(f"schema is none of {', '.join(map(str, SCHEMAS))}")
            return {name: value for name, value in given.items() if name != "schema"}
        return given

    @property
    def schema_version(self) -> int:
        """2 if the row holds anything that schema 1 has no place for, else 1."""
        stepped = any(attempt.steps for attempt in self.trajectory.attempts)
        return 2 if stepped or self.advice or self.run_id or not self.outcome.is_bare else 1

    @model_serializer(mode="wrap")
    def _written(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain = whole(self)
        for name in ("advice", "run_id"):
            if not plain[name]:
                del plain[name]
        return plain if self.schema_version == 1 else plain | {"schema": 2}
