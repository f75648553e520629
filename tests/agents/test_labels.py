"""Facts about labelling: which rule asks whom for what, and that each row says where it came from."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from parammem.agents import labels
from parammem.agents.labels import Labelling
from parammem.agents.repair import whole_sentences
from parammem.core import Attempt, Feedback, Outcome, Reflection, ReflectionExample, Step, Task, ToolCall, Trajectory
from parammem.domains import get_domain
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import BudgetExceeded, RequestFailed
from parammem.reflectors.parametric import Untrained
from tests.agents.worlds import Echo, prompt_of, task

TASKS = {one.task_id: one for one in (task(1), task(2), task(3))}


def labeller() -> ScriptedEngine:
    """Repeats the question's number and the form it was asked in."""
    return ScriptedEngine(lambda request, draw: f" {prompt_of(request).split()[1]} {prompt_of(request).split()[-1]} ")


def label(
    how: Labelling,
    tasks: Mapping[str, Task],
    trajectories: Sequence[Trajectory],
    passed: Mapping[str, bool | None],
    origins: Mapping[str, str] | None = None,
) -> list[ReflectionExample]:
    """`labels.label` with outcomes of which nothing but `passed` is known."""
    outcomes = {name: Outcome(passed=one) for name, one in passed.items()}
    return labels.label(how, tasks, trajectories, outcomes, origins)


def how(rule: str, engine: ScriptedEngine | None = None, **changes: Any) -> Labelling:
    fields: dict[str, Any] = {
        "label": rule,
        "outcome": "final",
        "parts": ("hindsight",),
        "engine": engine or labeller(),
        "prompts": Echo(),
        "max_tokens": 12,
        "temperature": 0.8,
    }
    return Labelling(**(fields | changes))


def own(text: str, iteration: int) -> Reflection:
    return Reflection(text=text, source="self", author="actor", iteration=iteration, temperature=1.0)


def tried(number: int, *verdicts: bool | None, reflections: tuple[Reflection, ...] = (), seed: int = 0) -> Trajectory:
    """A trajectory on a task; attempt k's candidate is `try k`."""
    attempts = tuple(
        Attempt(number=k, text="", candidate=f"try {k}", temperature=1.0,
                feedback=Feedback(passed=passed, text=f"feedback {k}"))
        for k, passed in enumerate(verdicts, 1)
    )  # fmt: skip
    stop = "visible-pass" if verdicts and verdicts[-1] else "iterations"
    return Trajectory(
        task_id=f"math-{number}", domain="math", method="reflexion", protocol="strict", seed=seed, attempts=attempts,
        reflections=reflections, stop=stop, submission=len(attempts) or None,
    )  # fmt: skip


WON = tried(1, False, True, reflections=(own("first", 2),))
LOST = tried(2, False, False, reflections=(own("first", 2), own("second", 3)))
OUTCOMES = {WON.trajectory_id: True, LOST.trajectory_id: False}


def test_experience_asks_in_hindsight_about_the_submission_of_successes_alone():
    engine = labeller()
    (row,) = label(how("experience", engine), TASKS, [WON, LOST], OUTCOMES)
    assert [prompt_of(r) for r in engine.requests] == ["question 1\nattempt\ntry 2\nassumed"]
    assert row.reflection == "1 assumed"
    assert (row.label_source, row.part, row.outcome) == ("experience", "hindsight", "final")
    assert (row.author, row.trajectory_id) == (engine.digest, WON.trajectory_id)
    assert (row.domain, row.task_id, row.task_text, row.origin) == ("math", "math-1", "question 1", "collect")


def test_a_trajectory_whose_outcome_is_unknown_is_no_success():
    engine = labeller()
    assert label(how("experience", engine), TASKS, [WON, LOST], {}) == []
    assert engine.requests == []


def test_experience_in_context_takes_the_newest_reflection_that_the_submission_had_seen():
    engine = ScriptedEngine({})
    seen = (own("first", 2), own("second", 3), own("too late", 4))
    advised = Reflection(text="advice", source="parametric", author="x", iteration=3, temperature=1.0)
    won = tried(1, False, False, True, reflections=(*seen[:2], advised, seen[2]))
    (row,) = label(how("experience", engine, parts=("in_context",)), TASKS, [won], {won.trajectory_id: True})
    assert (row.reflection, row.part, row.author) == ("second", "in_context", "actor")
    assert engine.draws == 0


def test_a_success_at_the_first_attempt_had_nothing_in_context():
    at_once = tried(1, True)
    assert label(how("experience", parts=("in_context",)), TASKS, [at_once], {at_once.trajectory_id: True}) == []


