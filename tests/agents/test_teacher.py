"""Teachers' answers as they really come: read, mended by name, asked for again, or given up."""

from __future__ import annotations

import pytest

from parammem.agents.labels import Labelling, label
from parammem.agents.repair import mend
from parammem.agents.teacher import taught
from parammem.core import Task
from parammem.domains import get_domain
from parammem.domains.open import OpenPrompts
from parammem.domains.real_math import RealMathPrompts
from parammem.engines.base import Completion, Request
from parammem.engines.scripted import ScriptedEngine

ONE = "Starting the best sum at zero, which is wrong for lists where every single value is negative."
TWO = "Leaving out the last window of the list because the range ends one step too early.\n```python\nx = 1\n```"
GOOD = f"<pitfalls>\n1. {ONE}\n2. {TWO}\n</pitfalls>"
CLEAN = f"1. {ONE}\n2. {TWO}"


@pytest.mark.parametrize(
    ("written", "repairs"),
    [
        (GOOD, ()),
        (f"<think>Hm. 1. no</think>{GOOD}", ("thinking",)),
        (GOOD + "</s></s>", ("special tokens",)),
        (f"<|im_start|>{GOOD}<|eot_id|>", ("special tokens",)),
        (CLEAN, ("tag missing",)),
        (f"<pitfalls>\n{CLEAN}", ("tag open",)),
        (f"{CLEAN}\n</Pitfalls>", ("tag open",)),
        (f"```text\n{CLEAN}\n```", ("tag missing", "wrapped in a fence")),
        (f"<pitfalls>Sure, here they are:\n\n{CLEAN}\n\nLet me know if you need more!</pitfalls>", ("chatter",)),
        (GOOD.replace("1. ", "- ").replace("2. ", "* "), ("numbers",)),
        (GOOD.replace("1. ", "**1.** ").replace("2. ", "### Pitfall 2: "), ()),
        (f"<pitfalls>{ONE}\n\n{TWO}</pitfalls>", ("numbers",)),
        (GOOD.replace("1. ", "4) ").replace("2. ", "5) "), ()),
    ],
)
def test_what_can_be_mended_is_and_is_named(written, repairs):
    made = mend(written, "pitfalls")
    assert made is not None
    assert made.text == CLEAN
    assert set(made.repairs) == set(repairs)


def test_a_list_inside_a_fence_is_no_list():
    code = "```python\n1. not an item\n- nor this\n```"
    made = mend(f"<pitfalls>\n1. {ONE}\n{code}\n</pitfalls>", "pitfalls")
    assert made is not None
    assert made.text == f"1. {ONE}\n{code}"


def test_an_item_that_was_cut_short_goes_and_a_lone_open_fence_is_closed():
    cut = mend(f"<pitfalls>\n1. {ONE}\n2. Leaving out the las", "pitfalls", cut=True)
    assert cut is not None
    assert cut.text == f"1. {ONE}"
    assert "cut short" in cut.repairs
    broken = mend(f"<pitfalls>\n1. {ONE}\n2. {TWO[:-4]}", "pitfalls")
    assert broken is not None
    assert broken.text == f"1. {ONE}", "the last item of several ends in an open fence: it was cut"
    lone = mend(f"<pitfalls>\n1. {ONE}\n```python\nx = 1\n</pitfalls>", "pitfalls")
    assert lone is not None
    assert lone.text == f"1. {ONE}\n```python\nx = 1\n```"
    assert "fence closed" in lone.repairs


@pytest.mark.parametrize(
    "written",
    [
        "",
        "</s>",
        "<pitfalls></pitfalls>",
        "I'm sorry, but I can't help with writing flawed code for this task today.",
        "Be careful.",
    ],
)
def test_what_holds_no_label_is_none(written):
    assert mend(written, "pitfalls") is None


def test_only_a_cut_item_is_no_label():
    assert mend(f"<pitfalls>\n1. {ONE}", "pitfalls", cut=True) is None


def tasks(count: int) -> list[Task]:
    return [Task(task_id=f"math/{n}", domain="math", text=f"Problem {n}?") for n in range(count)]


def test_a_teacher_is_asked_again_for_what_could_not_be_read():
    def reply(request: Request, draw: int) -> str:
        number = int(request.messages[-1].content.rpartition("Problem ")[2].rstrip("?\n"))
        return GOOD if draw >= number else "Sorry?"

    engine = ScriptedEngine(reply)
    found = taught(engine, RealMathPrompts(), tasks(4), 1.0, 100)
    assert list(found.labels) == ["math/0", "math/1", "math/2"]
    assert found.unread == ("math/3",)
    assert [request.first_draw for request in engine.requests] == [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert {request.role for request in engine.requests} == {"teacher"}
    assert "without a label: 1" in found.summary()


def test_an_answer_that_grew_too_long_loses_its_last_item():
    class Long:
        digest = "0" * 64

        def complete(self, requests):
            text = f"<pitfalls>\n1. {ONE}\n2. And then"
            return [[Completion(text=text, finish="length", prompt_tokens=1, completion_tokens=1)] for _ in requests]

    found = taught(Long(), RealMathPrompts(), tasks(1), 1.0, 100)  # type: ignore[arg-type]
    assert found.labels["math/0"].text == f"1. {ONE}"


@pytest.mark.parametrize(("name", "tag"), [("code", "pitfalls"), ("math", "pitfalls"), ("qa", "decomposition")])
def test_the_prompt_shows_one_demonstration_that_mends_to_itself(name, tag):
    domain = get_domain(name, real=True)
    prompt = domain.prompts.teach("the task")[-1].content  # pyright: ignore[reportAttributeAccessIssue]
    assert prompt.count(f"\n<{tag}>\n") == 1
    shown = prompt[prompt.index(f"\n<{tag}>\n") : prompt.rindex(f"</{tag}>") + len(tag) + 3]
    made = mend(shown, tag)
    assert made is not None
    assert made.repairs == ()
    assert made.text.startswith("1. ")
    assert prompt.rstrip().endswith("the task")


def test_task_only_labels_on_real_benchmarks_come_from_the_teacher_and_hold_no_trajectory():
    engine = ScriptedEngine(lambda request, draw: GOOD + "</s>")
    how = Labelling("task-only", "final", (), engine, RealMathPrompts(), 200, 0.5)
    rows = label(how, {task.task_id: task for task in tasks(2)}, [], {})
    assert [row.reflection for row in rows] == [CLEAN, CLEAN]
    assert {(row.label_source, row.part, row.trajectory_id) for row in rows} == {("task-only", "task", "")}
    assert {row.author for row in rows} == {engine.digest}


def test_open_work_has_no_teaching_prompt_so_its_tasks_are_asked_about_as_advice_is():
    engine, prompts = ScriptedEngine(lambda request, draw: "Ask which order is meant."), OpenPrompts()
    how = Labelling("task-only", "final", (), engine, prompts, 200, 0.5)
    rows = label(how, {task.task_id: task for task in tasks(2)}, [], {})
    assert [row.reflection for row in rows] == ["Ask which order is meant."] * 2
    assert [request.messages for request in engine.requests] == [prompts.advise(task.text) for task in tasks(2)]
