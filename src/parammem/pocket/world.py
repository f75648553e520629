"""A world: which value of each convention holds for which kind of quantity, how strongly, and its tasks.

The same seed gives the same problems at every strength rho; only the values of their conventions change with it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from parammem.core import AnswerKey, Task
from parammem.core.domain_names import ENGLISH
from parammem.domains.conventions import conventions_of, kinds_of
from parammem.domains.house_rules import NOTED
from parammem.pocket.arithmetic import make_math
from parammem.pocket.code import make_code
from parammem.pocket.english import EnglishProblem, make_english
from parammem.pocket.problems import Choices, ConventionCheck, Problem, draw_revealed, find_checks, solution
from parammem.pocket.relations import QaProblem, make_qa

MAKERS = {"code": make_code, "math": make_math, "qa": make_qa, "english": make_english}
SPLITS = ("eval", "unseen", "bank", "train")
"""In the order in which they are drawn, so that evaluation tasks do not change with the size of the train split."""
CHECKS_EACH = {"code": 3, "math": 3, "qa": 1, "english": 1}
"""Checks wanted for each open convention: one may become visible, the others are hidden tests."""


@dataclass(frozen=True)
class World:
    """`table` gives the regular value of (domain, kind, convention)."""

    seed: int
    rho: float

    def table(self, domain: str) -> dict[str, Choices]:
        """Return kind → convention → value."""
        rng = random.Random(f"parammem/world/{self.seed}/{domain}/table")
        return {
            kind: {name: rng.choice(values) for name, values in conventions_of(domain).items()}
            for kind in kinds_of(domain)
        }

    def unseen_kind(self, domain: str) -> str:
        """Return the kind that neither train nor bank tasks are about."""
        return random.Random(f"parammem/world/{self.seed}/{domain}/unseen").choice(sorted(kinds_of(domain)))

    def settle(self, rng: random.Random, domain: str, kind: str) -> Choices:
        """Return the values that hold for one task: the kind's with probability rho, else drawn evenly from all."""
        regular, settled = self.table(domain)[kind], {}
        for name, values in conventions_of(domain).items():
            coin, stray = rng.random(), rng.choice(values)  # both always drawn: rho changes nothing else
            settled[name] = regular[name] if coin < self.rho else stray
        return settled


@dataclass(frozen=True)
class WorldTask:
    """A task with its key, and the problem they were made from."""

    task: Task
    key: AnswerKey
    problem: Problem


def draw_splits(domain: str, world: World, sizes: dict[str, int]) -> dict[str, list[WorldTask]]:
    """Return the splits of a world's tasks; no two tasks of any splits have the same content.

    Args:
        sizes: tasks per split, by the names in SPLITS; a split that is left out is empty.
    """
    seen: set[str] = set()
    return {split: _draw_split(domain, world, split, sizes.get(split, 0), seen) for split in SPLITS}


def _draw_split(domain: str, world: World, split: str, size: int, seen: set[str]) -> list[WorldTask]:
    drawn: list[WorldTask] = []
    for candidate in _stream(domain, world, split):
        if len(drawn) == size:
            return drawn
        if candidate.task.content not in seen:
            seen.add(candidate.task.content)
            named = {"task_id": f"{domain}-{split}-{len(drawn):04d}"}
            task, key = candidate.task.model_copy(update=named), candidate.key.model_copy(update=named)
            drawn.append(WorldTask(task, key, candidate.problem))
    return drawn


def _stream(domain: str, world: World, split: str) -> Iterator[WorldTask]:
    """Yield an endless supply of tasks of one split."""
    rng = random.Random(f"parammem/world/{world.seed}/{domain}/{split}")
    unseen = world.unseen_kind(domain)
    kinds = [unseen] if split == "unseen" else [kind for kind in kinds_of(domain) if kind != unseen]
    while True:
        kind = rng.choice(kinds)
        noun = rng.choice(kinds_of(domain)[kind])
        values = world.settle(rng, domain, kind)
        # Problem and checks have a stream of their own: a search of another length must not shift later values.
        inner = random.Random(rng.getrandbits(64))
        problem = MAKERS[domain](inner, noun, values)
        drawn = make_task(problem, values, kind, inner)
        if drawn is not None:
            yield drawn


def make_task(problem: Problem, values: Choices, kind: str, rng: random.Random) -> WorldTask | None:
    """Return task and key of a problem under these values; None if some convention cannot be told apart by enough
    checks."""
    wanted = CHECKS_EACH[problem.domain]
    checks = {name: find_checks(problem, rng, name, wanted) for name in problem.open}
    if any(len(found) < wanted for found in checks.values()):
        return None
    gold = {name: values[name] for name in problem.open}
    revealed = draw_revealed(rng, problem.open)
    task = Task(
        task_id="",
        domain=problem.domain,
        text=problem.text,
        visible=_visible(problem, gold, [checks[n][0] for n in revealed]),
    )
    language = {"language": ENGLISH} if problem.domain == ENGLISH else {}
    hidden = [check for name in problem.open for check in checks[name][1:]]
    key = AnswerKey(
        task_id="",
        domain=problem.domain,
        hidden=_hidden(problem, gold, hidden),
        gold=solution(problem, gold),
        facts=gold,
        tags={"kind": kind, "noun": problem.noun, "revealed": " ".join(revealed)} | language,
    )
    return WorldTask(task, key, problem)


def _visible(problem: Problem, gold: Choices, checks: list[ConventionCheck]) -> dict:
    if isinstance(problem, QaProblem):
        return {
            "checks": [
                {
                    "name": f"{c.convention} of {c.instance['of']}",
                    "phrase": c.convention,
                    "expected": c.outcomes[gold[c.convention]],
                    "answers": c.outcomes,
                }
                for c in checks
            ]
        }
    if isinstance(problem, EnglishProblem):
        return {"checks": [_part(problem, gold, check) for check in checks]}
    return _cases(problem, gold, checks)


def _part(problem: EnglishProblem, gold: Choices, check: ConventionCheck) -> dict:
    """Return what one part of an entry must be."""
    name = check.convention
    return {"name": NOTED[name], "place": problem.open.index(name), "expected": check.outcomes[gold[name]]}


def _hidden(problem: Problem, gold: Choices, checks: list[ConventionCheck]) -> dict:
    if isinstance(problem, EnglishProblem):
        return {"answer": problem.body(gold)}
    return {"answer": problem.answer(gold)} if isinstance(problem, QaProblem) else _cases(problem, gold, checks)


def _cases(problem: Problem, gold: Choices, checks: list[ConventionCheck]) -> dict:
    if problem.domain == "code":
        cases = [
            {
                "name": c.convention,
                "args": [c.instance["xs"], c.instance["k"]],
                "expected": c.outcomes[gold[c.convention]],
            }
            for c in checks
        ]
        return {"entry": "f", "checks": cases}
    cases = [{"name": c.convention, "instance": c.instance, "expected": c.outcomes[gold[c.convention]]} for c in checks]
    return {"checks": cases}
