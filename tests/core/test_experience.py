"""Facts about rows of experience: schema 1 keeps its bytes, schema 2 holds steps, outcomes and advice."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from parammem.core import Attempt, Feedback, GivenAdvice, Outcome, Step, Task, ToolCall, Trajectory, digest_of
from parammem.core.advice import marked, without_advice
from parammem.core.experience import Experience

ATTEMPT = Attempt(
    number=1, text="84", candidate="84", temperature=0.2, feedback=Feedback(passed=None, text=""), steps=()
)
STEPS = (
    Step(role="assistant", text="I multiply.", call=ToolCall(name="times", arguments={"a": 12, "b": 7}, id="c1")),
    Step(role="tool", text="84", result_of="c1"),
)


def experience(steps: tuple[Step, ...] = (), **more) -> Experience:
    trajectory = Trajectory(
        task_id="t-1",
        domain="math",
        method="base",
        protocol="foreign",
        seed=0,
        attempts=(ATTEMPT.model_copy(update={"steps": steps}),),
        stop="iterations",
        submission=1,
    )
    task = Task(task_id="t-1", domain="math", text="12 * 7?")
    return Experience(**{"task": task, "trajectory": trajectory, "outcome": Outcome(passed=True), **more})


def test_a_row_of_schema_1_keeps_its_bytes():
    """The digest is that of the version before schema 2."""
    line = experience().line()
    assert digest_of(line) == "b1251a48754e38d52b32b785bb0a6d2a6ccb83fe9aa2ae9d943cc0593031097d"
    assert Experience.model_validate_json(line) == experience()


@pytest.mark.parametrize("word", [True, False, None])
def test_an_outcome_of_one_word_is_read_and_written_as_the_word(word):
    plain = json.loads(experience().line()) | {"outcome": word}
    row = Experience.model_validate(plain)
    assert row.outcome == Outcome(passed=word)
    assert json.loads(row.line()) == plain


@pytest.mark.parametrize(
    "row",
    [
        experience(STEPS),
        experience(outcome=Outcome(passed=None, value=0.7, source="reward", at="2026-11-28T09:00:00Z")),
        experience(outcome=Outcome(passed=True, value=0.0)),
        experience(advice=(GivenAdvice(text="Multiply.", digest="d", draw=0, adapter="a"),)),
        experience(run_id="run-1"),
    ],
    ids=["steps", "outcome", "value-0", "advice", "run-id"],
)
def test_what_schema_2_holds_survives_a_file(row):
    line = row.line()
    assert json.loads(line)["schema"] == 2
    assert Experience.model_validate_json(line) == row
    assert Experience.model_validate_json(line).line() == line


def test_an_attempt_without_steps_is_written_without_the_field():
    assert "steps" not in ATTEMPT.line()
    assert json.loads(ATTEMPT.model_copy(update={"steps": STEPS}).line())["steps"][1] == {
        "role": "tool",
        "text": "84",
        "result_of": "c1",
    }


@pytest.mark.parametrize("outcome", [7, "yes", {"passed": True, "value": 7}, {"passed": True, "value": float("nan")},
                                     {"value": 1.0}, {"passed": True, "at": "yesterday"},
                                     {"passed": True, "source": "mother"}])  # fmt: skip
def test_an_outcome_that_says_nothing_is_an_error(outcome):
    with pytest.raises(ValidationError):
        experience(outcome=outcome)


@pytest.mark.parametrize("schema", [0, 3, "2", True, None])
def test_another_schema_is_an_error(schema):
    with pytest.raises(ValidationError):
        Experience.model_validate(json.loads(experience().line()) | {"schema": schema})


ADVICE = GivenAdvice(text="Read the house rules.\nThen answer.", digest="ab12", draw=3, adapter="v7:ff")


def test_marked_advice_comes_out_of_a_text_as_it_went_in():
    found = without_advice(f"Refund order 12.\n\n{marked(ADVICE)}\n")
    assert found.text == "Refund order 12."
    assert found.advice == (ADVICE,)


@pytest.mark.parametrize(
    ("text", "left", "said"),
    [
        ("No advice.", "No advice.", []),
        ("<parammem-advice digest=\"q\" draw='1'>A</parammem-advice>Task", "Task", ["A"]),
        ("Above\n<parammem-advice>A</parammem-advice>\nbelow <parammem-advice>B</parammem-advice>",
         "Above\n\nbelow", ["A", "B"]),
        ("It never ends <parammem-advice digest=1>A", "It never ends <parammem-advice digest=1>A", []),
        ("<parammem-advice " + "x" * 2000, "<parammem-advice " + "x" * 2000, []),
    ],
)  # fmt: skip
def test_every_block_is_taken_out_and_nothing_else(text, left, said):
    found = without_advice(text)
    assert found.text == left
    assert [one.text for one in found.advice] == said


def test_advice_without_a_digest_gets_that_of_its_text():
    (found,) = without_advice("<parammem-advice draw=x>A</parammem-advice>").advice
    assert (found.digest, found.draw) == (digest_of("A"), None)


def test_many_openings_without_an_end_are_read_in_linear_time():
    text = "<parammem-advice>" * 100_000
    assert without_advice(text) == (text, ())
