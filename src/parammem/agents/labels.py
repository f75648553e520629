"""From trajectories to reflection rows: who is asked, what for, and where each row came from.

No labeller sees an answer key. An outcome is about a whole trajectory, and only train tasks and experience have one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parammem.agents.asking import MOST_FAILED, ask_each, check_answers
from parammem.agents.bank import Embed
from parammem.agents.contrasts import JudgedRun, set_beside
from parammem.agents.repair import whole_sentences
from parammem.agents.teacher import ASKED, Teaches, taught
from parammem.core import Outcome, ReflectionExample, Task, Trajectory, digest_of
from parammem.core.reflection import LabelSource
from parammem.domains.base import Prompts
from parammem.embeddings import embed
from parammem.engines.base import Completion, Engine, Message, Request

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labelling:
    """How rows are labelled; the fields are those of `collect` in params.yaml."""

    label: LabelSource
    outcome: str
    parts: tuple[str, ...]
    engine: Engine
    """The labeller: the agent's own model, or the teacher."""
    prompts: Prompts
    max_tokens: int
    temperature: float
    """Of labels that are drawn from the task alone; all others are greedy."""
    max_failed_share: float = MOST_FAILED
    """Of the requests to the labeller: with more without an answer, there are no rows at all."""
    embed: Embed = embed
    """By which the nearest task is found."""

    @property
    def asks_tasks(self) -> bool:
        """Whether the labeller is asked about each task alone."""
        return self.label == "task-only" or (self.label == "experience" and "task" in self.parts)


@dataclass(frozen=True)
class _Question:
    """A text that the labeller must write for a row."""

    task: Task
    trajectory_id: str
    part: str
    messages: tuple[Message, ...]
    temperature: float = 0.0
    seed: int = 0
    success_id: str = ""


def label(
    how: Labelling,
    tasks: Mapping[str, Task],
    trajectories: Sequence[Trajectory],
    outcomes: Mapping[str, Outcome],
    origins: Mapping[str, str] | None = None,
) -> list[ReflectionExample]:
    """Return rows for these trajectories, each (task, reflection) pair once, where it came first. Raises
    TooManyFailures.

    Rows that needed no labeller stand before those that did; both follow the order of the trajectories, and contrasts
    come last.

    Args:
        tasks: by task id.
        outcomes: by trajectory id; of a trajectory that is not named nothing is known.
        origins: trajectory id → experience batch, for those that were not collected here.
    """
    rows: list[ReflectionExample] = []
    questions: list[_Question] = []
    if how.asks_tasks and isinstance(how.prompts, Teaches):
        rows = _from_teacher(how, how.prompts, list(tasks.values()))
    elif how.asks_tasks:
        questions = [_from_task(how, task) for task in tasks.values()]
    for trajectory in trajectories:
        task, outcome = tasks[trajectory.task_id], outcomes.get(trajectory.trajectory_id)
        if how.label in ("teacher", "self"):
            questions += _from_feedback(how, task, trajectory)
        elif how.label == "experience" and outcome is not None and outcome.passed is True:
            rows += _in_context(how, task, trajectory)
            questions += _hindsight(how, task, trajectory)
        elif how.label == "experience" and outcome is not None and outcome.passed is False:
            questions += _failure(how, task, trajectory, outcome)
    if how.label == "experience" and "contrast" in how.parts:
        questions += _contrasts(how, tasks, trajectories, outcomes)
    rows += _asked(how, questions)
    placed = [_with_origin(row, origins or {}) for row in rows]
    once: dict[str, ReflectionExample] = {}
    for row in placed:
        once.setdefault(row.row_hash, row)
    return list(once.values())


def _in_context(how: Labelling, task: Task, trajectory: Trajectory) -> list[ReflectionExample]:
    """Return the advice that the successful attempt had before it: the newest of its own reflections."""
    if "in_context" not in how.parts:
        return []
    known = [r for r in trajectory.reflections if r.source == "self" and r.iteration <= (trajectory.submission or 0)]
    return [_row(how, task, trajectory.trajectory_id, "in_context", r.text, r.author, r.cut) for r in known[-1:]]


def _hindsight(how: Labelling, task: Task, trajectory: Trajectory) -> list[_Question]:
    """Return what the model says its own successful attempt assumed."""
    attempt = trajectory.submitted
    if "hindsight" not in how.parts or attempt is None:
        return []
    messages = how.prompts.hindsight(task, attempt)
    return [_Question(task, trajectory.trajectory_id, "hindsight", messages)]


def _failure(how: Labelling, task: Task, trajectory: Trajectory, outcome: Outcome) -> list[_Question]:
    """Return what the labeller says went wrong in a failed run, and what to do instead."""
    attempt = trajectory.submitted
    if "failure" not in how.parts or attempt is None:
        return []
    messages = how.prompts.failure(task, attempt, outcome)
    return [_Question(task, trajectory.trajectory_id, "failure", messages)]


