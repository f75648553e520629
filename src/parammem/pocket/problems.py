"""What the problem makers share: a problem with open conventions, and checks that each reveal one of them.

A *problem* is a spec with some conventions open. Its *instances* are inputs; what a right program gives on them depends
on the choices. A check on an instance that isolates a convention reveals that convention and no other.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from parammem.core.domain_names import ENGLISH
from parammem.domains.conventions import conventions_of, phrase

Choices = dict[str, str]
Instance = dict[str, Any]


class Problem(Protocol):
    """One spec. `open` names its open conventions in the order the spec mentions them."""

    @property
    def domain(self) -> str: ...
    @property
    def noun(self) -> str: ...
    @property
    def open(self) -> tuple[str, ...]: ...
    @property
    def text(self) -> str: ...

    def body(self, choices: Choices) -> str:
        """Return the solution below its plan line."""
        ...

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """Return an input that may isolate this convention."""
        ...

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        """Return what a right solution under these choices gives on an input. Raises ValueError if it gives nothing."""
        ...


@dataclass(frozen=True)
class ConventionCheck:
    """An input that isolates one convention, with what each of its values gives."""

    convention: str
    instance: Instance
    outcomes: dict[str, Any]


def plan_line(problem: Problem, choices: Choices) -> str:
    """Return the choices a solution states in its first line, in the order of the spec."""
    return phrase({name: choices[name] for name in problem.open})


def solution(problem: Problem, choices: Choices) -> str:
    """Return plan line and body; in plain English the body alone."""
    if problem.domain == ENGLISH:
        return problem.body(choices)
    head = "# " if problem.domain == "code" else "plan "
    return f"{head}{plan_line(problem, choices)}\n{problem.body(choices)}"


def all_choices(problem: Problem) -> Iterator[Choices]:
    """Yield every way to settle the open conventions."""
    values = conventions_of(problem.domain)
    for combination in itertools.product(*(values[name] for name in problem.open)):
        yield dict(zip(problem.open, combination, strict=True))


def isolates(problem: Problem, convention: str, instance: Instance) -> dict[str, Any] | None:
    """Return what each value of the convention gives on the instance if nothing else matters there and all values
    differ."""
    outcomes: dict[str, Any] = {}
    for choices in all_choices(problem):
        try:
            outcome = problem.outcome(choices, instance)
        except ValueError:
            return None
        if outcomes.setdefault(choices[convention], outcome) != outcome:
            return None
    distinct = {repr(outcome) for outcome in outcomes.values()}
    return outcomes if len(distinct) == len(outcomes) else None


def find_checks(
    problem: Problem, rng: random.Random, convention: str, wanted: int, tries: int = 60
) -> list[ConventionCheck]:
    """Return up to `wanted` different checks that isolate the convention; fewer where the search finds no more."""
    found: dict[str, ConventionCheck] = {}
    for _ in range(tries):
        instance = problem.propose(rng, convention)
        outcomes = isolates(problem, convention, instance)
        if outcomes is not None:
            found.setdefault(repr(instance), ConventionCheck(convention, instance, outcomes))
        if len(found) == wanted:
            break
    return list(found.values())


def draw_revealed(rng: random.Random, conventions: Sequence[str]) -> tuple[str, ...]:
    """Return which conventions the visible checks reveal: each with probability 1/2, and never all of them.

    One of two; one or two of three with equal chance. So no visible pass is the whole verdict.
    """
    count = 1 if len(conventions) == 2 else rng.choice((1, 2))
    chosen = set(rng.sample(list(conventions), count))
    return tuple(name for name in conventions if name in chosen)