def test_both_parts_of_experience_may_be_asked_for():
    rows = label(how("experience", parts=("in_context", "hindsight")), TASKS, [WON, LOST], OUTCOMES)
    assert [(row.part, row.reflection) for row in rows] == [("in_context", "first"), ("hindsight", "1 assumed")]


@pytest.mark.parametrize("rule", ["teacher", "self"])
def test_teacher_and_self_read_the_last_failed_attempt_whatever_the_outcome(rule):
    engine = labeller()
    rows = label(how(rule, engine), TASKS, [WON, LOST], OUTCOMES)
    assert [prompt_of(r) for r in engine.requests] == [
        "question 1\nattempt\ntry 1\nfeedback feedback 1\nreflect",
        "question 2\nattempt\ntry 2\nfeedback feedback 2\nreflect",
    ]
    assert [(r.label_source, r.part, r.outcome, r.author) for r in rows] == [
        (rule, "feedback", "none", engine.digest)
    ] * 2
    assert rows == label(how(rule), TASKS, [WON, LOST], {})


@pytest.mark.parametrize("rule", ["teacher", "self"])
def test_without_a_failed_attempt_there_is_nothing_to_read(rule):
    assert label(how(rule), TASKS, [tried(1, True), tried(2, None, None), tried(3)], {}) == []


def test_task_only_asks_of_each_task_once_and_needs_no_trajectories():
    engine = labeller()
    rows = label(how("task-only", engine), TASKS, [], {})
    assert [prompt_of(r) for r in engine.requests] == [f"question {n}\nadvise" for n in (1, 2, 3)]
    assert [(r.label_source, r.part, r.trajectory_id, r.outcome) for r in rows] == [
        ("task-only", "task", "", "none")
    ] * 3
    assert rows == label(how("task-only"), TASKS, [WON, LOST], OUTCOMES)


def test_labels_are_greedy_but_those_drawn_from_the_task_alone():
    asked = {}
    for rule in ("experience", "teacher", "task-only"):
        engine = labeller()
        label(how(rule, engine), TASKS, [WON, LOST], OUTCOMES)
        asked[rule] = engine.requests
    temperatures = {rule: {r.temperature for r in requests} for rule, requests in asked.items()}
    assert temperatures == {"experience": {0.0}, "teacher": {0.0}, "task-only": {0.8}}
    assert len({r.seed for r in asked["task-only"]}) == 3
    assert {r.max_tokens for requests in asked.values() for r in requests} == {12}


def test_a_pair_that_comes_again_is_kept_where_it_came_first():
    again = tried(1, True, seed=1)
    other = tried(2, True, seed=1)
    outcomes = dict.fromkeys((WON.trajectory_id, again.trajectory_id, other.trajectory_id), True)
    rows = label(how("experience"), TASKS, [WON, other, again], outcomes)
    assert [(r.task_id, r.trajectory_id) for r in rows] == [
        ("math-1", WON.trajectory_id),
        ("math-2", other.trajectory_id),
    ]


def test_rows_of_an_experience_batch_name_it_and_others_do_not():
    other = tried(2, True, seed=1)
    outcomes = {WON.trajectory_id: True, other.trajectory_id: True}
    rows = label(how("experience"), TASKS, [WON, other], outcomes, {other.trajectory_id: "batch-7"})
    assert [row.origin for row in rows] == ["collect", "batch-7"]


def test_what_is_asked_is_asked_in_one_call():
    engine = labeller()
    many = [tried(n, False, True, seed=seed) for n in (1, 2, 3) for seed in range(5)]
    label(how("experience", engine), TASKS, many, {t.trajectory_id: True for t in many})
    assert engine.calls == 1
    assert len(engine.requests) == 15


def test_no_rule_needs_an_answer_key():
    hints = typing.get_type_hints(labels.label) | typing.get_type_hints(Labelling)
    assert "AnswerKey" not in " ".join(str(hint) for hint in hints.values())
    assert not hasattr(labels, "AnswerKey")


def test_a_label_that_got_no_answer_is_left_out_and_the_others_are_kept(caplog):
    class Deaf(ScriptedEngine):
        """Gives one task no answer, as a server may."""

        def complete(self, requests):
            if any("question 2" in prompt_of(request) for request in requests):
                raise RequestFailed("the server said 500")
            return super().complete(requests)

    deaf = Deaf(lambda request, draw: "said")
    rows = label(how("task-only", deaf), {n: task(k) for k, n in enumerate(("math-1", "math-2", "math-3"), 1)}, [], {})
    assert [row.task_id for row in rows] == ["math-1", "math-3"]
    assert "'math-2'" in caplog.text
    assert {request.role for request in deaf.requests} == {"teacher"}


