"""What evaluation is computed from: one `Run` per agent and task, and `AdviceDraws` per reflector and task.

The evaluate stage writes these; everything else in this package is a pure function over them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from parammem.core.record import Record
from parammem.core.trajectory import Stop, Usage

Slice = Literal["eval", "unseen"]
"""eval: kinds of quantity that experience was about; unseen: kinds that no train or bank task was about."""


def slice_of(domain: str, task_id: str) -> Slice:
    """Return the slice of an evaluation task. Pocket tasks of an unseen kind say it after the domain's name."""
    return "unseen" if task_id.startswith(f"{domain}-unseen-") else "eval"


class Run(Record):
    """What one arm did on one task, with its hidden verdict."""

    protocol: str = "strict"
    """Which rules it was made under: no score stands without them."""
    domain: str
    arm: str
    """A method, or a method with a reflector control, e.g. "reflexion", "paramagent", "paramagent.shuffled"."""
    slice: Slice = "eval"
    world: int = 0
    rho: float = 0.0
    task_id: str
    passed: bool
    """The hidden verdict on the submission."""
    visible_passed: bool | None
    """What the visible checks said of the submission; None: the task has no visible verdict."""
    solved_at: int | None
    """Iteration (1 is the first) of the submitted attempt if it passed, else None."""
    iterations: int
    """Attempts made."""
    usage: dict[str, Usage] = Field(default_factory=dict)
    """Per role: actor, reflector, self-reflection."""
    advice: tuple[tuple[str, ...], ...] = ()
    """Per iteration (index 0 is the first) the hypotheses claimed in the reflections first seen there, sorted
    strings like "limit=inside"."""
    advice_texts: tuple[str, ...] = ()
    """Per iteration the text of the reflections first seen there; "" where there was none."""
    reflector_temperature: float | None = None
    """Temperature the reflector was sampled at, for the temperature curve; None where nothing was sampled."""
    stop: Stop
    failed: bool = False
    """The run ended in an exception, or what it submitted cannot be judged; it counts as not solved."""
    trajectory_id: str = ""
    """Its trajectory, as `parammem audit answer` takes it; empty in files from before this field."""


class AdviceDraws(Record):
    """A fixed number of advice draws of one reflector on one task."""

    domain: str
    reflector: str
    """trained, untrained, shuffled, other_world or majority."""
    temperature: float
    task_id: str
    slice: Slice = "eval"
    world: int = 0
    rho: float = 0.0
    texts: tuple[str, ...]
    """One per draw."""
    claims: tuple[tuple[str, ...], ...]
    """The parsed hypotheses of each draw, sorted strings like "limit=inside"; () where a draw claims nothing."""
    gold: dict[str, str] = Field(default_factory=dict)
    """Open convention → value. For analysis only; empty where a benchmark has no known conventions."""
    revealed: tuple[str, ...] = ()
    """The open conventions that the visible checks of the task reveal."""


class OpenTask(Record):
    """What a task leaves open, for the Bayes floor and ceilings."""

    domain: str = ""
    task_id: str
    values: dict[str, int]
    """Open convention → how many values it can take (at least 1)."""
    revealed: tuple[str, ...] = ()
    """The open conventions that the visible checks reveal."""
    seen_kind: bool = True
    """False: no train task was about this kind of quantity, so no regularity of it can be known."""


class Point(Record):
    """One arm of one variant of the run (evaluation/variants.py)."""

    experiment: str
    domain: str
    x: float
    arm: str
    passed: int
    tasks: int
    protocol: str = "strict"
    advice_accuracy: float | None = None
    """Of the reflector, where conventions can be counted."""
    among_claimed: float | None = None
    """The same over the conventions that a draw names at all."""
    distinct: float | None = None
    """Distinct sets of hypotheses among the draws for one task, a mean over tasks."""
    setting: str = ""
    """What x stands for, where it is no number of anything."""
    won: int | None = None
    """Tasks that the arm solved and the same agent with the untrained reflector did not; None for other arms."""
    lost: int | None = None
    """The reverse."""
