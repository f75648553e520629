"""collect: agents work on train tasks, and what they learned is written down as reflection rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from parammem.agents.asking import MOST_FAILED, call
from parammem.agents.labels import Labelling, label
from parammem.agents.loop import Agent
from parammem.agents.methods import get_method
from parammem.agents.run import Job
from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import AnswerKey, Outcome, Task, Trajectory, write_jsonl
from parammem.core.words import count
from parammem.domains import Domain, Judge, Prompts
from parammem.embeddings import embed
from parammem.engines.base import Engine
from parammem.engines.progress import PROGRESS, progress_bar
from parammem.errors import ConfigError, DataError
from parammem.stages.common import Engines, accounted, budget, check_failures, most_tokens
from parammem.stages.ingested import read_experience
from parammem.stages.opening import open_domain
from parammem.stages.own_runs import collected, has_agent, measures
from parammem.stages.ray.executor import LOCAL, Executor, open_executor
from parammem.stages.trusted import stage_keys, stage_tasks

log = logging.getLogger(__name__)


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Write data/trajectories/<domain>.jsonl and data/reflections/<domain>.jsonl.

    Raises:
        TooManyFailures, DataError, EngineError, SandboxError.
    """
    places, engines, opened = Places(root, domain), Engines(params, root), open_domain(params, domain, root)
    with (
        accounted(engines, "collect", domain, places.work("collect")),
        open_executor(params, engines, opened, root) as executor,
    ):
        tasks = stage_tasks(places, "train")
        actor = engines.open()
        # Labels from the task alone need nobody's attempts, and a benchmark's train split has thousands of tasks.
        if params.collect.label == "task-only" or not measures(params, domain):  # of what nobody judges none is learned
            trajectories, ended = [], {}
        elif has_agent(params, domain):
            trajectories, ended = collected(params, domain, root, tasks)
        else:
            trajectories = work_on(params, opened, actor, tasks, executor)
            ended = None
        write_jsonl(places.trajectories, trajectories)
        check_failures(trajectories, params.agent.max_failed_share)
        ended = outcomes(params, opened.judge, tasks, trajectories, places) if ended is None else ended
        brought = read_experience(root / params.collect.experience_dir, domain)
        how = _labelling(params, opened.prompts, engines, actor, executor)
        labels = _most_labels(params, len(tasks), len(trajectories), len(brought))
        PROGRESS.begin(f"labels {domain}", 0, labels * params.engine.max_advice_tokens)
        rows = label(
            how,
            {t.task_id: t for t in tasks} | {e.task.task_id: e.task for _, e in brought},
            [*trajectories, *(e.trajectory for _, e in brought)],
            ended | {e.trajectory.trajectory_id: e.outcome for _, e in brought},
            {e.trajectory.trajectory_id: origin for origin, e in brought},
        )
        write_jsonl(places.reflections, rows)


def work_on(
    params: Params, domain: Domain, actor: Engine, tasks: Sequence[Task], executor: Executor = LOCAL
) -> list[Trajectory]:
    """Return several runs of the collecting method per task. No answer key is at hand here."""
    p = params.collect
    method = get_method(p.method)
    if method.advisor != "none" or method.bank:
        raise ConfigError(
            f"collect.method: {p.method!r} needs a reflector or a bank; use base, resample, reflexion or dot"
        )
    agent = Agent(method, domain.prompts, domain.judge, actor, budget(params))
    jobs = [Job(agent, task, p.seed + k) for k in range(p.trajectories) for task in tasks]
    most = most_tokens(agent.budget, len(jobs))
    return executor.work(jobs, progress_bar(len(jobs), f"collect {domain.name}", most))


