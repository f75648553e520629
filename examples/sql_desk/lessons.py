"""The lessons of the small model: prompts that the pipeline makes about the desk, each with a right answer.

Every lesson is about a house of its own, which is drawn at random. Whoever learns them knows how rules are said, how a
query shows them and what a failed query tells of them, and knows no house.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from desk import english, model
from desk.agent import steps_of, work
from desk.shop import TABLES, Question, draw_house, draw_questions, query
from parammem.core import Attempt, Feedback, Outcome, Step, Task
from parammem.domains.open import OpenPrompts
from parammem.engines.base import Message, chat

NAME = "sql-desk"
HINDSIGHT = 0.6
"""Share of the lessons that are about an attempt: these must be right, and advice need only be fluent."""
ON_FAILURES = 6_000
"""More lessons for a model that is to label failures and contrasts; half of them are of each kind."""
BESIDE = {"same task": 0.5, "same department": 0.2, "another": 0.3}
"""What the success of a contrast is at; a department says nothing of another one's rules."""
FOUND = (Outcome(passed=False), Outcome(passed=False, value=0.0), Outcome(passed=False, value=0.0, source="judge"))
"""How the log of a failed run may say so."""


class Lesson(NamedTuple):
    """A prompt and what is to be learned."""

    prompt: tuple[Message, ...]
    answer: str


def lessons(count: int, seed: int) -> list[Lesson]:
    """Return prompts of both kinds that the pipeline makes, each with an answer by rules drawn at random."""
    rng, prompts = random.Random(f"sql-desk/{seed}"), OpenPrompts()
    found = []
    for question, rules, advice in _said(rng, count):
        prompt = prompts.advise(question.text)
        if rng.random() < HINDSIGHT:
            prompt = prompts.hindsight(_task(question), _attempt(question.text, query(question, rules), advice, rng))
        found.append(Lesson(prompt, advice))
    return found


def lessons_on_failures(count: int, seed: int) -> list[Lesson]:
    """Return prompts that show a failure, alone or beside a success, each with the rules that are right there.

    A failure alone cannot tell them: so the model learns how likely each rule is once a query has failed.
    """
    rng, prompts = random.Random(f"sql-desk/failures/{seed}"), OpenPrompts()
    found = []
    for place in range(count):
        (question,) = draw_questions(rng, 1)
        house = draw_house(rng)
        rules = house[question.department]
        advice = english.say(question.department, rules, question.open_rules, rng)
        failed = _attempt_by(question, _wrong_rules(question, rules, rng), rng)
        if place % 2:
            prompt = prompts.failure(_task(question), failed, rng.choice(FOUND))
        else:
            other = _beside(question, rng)
            success = _attempt_by(other, house[other.department], rng)
            prompt = prompts.contrast(_task(question), failed, _task(other), success)
        found.append(Lesson(prompt, advice))
    return found


def _wrong_rules(question: Question, rules: Mapping[str, str], rng: random.Random) -> Mapping[str, str]:
    """Return rules that an agent guesses, at least one of them wrongly."""
    while True:
        guessed = draw_house(rng)[question.department]
        if query(question, guessed) != query(question, rules):
            return guessed


def _beside(question: Question, rng: random.Random) -> Question:
    """Return the question at which the success of a contrast is."""
    (which,) = rng.choices(list(BESIDE), list(BESIDE.values()))
    while which != "same task":
        (other,) = draw_questions(rng, 1)
        if (other.department == question.department) == (which == "same department"):
            return other
    return question


def _attempt_by(question: Question, rules: Mapping[str, str], rng: random.Random) -> Attempt:
    advice = english.say(question.department, rules, question.open_rules, rng)
    return _attempt(question.text, query(question, rules), advice, rng)


def _task(question: Question) -> Task:
    return Task(task_id="", domain=NAME, text=question.text)


def drill(count: int, seed: int) -> list[Lesson]:
    """Return short lessons, which come first: a question and a query, and the rules that it follows."""
    rng = random.Random(f"sql-desk/drill/{seed}")
    return [Lesson(chat(f"{q.text}\n\n{query(q, rules)}"), advice) for q, rules, advice in _said(rng, count)]


def _said(rng: random.Random, count: int) -> Iterator[tuple[Question, dict[str, str], str]]:
    """Return questions, each with rules drawn at random and sentences that say those which it leaves open."""
    for start in range(0, count, 200):
        for question in draw_questions(rng, min(200, count - start)):
            rules = draw_house(rng)[question.department]
            yield question, rules, english.say(question.department, rules, question.open_rules, rng)


def _attempt(task: str, sql: str, advice: str, rng: random.Random) -> Attempt:
    """Return an attempt that ends with this query, with the steps that the agent's log has."""

    def use(name: str, arguments: str) -> str:
        return "\n".join(TABLES) if name == "schema" else json.dumps([[rng.randrange(20_000)]])

    steps = tuple(Step.model_validate(step) for step in steps_of(work(task, advice, 0, model.reply, use)))
    return Attempt(
        number=1, text=sql, candidate=sql, temperature=0.0, feedback=Feedback(passed=None, text=""), steps=steps
    )
