"""Two-hop questions over eight short facts with randomised names.

A fact is written key, relation, value: "zoe lives rome", "rome chief adam". A solution walks along two of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from parammem.domains.conventions import CONVENTIONS, PEOPLE, PLACES
from parammem.pocket.problems import Choices, Instance

FIRST_HOPS, SECOND_HOPS = ("home", "post"), ("head", "voice")
QUESTIONS = (
    "question : {noun} {subject} , name the {second} of the {first} .",
    "who is the {second} of the {first} of {noun} {subject} ?",
)


@dataclass(frozen=True)
class QaProblem:
    """Facts (key, relation, value), a subject, and two phrases that each may mean one of two relations."""

    noun: str
    subject: str
    other: str
    facts: tuple[tuple[str, str, str], ...]
    open: tuple[str, ...]
    text: str
    domain: str = field(default="qa", init=False)

    def value_of(self, key: str, relation: str) -> str:
        return next(value for k, r, value in self.facts if (k, r) == (key, relation))

    def body(self, choices: Choices) -> str:
        """The first hop, then the answer: each the fact that it rests on."""
        first, second = (choices[name] for name in self.open)
        place = self.value_of(self.subject, first)
        return f"hop {self.subject} {first} {place}\nanswer {place} {second} {self.value_of(place, second)}"

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """A one-hop sibling question over the same passage. Its name is what the phrase is asked of."""
        if convention in FIRST_HOPS:
            return {"phrase": convention, "of": self.other}
        places = [self.value_of(self.subject, relation) for relation in CONVENTIONS["qa"][self.open[0]]]
        return {"phrase": convention, "of": rng.choice(places)}

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        """The answer to a sibling question."""
        return self.value_of(instance["of"], choices[instance["phrase"]])

    def answer(self, choices: Choices) -> str:
        """The answer to the question itself."""
        return self.body(choices).split()[-1]


def make_qa(rng: random.Random, noun: str, settle: Choices) -> QaProblem:
    """A problem about a person of this trade. `settle` is not used: QA states no convention."""
    del settle
    first, second = rng.choice(FIRST_HOPS), rng.choice(SECOND_HOPS)
    subject, other, *answers = rng.sample(PEOPLE, 6)
    places = rng.sample(PLACES, 4)
    ways, heads = CONVENTIONS["qa"][first], CONVENTIONS["qa"][second]
    facts = [(subject, ways[0], places[0]), (subject, ways[1], places[1])]
    facts += [(other, ways[0], places[2]), (other, ways[1], places[3])]
    facts += [(places[j], heads[i], answers[2 * j + i]) for i in (0, 1) for j in (0, 1)]
    rng.shuffle(facts)
    passage = " . ".join(" ".join(fact) for fact in facts)
    question = rng.choice(QUESTIONS).format(noun=noun, subject=subject, first=first, second=second)
    return QaProblem(noun, subject, other, tuple(facts), (first, second), f"{passage} . {question}")
