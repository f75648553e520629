"""What the evaluation and the gate's contest share: agents on the same tasks, run and asked in one way.

A request that fails costs its own task and no other, here or on a Ray cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parammem.agents.asking import ask_each
from parammem.agents.loop import Agent
from parammem.agents.methods import Method
from parammem.agents.run import Job
from parammem.config import Params
from parammem.core import Task, Trajectory
from parammem.domains import Domain
from parammem.engines.base import Engine, Message, Request
from parammem.engines.progress import PROGRESS, progress_bar
from parammem.reflectors.base import Reflector
from parammem.stages.common import budget, most_tokens
from parammem.stages.ray.executor import Executor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """One domain, with its actor and its tasks."""

    params: Params
    domain: Domain
    actor: Engine
    tasks: Mapping[str, Sequence[Task]]
    """By slice."""
    executor: Executor

    def everything(self) -> list[Task]:
        """Return the tasks of all slices."""
        return [task for part in self.tasks.values() for task in part]

    def agent(self, method: Method, reflector: Reflector | None = None, arm: str = "") -> Agent:
        """Return an agent of this domain. It gets the visible checks; keys are at no agent's hand."""
        prompts, checks = self.domain.prompts, self.domain.judge
        return Agent(method, prompts, checks, self.actor, budget(self.params), reflector, arm)

    def work(self, jobs: Sequence[Job], what: str) -> list[Trajectory]:
        """Return the trajectories of jobs, in their order; `what` names them in the line of progress."""
        return self.executor.work(jobs, self.progress(what, len(jobs)))

    def progress(self, what: str, runs: int) -> Callable[[int], None]:
        """Return the line of progress of so many runs."""
        return progress_bar(runs, f"{what} {self.domain.name}", most_tokens(budget(self.params), runs))

    def advice(
        self,
        engine: Engine,
        tasks: Sequence[Task],
        prompt: Callable[[Task], tuple[Message, ...]],
        temperature: float,
        draws: int,
        first_draw: int,
        role: str = "reflector",
    ) -> list[list[str]]:
        """Return so many draws of advice for each task; none for a task whose request got no answer.

        Args:
            prompt: what is asked about a task.
            first_draw: of `engines/sampling.py`, so that the completion cache keeps these draws apart from the loop's.
        """
        p = self.params
        requests = [
            Request(
                messages=prompt(task),
                temperature=temperature,
                max_tokens=p.engine.max_advice_tokens,
                seed=p.evaluate.seed,
                n=draws,
                role=role,
                first_draw=first_draw,
            )
            for task in tasks
        ]
        PROGRESS.begin(f"advice {self.domain.name}", 0, len(requests) * draws * p.engine.max_advice_tokens)
        answers = ask_each(self.executor.asking(engine), requests)
        for task, answer in zip(tasks, answers, strict=True):
            if isinstance(answer, Exception):
                log.warning("no draws of advice for task %r: %s", task.task_id, answer)
        return [[] if isinstance(drawn, Exception) else [one.text.strip() for one in drawn] for drawn in answers]
