"""What the gate decides by: how the arms did on the same tasks, and what the guards saw."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from parammem.core.decision import Guard
from parammem.core.record import Record, digest_of
from parammem.core.words import count

NO_OUTCOMES = "no outcomes"
"""Key of `Evidence.inputs` under which stands why none could be measured."""


class SliceOutcomes(Record):
    """One slice: for each task how many of its runs each arm solved. All arms had the same tasks and seeds."""

    name: Literal["anchor", "fresh"]
    tasks: tuple[str, ...]
    """Content digests of the tasks."""
    runs: int
    """Runs of one arm on one task."""
    none: tuple[int, ...] = ()
    """Empty: that arm was not run."""
    champion: tuple[int, ...] = ()
    """Empty: there is no champion yet; the arm `none` stands in its place."""
    challenger: tuple[int, ...]

    @model_validator(mode="after")
    def _fits(self) -> SliceOutcomes:
        for arm in (self.none, self.champion, self.challenger):
            if arm and len(arm) != len(self.tasks):
                raise ValueError(
                    f"slice {self.name}: {count(len(arm), 'outcome')} for {count(len(self.tasks), 'task')}"
                )
            if any(not 0 <= solved <= self.runs for solved in arm):
                raise ValueError(f"slice {self.name}: more runs solved than there were ({self.runs})")
        if self.tasks and not (self.champion or self.none):
            raise ValueError(f"slice {self.name}: nothing to compare the challenger with")
        return self

    @property
    def incumbent(self) -> tuple[int, ...]:
        """The champion, or `none` in its place."""
        return self.champion or self.none

    @property
    def differences(self) -> list[int]:
        """Challenger minus champion, in runs, for each task."""
        return [ours - theirs for ours, theirs in zip(self.challenger, self.incumbent, strict=True)]

    def share(self, arm: tuple[int, ...]) -> float | None:
        """Return share of runs solved; None if the arm was not run, or there is no task."""
        return sum(arm) / (self.runs * len(arm)) if arm else None


class Evidence(Record):
    """Everything about one comparison of champion and challenger."""

    domain: str
    champion: str
    """Adapter digest; empty: none yet."""
    challenger: str
    slices: tuple[SliceOutcomes, ...]
    guards: tuple[Guard, ...]
    inputs: dict[str, str] = Field(default_factory=dict)
    """Name → digest of what the outcomes were made from."""

    @property
    def outcomes(self) -> str:
        """Digest of all outcomes: the same comparison has the same, and is paid for once."""
        return digest_of([one.model_dump(mode="json") for one in self.slices])

    @property
    def solved(self) -> dict[str, float]:
        """ "<slice>.<arm>" → share of runs solved."""
        arms = {
            f"{one.name}.{arm}": one.share(getattr(one, arm))
            for one in self.slices
            for arm in ("none", "champion", "challenger")
        }
        return {name: share for name, share in arms.items() if share is not None}
