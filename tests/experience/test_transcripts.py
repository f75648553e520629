"""Facts about chat transcripts: what is the task, an attempt, a step, an example, a courtesy; and what is refused."""

from __future__ import annotations

import json

import pytest

from parammem.experience.formats.base import Unreadable
from tests.experience.rows import read_line

DOUBLE = "Write f(x) that doubles x."
GOOD, BAD = "```python\ndef f(x):\n    return 2 * x\n```", "```python\ndef f(x):\n    return x + 2\n```"
CALL = {"id": "1", "type": "function", "function": {"name": "run", "arguments": "{}"}}


def user(text) -> dict:
    return {"role": "user", "content": text}


def said(text, **more) -> dict:
    return {"role": "assistant", "content": text, **more}


def tool(text: str) -> dict:
    return {"role": "tool", "tool_call_id": "1", "content": text}


def read(messages, domain: str = "code", **more):
    row = {"messages": messages, "outcome": True, **more}
    return read_line(json.dumps(row).encode(), domain)[0]


def refused(messages, domain: str = "code", **more) -> str:
    with pytest.raises(Unreadable) as found:
        read(messages, domain, **more)
    return found.value.rule


def texts(experience) -> list[str]:
    return [attempt.text for attempt in experience.trajectory.attempts]


@pytest.mark.parametrize(
    "messages",
    [
        [user(DOUBLE), said("Let me look first.", tool_calls=[CALL]), tool("test_f.py"), said(GOOD)],
        [user(DOUBLE), said(None, tool_calls=[CALL]), tool("a"), said(None, tool_calls=[CALL]), tool("b"), said(GOOD)],
        [
            user(DOUBLE),
            said(None, function_call={"name": "run"}),
            {"role": "function", "name": "run", "content": "1"},
            said(GOOD),
        ],
        [
            user(DOUBLE),
            said([{"type": "text", "text": BAD}, {"type": "tool_use", "id": "1", "name": "run"}]),
            said(GOOD),
        ],
        [user(DOUBLE), said(GOOD, tool_calls=[]), said("Done: I have also run the tests.")],
        [user(DOUBLE), said(None, tool_calls=[CALL]), user([{"type": "tool_result", "content": "ok"}]), said(GOOD)],
    ],
)
def test_steps_with_tools_are_no_attempts(messages):
    experience = read(messages)
    assert experience.task.text == DOUBLE
    assert texts(experience) == [GOOD]
    assert experience.trajectory.submission == 1


@pytest.mark.parametrize(
    "messages",
    [
        [user(DOUBLE), said(None, tool_calls=[CALL])],
        [user(DOUBLE), said("I submit it now.", tool_calls=[CALL]), tool("accepted")],
        [user(DOUBLE), said(None, tool_calls=[CALL]), tool("accepted"), said("I have submitted the solution.")],
    ],
)
def test_an_answer_that_no_known_tool_handed_over_is_refused(messages):
    assert refused(messages) == "tool-calls"


@pytest.mark.parametrize("name", ["submit", "submit_answer", "mcp__desk__submit", "finish", "complete_task"])
@pytest.mark.parametrize("arguments", ['{"code": "%s", "note": 1}', '{"source": "%s"}', "%s"])
@pytest.mark.parametrize("after", [[], [tool("accepted")], [tool("accepted"), said("I have submitted it.")]])
def test_a_tool_that_submits_hands_the_answer_over(name, arguments, after):
    program = "def f(x): return 2 * x"
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments % program}}
    experience = read([user(DOUBLE), said("I submit it.", tool_calls=[call]), *after])
    (attempt,) = experience.trajectory.attempts
    assert (attempt.text, experience.trajectory.submission) == (program, 1)
    assert [step.role for step in attempt.steps] == ["assistant", "assistant"]


def test_a_program_after_a_submission_is_the_last_thing_handed_over():
    call = {"id": "1", "function": {"name": "submit", "arguments": {"code": "def f(x): return 1"}}}
    experience = read([user(DOUBLE), said(None, tool_calls=[call]), tool("rejected"), said(GOOD)])
    assert texts(experience) == [GOOD]


