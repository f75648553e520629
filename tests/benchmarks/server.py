"""What a local server says that knows the answers of benchmark tasks: half of them are right, its advice is prose."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from parammem.benchmarks.item import Item

NOUNS = (
    "bounds borders counts copies signs zeros units halves edges orders repeats blanks names dates roles towns years "
    "parents rivers totals shares"
).split()
VERBS = "checks counts compares keeps sorts splits joins names follows doubles rounds shifts skips reads".split()


def knowing(items: Sequence[Item], right: float = 0.5) -> Callable[[dict[str, Any], int], str]:
    """The writer of a `LocalServer`. Every answer holds both advice in the teacher's form and a solution."""
    known = {item.question: item for item in items}

    def write(body: dict[str, Any], seed: int) -> str:
        prompt = body["messages"][-1]["content"]
        # The task itself comes after the examples of a bank.
        item = known[max(known, key=prompt.rfind)]
        chance = random.Random(hashlib.sha256(f"{seed} {body['model']} {prompt}".encode()).digest())
        return f"{_advice(item.task.domain, chance)}\n{_solution(item, chance.random() < right, chance)}"

    return write


def _advice(domain: str, chance: random.Random) -> str:
    tag = "decomposition" if domain == "qa" else "pitfalls"
    lines = [
        f"{number}. The solver {chance.choice(VERBS)} {chance.choice(NOUNS)} before it {chance.choice(VERBS)} the "
        f"{chance.choice(NOUNS)}, and {chance.choice(NOUNS)} of {chance.choice(NOUNS)} are lost."
        for number in (1, 2)
    ]
    return "\n".join([f"<{tag}>", *lines, f"</{tag}>"])


def _solution(item: Item, right: bool, chance: random.Random) -> str:
    if item.task.domain == "code":
        entry = item.task.visible["entry"] or "solve"
        source = item.key.gold if right else f"def {entry}(*given):\n    return {chance.randrange(9**9)}\n"
        return f"```python\n{source}\n```"
    answer = item.key.hidden["answer"] if right else str(chance.randrange(9**9))
    return f"So it is $\\boxed{{{answer}}}$." if item.task.domain == "math" else f"Answer: {answer}"
