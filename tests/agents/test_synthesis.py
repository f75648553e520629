"""New problems: asked for in the manner of given ones, whole ones kept, each once, and readable as a benchmark."""

from __future__ import annotations

import json

from parammem.agents.synthesis import problem_in, synthesised
from parammem.benchmarks.table import items_of
from parammem.core import Task
from parammem.domains import get_domain
from parammem.domains.real_code import RealCodePrompts
from parammem.engines.scripted import ScriptedEngine
from parammem.stages import synthesise
from tests.benchmarks import rows
from tests.stages.arena import parsed

LONG = "A gardener plants tulips in rows. Given the number of rows and the number of tulips in each, print how many "
LONG += "tulips there are in all rows together. Both numbers are between one and a thousand. Example: 2 3 gives 6."
GIVEN = [Task(task_id=f"apps/{n}", domain="code", text=f"Given problem {n}.") for n in range(2)]


def reply(request, draw: int) -> str:
    number = int("problem 1" in request.messages[-1].content) * 10 + draw
    return (
        "<problem>short</problem>"
        if number == 1
        else f"Well: <problem>\n{LONG} Variant {number % 11}.\n</problem> Good?"
    )


def test_each_given_problem_is_asked_in_turn_and_whole_new_ones_are_kept_once():
    engine, prompts = ScriptedEngine(reply), RealCodePrompts()
    found = synthesised(engine, prompts, GIVEN, 5, 1.0, 300)
    assert [(r.first_draw, "problem 1" in r.messages[-1].content) for r in engine.requests] == [
        (0, False), (0, True), (1, False), (1, True), (2, False),
    ]  # fmt: skip
    assert {r.role for r in engine.requests} == {"teacher"}
    assert [text[-11:] for text in found] == [" Variant 0.", "Variant 10.", " Variant 2."], (
        "one is short, one is a copy"
    )


def test_half_a_problem_is_none():
    assert problem_in(f"<problem>{LONG}</problem>") == LONG
    assert problem_in(f"<problem>{LONG}") == ""
    assert problem_in("<problem>Too short.</problem>") == ""


def test_the_file_is_a_benchmark_whose_tasks_have_no_verdict(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "benchmarks"
    folder.mkdir(parents=True)
    rows.write_jsonl(folder / "apps.jsonl", [rows.APPS_CALL, rows.APPS_STDIN])
    sources = [
        {"domain": "code", "split": "train", "benchmark": "apps", "path": "apps.jsonl"},
        {"domain": "code", "split": "train", "benchmark": "problems", "path": "new.jsonl"},
    ]
    engine = ScriptedEngine(lambda request, draw: f"<problem>{LONG} Variant {draw}.</problem>")
    monkeypatch.setattr(synthesise.Engines, "open", lambda self, model="": engine)
    made = synthesise.run(
        parsed(benchmarks={"sources": sources}, engine={"max_new_tokens": 300}),
        "code",
        4,
        synthesise.Path("new.jsonl"),
        tmp_path,
    )
    written = [json.loads(line) for line in (folder / "new.jsonl").read_text(encoding="utf-8").splitlines()]
    assert made == len(written) == 2, "both given problems got the same two answers"
    items, wrong = items_of("problems", written)
    assert wrong == []
    (feedback, *_) = get_domain("code", real=True).judge.check([(items[0].task, "print(1)")])
    assert getattr(feedback, "passed", "error") is None
    assert items[0].question.startswith("A gardener")
