"""Facts about how a labeller is shown the steps of an attempt: in order, shortened by one stated rule."""

from __future__ import annotations

import pytest

from parammem.core import Attempt, Feedback, Outcome, Step, Task, ToolCall
from parammem.core.advice import GivenAdvice, marked
from parammem.domains import get_domain
from parammem.domains.shown_steps import ATTEMPT, CALL, FIRST, MESSAGE, RESULT, in_steps, shortened

TASK = Task(task_id="t", domain="support", text="Refund order 12.")
SYSTEM = Step(role="system", text="You are the desk of a shop.")
ASKED = Step(role="user", text="Refund order 12.")
LOOK = Step(role="assistant", text="I look.", call=ToolCall(name="find", arguments={"order": 12, "all": True}, id="a"))
FOUND = Step(role="tool", text="one order", result_of="a")
BROKEN = Step(role="tool", result_of="b", error="no such table")
DONE = Step(role="assistant", text="It is refunded.")


def attempt(*steps: Step, handed: str = "It is refunded.", feedback: str = "") -> Attempt:
    said = Feedback(passed=None, text=feedback)
    return Attempt(number=1, text=handed, candidate=handed, temperature=0.0, feedback=said, steps=steps)


def test_steps_are_shown_in_order_without_system_messages_and_the_repeated_task():
    shown = in_steps(TASK, attempt(SYSTEM, ASKED, LOOK, FOUND, BROKEN, DONE), ATTEMPT)
    assert shown.splitlines() == [
        "agent: I look.",
        'agent calls find: {"all": true, "order": 12}',
        "find returns: one order",
        "error: no such table",
        "agent: It is refunded.",
    ]


def test_what_was_handed_over_is_named_where_it_is_not_the_last_message():
    assert in_steps(TASK, attempt(DONE, handed="order 12: 30 euros"), ATTEMPT).endswith(
        "agent: It is refunded.\nhanded over: order 12: 30 euros"
    )


def test_advice_that_the_run_was_given_is_not_shown():
    advice = marked(GivenAdvice(text="ask for the receipt", digest="d" * 64))
    shown = in_steps(TASK, attempt(Step(role="user", text=f"{advice}\n\nBe quick."), DONE), ATTEMPT)
    assert shown == "user: Be quick.\nagent: It is refunded."


@pytest.mark.parametrize(
    ("step", "most"),
    [
        (Step(role="assistant", text="m" * 5000), MESSAGE),
        (Step(role="tool", text="r" * 5000), RESULT),
        (Step(role="tool", error="e" * 5000), RESULT),
        (Step(role="assistant", call=ToolCall(name="f", arguments="a" * 5000)), CALL),
    ],
)
def test_a_long_text_loses_its_middle_and_says_how_much_of_it(step, most):
    shown = in_steps(TASK, attempt(step, handed=""), ATTEMPT)
    assert f"[… {5000 - most} characters …]" in shown
    assert most < len(shown) < most + 60
    assert shortened("x" * most, most) == "x" * most


def test_of_many_steps_the_first_and_the_last_are_shown():
    steps = [Step(role="tool", text=f"row {n} " + "x" * 300) for n in range(100)]
    shown = in_steps(TASK, attempt(*steps, DONE), ATTEMPT).splitlines()
    assert [line.split()[3] for line in shown[:FIRST]] == ["0", "1"]
    left = int(shown[FIRST].split()[1])
    assert shown[FIRST] == f"[… {left} steps …]"
    assert len(shown) - 1 + left == len(steps) + 1
    assert shown[-1] == "agent: It is refunded."
    assert ATTEMPT - 400 < sum(map(len, shown)) < ATTEMPT + 40


def test_the_two_attempts_of_a_contrast_share_the_length_of_one():
    domain = get_domain("support", kind="open")
    steps = [Step(role="tool", text=f"row {n} " + "x" * 300) for n in range(100)]
    long = attempt(*steps, DONE)
    both = domain.prompts.contrast(TASK, long, TASK, long)[-1].content
    one = domain.prompts.failure(TASK, long, Outcome(passed=False))[-1].content
    assert abs(len(both) - len(one)) < 1000


def test_a_failure_is_told_with_its_feedback_and_who_said_so():
    domain = get_domain("support", kind="open")
    outcome = Outcome(passed=False, value=0.25, source="person")
    prompt = domain.prompts.failure(TASK, attempt(DONE, feedback="The customer wrote again."), outcome)[-1].content
    assert "The customer wrote again.\nIt failed, as a person found; it was worth 0.25 of 1." in prompt
    bare = domain.prompts.failure(TASK, attempt(DONE), Outcome(passed=False))[-1].content
    assert "What is known of it:\nIt failed.\n" in bare


@pytest.mark.parametrize("kind", ["code", "math", "qa", "open"])
def test_a_contrast_says_whether_the_success_was_at_the_same_task(kind):
    domain = get_domain(kind, kind=kind, real=True)
    other = Task(task_id="o", domain=kind, text="Refund order 13.")
    there = domain.prompts.contrast(TASK, attempt(handed="a"), other, attempt(handed="b"))[-1].content
    here = domain.prompts.contrast(TASK, attempt(handed="a"), TASK, attempt(handed="b"))[-1].content
    assert "another one:\n\nRefund order 13.\n\n" in there
    assert "at that other task" in there
    assert "order 13" not in here
    assert "at the same task" in here
    assert "<<" not in there + here


def test_hindsight_shows_the_steps_of_a_run_that_has_them():
    domain = get_domain("support", kind="open")
    assert "find returns: one order" in domain.prompts.hindsight(TASK, attempt(LOOK, FOUND, DONE))[-1].content
