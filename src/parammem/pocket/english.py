"""Notes in plain English that a team's log is to have entries of; what the team calls each thing is left open."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from parammem.domains.conventions import PEOPLE, kind_of
from parammem.domains.house_rules import NUMBERED, VALUES, entered, noted
from parammem.pocket.problems import Choices, Instance

OPEN = 2
"""Things that a note says, each under a rule of its own."""


@dataclass(frozen=True)
class EnglishProblem:
    """A note: what it is about, and what it says in its order."""

    noun: str
    person: str
    open: tuple[str, ...]
    numbers: dict[str, int]
    """Convention → the number in front of its word."""
    domain: str = field(default="english", init=False)

    @property
    def text(self) -> str:
        said = "; ".join(noted(name, self.numbers.get(name, 0)) for name in self.open)
        return f"{kind_of(self.domain, self.noun).capitalize()} note, {self.noun} for {self.person}: {said}"

    def part(self, convention: str, value: str) -> str:
        """Return what the entry has for one thing."""
        return entered(convention, value, self.numbers.get(convention, 0))

    def body(self, choices: Choices) -> str:
        """Return the entry."""
        return "; ".join(self.part(name, choices[name]) for name in self.open)

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """Return the part that shows this convention: the note itself is the only input."""
        return {"of": convention}

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        return self.part(instance["of"], choices[instance["of"]])


def make_english(rng: random.Random, noun: str, settle: Choices) -> EnglishProblem:
    """Return a note about this noun. No rule is stated in it, so `settle` is not needed."""
    said = tuple(rng.sample(sorted(VALUES), OPEN))
    numbers = {name: rng.randint(2, 60) for name in said if name in NUMBERED}
    return EnglishProblem(noun, rng.choice(PEOPLE).capitalize(), said, numbers)
