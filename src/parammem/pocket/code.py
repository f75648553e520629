"""Short Python functions over lists, judged by execution."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from parammem.pocket.problems import Choices, Instance

AGGREGATES = {
    "total": ("return the total", "give the sum"),
    "count": ("return how many there are", "give their count"),
    "average": ("return the average rounded", "give the rounded mean"),
    "half": ("return half the total rounded", "give half the sum rounded"),
    "largest": ("return the place of the largest", "give the position of the largest"),
    "smallest": ("return the place of the smallest", "give the position of the smallest"),
}
STEPS = {
    "total": ("limit", "repeats", "empty"),
    "count": ("limit", "repeats", "empty"),
    "average": ("limit", "repeats", "empty", "round"),
    "half": ("limit", "repeats", "empty", "round"),
    "largest": ("limit", "empty", "ties", "start"),
    "smallest": ("limit", "empty", "ties", "start"),
}
OPTIONAL = ("repeats", "empty")
"""Steps that a spec may leave out altogether: repeats are then kept, and the input is never empty."""

INTRODUCTIONS = (
    "write f(xs, k) . xs are {noun} .",
    "given {noun} xs and a bound k , write f .",
    "f takes {noun} xs and a bound k .",
)
FILTERS = {
    "up": ("keep those up to k", "use only values up to k"),
    "from": ("keep those from k", "use only values from k"),
}
MENTIONS = {
    "repeats": ("handle repeats", "mind repeats"),
    "empty": ("handle empty lists", "mind the empty case"),
    "ties": ("mind ties", "there may be ties"),
    "start": ("places are counted", "count places"),
}
RESULT_OF_EMPTY = {"zero": 0, "minus": -1, "none": None}


@dataclass(frozen=True)
class CodeProblem:
    """A filter, perhaps a removal of repeats, an aggregate."""

    noun: str
    aggregate: str
    direction: str
    open: tuple[str, ...]
    closed: Choices
    text: str
    domain: str = field(default="code", init=False)

    def body(self, choices: Choices) -> str:
        """Return the function, four-space indented."""
        settled = self.closed | choices
        inclusive = settled["limit"] == "inside"
        sign = {"up": "<=" if inclusive else "<", "from": ">=" if inclusive else ">"}[self.direction]
        lines = ["def f(xs, k):", f"    ys = [x for x in xs if x {sign} k]"]
        if settled.get("repeats") == "once":
            lines.append("    ys = list(dict.fromkeys(ys))")
        if "empty" in settled:
            lines += ["    if not ys:", f"        return {RESULT_OF_EMPTY[settled['empty']]}"]
        return "\n".join(lines + _aggregate_lines(self.aggregate, settled))

    def propose(self, rng: random.Random, convention: str) -> Instance:
        """Return five small numbers or so, and a bound: shaped so that the convention often matters and others do
        not."""
        k = rng.randint(2, 7)
        xs = rng.sample([x for x in range(10) if x != k], rng.randint(3, 5))
        keeps = [x for x in range(10) if (x < k if self.direction == "up" else x > k)]
        if convention == "limit":
            xs.insert(rng.randrange(len(xs) + 1), k)
        elif convention == "empty":
            xs = rng.sample([x for x in range(10) if x not in keeps and x != k], min(3, 9 - len(keeps)))
        elif convention in ("repeats", "ties") and keeps:
            xs += [rng.choice([x for x in xs if x in keeps] or keeps)] * rng.randint(1, 2)
            rng.shuffle(xs)
        return {"xs": xs, "k": k}

    def outcome(self, choices: Choices, instance: Instance) -> Any:
        """Return what the function returns. Raises ValueError where it would fail."""
        settled = self.closed | choices
        k, inclusive = instance["k"], settled["limit"] == "inside"
        beyond = (lambda x: x < k) if self.direction == "up" else (lambda x: x > k)
        ys = [x for x in instance["xs"] if beyond(x) or (inclusive and x == k)]
        if settled.get("repeats") == "once":
            ys = list(dict.fromkeys(ys))
        if not ys:
            if "empty" not in settled:
                raise ValueError("empty")
            return RESULT_OF_EMPTY[settled["empty"]]
        return _aggregate_value(self.aggregate, settled, ys)


def _aggregate_lines(aggregate: str, settled: Choices) -> list[str]:
    if aggregate == "total":
        return ["    return sum(ys)"]
    if aggregate == "count":
        return ["    return len(ys)"]
    if aggregate in ("average", "half"):
        divisor = "len(ys)" if aggregate == "average" else "2"
        down = settled["round"] == "down"
        return [f"    return sum(ys) // {divisor}" if down else f"    return -(-sum(ys) // {divisor})"]
    extreme = "max" if aggregate == "largest" else "min"
    first = settled["ties"] == "first"
    place = f"ys.index({extreme}(ys))" if first else f"len(ys) - 1 - ys[::-1].index({extreme}(ys))"
    return [f"    i = {place}", "    return i" if settled["start"] == "nought" else "    return i + 1"]


def _aggregate_value(aggregate: str, settled: Choices, ys: list[int]) -> int:
    if aggregate == "total":
        return sum(ys)
    if aggregate == "count":
        return len(ys)
    if aggregate in ("average", "half"):
        divisor = len(ys) if aggregate == "average" else 2
        return sum(ys) // divisor if settled["round"] == "down" else -(-sum(ys) // divisor)
    best = max(ys) if aggregate == "largest" else min(ys)
    place = ys.index(best) if settled["ties"] == "first" else len(ys) - 1 - ys[::-1].index(best)
    return place + (settled["start"] == "one")


def make_code(rng: random.Random, noun: str, settle: Choices) -> CodeProblem:
    """Return a problem about this noun. `settle` gives each convention of the domain its value: closed ones are
    stated."""
    aggregate = rng.choice(tuple(STEPS))
    steps = STEPS[aggregate]
    chosen = set(rng.sample(steps, rng.choice((2, 3))))
    kept = [s for s in steps if s in chosen or s not in OPTIONAL or rng.random() < 0.5]
    closed = {name: settle[name] for name in kept if name not in chosen}
    direction = rng.choice(tuple(FILTERS))
    return CodeProblem(
        noun=noun,
        aggregate=aggregate,
        direction=direction,
        open=tuple(name for name in kept if name in chosen),
        closed=closed,
        text=_spec(rng, noun, aggregate, direction, kept, closed),
    )


def _spec(rng: random.Random, noun: str, aggregate: str, direction: str, kept: list[str], closed: Choices) -> str:
    """Return the words of the spec; a closed convention is stated where it is mentioned."""

    def stated(mention: str, name: str) -> str:
        return f"{mention} with {name} {closed[name]}" if name in closed else mention

    parts = [stated(rng.choice(FILTERS[direction]), "limit")]
    if "repeats" in kept:
        parts.append(stated(rng.choice(MENTIONS["repeats"]), "repeats"))
    goal = rng.choice(AGGREGATES[aggregate])
    parts.append(stated(goal, "round") if "round" in kept else goal)
    parts += [stated(rng.choice(MENTIONS[name]), name) for name in ("ties", "start", "empty") if name in kept]
    return rng.choice(INTRODUCTIONS).format(noun=noun) + " " + " . ".join(parts) + " ."
