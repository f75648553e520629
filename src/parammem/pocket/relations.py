"""Two-hop questions over eight short facts with randomised names.

A fact is written key, relation, value: "zoe lives rome", "rome chief adam". A solution walks along two of them: six of
the eight facts are about the places that the subject might mean, two about another person.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from parammem.domains.conventions import CONVENTIONS, PEOPLE, PLACES, RELATIONS
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
    facts: tuple[tuple[str, str, str], ...]
    open: tuple[str, ...]
    text: str
    domain: str = field(default="qa", init=False)

    def value_of(self, key: str, relation: str) -> str:
        return next(value for k, r, value in self.facts if (k, r) == (key, relation))

    def places(self) -> tuple[str, str]:
        """Return where each reading of the first hop leads."""
        first, second = (self.value_of(self.subject, reading) for reading in CONVENTIONS["qa"][self.open[0]])
        return first, second

    def relation(self, place: str, reading: str) -> str:
        """Return how the passage words this reading of the second hop about this place."""
        return RELATIONS[reading][self.places().index(place)]

    def body(self, choices: Choices) -> str:
        """Return the first hop, then the answer: each the fact that it rests on."""
        first, second = (choices[name] for name in self.open)
        place = self.value_of(self.subject, first)
        relation = self.relation(place, second)
        return f"hop {self.subject} {first} {place}\nanswer {place} {relation} {self.value_of(place, relation)}"

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """Return a one-hop sibling question over the same passage. Its name is what the phrase is asked of."""
        return {"phrase": convention, "of": self.subject if convention in FIRST_HOPS else rng.choice(self.places())}

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        """Return the answer to a sibling question."""
        of, reading = instance["of"], choices[instance["phrase"]]
        return self.value_of(of, reading if of == self.subject else self.relation(of, reading))

    def answer(self, choices: Choices) -> str:
        """Return the answer to the question itself."""
        return self.body(choices).split()[-1]


def make_qa(rng: random.Random, noun: str, settle: Choices) -> QaProblem:
    """Return a problem about a person of this trade. `settle` is not used: QA states no convention."""
    del settle
    first, second = rng.choice(FIRST_HOPS), rng.choice(SECOND_HOPS)
    subject, other, *answers = rng.sample(PEOPLE, 6)
    places = rng.sample(PLACES, 4)
    facts = [(subject, way, place) for way, place in zip(CONVENTIONS["qa"][first], places[:2], strict=True)]
    aside = next(hop for hop in FIRST_HOPS if hop != first)
    facts += [(other, way, place) for way, place in zip(CONVENTIONS["qa"][aside], places[2:], strict=True)]
    facts += [
        (place, RELATIONS[reading][j], answers[2 * j + i])
        for i, reading in enumerate(CONVENTIONS["qa"][second])
        for j, place in enumerate(places[:2])
    ]
    rng.shuffle(facts)
    passage = " . ".join(" ".join(fact) for fact in facts)
    question = rng.choice(QUESTIONS).format(noun=noun, subject=subject, first=first, second=second)
    return QaProblem(noun, subject, tuple(facts), (first, second), f"{passage} . {question}")
