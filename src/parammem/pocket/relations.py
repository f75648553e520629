"""Two-hop questions over eight short sentences with randomised names."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from parammem.pocket.conventions import CONVENTIONS, PEOPLE, PLACES
from parammem.pocket.problems import Choices, Instance

FIRST_HOPS, SECOND_HOPS = ("home", "post"), ("head", "voice")
SENTENCES = {
    "lives": "{person} lives in {place}",
    "born": "{person} born in {place}",
    "works": "{person} works in {place}",
    "trained": "{person} trained in {place}",
    "leads": "{person} leads {place}",
    "founded": "{person} founded {place}",
    "speaks": "{person} speaks for {place}",
    "writes": "{person} writes for {place}",
}
QUESTIONS = (
    "question : {noun} {subject} , name the {second} of the {first} .",
    "who is the {second} of the {first} of {noun} {subject} ?",
)


@dataclass(frozen=True)
class QaProblem:
    """Facts (relation, person, place), a subject, and two phrases that each may mean one of two relations."""

    noun: str
    subject: str
    other: str
    facts: tuple[tuple[str, str, str], ...]
    open: tuple[str, ...]
    text: str
    domain: str = field(default="qa", init=False)

    def place_of(self, person: str, relation: str) -> str:
        return next(place for r, p, place in self.facts if r == relation and p == person)

    def person_of(self, place: str, relation: str) -> str:
        return next(person for r, person, p in self.facts if r == relation and p == place)

    def body(self, choices: Choices) -> str:
        """The first hop, then the answer."""
        hop = self.place_of(self.subject, choices[self.open[0]])
        return f"hop {hop}\nanswer {self.person_of(hop, choices[self.open[1]])}"

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """A one-hop sibling question over the same passage. Its name is what the phrase is asked of."""
        if convention in FIRST_HOPS:
            return {"phrase": convention, "of": self.other}
        places = [self.place_of(self.subject, value) for value in CONVENTIONS["qa"][self.open[0]]]
        return {"phrase": convention, "of": rng.choice(places)}

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        """The answer to the sibling question, or with no instance phrase to the question itself."""
        relation = choices[instance["phrase"]]
        if instance["phrase"] in FIRST_HOPS:
            return self.place_of(instance["of"], relation)
        return self.person_of(instance["of"], relation)

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
    facts = [(ways[0], subject, places[0]), (ways[1], subject, places[1])]
    facts += [(ways[0], other, places[2]), (ways[1], other, places[3])]
    facts += [(heads[i], answers[2 * j + i], places[j]) for i in (0, 1) for j in (0, 1)]
    rng.shuffle(facts)
    passage = " . ".join(SENTENCES[r].format(person=person, place=place) for r, person, place in facts)
    question = rng.choice(QUESTIONS).format(noun=noun, subject=subject, first=first, second=second)
    return QaProblem(noun, subject, other, tuple(facts), (first, second), f"{passage} . {question}")
