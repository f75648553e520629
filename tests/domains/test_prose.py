"""Prompts of real benchmarks: an attempt that a limit or a stop string ended is shown with its fence closed."""

from __future__ import annotations

import pytest

from parammem.core import Attempt, Feedback, Task
from parammem.domains import get_domain
from parammem.domains.prose import fences_closed

TASK = Task(task_id="t", domain="code", text="Write f.", visible={"entry": "f", "checks": []})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```python\ndef f():\n    return 1", "```python\ndef f():\n    return 1\n```"),
        ("```python\nx\n```\nDone.", "```python\nx\n```\nDone."),
        ("no program", "no program"),
        ("~~~~\nx\n", "~~~~\nx\n~~~~"),
    ],
)
def test_the_last_fence_of_a_text_is_closed_where_it_is_open(text, shown):
    assert fences_closed(text) == shown


def test_every_prompt_that_shows_an_attempt_closes_its_fence():
    prompts = get_domain("code", real=True).prompts
    text = "```python\ndef f():\n    return 1"
    attempt = Attempt(
        number=1, text=text, candidate=text, temperature=0.2, feedback=Feedback(passed=False, text="tests failed")
    )
    shown = [
        prompts.reflect(TASK, [attempt], [], diverse=False),
        prompts.reflect(TASK, [attempt], [], diverse=True),
        prompts.hindsight(TASK, attempt),
        prompts.actor(TASK, [], [(TASK, attempt)]),
    ]
    assert all(f"{text}\n```\n\n" in prompt[-1].content for prompt in shown)
