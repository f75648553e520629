"""Facts about the converters: what other people's logs become, and what is not guessed at."""

from __future__ import annotations

import json

import pytest

from parammem.core import Outcome
from parammem.experience.formats.base import Unreadable
from tests.experience.rows import key, line, read_line, row

REFLEXION = {
    "name": "HumanEval_23_strlen",
    "prompt": "def strlen(string: str) -> int:\n    '''Return length of given string'''\n",
    "test": "def check(candidate):\n    assert candidate('') == 0\n",
    "entry_point": "strlen",
    "is_solved": True,
    "implementations": ["def strlen(string):\n    return 1", "def strlen(string):\n    return len(string)"],
    "test_feedback": ["Tested passed:\n\nTests failed:\nassert strlen('') == 0 # output: 1"],
    "reflections": ["The constant was returned instead of the length."],
    "solution": "def strlen(string):\n    return len(string)",
}
CHAT = {
    "messages": [
        {"role": "system", "content": "You write Python."},
        {"role": "user", "content": [{"type": "text", "text": "Write f(x) that doubles x."}]},
        {"role": "assistant", "content": "```python\ndef f(x): return x + 2\n```"},
        {"role": "user", "content": "f(3) gives 5, not 6."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "ran 2 tests"},
        {"role": "assistant", "content": "```python\ndef f(x): return 2 * x\n```"},
    ],
    "outcome": True,
    "metadata": {"task_id": "double", "domain": "code"},
}


def read(value, domain: str = "", form=None):
    return read_line(json.dumps(value).encode(), domain, form)


def test_our_own_rows_come_back_as_they_were():
    experience, answer_key, form = read_line(line(row(3), key=key(3).model_dump(), schema=1).encode())
    assert experience == row(3)
    assert answer_key == key(3)
    assert form == "parammem"


def test_a_reflexion_log_becomes_attempts_with_feedback_and_reflections():
    experience, answer_key, form = read(REFLEXION, "code")
    trajectory = experience.trajectory
    assert (form, experience.outcome.passed, answer_key) == ("reflexion", True, None)
    assert experience.task.text == REFLEXION["prompt"]
    assert [a.candidate for a in trajectory.attempts] == REFLEXION["implementations"]
    assert [a.feedback.passed for a in trajectory.attempts] == [False, None]
    assert "output: 1" in trajectory.attempts[0].feedback.text
    assert [(r.text, r.iteration) for r in trajectory.reflections] == [(REFLEXION["reflections"][0], 2)]
    assert trajectory.submitted == trajectory.attempts[-1]


def test_hidden_tests_in_a_log_are_left_behind():
    experience, _, _ = read(REFLEXION, "code")
    assert "check(candidate)" not in experience.line()


def test_a_solution_beside_the_list_is_the_last_attempt():
    experience, _, _ = read({**REFLEXION, "solution": "def strlen(s): return sum(1 for _ in s)"}, "code")
    assert len(experience.trajectory.attempts) == 3
    submitted = experience.trajectory.submitted
    assert submitted is not None
    assert submitted.text.startswith("def strlen(s)")


def test_a_question_with_tries_under_other_names_is_read_too():
    log = {"question": "Which river?", "answers": ["the Seine"], "is_correct": 0, "id": 7}
    experience, _, _ = read(log, "qa")
    assert (experience.task.task_id, experience.outcome.passed) == ("7", False)


def test_a_chat_becomes_a_task_attempts_and_feedback():
    experience, _, form = read(CHAT)
    trajectory = experience.trajectory
    assert (form, experience.task.task_id, experience.task.domain) == ("openai", "double", "code")
    assert experience.task.text == "Write f(x) that doubles x."
    (attempt,) = trajectory.attempts
    assert (attempt.candidate, attempt.feedback.passed) == ("def f(x): return 2 * x", None)
    assert [step.role for step in attempt.steps] == ["assistant", "user", "assistant", "tool", "assistant"]
    assert attempt.steps[1].text == "f(3) gives 5, not 6."
    assert "You write Python" not in experience.line()


@pytest.mark.parametrize("value", [True, 1, 1.0])
def test_success_is_told_by_a_bit(value):
    assert read({**CHAT, "outcome": value})[0].outcome.passed is True


