"""How a run ended: whether it passed, how well, and who said so."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from parammem.core.record import Record

OutcomeSource = Literal["judge", "test", "person", "reward", "model"]


class Outcome(Record):
    """What is known of how a run ended. It never holds the answer.

    `true`, `false` and `null` are read as the `passed` of an outcome of which nothing else is known, and such an
    outcome is written as that one word: this is what a row of schema 1 holds.
    """

    passed: bool | None
    """Whether it turned out right; None if that is not known."""
    value: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """How well, between 0 and 1, as it was reported; None where there is nothing but `passed`."""
    source: OutcomeSource | None = None
    """Who said so: a judge, a test, a person, a reward function or a model; None if the log does not say."""
    at: str = ""
    """When, in ISO 8601; empty if the log does not say."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, given: Any) -> Any:
        if isinstance(given, dict | Outcome):
            return given
        if given is None or isinstance(given, bool):
            return {"passed": given}
        raise ValueError("neither true, false, null nor an object with `passed`")

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, at: str) -> str:
        if at:
            datetime.fromisoformat(at)
        return at

    @property
    def is_bare(self) -> bool:
        """Whether nothing but `passed` is known."""
        return self.value is None and self.source is None and not self.at

    def decided(self, passes_at: float | None) -> Outcome:
        """Return the outcome with a verdict, where it has none and its value says one.

        Args:
            passes_at: the least value that passes; None: nobody has drawn the line.
        """
        if self.passed is not None or self.value is None or passes_at is None:
            return self
        return self.model_copy(update={"passed": self.value >= passes_at})

    @model_serializer(mode="wrap")
    def _written(self, whole: SerializerFunctionWrapHandler) -> Any:
        if self.is_bare:
            return self.passed
        plain = whole(self)
        return {name: value for name, value in plain.items() if name == "passed" or value not in ("", None)}