def test_steps_are_in_order_with_their_calls_and_results():
    call = {"id": "c9", "type": "function", "function": {"name": "run", "arguments": '{"test": "a"}'}}
    result = {"role": "tool", "tool_call_id": "c9", "content": "1 failed"}
    (attempt,) = read([user(DOUBLE), said("I test.", tool_calls=[call]), result, said(GOOD)]).trajectory.attempts
    assert [step.model_dump() for step in attempt.steps] == [
        {"role": "assistant", "text": "I test."},
        {"role": "assistant", "call": {"name": "run", "arguments": {"test": "a"}, "id": "c9"}},
        {"role": "tool", "text": "1 failed", "result_of": "c9"},
        {"role": "assistant", "text": GOOD},
    ]


def test_one_answer_to_one_question_needs_no_steps():
    """So the row is the one that it was before runs had steps, and is known as a duplicate."""
    assert read([user(DOUBLE), said(GOOD)]).schema_version == 1


def test_advice_is_no_part_of_the_task():
    plain = read([user(DOUBLE), said(GOOD)])
    block = "<parammem-advice digest=a1 draw=2>Multiply.</parammem-advice>"
    for messages in (
        [user(f"{block}\n\n{DOUBLE}"), said(GOOD)],
        [user(f"{DOUBLE}\n{block}"), said(GOOD)],
        [{"role": "system", "content": block}, user(DOUBLE), said(GOOD)],
        [user(block), user(DOUBLE), said(GOOD)],
    ):
        advised = read(messages)
        assert advised.task.content == plain.task.content
        assert [(one.text, one.digest, one.draw) for one in advised.advice] == [("Multiply.", "a1", 2)]
        assert "parammem-advice" not in advised.line()


@pytest.mark.parametrize(
    ("messages", "task"),
    [
        ([user("No loops."), user(DOUBLE), said(GOOD)], f"No loops.\n\n{DOUBLE}"),
        (
            [user(DOUBLE), said("Should x be an integer?"), user("Any."), said(GOOD)],
            f"{DOUBLE}\n\nShould x be an integer?\n\nAny.",
        ),
        ([said("Hi! How can I help?"), user(DOUBLE), said(GOOD)], DOUBLE),
        ([{"role": "system", "content": "Be brief."}, user(DOUBLE), said(GOOD)], DOUBLE),
        ([{"role": "developer", "content": "Be brief."}, user(DOUBLE), said(GOOD)], DOUBLE),
        (
            [
                user([{"type": "input_text", "text": "Write f(x)"}, {"type": "text", "text": "that doubles x."}]),
                said(GOOD),
            ],
            "Write f(x)\nthat doubles x.",
        ),
        ([user("Write f(x).\r\nIt doubles x.\r\n"), said(GOOD)], "Write f(x).\nIt doubles x."),
    ],
)
def test_no_user_message_is_lost(messages, task):
    experience = read(messages)
    assert experience.task.text == task
    assert texts(experience) == [GOOD]


@pytest.mark.parametrize(
    "answer", [GOOD, "def f(x):\n    return 2 * x", "Here you are:\n~~~\ndef f(x): return 2*x\n~~~\nHave fun?"]
)
@pytest.mark.parametrize(
    "courtesy", ["You're welcome!", "Glad I could help. Let me know if there is anything else.", "Enjoy!"]
)
def test_a_courtesy_is_not_the_submission(answer, courtesy):
    experience = read([user(DOUBLE), said(answer), user("Works, thanks!"), said(courtesy)])
    assert texts(experience) == [answer]
    assert experience.trajectory.attempts[0].feedback.text == "Works, thanks!"


@pytest.mark.parametrize("answer", ["Paris", "The answer is Paris.", "Answer: Paris"])
@pytest.mark.parametrize(
    "end", [("Thank you!", "Any time."), ("Perfect.", "It has been a pleasure."), ("thx", "You are most welcome.")]
)
def test_a_courtesy_after_a_short_answer_is_none_either(answer, end):
    experience = read([user("Capital of France?"), said(answer), user(end[0]), said(end[1])], "qa")
    assert texts(experience) == [answer]


