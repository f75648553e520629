"""Run the user's own agent for collect, evaluate and the gate: draw advice, run the agent, keep its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from parammem.agents.asking import call
from parammem.agents.own_agent import Ordered, OwnAgent, OwnRun, ProgramJudge
from parammem.agents.program import UserProgram
from parammem.config import Params
from parammem.core import Outcome, Reflection, Task, Trajectory
from parammem.engines.base import Request
from parammem.reflectors.base import Reflector

Place = tuple[str, str, int]
"""Arm, task id and number of the run."""


def has_agent(params: Params, domain: str) -> bool:
    """Return whether a domain's user says how their own agent is run."""
    return domain in params.domains and params.domains[domain].agent is not None


def measures(params: Params, domain: str) -> bool:
    """Return whether outcomes can be measured on fixed tasks: a domain of kind open needs an agent or a judge for
    that."""
    return params.kind(domain) != "open" or has_agent(params, domain) or params.domains[domain].judge is not None


def own_agent(params: Params, domain: str, root: Path) -> OwnAgent:
    """Return the user's agent and its judge, if there is one, as `domains` says."""
    one = params.domains[domain]
    assert one.agent is not None
    judge = ProgramJudge(UserProgram(one.judge, root), one.passes_at) if one.judge else None
    return OwnAgent(UserProgram(one.agent, root), judge, one.passes_at)


def collected(
    params: Params, domain: str, root: Path, tasks: Sequence[Task]
) -> tuple[list[Trajectory], dict[str, Outcome]]:
    """Run the agent on train tasks without advice. Returns its trajectories, and by their ids their outcomes."""
    seeds = [params.collect.seed + k for k in range(params.collect.trajectories)]
    done = own_runs(params, own_agent(params, domain, root), {"own-agent": None}, tasks, seeds).values()
    return [run.trajectory for run in done], {run.trajectory.trajectory_id: run.outcome for run in done}


def own_runs(
    params: Params,
    agent: OwnAgent,
    arms: Mapping[str, Reflector | None],
    tasks: Sequence[Task],
    seeds: Sequence[int],
) -> dict[Place, OwnRun]:
    """Run the agent once for every arm, task and seed. All arms have the same tasks and seeds."""
    orders: dict[Place, Ordered] = {}
    for arm, reflector in arms.items():
        for number, seed in enumerate(seeds):
            for task, advice in zip(tasks, _advice(params, reflector, tasks, seed), strict=True):
                orders[arm, task.task_id, number] = Ordered(arm, task, seed, advice)
    return dict(zip(orders, agent.work(list(orders.values())), strict=True))


def _advice(
    params: Params, reflector: Reflector | None, tasks: Sequence[Task], seed: int
) -> Sequence[Reflection | None]:
    """Return one draw of advice for each task. None: this arm has no reflector, or its model did not answer."""
    if reflector is None:
        return [None] * len(tasks)
    temperature = params.agent.reflector_temperature
    if reflector.kind == "text":
        texts = [(reflector.text(task, 1), False) for task in tasks]
        temperature = 0.0
    else:
        requests = [
            Request(
                messages=reflector.messages(task),
                temperature=temperature,
                max_tokens=params.engine.max_advice_tokens,
                seed=seed,
                role="reflector",
            )
            for task in tasks
        ]
        answers = call(reflector.engine.complete, requests)
        texts = [
            None if isinstance(said, Exception) else (said[0].text.strip(), said[0].finish == "length")
            for said in answers
        ]
    return [
        text and Reflection(
            text=text[0], source=reflector.source, author=reflector.author, iteration=1, temperature=temperature,
            cut=text[1],
        )
        for text in texts
    ]  # fmt: skip
