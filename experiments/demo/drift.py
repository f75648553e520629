"""A world that drifts, and what an agent experiences in it.

The regularities are those of the pipeline's world. What drifts is what the tasks are about: each season has its own
kinds of quantity, so a reflector that was trained on the last season has something to learn in the next. A poisoned
batch is about kinds of old, and every outcome in it is a lie: it calls solutions right that took the other convention.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parammem.agents.loop import Agent, solve
from parammem.agents.methods import METHODS
from parammem.agents.run import run_all
from parammem.config import Params
from parammem.core import AnswerKey, Attempt, Feedback, Outcome, Trajectory
from parammem.core.experience import Experience
from parammem.core.jsonl import write_text
from parammem.domains import Judge
from parammem.domains.conventions import CONVENTIONS, kinds_of
from parammem.engines.adapters import read_card
from parammem.pocket.problems import solution
from parammem.pocket.world import Choices, World, WorldTask, draw_splits
from parammem.reflectors.parametric import ParamMem
from parammem.stages.collect import final_verdicts
from parammem.stages.common import Engines, budget
from parammem.stages.opening import open_domain


@dataclass(frozen=True)
class Season(World):
    """The world `of`, asked about other things: its own problems, and only these kinds of quantity."""

    of: int = 0
    """Seed of the world whose regularities hold."""
    kinds: tuple[str, ...] = ()

    def table(self, domain: str) -> dict[str, Choices]:
        return World(self.of, self.rho).table(domain)

    def unseen_kind(self, domain: str) -> str:
        return World(self.of, self.rho).unseen_kind(domain)


@dataclass(frozen=True)
class InboxRow:
    """One line for the inbox."""

    experience: Experience
    key: AnswerKey

    def line(self) -> str:
        whole = self.experience.model_dump(mode="json") | {"key": self.key.model_dump(mode="json")}
        return json.dumps(whole, sort_keys=True, ensure_ascii=False)


def seasons(world: int, domain: str, count: int) -> list[tuple[str, ...]]:
    """Return the kinds of each season: two at a time, in an order of the world's own, and round again."""
    kinds = [kind for kind in sorted(kinds_of(domain)) if kind != World(world, 1.0).unseen_kind(domain)]
    random.Random(f"parammem/demo/{world}").shuffle(kinds)
    return [(kinds[2 * n % len(kinds)], kinds[(2 * n + 1) % len(kinds)]) for n in range(count)]


def draw(params: Params, domain: str, number: int, kinds: Sequence[str], size: int) -> list[WorldTask]:
    """Tasks of a season, with ids of their own."""
    season = Season(seed=9000 + number, rho=params.tasks.rho, of=params.tasks.world, kinds=tuple(kinds))
    drawn: list[WorldTask] = []
    asked = size
    while len(drawn) < size:  # the world asks about all kinds alike; others are passed over
        asked *= 2
        every = draw_splits(domain, season, {"train": asked})["train"]
        drawn = [one for one in every if one.key.tags["kind"] in season.kinds][:size]
    return [_named(one, f"season-{number}-{place:04d}") for place, one in enumerate(drawn)]


def _named(one: WorldTask, name: str) -> WorldTask:
    new = {"task_id": name}
    return WorldTask(one.task.model_copy(update=new), one.key.model_copy(update=new), one.problem)


def work(
    params: Params, root: Path, domain: str, drawn: Sequence[WorldTask], reflector: Path | None, seed: int
) -> list[InboxRow]:
    """Return what agents in use experience on these tasks, with the champion's advice if there is a champion.

    The outcome is the hidden verdict, one bit; the key goes along so that tasks kept for judging can be judged.
    """
    engines, opened = Engines(params, root), open_domain(params, domain)
    actor = engines.open()
    given = None
    if reflector is not None:
        given = ParamMem(adapter=read_card(reflector), engine=engines.open(adapter=reflector), prompts=opened.prompts)
    method = METHODS["paramagent" if given else "reflexion"]
    agent = Agent(method, opened.prompts, opened.judge, actor, budget(params), given)
    ended = run_all([solve(agent, one.task, seed) for one in drawn])
    return list(_rows(opened.judge, drawn, ended))


def _rows(judge: Judge, drawn: Sequence[WorldTask], ended: Sequence[Trajectory]) -> Iterator[InboxRow]:
    tasks = {one.task.task_id: one.task for one in drawn}
    keys = {one.task.task_id: one.key for one in drawn}
    passed = final_verdicts(judge, tasks, keys, ended).passed
    for trajectory in ended:
        row = Experience(
            task=tasks[trajectory.task_id],
            trajectory=trajectory,
            outcome=Outcome(passed=passed[trajectory.trajectory_id]),
        )
        yield InboxRow(row, keys[trajectory.task_id])


def poison(drawn: Sequence[WorldTask], domain: str, seed: int) -> list[InboxRow]:
    """Return rows that call wrong solutions right: every open convention is taken the other way."""
    rng = random.Random(seed)
    return [InboxRow(_lie(one, domain, rng, seed), one.key) for one in drawn]


def _lie(one: WorldTask, domain: str, rng: random.Random, seed: int) -> Experience:
    values = CONVENTIONS[domain]
    other = {name: rng.choice([v for v in values[name] if v != right]) for name, right in one.key.facts.items()}
    text = solution(one.problem, {**{name: found[0] for name, found in values.items()}, **other})
    feedback = Feedback(passed=True, text="all visible checks passed")
    attempt = Attempt(number=1, text=text, candidate=text, temperature=0.2, feedback=feedback)
    trajectory = Trajectory(
        task_id=one.task.task_id,
        domain=domain,
        method="reflexion",
        protocol="strict",
        seed=seed,
        attempts=(attempt,),
        stop="visible-pass",
        submission=1,
    )
    return Experience(task=one.task, trajectory=trajectory, outcome=Outcome(passed=True))


def write_batch(rows: Sequence[InboxRow], inbox: Path, name: str) -> Path:
    """Write a file into the inbox, whole when it appears there."""
    path = inbox / f"{name}.jsonl"
    write_text(path, "".join(row.line() + "\n" for row in rows))
    return path