@pytest.mark.parametrize(
    ("questions", "answers"),
    [
        (["Double of 1?", "Double of 2?", "Double of 7?"], ["2", "4", "14"]),
        (["Write f(x) that adds 1 to x.", "Write f(x) that adds 2 to x."], [BAD, GOOD]),
        (["What is 3 + 4 * 2 ?", "What is 8 - 1 * 5 ?", "What is 1 + 1 * 1 ?"], ["11", "3", "2"]),
    ],
)
def test_examples_of_a_prompt_are_no_attempts(questions, answers):
    messages = [one for pair in zip(map(user, questions), map(said, answers), strict=True) for one in pair]
    experience = read(messages, "math" if answers[0] != BAD else "code")
    assert experience.task.text == questions[-1]
    assert texts(experience) == [answers[-1]]


@pytest.mark.parametrize(
    "feedback",
    [
        "f(3) gives 5, not 6.",
        "AssertionError: f(3)",
        "That is wrong.",
        "It still fails, please fix it.",
        "expected 6, got 5",
    ],
)
def test_what_a_user_says_of_an_answer_is_a_step_and_no_failed_attempt(feedback):
    experience = read([user(DOUBLE), said(BAD), user(feedback), said(GOOD)])
    (attempt,) = experience.trajectory.attempts
    assert (attempt.text, attempt.feedback.passed) == (GOOD, None)
    assert [(step.role, step.text) for step in attempt.steps] == [
        ("assistant", BAD),
        ("user", feedback),
        ("assistant", GOOD),
    ]


@pytest.mark.parametrize(
    "later",
    ["Now write a class for queues.", "Can you explain how lists work in Python?", "Please add a docstring.", "go on"],
)
def test_a_chat_about_several_things_is_refused(later):
    assert refused([user(DOUBLE), said(BAD), user(later), said(GOOD)]) == "several-turns"


def test_a_chat_without_end_is_refused_quickly():
    many = [one for number in range(300) for one in (user(f"Double of {number}?"), said("1"))]
    assert refused(many, "math") == "several-turns"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_image", "image_url": "x"},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"file_id": "1"}},
        {"type": "image", "source": {}},
        3,
    ],
)
def test_what_is_no_text_is_refused(part):
    assert (
        refused([user([{"type": "text", "text": "What is its area?"}, part]), said("\\boxed{5}")], "math") == "not-text"
    )


def test_thinking_is_left_out_and_a_refusal_is_no_attempt():
    parts = [{"type": "reasoning", "reasoning": "7 * 2"}, {"type": "text", "text": "Answer: 14"}]
    assert texts(read([user("Double of 7?"), said(parts)], "qa")) == ["Answer: 14"]
    declined = read([user(DOUBLE), said(None, refusal="I can't help.")], outcome=False)
    assert (texts(declined), declined.trajectory.submission, declined.outcome.passed) == ([], None, False)


def test_messages_may_be_json_text():
    assert texts(read(json.dumps([user(DOUBLE), said(GOOD)]))) == [GOOD]
    assert refused("[{") == "not-a-record"


@pytest.mark.parametrize("messages", [[{"role": "robot", "content": "x"}], [user({"a": 1})], [said(GOOD)], 3, None])
def test_what_is_no_transcript_is_refused(messages):
    assert refused(messages) == "not-a-record"


@pytest.mark.parametrize(
    ("metadata", "outcome"),
    [
        ({"success": "1"}, True), ({"success": "true"}, True), ({"outcome": "False"}, False),
        ({"passed": " 0 "}, False), ({"reward": "1.0"}, True), ({"correct": "null"}, None),
    ],
)  # fmt: skip
def test_metadata_may_hold_the_outcome_as_text(metadata, outcome):
    row = {"messages": [user(DOUBLE), said(GOOD)], "metadata": metadata}
    assert read_line(json.dumps(row).encode(), "code")[0].outcome.passed is outcome


