"""Runs of the service as rows of experience: the task, one attempt with its steps, the outcome, the advice."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from parammem.core.advice import without_advice
from parammem.core.outcome import Outcome
from parammem.core.record import digest_of
from parammem.core.step import Step
from parammem.experience.convert import experience_of
from parammem.experience.formats.base import LoggedRun, ReadOptions, Try, Unreadable
from parammem.experience.formats.openai import run_of
from parammem.experience.formats.turns import ChatTurn
from parammem.service.run_rows import read_given, read_outcome, steps_of

METHOD = "service"

log = logging.getLogger(__name__)


def experience_row(base: sqlite3.Connection, row: sqlite3.Row, kinds: Mapping[str, str]) -> str:
    """Return a settled run as a line of the inbox; empty: it cannot be made into one, and the log says why.

    Blocks of advice are taken out of all texts. What the run was advised is what the service recorded, and nothing
    that a text says of itself.
    """
    try:
        steps = [_unmarked(step) for step in steps_of(base, row, final=True)]
        reading = ReadOptions(domain=row["domain"], kinds=kinds)
        run = replace(
            _told(row, steps, reading),
            task=row["text"],
            task_id=digest_of(row["text"])[:16],
            run_id=row["run_id"],
            method=METHOD,
            advice=tuple(filter(None, [read_given(row["given"])])),
            outcome=read_outcome(row["outcome"]) or Outcome(passed=None),
        )
        one = experience_of(run, reading)
        task = one.task.model_copy(update={"visible": json.loads(row["visible"])})
        return one.model_copy(update={"task": task}).line()
    except Exception:  # this run alone: the others have their turn
        log.exception("run %s cannot be handed over as experience", row["run_id"])
        return ""


def _told(row: sqlite3.Row, steps: Sequence[Step], reading: ReadOptions) -> LoggedRun:
    """Return the run as its conversation tells it; an answer that the agent reported counts before the last message."""
    if row["answer"]:
        answer = without_advice(row["answer"]).text
        return LoggedRun(task=row["text"], domain=row["domain"], tries=(Try(answer, tuple(steps)),))
    turns = list(turns_of_steps(steps))
    if not any(turn.role == "user" and turn.text for turn in turns[:2]):
        turns.insert(0, ChatTurn("user", row["text"]))
    try:
        return run_of(turns, row["domain"], reading)
    except Unreadable:  # no usual conversation: all of it is the attempt, and its last message what it handed over
        last = next((step.text for step in reversed(steps) if step.role == "assistant" and step.text), None)
        return LoggedRun(task=row["text"], domain=row["domain"], tries=(Try(last, tuple(steps)),))


def turns_of_steps(steps: Iterable[Step]) -> Iterator[ChatTurn]:
    """Yield the messages that steps were made from: a message's text and the calls behind it are one."""
    text, calls, open_ = "", (), False
    for step in steps:
        if step.role == "assistant" and step.call:
            calls, open_ = (*calls, step.call), True
            continue
        if open_:
            yield ChatTurn("assistant", text, calls)
            text, calls, open_ = "", (), False
        if step.role == "assistant":
            text, open_ = step.text, True
        elif step.role == "tool":
            yield ChatTurn("tool", results=(step,))
        else:
            yield ChatTurn(step.role, step.text)
    if open_:
        yield ChatTurn("assistant", text, calls)


def _unmarked(step: Step) -> Step:
    text = without_advice(step.text).text
    return step if text == step.text else step.model_copy(update={"text": text})
