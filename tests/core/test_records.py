"""Facts about records: they are frozen, they refuse what they do not know, and their digests are stable."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from parammem.core import Attempt, Feedback, Reflection, ReflectionExample, Task, Trajectory, Usage, digest_of


def row(**changes: str) -> ReflectionExample:
    fields = {
        "domain": "math",
        "task_id": "math-1",
        "task_text": "find the bill",
        "reflection": "cut flat",
        "label_source": "experience",
        "part": "hindsight",
        "author": "a" * 64,
        "trajectory_id": "t",
        "outcome": "final",
    }
    return ReflectionExample.model_validate(fields | changes)


def attempt(number: int, passed: bool | None = False, candidate: str = "x") -> Attempt:
    feedback = Feedback(passed=passed, text="")
    return Attempt(number=number, text=candidate, candidate=candidate, temperature=1.0, feedback=feedback)


def test_a_record_cannot_be_changed():
    task = Task(task_id="1", domain="math", text="?")
    with pytest.raises(ValidationError, match="frozen"):
        task.text = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_unknown_fields_are_errors():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Task.model_validate({"task_id": "1", "domain": "math", "text": "?", "answer": "7"})


def test_equal_records_give_equal_bytes_whatever_the_order_of_their_keys():
    one = Task(task_id="1", domain="code", text="?", visible={"a": 1, "b": 2})
    other = Task.model_validate({"text": "?", "visible": {"b": 2, "a": 1}, "domain": "code", "task_id": "1"})
    assert one.line() == other.line()
    assert "\n" not in Task(task_id="1", domain="code", text="two\nlines").line()


def test_digests_are_those_of_the_first_day():
    """Adapters, caches and ledgers name things by these: a change of `digest_of` orphans them all."""
    assert digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of("ρ") == digest_of("ρ".encode())
    assert digest_of({"b": [1, "ρ"], "a": None}) == digest_of('{"a":null,"b":[1,"ρ"]}')
    assert digest_of([1, 2]) == "49a64717d5d4cb19952e6eac2946415cf6879adacf9908e7d872332d32c6e684"


def test_digests_do_not_depend_on_the_hash_seed():
    program = "from parammem.core import digest_of; print(digest_of({'x': 1, 'y': [2, 'z'], 'a': {'c': 1, 'b': 2}}))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "src"}, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {f"{digest_of({'x': 1, 'y': [2, 'z'], 'a': {'c': 1, 'b': 2}})}\n".encode()}


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=4))
def test_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest_of(value) == digest_of(dict(reversed(value.items())))


def test_row_hash_is_of_what_is_trained_on_and_nothing_else():
    same = {"task_id": "other", "author": "b", "trajectory_id": "u", "origin": "batch", "part": "in_context"}
    assert {row(**{key: value}).row_hash for key, value in same.items()} == {row().row_hash}
    trained_on = {"domain": "code", "task_text": "another", "reflection": "cut part"}
    assert len({row(**{key: value}).row_hash for key, value in trained_on.items()} | {row().row_hash}) == 4


def test_content_of_a_task_ignores_its_id_and_spacing_and_not_its_words_or_domain():
    task = Task(task_id="1", domain="math", text="find the bill")
    assert task.content == Task(task_id="2", domain="math", text=" find  the\nbill ", visible={"x": 1}).content
    assert task.content != Task(task_id="1", domain="math", text="find the sum").content
    assert task.content != Task(task_id="1", domain="code", text="find the bill").content


def test_trajectories_differ_by_domain_task_method_protocol_and_seed_alone():
    given_ = {"domain": "math", "task_id": "1", "method": "base", "protocol": "strict", "seed": 0}
    base = Trajectory.model_validate(given_ | {"stop": "iterations", "submission": None})
    changed = [
        base.model_copy(update={key: value})
        for key, value in {"domain": "qa", "task_id": "2", "method": "dot", "protocol": "two-phase", "seed": 1}.items()
    ]
    assert len({t.trajectory_id for t in [base, *changed]}) == 6
    assert base.model_copy(update={"stop": "failed", "attempts": (attempt(1),)}).trajectory_id == base.trajectory_id


def test_the_submitted_attempt_is_found_by_its_number_and_not_its_place():
    trajectory = Trajectory(
        task_id="1", domain="math", method="m", protocol="two-phase", seed=0,
        attempts=(attempt(6, candidate="six"), attempt(7, candidate="seven")), stop="iterations", submission=7,
    )  # fmt: skip
    assert trajectory.submitted is not None
    assert trajectory.submitted.candidate == "seven"
    assert trajectory.model_copy(update={"submission": None}).submitted is None


def test_usage_adds_up():
    assert Usage().plus(1, 10, 3).plus(1, 20, 4) == Usage(calls=2, prompt_tokens=30, completion_tokens=7)


def test_a_reflection_must_say_where_it_comes_from():
    with pytest.raises(ValidationError, match="source"):
        Reflection.model_validate({"text": "x", "source": "oracle", "author": "", "iteration": 1, "temperature": 1.0})
