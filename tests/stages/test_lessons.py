"""Facts about labels from failures: collect writes them for every kind of domain, and validate looks behind them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parammem.agents.labels import Labelling, label
from parammem.checkout.places import Places
from parammem.config import load_params
from parammem.core import (
    Attempt,
    Feedback,
    GivenAdvice,
    Outcome,
    ReflectionExample,
    Step,
    Task,
    ToolCall,
    Trajectory,
    read_jsonl,
    write_jsonl,
)
from parammem.core.experience import Experience
from parammem.domains import get_domain
from parammem.engines.scripted import ScriptedEngine
from parammem.stages import collect, tasks, validate
from parammem.stages.validate import QuarantinedRow
from parammem.validation import KnownRuns, validate_rows
from parammem.validation.rules import suite_digest, suite_rules
from tests.stages.arena import ROOT, Knowing, knowing_everywhere, parsed
from tests.stages.desk import DOMAIN, NAMES, desk_params, ticket

LESSONS = ["hindsight", "failure", "contrast"]


class Contrasting(Knowing):
    """Beside a success it says less than it says of one attempt, so that a contrast is a row of its own."""

    def _draw(self, request, draw):
        said = super()._draw(request, draw)
        if request.messages[-1].content.count("\nattempt\n") < 2:
            return said
        return said.model_copy(update={"text": " ; ".join(said.text.split(" ; ")[:2])})


@pytest.mark.parametrize("domain", ["code", "math", "qa"])
def test_a_pocket_world_gives_rows_of_failures_and_contrasts(domain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parsed(collect={"parts": LESSONS}, validate={"max_quarantined": 1.0, "min_rows": 1})
    tasks.run(params, domain)
    engine = Contrasting(params, domain)
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    collect.run(params, domain)
    places = Places(tmp_path, domain)
    rows = read_jsonl(places.reflections, ReflectionExample)
    assert {row.part for row in rows} == set(LESSONS)
    won = {row.trajectory_id for row in rows if row.part == "hindsight"}
    assert not won & {row.trajectory_id for row in rows if row.part != "hindsight"}
    known = {t.trajectory_id: t for t in read_jsonl(places.trajectories, Trajectory)}
    assert all(bool(row.success_id) == (row.part == "contrast") for row in rows)
    assert all(row.success_id in known for row in rows if row.part == "contrast")
    validate.run(params, domain)
    kept = {row.part for row in read_jsonl(places.validated, ReflectionExample)}
    assert kept >= {"hindsight", "failure"}
    for item in read_jsonl(places.quarantine, QuarantinedRow):
        if "repeats_advice" in item.reasons:  # this engine tells the truth at once, and the label says it again
            said = {piece.text for piece in known[item.row.trajectory_id].reflections}
            if item.row.success_id:
                said |= {piece.text for piece in known[item.row.success_id].reflections}
            assert item.row.reflection in said


def test_without_lessons_the_suite_is_what_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parsed()
    tasks.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    collect.run(params, "math")
    validate.run(params, "math")
    written = json.loads(Places(tmp_path, "math").validation.read_text())
    assert written["suite_digest"] == suite_digest(suite_rules(params.validate_, "math", True))
    assert "repeats_advice" not in {rule["rule"] for rule in written["rules"]}


GIVEN = "Ask gently which of the two counters is meant before anything is promised to whoever wrote this."
HANDED = "The ticket is closed, and a letter with an apology and two vouchers has been sent to {name} today."
SAID = {
    4: GIVEN,
    8: f"Close it like this: {HANDED.format(name=NAMES[4])}",
    12: "Write to desk.lead@brightwater-school.net first, and then wait for the word to go on with the order.",
}
"""What the labeller says of some runs."""


def run_of(number: int) -> Experience:
    """Run of a tool-using agent at every second ticket; each ticket has two runs, and every second run fails."""
    place, fails = number // 2, number % 2 == 0
    answer = HANDED.format(name=NAMES[place % 10]) if not fails else f"case {number} is for another desk"
    steps = (
        Step(role="user", text=ticket(place)),
        Step(role="assistant", call=ToolCall(name="find_order", arguments={"case": number}, id="c")),
        Step(role="tool", text=f"two orders beside number {number}", result_of="c"),
        Step(role="assistant", text=answer),
    )
    attempt = Attempt(
        number=1, text=answer, candidate=answer, temperature=0.0, feedback=Feedback(passed=None, text=""), steps=steps
    )
    task = Task(task_id=f"ticket-{place}", domain=DOMAIN, text=ticket(place))
    trajectory = Trajectory(
        task_id=task.task_id, domain=DOMAIN, method="log", protocol="log", seed=number, attempts=(attempt,),
        stop="iterations", submission=1,
    )  # fmt: skip
    advice = (GivenAdvice(text=GIVEN, digest="d" * 64, draw=0),)
    return Experience(
        task=task, trajectory=trajectory, outcome=Outcome(passed=not fails, source="person"), advice=advice
    )


def labelled(root: Path, monkeypatch, parts: list[str]) -> tuple[Places, ScriptedEngine]:
    params = desk_params(
        root, {}, collect={"parts": parts}, validate={"max_words": 60, "max_quarantined": 1.0, "max_copied": 40},
        engine={"max_advice_tokens": 60},
    )  # fmt: skip
    write_jsonl(root / params.collect.experience_dir / f"{'ab' * 32}.jsonl", [run_of(n) for n in range(24)])
    tasks.run(params, DOMAIN, root)

    def reply(request, draw):
        prompt = request.messages[-1].content
        number = next(n for n in range(23, -1, -1) if f"number {n}\n" in prompt)
        first = prompt.find("find_order returns: ")
        number = int(prompt[first:].split("number ")[1].split()[0]) if first >= 0 else number
        if "tell it what goes wrong here" in prompt and number in SAID:
            return SAID[number]
        return (
            f"Two counters share the desk of {NAMES[number % 10]}; look at the {number}th shelf before a word is said."
        )

    engine = ScriptedEngine(reply)
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    collect.run(params, DOMAIN, root)
    validate.run(params, DOMAIN, root)
    return Places(root, DOMAIN), engine


def test_labels_of_a_tool_using_agent_that_repeat_what_they_must_not_are_set_aside(tmp_path, monkeypatch):
    places, engine = labelled(tmp_path, monkeypatch, LESSONS)
    rows = read_jsonl(places.reflections, ReflectionExample)
    assert {row.part for row in rows} == set(LESSONS)
    asked = [request.messages[-1].content for request in engine.requests]
    assert all("find_order returns: two orders beside number" in prompt for prompt in asked)
    assert not any(GIVEN in prompt for prompt in asked)
    aside = {item.row.reflection: item.reasons for item in read_jsonl(places.quarantine, QuarantinedRow)}
    assert aside[SAID[4]] == ("repeats_advice",)
    assert aside[SAID[8]] == ("repeats_answer",)
    assert aside[SAID[12]] == ("secret",)
    kept = read_jsonl(places.validated, ReflectionExample)
    assert {row.part for row in kept} == set(LESSONS)
    assert not {row.reflection for row in kept} & set(SAID.values())


def test_a_part_that_was_not_asked_for_is_set_aside(tmp_path, monkeypatch):
    places, _ = labelled(tmp_path, monkeypatch, ["hindsight"])
    rows = read_jsonl(places.reflections, ReflectionExample)
    strange = [row.model_copy(update={"part": "contrast"}) if n < 3 else row for n, row in enumerate(rows)]
    write_jsonl(places.reflections, strange)
    params = desk_params(tmp_path, {}, validate={"max_words": 60, "max_quarantined": 1.0, "max_copied": 40})
    validate.run(params, DOMAIN, tmp_path)
    aside = read_jsonl(places.quarantine, QuarantinedRow)
    assert [item.row.part for item in aside if "part" in item.reasons] == ["contrast"] * 3


SMOLLM2 = {
    "attempt": (
        '```python\ndef reverse_words(input_str):\n    return "".join(reversed(input_str))'  # its stop string ended it
    ),
    "feedback": "FAILED: reverse_words('python program') == 'program python': expected 'program python', got 'margorp'",
    "says": [
        "A program that reverses letters in place of words is wrong. Split the string at its spaces, reverse the list, "
        "and join it with spaces again. The function should return",
        "The attempt failed because the function `reverse_words` returns a reversed string, which nobody wants.",
        "The function is not well-documented, and the function is not well-documented. " * 3,
    ],
}
"""An attempt of SmolLM2-135M at a task of MBPP, what the test said, and labels as it writes them: cut by the limit,
about the attempt, in circles."""


def test_what_a_small_real_model_writes_is_labelled_and_looked_at():
    domain = get_domain("code", real=True)
    task = Task(task_id="mbpp/604", domain="code", text="Write a function to reverse words in a given string.")
    rows = []
    for seed, says in enumerate(SMOLLM2["says"]):
        attempt = Attempt(
            number=1, text=SMOLLM2["attempt"], candidate=domain.prompts.parse(SMOLLM2["attempt"]), temperature=0.2,
            feedback=Feedback(passed=False, text=SMOLLM2["feedback"]),
        )  # fmt: skip
        lost = Trajectory(task_id=task.task_id, domain="code", method="base", protocol="strict", seed=seed,
                          attempts=(attempt,), stop="iterations", submission=1)  # fmt: skip
        engine = ScriptedEngine(lambda request, draw, says=says: says)
        limit = len(says.split()) - 1 if not says.rstrip().endswith(".") else 1000
        how = Labelling("experience", "final", ("failure",), engine, domain.prompts, limit, 0.6)
        rows += label(how, {task.task_id: task}, [lost], {lost.trajectory_id: Outcome(passed=False)})
        prompt = engine.requests[0].messages[-1].content
        assert f"{SMOLLM2['attempt']}\n```\n\n" in prompt, "an open fence is closed"
        assert f"{SMOLLM2['feedback']}\nIt failed." in prompt
    assert rows[0].reflection.endswith("join it with spaces again."), "a label ends with its last whole sentence"
    bounds = load_params(ROOT / "profiles" / "smollm2.yaml").validate_
    known = KnownRuns([], {"failure"})
    verdict = validate_rows(rows, [], bounds, "code", None, known=known)
    assert {item.row: item.reasons for item in verdict.quarantined} == {1: ("speaks_of_run",), 2: ("loops",)}