def _contrasts(
    how: Labelling, tasks: Mapping[str, Task], trajectories: Sequence[Trajectory], outcomes: Mapping[str, Outcome]
) -> Iterator[_Question]:
    """Yield for each failure with a success to set it beside: what did the one do that the other did not."""
    ended: dict[bool, list[JudgedRun]] = {True: [], False: []}
    for trajectory in trajectories:
        outcome, attempt = outcomes.get(trajectory.trajectory_id), trajectory.submitted
        if outcome is not None and outcome.passed is not None and attempt is not None:
            ended[outcome.passed].append(JudgedRun(tasks[trajectory.task_id], attempt, trajectory.trajectory_id))
    for lost, won in set_beside(ended[False], ended[True], how.embed):
        messages = how.prompts.contrast(lost.task, lost.attempt, won.task, won.attempt)
        yield _Question(lost.task, lost.trajectory_id, "contrast", messages, success_id=won.trajectory_id)


def _from_feedback(how: Labelling, task: Task, trajectory: Trajectory) -> list[_Question]:
    """Return what the labeller reads out of the last failed attempt and its visible feedback. Outcomes are not asked
    for."""
    failed = [attempt for attempt in trajectory.attempts if attempt.feedback.passed is False]
    if not failed:
        return []
    messages = how.prompts.reflect(task, failed, [], diverse=False)
    return [_Question(task, trajectory.trajectory_id, "feedback", messages)]


def _from_task(how: Labelling, task: Task) -> _Question:
    seed = int(digest_of(["task-only", task.task_id])[:12], 16)
    return _Question(task, "", "task", how.prompts.advise(task.text), how.temperature, seed)


def _from_teacher(how: Labelling, prompts: Teaches, tasks: Sequence[Task]) -> list[ReflectionExample]:
    """Return what a teacher says of each task, by a prompt with one demonstration; read and mended."""
    found = taught(how.engine, prompts, tasks, how.temperature, how.max_tokens, how.max_failed_share)
    named = {task.task_id: task for task in tasks}
    return [_row(how, named[name], "", "task", made.text, how.engine.digest) for name, made in found.labels.items()]


def _asked(how: Labelling, questions: Sequence[_Question]) -> list[ReflectionExample]:
    """Return a row for each answer.

    A label that the token limit cut ends with its last whole sentence. Where it has none, it is asked for again, drawn
    and no longer greedy, since greedy text runs into loops; after ASKED times it stays cut, and `validate` sets it
    aside.
    """
    replies = ask_each(how.engine, [_request(how, q) for q in questions])
    for draw in range(1, ASKED):
        cut = [place for place, reply in enumerate(replies) if _is_cut(reply)]
        if not cut:
            break
        again = ask_each(how.engine, [_request(how, questions[place], draw) for place in cut])
        for place, reply in zip(cut, again, strict=True):
            if not isinstance(reply, Exception):
                replies[place] = reply
    rows = []
    failed: dict[str, Exception] = {}
    for q, reply in zip(questions, replies, strict=True):
        if isinstance(reply, Exception):
            log.warning("no row from task %r (%s): the labeller did not answer: %s", q.task.task_id, q.part, reply)
            failed[f"{q.task.task_id}, {q.trajectory_id} {q.part}"] = reply
        else:
            whole = whole_sentences(reply[0].text) if reply[0].finish == "length" else ""
            said = whole or reply[0].text.strip()
            row = _row(how, q.task, q.trajectory_id, q.part, said, how.engine.digest, _is_cut(reply))
            rows.append(row.model_copy(update={"success_id": q.success_id}))
    check_answers(failed, len(questions), how.max_failed_share)
    return rows


def _request(how: Labelling, q: _Question, draw: int = 0) -> Request:
    return Request(
        messages=q.messages,
        temperature=how.temperature if draw else q.temperature,
        max_tokens=how.max_tokens,
        seed=q.seed,
        first_draw=draw,
        role="teacher",
    )


def _is_cut(reply: list[Completion] | Exception) -> bool:
    """Return whether the limit ended a label in which no sentence is whole."""
    if isinstance(reply, Exception) or reply[0].finish != "length":
        return False
    return not whole_sentences(reply[0].text)


def _row(
    how: Labelling, task: Task, trajectory_id: str, part: str, text: str, author: str, cut: bool = False
) -> ReflectionExample:
    return ReflectionExample(
        domain=task.domain,
        task_id=task.task_id,
        task_text=task.text,
        reflection=text,
        label_source=how.label,
        part=part,
        author=author,
        trajectory_id=trajectory_id,
        outcome=how.outcome if how.label == "experience" and part != "task" else "none",
        cut=cut,
    )


def _with_origin(row: ReflectionExample, origins: Mapping[str, str]) -> ReflectionExample:
    origin = origins.get(row.trajectory_id)
    return row.model_copy(update={"origin": origin}) if origin else row
