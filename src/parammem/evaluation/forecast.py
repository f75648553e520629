"""What a run will take and cost, and whether it can show anything: arithmetic over what `parammem probe` measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parammem.config import Params
from parammem.core.record import Record
from parammem.core.words import count
from parammem.evaluation.statistics import wilson

MANY_CUT = 0.2
"""Share of attempts that end at the limit from which on the limit decides results."""
LARGE_GAIN = 0.15
"""A gain that few methods reach: an evaluation that sees only larger ones has no power."""


class Attempted(Record):
    """One attempt at each task of a sample, at one temperature."""

    temperature: float
    tasks: int
    visible: int | None
    """Attempts that passed their visible checks; None: no task has any."""
    solved: int
    """Attempts that the final verdict passed."""
    cut: int
    """Attempts that engine.max_new_tokens ended."""
    tokens: float
    """Written per attempt."""
    prompt_tokens: float


class Pace(Record):
    """Measured on this machine, or at this server, under its load of that moment."""

    tokens_per_second: float
    attempt_seconds: float
    """Per attempt, in batches as large as the sample."""
    advice_seconds: float
    """Per piece of advice or reflection."""
    step_seconds: float | None
    """Per optimiser step of the training; None: it was not measured, since the model is not run here."""
    dollars: float
    """Per attempt and the advice for it, by the prices in params."""


class Stage(Record):
    """What a stage will take, at most: later attempts are made at tasks that are not solved yet."""

    stage: str
    attempts: int
    advice: int
    minutes: float | None
    dollars: float


class Probe(Record):
    """The result of `parammem probe` for one domain."""

    domain: str
    model: str
    train: int
    evaluation: int
    attempted: tuple[Attempted, ...]
    """The first one is at agent.first_temperature."""
    advice_cut: float
    """Share of advice that engine.max_advice_tokens ended."""
    pace: Pace
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...]


def stages_of(params: Params, train: int, evaluation: int, solved: float, pace: Pace) -> tuple[Stage, ...]:
    """Forecast collect, train and evaluate of one domain.

    Args:
        solved: share of attempts that end a run, by their visible checks.
    """
    return (
        _collect(params, train, solved, pace),
        _training(params, train, pace),
        _evaluate(params, evaluation, solved, pace),
    )


def _collect(params: Params, train: int, solved: float, pace: Pace) -> Stage:
    p = params.collect
    runs = 0 if p.label == "task-only" else train * p.trajectories
    tries = 1 if p.method == "base" else params.agent.iterations
    attempts = _attempts(runs, tries, solved)
    reflections = attempts - runs if p.method in ("reflexion", "dot") else 0
    labels = train if p.label == "task-only" else runs * (1 - solved)
    if p.label == "experience":
        lessons = len({"failure", "contrast"} & set(p.parts))
        won = solved if "hindsight" in p.parts else 0.0
        labels = runs * (won + lessons * (1 - solved)) + ("task" in p.parts) * train
    return _stage("collect", attempts, reflections + labels, pace)


def _training(params: Params, train: int, pace: Pace) -> Stage:
    p = params.train
    rows = min(p.select or train, train) * (1 - p.held_out)
    steps = p.max_steps or math.ceil(rows * p.epochs / p.batch)
    adapters = params.reflector.rounds + len(p.controls)
    seconds = None if pace.step_seconds is None else steps * adapters * pace.step_seconds
    return Stage(
        stage=f"train ({count(adapters, 'adapter')}, {count(steps, 'step')} each)",
        attempts=0,
        advice=0,
        minutes=None if seconds is None else seconds / 60,
        dollars=0.0,
    )


def _evaluate(params: Params, evaluation: int, solved: float, pace: Pace) -> Stage:
    p, tries = params.evaluate, params.agent.iterations
    advised = ["paramagent"] * (1 + len(params.train.controls) + (1 if params.benchmarks.sources else 2))
    arms = [name for name in p.methods if name != "paramagent"] + advised[: None if "paramagent" in p.methods else -1]
    attempts = advice = 0.0
    plain = [name for name in arms if name in ("base", "resample", "reflexion", "dot")]
    for name in arms:
        made = _attempts(evaluation, 1 if name == "base" else tries, solved)
        attempts += made
        advice += made if name.startswith("paramagent") else 0
        advice += made - evaluation if name not in ("base", "resample") else 0
    attempts -= evaluation * max(0, len(plain) - 1)  # equal prompts give equal first attempts, which are made once
    attempts += p.curve_tasks * len(p.temperatures) * tries
    advice += p.curve_tasks * len(p.temperatures) * tries
    protocols = 1 + len(p.also)
    draws = (2 + len(params.train.controls)) * min(p.draw_tasks or evaluation, evaluation) * p.advice_draws
    return _stage("evaluate", attempts * protocols, advice * protocols + draws, pace)


def _attempts(runs: float, tries: int, solved: float) -> float:
    """Return the expected attempts of so many runs, where each try ends its run with this chance."""
    return sum(runs * (1 - solved) ** number for number in range(tries))


def _stage(name: str, attempts: float, advice: float, pace: Pace) -> Stage:
    seconds = attempts * pace.attempt_seconds + advice * pace.advice_seconds
    return Stage(
        stage=name,
        attempts=round(attempts),
        advice=round(advice),
        minutes=seconds / 60,
        dollars=max(attempts, advice) * pace.dollars,
    )


def smallest_gain(solved: float, tasks: int) -> float:
    """Return the gain in the share solved that a paired comparison of so many tasks finds with 80% power.

    Normal approximation of McNemar's test, p = .05 on two sides. Two runs differ by chance alone on 2s(1 − s) of the
    tasks where each task is solved with chance s.
    """
    gain = 0.0
    for _ in range(50):
        differing = min(1.0, 2 * solved * (1 - solved) + gain)
        gain = max(6 / tasks, (1.96 + 0.84) * math.sqrt(differing / tasks))  # below six tasks p is never under .05
    return gain


def warnings_of(params: Params, attempted: Sequence[Attempted], advice_cut: float, evaluation: int) -> tuple[str, ...]:
    """Say in words what is wrong with a profile for this model, and what to change."""
    first = attempted[0]
    solved, tasks = first.solved, first.tasks
    low, high = (100 * end for end in wilson(solved, tasks))
    found = []
    if solved == 0:
        found.append(
            f"none of {tasks} tasks is solved (95% interval 0 to {high:.0f}%): experience with outcomes has nothing to "
            "learn from, and the evaluation can hardly tell arms apart; take easier tasks or a better model"
        )
    if solved == tasks:
        every = f"all {count(tasks, 'task')} {'is' if tasks == 1 else 'are'} solved"
        found.append(f"{every} (95% interval {low:.0f} to 100%): nothing is left to learn; take harder tasks")
    if first.cut > MANY_CUT * tasks:
        found.append(
            f"{first.cut} of {tasks} attempts end at engine.max_new_tokens ({params.engine.max_new_tokens}): raise it, "
            "or see that what is cut off is no part of the answer"
        )
    if advice_cut > 0.5:
        found.append(
            f"{advice_cut:.0%} of the advice ends at engine.max_advice_tokens ({params.engine.max_advice_tokens}): of "
            "labels only whole sentences are kept, and what the actor reads stops in the middle"
        )
    gain = smallest_gain(solved / tasks, evaluation)
    if gain > min(LARGE_GAIN, 1 - solved / tasks):
        found.append(
            f"the evaluation has {count(evaluation, 'task')}: only a gain of {100 * gain:.0f} points or more would be "
            "found with 80% power; take more tasks (benchmarks.sources, take)"
        )
    return (*found, *_heat(attempted))


def _heat(attempted: Sequence[Attempted]) -> list[str]:
    """Warn of later temperatures at which clearly fewer tasks are solved than at the first."""
    first = attempted[0]
    share = first.solved / first.tasks
    return [
        f"at temperature {one.temperature:g} {one.solved} of {one.tasks} are solved, at {first.temperature:g} "
        f"{first.solved}: lower agent.later_temperature"
        for one in attempted[1:]
        if wilson(one.solved, one.tasks)[1] < share
    ]


def total(found: Probe) -> str:
    """Return time and cost of the whole run in one line."""
    known = [one.minutes for one in found.stages if one.minutes is not None]
    minutes, dollars = sum(known), sum(one.dollars for one in found.stages)
    less = "" if len(known) == len(found.stages) else " without the training"
    cost = f"${dollars:.2f} at the server" if dollars else "no money, since nothing is paid for"
    return f"about {minutes:.0f} minutes{less} at this speed; it costs {cost}"