def test_a_spent_budget_ends_the_labelling():
    class Poor(ScriptedEngine):
        def complete(self, requests):
            raise BudgetExceeded("the budget is used up")

    with pytest.raises(BudgetExceeded):
        label(how("task-only", Poor("said")), TASKS, [], {})


@pytest.mark.parametrize("rule", ["experience", "self", "teacher", "task-only"])
def test_a_label_that_the_limit_cut_is_drawn_again_and_says_so_if_it_stays_cut(rule):
    circles = "a b c d e f g h i j k l m"
    engine = ScriptedEngine(lambda request, draw: circles if draw < 2 else "whole at last")
    rows = label(how(rule, engine), TASKS, [WON, LOST], OUTCOMES)
    assert {(row.reflection, row.cut) for row in rows} == {("whole at last", False)}
    first = [request.temperature for request in engine.requests if request.first_draw == 0]
    assert set(first) == {0.8 if rule == "task-only" else 0.0}
    assert {request.temperature for request in engine.requests if request.first_draw} == {0.8}
    never = ScriptedEngine(lambda request, draw: circles)
    assert all(row.cut for row in label(how(rule, never), TASKS, [WON, LOST], OUTCOMES))


def test_a_label_that_the_limit_cut_ends_with_its_last_whole_sentence():
    whole = "The attempt returns a list, and a tuple was expected, as the test says."
    engine = ScriptedEngine(lambda request, draw: f"{whole} Next time the actor should return one.")
    rows = label(how("self", engine, max_tokens=17), TASKS, [WON, LOST], OUTCOMES)
    assert {(row.reflection, row.cut) for row in rows} == {(whole, False)}
    assert {request.first_draw for request in engine.requests} == {0}, "it is not drawn again"


@pytest.mark.parametrize(
    "text",
    [
        "Too short. And the",
        "no sentence of these many words ends anywhere at all in here",
        "1. 2. 3.5 4. one two three four five six seven eight nine ten",
        "Some words of prose stand before a program that never ends here:\n```python\nx. \ny",
    ],
)
def test_where_no_sentence_is_whole_nothing_is_kept(text):
    assert whole_sentences(text) == ""


def test_advice_in_context_that_the_limit_cut_stays_marked():
    seen = own("first", 2).model_copy(update={"cut": True})
    won = tried(1, False, True, reflections=(seen,))
    (row,) = label(how("experience", parts=("in_context",)), TASKS, [won], {won.trajectory_id: True})
    assert row.cut


def test_a_whole_label_is_written_without_the_mark_and_a_cut_one_with_it():
    (row,) = label(how("experience"), TASKS, [WON], OUTCOMES)
    assert "cut" not in json.loads(row.line())
    cut = row.model_copy(update={"cut": True})
    assert json.loads(cut.line())["cut"] is True
    assert cut.row_hash == row.row_hash
    assert type(row).model_validate_json(cut.line()) == cut


SAME = tried(2, True, seed=7)
"""A success at the task of LOST."""
ENDED = {WON.trajectory_id: True, LOST.trajectory_id: False, SAME.trajectory_id: True}


def test_a_failure_is_asked_for_what_went_wrong_and_a_success_is_not():
    engine = labeller()
    (row,) = label(how("experience", engine, parts=("failure",)), TASKS, [WON, LOST], OUTCOMES)
    assert [prompt_of(r) for r in engine.requests] == ["question 2\nattempt\ntry 2\nfeedback feedback 2\nreflect"]
    assert (row.part, row.label_source, row.outcome, row.task_id) == ("failure", "experience", "final", "math-2")
    assert (row.trajectory_id, row.success_id, row.author) == (LOST.trajectory_id, "", engine.digest)


def test_a_run_whose_outcome_is_not_known_is_no_failure_either():
    engine = labeller()
    parts = ("failure", "contrast", "hindsight")
    for outcomes in ({}, {LOST.trajectory_id: None}):
        assert label(how("experience", engine, parts=parts), TASKS, [LOST, tried(3)], outcomes) == []
    assert label(how("experience", engine, parts=parts), TASKS, [tried(3)], {tried(3).trajectory_id: False}) == []
    assert engine.requests == []  # nothing was handed over: there is nothing to look at