def test_nobody_knows_is_an_outcome_and_a_reward_is_kept_as_it_is():
    assert read({**CHAT, "outcome": None})[0].outcome.passed is None
    rewarded = read({k: v for k, v in CHAT.items() if k != "outcome"} | {"reward": 0.7})[0]
    assert rewarded.outcome == Outcome(passed=None, value=0.7, source="reward")


@pytest.mark.parametrize(
    ("log", "domain", "rule"),
    [
        (REFLEXION, "", "unknown-domain"),
        ({**REFLEXION, "prompt": 3}, "code", "not-a-record"),
        ({**REFLEXION, "implementations": "one"}, "code", "not-a-record"),
        ({k: v for k, v in REFLEXION.items() if k != "is_solved"}, "code", "no-outcome"),
        ({**CHAT, "messages": []}, "", "not-a-record"),
        ({**CHAT, "messages": ["hello"]}, "", "not-a-record"),
        ({**CHAT, "messages": {"a": 1}}, "", "not-a-record"),
        ({"hello": 1}, "code", "unknown-form"),
        ([1], "code", "not-json"),
    ],
)
def test_what_cannot_be_read_names_its_rule(log, domain, rule):
    with pytest.raises(Unreadable) as found:
        read(log, domain)
    assert found.value.rule == rule


TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
MAIL = "ada.lovelace@" + "example.com"


def with_key(value: dict, path: str, name: str) -> dict:
    """The value with an unknown key at a place."""
    copy = json.loads(json.dumps(value))
    at = copy
    for part in filter(None, path.split(".")):
        at = at[int(part) if isinstance(at, list) else part]
    at[name] = 1
    return copy


OURS = json.loads(line(row(3), key=key(3).model_dump(mode="json")))


@pytest.mark.parametrize("value", [TOKEN, MAIL, "hunter22", 4111111111111111])
@pytest.mark.parametrize(
    ("make", "rule", "allowed"),
    [
        (lambda v: {**OURS, "schema": v}, "schema-version", "reads 1 and 2"),
        (lambda v: {**REFLEXION, "domain": v}, "unknown-domain", "code, math, qa"),
        (lambda v: with_key(OURS, "", str(v)), "not-a-record", "task, trajectory, outcome"),
        (lambda v: with_key(OURS, "task", str(v)), "not-a-record", "task_id, domain, text, visible"),
        (lambda v: with_key(OURS, "trajectory.attempts.0", str(v)), "not-a-record", "candidate"),
        (lambda v: with_key(OURS, "key", str(v)), "not-a-record", "hidden, gold"),
        (lambda v: {**OURS, "outcome": f"{v}"}, "not-a-record", "true, false"),
        (lambda v: {**OURS, "key": {**OURS["key"], "facts": {str(v): 1}}}, "not-a-record", "facts.…"),
        (lambda v: {**OURS, "trajectory": {**OURS["trajectory"], "stop": str(v)}}, "not-a-record", "iterations"),
        (lambda v: {**CHAT, "outcome": str(v)}, "no-outcome", "true, false"),
        (lambda v: {str(v): v}, "unknown-form", "trajectory"),
    ],
)
def test_what_is_wrong_is_said_by_what_is_allowed_and_never_by_the_value(make, rule, allowed, value):
    with pytest.raises(Unreadable) as found:
        read(make(value))
    assert found.value.rule == rule
    assert str(value) not in found.value.detail
    assert allowed in found.value.detail


def test_deeply_nested_json_is_a_broken_line_like_any_other():
    with pytest.raises(Unreadable) as found:
        read_line(b"[" * 200_000 + b"]" * 200_000)
    assert found.value.rule == "not-json"


def test_a_form_that_was_asked_for_is_not_guessed_again():
    with pytest.raises(Unreadable):
        read(CHAT, "code", "reflexion")


def test_what_a_converter_makes_is_let_in_at_the_door(tmp_path):
    from parammem.experience.ingest import ingest
    from parammem.experience.source_files import Source
    from tests.experience.rows import store, write

    file = write(tmp_path / "logs.jsonl", [json.dumps(REFLEXION), json.dumps(CHAT)])
    outcome = ingest(Source.of(file), store(tmp_path, domain="code"), "person ada")
    assert outcome.event.kept == 2
    assert outcome.event.format == "openai and reflexion"
