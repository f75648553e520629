"""Advice, and the rows ParamMem is trained on."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from parammem.core.record import Extended, digest_of

AdviceSource = Literal["self", "parametric", "retrieved"]
ORACLE = "oracle"
"""Author of advice that was written from an answer key, to see what right advice is worth. No row can have it."""
LabelSource = Literal["experience", "teacher", "self", "task-only"]


class Cuttable(Extended):
    """A text that a model wrote, and whether the token limit ended it. A whole text is written without the field."""

    LATER = ("cut",)

    cut: bool = False
    """It ended because it reached the token limit."""


class Reflection(Cuttable):
    """A piece of advice for one task."""

    text: str
    source: AdviceSource
    """self: the agent on its own feedback; parametric: sampled from ParamMem; retrieved: a training row's text."""
    author: str
    """Digest of the model, adapter or row set that it came from."""
    iteration: int
    """The iteration whose attempt first saw it."""
    temperature: float


class ReflectionExample(Cuttable):
    """One (task text, target reflection) row with its provenance."""

    LATER = ("cut", "success_id")

    domain: str
    task_id: str
    task_text: str
    reflection: str
    label_source: LabelSource
    """Which labelling rule wrote it."""
    part: str
    """Which part of the rule: in_context, hindsight, failure, contrast, feedback or task."""
    author: str
    """Digest of the model that wrote the reflection."""
    trajectory_id: str
    """The trajectory it was read from; empty for labels from the task alone."""
    outcome: str
    """What counted as success: final, visible, or none."""
    origin: str = "collect"
    """collect, or the digest of the experience batch that the row came in with."""
    success_id: str = ""
    """Part contrast: the trajectory of the success that the failure was set beside; else empty."""

    @field_validator("author")
    @classmethod
    def _is_no_oracle(cls, author: str) -> str:
        if author == ORACLE:
            raise ValueError("this advice was written from the answer key (parammem uptake), and is never trained on")
        return author

    @property
    def row_hash(self) -> str:
        """Digest of what is trained on: domain, task text and reflection, and nothing else."""
        return digest_of([self.domain, self.task_text, self.reflection])
