"""New problems in the manner of given ones, written by a teacher: the paper's second source of code problems.

They have no tests, so they serve for labels from the task alone and for nothing else.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from parammem.agents.asking import MOST_FAILED, ask_each, check_answers
from parammem.core import Task, digest_of
from parammem.engines.base import Engine, Message, Request

LEAST_WORDS = 25
"""A shorter text is no whole problem."""
log = logging.getLogger(__name__)


@runtime_checkable
class Synthesises(Protocol):
    """Prompts with one that asks for a new problem."""

    def synthesise(self, task_text: str) -> tuple[Message, ...]: ...


def synthesised(
    engine: Engine,
    prompts: Synthesises,
    given: Sequence[Task],
    count: int,
    temperature: float,
    max_tokens: int,
    max_failed_share: float = MOST_FAILED,
) -> list[str]:
    """Return at most `count` different problems, each asked for after one of the given tasks, in turn.

    Answers without a whole problem, problems that are there already and, with a warning, requests without an answer are
    left out; there are no second tries.

    Raises:
        TooManyFailures: a larger share of the requests than `max_failed_share` got no answer.
        EngineError: it concerns all requests.
    """
    requests = [
        Request(
            messages=prompts.synthesise(given[place % len(given)].text),
            temperature=temperature,
            max_tokens=max_tokens,
            seed=int(digest_of(["synthesise", given[place % len(given)].task_id])[:12], 16),
            first_draw=place // len(given),
            role="teacher",
        )
        for place in range(count if given else 0)
    ]
    found: dict[str, str] = {}
    failed: dict[str, Exception] = {}
    for place, reply in enumerate(ask_each(engine, requests)):
        if isinstance(reply, Exception):
            name = f"{given[place % len(given)].task_id}, draw {place // len(given)}"
            log.warning("no new problem after task %r: the teacher did not answer: %s", name, reply)
            failed[name] = reply
            continue
        problem = problem_in(reply[0].text) if reply[0].finish == "stop" else ""
        if problem:
            found.setdefault(" ".join(problem.lower().split()), problem)
    check_answers(failed, len(requests), max_failed_share)
    return list(found.values())


def problem_in(text: str) -> str:
    """Return what stands between the tags; "" if they are not both there, or too little stands between them."""
    match = re.search(r"<problem>(.*?)</problem>", text, re.DOTALL | re.IGNORECASE)
    problem = match.group(1).strip() if match else ""
    return problem if len(problem.split()) >= LEAST_WORDS else ""
