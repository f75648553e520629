"""Word problems whose answer is a formula over named quantities: no arithmetic for the model, at most three steps."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from parammem.pocket.problems import Choices, Instance

LETTERS = {"p": "p", "n": "n", "cut": "c", "fee": "f", "rise": "r", "trip": "t"}
"""Quantity → the letter it goes by in every problem."""
MENTIONS = {
    "cut": ("a cut of {q}", "less a cut {q}"),
    "fee": ("a fee of {q}", "with fee {q}"),
    "rise": ("a rise of {q}", "then a rise {q}"),
    "trip": ("a trip of {q}", "and a trip {q}"),
}
GOALS = ("find the bill", "what is due", "find the amount")
STARTS = {
    "rate": ("{noun} : number {n} at rate {p} each", "take {n} {noun} at {p} each"),
    "plain": ("{noun} : amount {p}", "take {noun} worth {p}"),
}


@dataclass(frozen=True)
class MathProblem:
    """A starting amount (a rate times a number, or a plain amount) and the steps applied to it in the spec's order."""

    noun: str
    rate: bool
    steps: tuple[str, ...]
    letters: Choices
    """Quantity → its letter: p (rate or amount), n (number), and one for each step."""
    open: tuple[str, ...]
    closed: Choices
    text: str
    domain: str = field(default="math", init=False)

    def body(self, choices: Choices) -> str:
        """Return `answer` and the formula, fully bracketed."""
        settled, q = self.closed | choices, self.letters
        formula = q["p"]
        if self.rate and "fee" not in self.steps:
            formula = f"{q['n']} * {formula}"
        for step in self.steps:
            operand = formula if formula.isalpha() else f"( {formula} )"
            formula = {
                "apiece": f"{q.get('n')} * ( {formula} + {q.get('fee')} )",
                "lump": f"( {q.get('n')} * {formula} ) + {q.get('fee')}",
                "flat": f"{operand} - {q.get('cut')}",
                "part": f"{operand} * ( 1 - {q.get('cut')} )",
                "plus": f"{operand} + {q.get('rise')}",
                "times": f"{operand} * ( 1 + {q.get('rise')} )",
                "single": f"{operand} + {q.get('trip')}",
                "double": f"{operand} + ( 2 * {q.get('trip')} )",
            }[settled[step]]
        return f"answer {formula}"

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """Return small whole numbers; a quantity that is 0 hides its step's convention."""
        instance = {self.letters["p"]: rng.randint(2, 9)}
        if self.rate:
            instance[self.letters["n"]] = rng.randint(2, 6)
        for step in self.steps:
            instance[self.letters[step]] = rng.randint(1, 5) if step == convention else 0
        return instance

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        """Return the exact value, as an int or as a string like 7/2."""
        settled = self.closed | choices
        value = Fraction(instance[self.letters["p"]])
        number = Fraction(instance[self.letters["n"]]) if self.rate else Fraction(1)
        if self.rate and "fee" not in self.steps:
            value *= number
        for step in self.steps:
            q = Fraction(instance[self.letters[step]])
            value = {
                "apiece": number * (value + q),
                "lump": number * value + q,
                "flat": value - q,
                "part": value * (1 - q),
                "plus": value + q,
                "times": value * (1 + q),
                "single": value + q,
                "double": value + 2 * q,
            }[settled[step]]
        return plain(value)


def plain(value: Fraction) -> int | str:
    """Return a whole number as an int, any other as a string, so that it goes through JSON exactly."""
    return int(value) if value.denominator == 1 else str(value)


def make_math(rng: random.Random, noun: str, settle: Choices) -> MathProblem:
    """Return a problem about this noun. `settle` gives each convention of the domain its value: closed ones are
    stated."""
    count = rng.choice((2, 3))
    steps = rng.sample(("cut", "fee", "rise", "trip"), rng.choice((count, 3)))
    if "fee" in steps:  # the fee is charged where the items are counted
        steps.sort(key=lambda step: step != "fee")
    chosen = set(rng.sample(steps, count))
    rate = "fee" in steps or rng.random() < 0.5
    letters = {name: LETTERS[name] for name in ("p", *(("n",) if rate else ()), *steps)}
    closed = {name: settle[name] for name in steps if name not in chosen}
    parts = [rng.choice(STARTS["rate" if rate else "plain"]).format(noun=noun, **letters)]
    for step in steps:
        mention = rng.choice(MENTIONS[step]).format(q=letters[step])
        parts.append(f"{mention} with {step} {closed[step]}" if step in closed else mention)
    return MathProblem(
        noun=noun,
        rate=rate,
        steps=tuple(steps),
        letters=letters,
        open=tuple(step for step in steps if step in chosen),
        closed=closed,
        text=" . ".join([*parts, rng.choice(GOALS)]) + " .",
    )