def test_a_contrast_shows_the_failure_and_a_success_at_the_same_task():
    engine = labeller()
    (row,) = label(how("experience", engine, parts=("contrast",)), TASKS, [LOST, WON, SAME], ENDED)
    assert [prompt_of(r) for r in engine.requests] == [
        "question 2\nattempt\ntry 2\nfeedback feedback 2\nattempt\ntry 1\nassumed"
    ]
    assert (row.part, row.task_id, row.task_text) == ("contrast", "math-2", "question 2")
    assert (row.trajectory_id, row.success_id) == (LOST.trajectory_id, SAME.trajectory_id)


def test_where_nobody_solved_the_task_the_success_is_one_at_the_nearest_task():
    engine, near = labeller(), {"question 1": (0.6, 0.8), "question 2": (0.8, 0.6), "question 3": (1.0, 0.0)}
    third = tried(3, True)
    outcomes = OUTCOMES | {third.trajectory_id: True}

    def embed(texts):
        return np.array([near[text] for text in texts], dtype=np.float32)

    how_near = how("experience", engine, parts=("contrast",), embed=embed)
    (row,) = label(how_near, TASKS, [third, LOST, WON], outcomes)
    assert prompt_of(engine.requests[0]).startswith("question 2\nattempt\ntry 2\nfeedback feedback 2\nquestion 1\n")
    assert (row.task_id, row.success_id) == ("math-2", WON.trajectory_id)
    near |= {"question 2": (-0.8, 0.6), "question 1": (0.6, 0.8)}  # no task is near any more
    assert label(how_near, TASKS, [third, LOST, WON], outcomes) == []


def test_without_a_success_or_where_both_did_the_same_there_is_no_contrast():
    same = LOST.model_copy(update={"seed": 5})
    for runs in ([LOST], [LOST, same]):
        outcomes = {run.trajectory_id: run is same for run in runs}
        assert label(how("experience", parts=("contrast",)), TASKS, runs, outcomes) == []


def test_all_parts_stand_side_by_side_and_in_a_fixed_order():
    parts = ("in_context", "hindsight", "failure", "contrast", "task")
    rows = label(how("experience", parts=parts), TASKS, [WON, LOST, SAME], ENDED)
    assert [row.part for row in rows] == ["in_context", "task", "task", "task", "hindsight", "failure", "hindsight"]
    assert {row.label_source for row in rows} == {"experience"}
    assert [row.outcome for row in rows if row.part == "task"] == ["none"] * 3
    # the contrast said what the hindsight had said already: a pair counts where it came first
    asked = labeller()
    label(how("experience", asked, parts=parts), TASKS, [WON, LOST, SAME], ENDED)
    assert "attempt\ntry 2\nfeedback feedback 2\nattempt\ntry 1" in prompt_of(asked.requests[-1])


@pytest.mark.parametrize("kind", ["code", "math", "qa", "open"])
def test_what_only_the_labeller_knew_is_in_no_prompt_that_teaches_or_advises(kind):
    """The row is learned with the prompt that asks for advice later: the task, and nothing of the runs."""
    domain = get_domain(f"{kind}-desk" if kind == "open" else kind, kind=kind, real=True)
    task = Task(task_id="t", domain=domain.name, text="Refund the second order.")
    steps = (Step(role="assistant", call=ToolCall(name="find_order", arguments={"number": 4711}, id="c")),
             Step(role="tool", text="two orders are open", result_of="c"))  # fmt: skip
    runs = []
    for seed, said in enumerate(("both were refunded", "the later one was refunded")):
        attempt = Attempt(number=1, text=said, candidate=said, temperature=0.0, steps=steps,
                          feedback=Feedback(passed=None, text="a complaint came"))  # fmt: skip
        runs.append(Trajectory(task_id="t", domain=domain.name, method="log", protocol="log", seed=seed,
                               attempts=(attempt,), stop="iterations", submission=1))  # fmt: skip
    engine = ScriptedEngine(lambda request, draw: f"Ask which order is meant ({len(prompt_of(request))}).")
    labelling = how("experience", engine, prompts=domain.prompts, parts=("failure", "contrast"))
    outcomes = {runs[0].trajectory_id: False, runs[1].trajectory_id: True}
    rows = label(labelling, {"t": task}, runs, outcomes)
    assert [row.part for row in rows] == ["failure", "contrast"]
    asked = [prompt_of(request) for request in engine.requests]
    assert all("4711" in one and "two orders are open" in one and "both were refunded" in one for one in asked)
    assert "the later one was refunded" in asked[1]
    assert "the later one" not in asked[0]
    for row in rows:
        (taught,) = [m.content for m in domain.prompts.advise(row.task_text) if m.role == "user"]
        assert taught == Untrained(engine, domain.prompts).messages(task)[-1].content
        assert not any(word in taught for word in ("4711", "refunded", "two orders", "complaint", "fail"))
