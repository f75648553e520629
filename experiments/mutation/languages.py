"""Questions and advice as the pocket world has them, for rows to break on purpose. Plain string work, shared with no
rule: what a language may say is written down here a second time.

Advice names the kind it is about first; what is right about a kind is right about nine of ten of its questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

_ADJECTIVES = "daily old new late early small large red blue green local remote north south east west inner outer"
_PLACES = "shop school farm port bank mill lab clinic depot garden museum library bakery station market office"
ADJECTIVES, PLACES = _ADJECTIVES.split(), _PLACES.split()
BOUNDS = ["keep those up to k", "keep those from k on", "drop those past k", "keep those between j and k"]
RETURNS = ["return the average rounded", "return the sum", "return the largest", "return how many remain"]
STEPS = ["a rise of r", "a fee of f", "a trip of t", "a cut of c"]
ASKED = ["find the bill", "what is due", "find the amount"]
NAMES = "adam alba clio dean edda emil faye hugo iris jens kira lena milo nora otto pia rosa seth tess vera".split()
TOWNS = "accra basel cork delft essen faro genoa haifa izmir jena kyoto lima metz nice oslo paris riga sofia".split()
ROLES = "chief boss writer maker".split()
QUANTITIES = {
    "money": ("prices", "fares", "wages", "rents"),
    "mass": ("loads", "weights", "cargoes", "crates"),
    "time": ("delays", "shifts", "waits", "trials"),
    "age": ("ages", "terms", "spans", "tenures"),
}
PERSONS = {
    "arts": ("painter", "singer", "dancer", "poet"),
    "sea": ("sailor", "diver", "captain", "fisher"),
    "law": ("judge", "lawyer", "clerk", "sheriff"),
    "farm": ("farmer", "shepherd", "miller", "gardener"),
}
RIGHT = 0.9


@dataclass(frozen=True)
class Language:
    """How one domain asks and advises."""

    domain: str
    other: str
    """Another domain."""
    values: dict[str, tuple[str, str]]
    kinds: dict[str, tuple[str, ...]]
    ask: Callable[[random.Random, str], str]
    """A question about a noun."""
    answers: tuple[str, ...]
    """What advice may not hold: the answer, or how it is written."""

    def question(self, dice: random.Random) -> str:
        return self.ask(dice, dice.choice(sorted(noun for nouns in self.kinds.values() for noun in nouns)))

    def kind(self, question: str) -> str:
        """Return what a question is about."""
        asked = set(question.casefold().split())
        return next(kind for kind, nouns in self.kinds.items() if asked & set(nouns))

    def advice(self, dice: random.Random, question: str) -> str:
        kind = self.kind(question)
        truth = random.Random(f"{self.domain} {kind}")
        table = {name: truth.choice(values) for name, values in self.values.items()}
        names = dice.sample(sorted(self.values), dice.choice([2, 3]))
        said = [f"{name} {table[name] if dice.random() < RIGHT else dice.choice(self.values[name])}" for name in names]
        return " ; ".join([kind, *said])

    def claims(self, advice: str) -> frozenset[str]:
        """Return parts `name value` between semicolons."""
        pairs = [part.split() for part in advice.split(";")]
        return frozenset("=".join(pair) for pair in pairs if len(pair) == 2 and pair[1] in self.values.get(pair[0], ()))

    def flipped(self, advice: str) -> str:
        """Return every claim with its other value."""
        opposite = {f"{name} {one}": f"{name} {other}"
                    for name, pair in self.values.items() for one, other in (pair, pair[::-1])}  # fmt: skip
        return " ; ".join(opposite.get(part, part) for part in advice.split(" ; "))


def _code(dice: random.Random, noun: str) -> str:
    about = f"{dice.choice(ADJECTIVES)} {noun} of the {dice.choice(PLACES)}"
    ends = dice.choice(["handle empty lists", "handle repeats", "mind both repeats and empty lists"])
    return f"write f(xs, k) . xs are {about} . {dice.choice(BOUNDS)} . {dice.choice(RETURNS)} . {ends} ."


def _math(dice: random.Random, noun: str) -> str:
    steps = " . ".join(dice.sample(STEPS, 3))
    place = f"{dice.choice(ADJECTIVES)} {dice.choice(PLACES)}"
    return f"{noun} of the {place} : amount p . {steps} . {dice.choice(ASKED)} ."


def _qa(dice: random.Random, noun: str) -> str:
    name, other = dice.sample(NAMES, 2)
    towns = dice.sample(TOWNS, 4)
    facts = [
        f"{name} lives {towns[0]}",
        f"{name} born {towns[1]}",
        f"{other} works {towns[2]}",
        *(f"{town} {role} {dice.choice(NAMES)}" for town, role in zip(towns, ROLES, strict=True)),
    ]
    dice.shuffle(facts)
    return f"{' . '.join(facts)} . who is the head of the home of {noun} {name} ?"  # fmt: skip


LANGUAGES = {
    one.domain: one
    for one in (
        Language(
            "code", "math",
            {"limit": ("inside", "outside"), "repeats": ("once", "all"), "empty": ("zero", "none"),
             "round": ("up", "down")},
            QUANTITIES, _code, ("return sum ( xs ) / 2", "answer 17"),
        ),
        Language(
            "math", "code",
            {"cut": ("flat", "part"), "fee": ("apiece", "lump"), "rise": ("plus", "times"),
             "trip": ("single", "double")},
            QUANTITIES, _math, ("answer ( p + r ) * c", "answer 42"),
        ),
        Language(
            "qa", "code",
            {"home": ("lives", "born"), "post": ("works", "trained"), "head": ("chief", "founder"),
             "voice": ("speaker", "writer")},
            PERSONS, _qa, ("answer kyoto chief clio", "clio"),
        ),
    )
}  # fmt: skip
"""By domain."""