def outcomes(
    params: Params, judge: Judge, tasks: Sequence[Task], trajectories: Sequence[Trajectory], places: Places
) -> dict[str, Outcome]:
    """Return the outcome of each trajectory by its id: by the final verdict on train tasks, or by the visible checks
    alone. It is not known where these say nothing, and where a submission could not be judged."""
    done = [t for t in trajectories if t.submitted is not None]
    if params.collect.outcome == "visible" or params.collect.label != "experience":
        return {t.trajectory_id: Outcome(passed=_visible(t)) for t in done}
    keys = {key.task_id: key for key in stage_keys(places, "train")}
    # With a row from each task alone, tasks that nobody can judge are no fault of the answer keys.
    allowed = 1.0 if "task" in params.collect.parts else MOST_FAILED
    found = final_verdicts(judge, {task.task_id: task for task in tasks}, keys, done, allowed)
    return {name: Outcome(passed=None if name in found.unjudged else passed) for name, passed in found.passed.items()}


def _visible(trajectory: Trajectory) -> bool | None:
    """Return whether the visible checks passed the submission; None: they say nothing of it."""
    attempt = trajectory.submitted
    return True if trajectory.stop == "visible-pass" else attempt and attempt.feedback.passed


def _most_labels(params: Params, tasks: int, trajectories: int, brought: int) -> int:
    """Return how many labels are asked for at most."""
    p, runs = params.collect, trajectories + brought
    if p.label != "experience":
        return brought + (trajectories or tasks)
    of_failure = len({"failure", "contrast"} & set(p.parts))
    return runs * max(1, of_failure) + ("task" in p.parts) * (tasks + brought)


class Verdicts(NamedTuple):
    """The hidden verdicts on the submissions of some runs."""

    passed: dict[str, bool]
    """Trajectory id → the hidden verdict; False where there is none."""
    unjudged: frozenset[str]
    """Ids of the trajectories whose submission could not be judged."""


def final_verdicts(
    judge: Judge,
    tasks: Mapping[str, Task],
    keys: Mapping[str, AnswerKey],
    trajectories: Sequence[Trajectory],
    allowed: float = MOST_FAILED,
) -> Verdicts:
    """Return the hidden verdict on each submission, asked once and after the loop.

    A submission that cannot be judged has failed: the log names its task, and the others go on.

    Args:
        allowed: share of the tasks that may be so.

    Raises:
        DataError: more tasks cannot be judged, which is a fault of the answer keys.
    """
    done = [(t, t.submitted) for t in trajectories]
    asked = [(t, attempt) for t, attempt in done if attempt is not None and t.task_id in keys]
    scores = call(judge.score, [(tasks[t.task_id], keys[t.task_id], attempt.candidate) for t, attempt in asked])
    verdicts = {t.trajectory_id: False for t in trajectories}
    keyless = [t for t, attempt in done if attempt and t.task_id not in keys]
    unjudged = {t.task_id: "it has no answer key" for t in keyless}
    without = {t.trajectory_id for t in keyless}
    for (trajectory, _), score in zip(asked, scores, strict=True):
        if isinstance(score, Exception):
            unjudged[trajectory.task_id] = f"{type(score).__name__}: {score}"
            without.add(trajectory.trajectory_id)
        else:
            verdicts[trajectory.trajectory_id] = score.passed
    for name, why in unjudged.items():
        log.warning("task %r cannot be judged and counts as not solved: %s", name, why)
    if len(unjudged) > allowed * len({t.task_id for t in trajectories}):
        name, why = next(iter(unjudged.items()))
        raise DataError(
            f"{count(len(unjudged), 'task')} cannot be judged, more than the {allowed:.0%} that may be so; the first: "
            f"task {name!r} cannot be judged: {why}; mend its answer key, or the judge"
        )
    return Verdicts(verdicts, frozenset(without))


def _labelling(params: Params, prompts: Prompts, engines: Engines, actor: Engine, executor: Executor) -> Labelling:
    p = params.collect
    if p.label == "teacher" and not p.teacher:
        raise ConfigError("collect.teacher: missing, though collect.label is teacher; give a model folder")
    labeller = engines.open(p.teacher) if p.teacher and p.label != "self" else actor
    return Labelling(
        label=p.label,
        outcome=p.outcome,
        parts=p.parts,
        engine=executor.asking(labeller),
        prompts=prompts,
        max_tokens=params.engine.max_advice_tokens,
        temperature=params.agent.reflector_temperature,
        max_failed_share=params.agent.max_failed_share,
        embed=engines.embed(embed),
    )
