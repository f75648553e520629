"""Advice uptake: can an actor use right advice at all? What `parammem uptake` found, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from parammem.core.record import Record
from parammem.errors import DataError
from parammem.evaluation.statistics import cluster_bootstrap, mcnemar, wilson

DRAWS = 2000
SIGNIFICANT = 0.05
"""Of few tasks a bootstrap's interval may lie above zero where this p is not reached."""


class Arm(Record):
    """A way of giving advice."""

    advice: Literal["none", "oracle", "irrelevant"]
    """oracle: written from the answer key; irrelevant: the oracle's on another task, in as many words."""
    place: Literal["", "system", "before", "after"] = ""
    """Of the task, in the prompt; after is where the agent loop has it."""
    form: Literal["", "sentence", "list"] = ""

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.advice if self.form else "no advice", self.form, self.place)))


ALONE = Arm(advice="none")
ARMS: tuple[Arm, ...] = (
    ALONE,
    *(
        Arm(advice="oracle", place=place, form=form)
        for form in ("sentence", "list")
        for place in ("after", "before", "system")
    ),
    *(Arm(advice="irrelevant", place="after", form=form) for form in ("sentence", "list")),
)


class ArmUptake(Record):
    """What an arm solved, and its difference from the actor alone on the same tasks."""

    arm: Arm
    solved: int
    low: float
    high: float
    """Wilson's 95% interval of the share."""
    difference: float = 0.0
    difference_low: float = 0.0
    difference_high: float = 0.0
    """95% interval, bootstrap over tasks; where all differ alike, or none does, Wilson's bound on both sides."""
    p: float = 1.0
    """Exact McNemar against the actor alone; not corrected, since this is a diagnosis."""
    words: float = 0.0
    """Of advice, on average."""
    prompt_tokens: float = 0.0
    """Per attempt."""
    cut: int = 0
    """Attempts that the token limit ended."""


class Uptake(Record):
    """The result of `parammem uptake` for one domain; reports/uptake/<domain>.json."""

    domain: str
    model: str
    model_digest: str
    split: str = "train"
    seed: int
    temperature: float
    tasks: int
    """Of the train split, each attempted once by every arm."""
    left_out: int
    """Sampled tasks without advice or without a verdict."""
    arms: tuple[ArmUptake, ...]
    says: tuple[str, ...]
    """What it means, in words."""


def measured(arm: Arm, passed: Sequence[bool], alone: Sequence[bool], **facts: float | int) -> ArmUptake:
    """Return the figures of an arm, task by task beside those of the actor alone. Raises ValueError: no tasks."""
    solved = sum(passed)
    low, high = wilson(solved, len(passed))
    gains = [float(a) - float(b) for a, b in zip(passed, alone, strict=True)]
    from_, to = _interval(gains)
    only = [sum(gain == sign for gain in gains) for sign in (1.0, -1.0)]
    compared = {"difference": sum(gains) / len(gains), "difference_low": from_}
    if arm.form:
        facts = {**facts, **compared, "difference_high": to, "p": mcnemar(*only)}
    return ArmUptake.model_validate({"arm": arm, "solved": solved, "low": low, "high": high, **facts})


def in_words(arms: Sequence[ArmUptake], passed: Mapping[str, Sequence[bool]]) -> tuple[str, ...]:
    """Return what the figures mean for somebody who is about to pay for a training.

    Args:
        passed: by the arm's name, task by task.
    """
    right = [one for one in arms if one.arm.advice == "oracle"]
    best = max(right, key=lambda one: one.difference)
    wrong = next(one for one in arms if one.arm.advice == "irrelevant" and one.arm.form == best.arm.form)
    said = [_use(best), _content(best, wrong, passed), _place(right, passed)]
    if wrong.difference_high < 0:
        said.append(
            f"Advice that has nothing to do with the task takes {_points(wrong)} from the actor: a reflector has to be "
            "right often to make up for that."
        )
    return tuple(filter(None, said))


def _use(best: ArmUptake) -> str:
    found = f"{best.arm.name}: {_points(best)} against the actor alone"
    if best.difference_low > 0 and best.p < SIGNIFICANT:
        return (
            f"This actor can use right advice ({found}; the best of several arms, so somewhat flattered). What is "
            "missing is a reflector that gives it."
        )
    if best.difference_high < 0.1:
        return (
            f"Even right advice does not help this actor ({found}). The actor is the limit: no reflector that is "
            "trained for it can be shown to help."
        )
    return f"It is not clear whether this actor can use right advice ({found}): take more tasks (--tasks)."


def _content(best: ArmUptake, wrong: ArmUptake, passed: Mapping[str, Sequence[bool]]) -> str:
    low, high = _between(passed[best.arm.name], passed[wrong.arm.name])
    if low > 0:
        return (
            f"It is what the advice says that helps: right advice is {100 * low:+.0f} to {100 * high:+.0f} points from "
            "irrelevant advice of the same length."
        )
    if best.difference_low > 0:
        return "Irrelevant advice of the same length is not clearly worse, so what the advice says may not matter."
    return ""


def _place(right: Sequence[ArmUptake], passed: Mapping[str, Sequence[bool]]) -> str:
    ordered = sorted(right, key=lambda one: one.difference)
    worst, best = ordered[0], ordered[-1]
    low, _ = _between(passed[best.arm.name], passed[worst.arm.name])
    if low > 0:
        return f"Place and length matter: {best.arm.name} solves {best.solved}, {worst.arm.name} {worst.solved}."
    return "No place or length of the advice is clearly better than another."


def _between(left: Sequence[bool], right: Sequence[bool]) -> tuple[float, float]:
    gains = [float(a) - float(b) for a, b in zip(left, right, strict=True)]
    return _interval(gains)


def _interval(gains: Sequence[float]) -> tuple[float, float]:
    """Return the 95% interval of a mean difference, bootstrap over tasks; where all tasks differ alike, or none does,
    which a bootstrap would take for certainty, Wilson's bound of none in so many on both sides."""
    if len(set(gains)) > 1:
        return cluster_bootstrap(gains, range(len(gains)), DRAWS)
    _, bound = wilson(0, len(gains))
    return max(-1.0, gains[0] - bound), min(1.0, gains[0] + bound)


def _points(one: ArmUptake) -> str:
    low, high = 100 * one.difference_low, 100 * one.difference_high
    return f"{100 * one.difference:+.0f} points, 95% interval {low:+.0f} to {high:+.0f}"


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def uptake_table(found: Uptake) -> tuple[list[str], list[list[str]]]:
    """Return a table's head and its rows, one for each arm."""
    head = ["advice", "solved", "95% interval", "− alone", "95% interval", "p", "words", "prompt", "cut"]
    return head, [
        [
            one.arm.name,
            f"{one.solved} of {found.tasks}",
            f"{100 * one.low:.0f}–{100 * one.high:.0f}%",
            f"{100 * one.difference:+.1f}" if one.arm.form else "",
            f"{100 * one.difference_low:+.1f} … {100 * one.difference_high:+.1f}" if one.arm.form else "",
            _p_value(one.p) if one.arm.form else "",
            f"{one.words:.0f}" if one.arm.form else "",
            f"{one.prompt_tokens:.0f}",
            str(one.cut),
        ]
        for one in found.arms
    ]


def read_uptake(path: Path) -> Uptake | None:
    """Return what `parammem uptake` wrote; None where it has not run. Raises DataError: something else is there."""
    if not path.is_file():
        return None
    try:
        return Uptake.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is not what `parammem uptake` writes; run it again, or remove the file") from error