@pytest.mark.parametrize(
    "more",
    [
        {"outcome": "maybe"},
        {"outcome": float("nan")},
        {"reward": 1.5},
        {"outcome": ""},
        {"outcome": True, "success": "0"},
        {"outcome": []},
    ],
)
def test_an_outcome_is_not_guessed_at(more):
    row = {"messages": [user(DOUBLE), said(GOOD)], **more}
    with pytest.raises(Unreadable) as found:
        read_line(json.dumps(row).encode(), "code")
    assert found.value.rule == "no-outcome"


REAL_REFLEXION = {
    "name": "HumanEval_23_strlen",
    "prompt": "def strlen(string: str) -> int:\n    '''Return length of given string'''\n",
    "test": "def check(candidate):\n    assert candidate('') == 0\n",
    "entry_point": "strlen",
    "canonical_solution": "    return len(string)\n",
    "is_solved": True,
    "reflections": ["The constant was returned.", "It counts one too many."],
    "solution": "def strlen(string):\n    return len(string)",
}


def test_reflexions_real_logs_hold_the_attempt_after_the_last_reflection():
    experience = read_line(json.dumps(REAL_REFLEXION).encode(), "code")[0]
    trajectory = experience.trajectory
    assert [(a.number, a.text) for a in trajectory.attempts] == [(3, REAL_REFLEXION["solution"])]
    assert [(r.text, r.iteration) for r in trajectory.reflections] == list(
        zip(REAL_REFLEXION["reflections"], (2, 3), strict=True)
    )
    assert trajectory.submitted == trajectory.attempts[0]
    assert experience.outcome.passed is True


def test_a_real_log_teaches():
    """The reflection that led to the solution becomes a row, as after a run of our own."""
    from parammem.agents.labels import label
    from tests.agents.test_labels import how

    experience = read_line(json.dumps(REAL_REFLEXION).encode(), "code")[0]
    task, trajectory = experience.task, experience.trajectory
    labelling = how("experience", parts=("in_context",))
    rows = label(labelling, {task.task_id: task}, [trajectory], {trajectory.trajectory_id: experience.outcome}, {})
    assert [row.reflection for row in rows] == [REAL_REFLEXION["reflections"][-1]]


@pytest.mark.parametrize(
    ("row", "rule", "word"),
    [
        ({"trajectory": [{"action": "ls"}], "history": [], "info": {}}, "unknown-form", "SWE-agent"),
        ({"conversations": [{"from": "human", "value": "x"}], "outcome": True}, "unknown-form", "messages"),
        (
            {"task_id": "a", "domain": "code", "attempts": [], "stop": "failed", "method": "m"},
            "bare-trajectory",
            "report",
        ),
    ],
)
def test_forms_that_are_not_read_are_refused_by_name_and_say_how(row, rule, word):
    with pytest.raises(Unreadable) as found:
        read_line(json.dumps(row).encode(), "code")
    assert found.value.rule == rule
    assert word in found.value.detail


@pytest.mark.parametrize("text", ["half \ud83d", "\udc00", "key \udfff"])
def test_half_a_surrogate_pair_is_refused_by_name(text):
    for row in (
        {"messages": [user(text), said(GOOD)], "outcome": True},
        {text: 1},
        {"task": {}, "trajectory": {text: 1}},
    ):
        with pytest.raises(Unreadable) as found:
            read_line(json.dumps(row).encode(), "code")
        assert found.value.rule == "half-character"
    row = {"messages": [user(DOUBLE), said(GOOD)], "outcome": True}
    noted = {**row, "metadata": {"note": text, text: [text]}}
    assert read_line(json.dumps(noted).encode(), "code") == read_line(json.dumps(row).encode(), "code")
    emoji = read([user(f"{DOUBLE} \U0001f600"), said(GOOD)])
    assert emoji.task.text.endswith("\U0001f600")
