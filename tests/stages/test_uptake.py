"""Advice uptake: on train tasks alone, with advice that no row can be made of, in words that follow from figures."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from parammem.cli import app
from parammem.core import AnswerKey, ReflectionExample
from parammem.core.reflection import ORACLE
from parammem.domains import get_domain
from parammem.domains.conventions import phrase
from parammem.domains.oracle import Form, of_length, oracle_advice
from parammem.engines.base import Completion
from parammem.errors import DataError
from parammem.evaluation.uptake import ARMS, in_words, measured, read_uptake
from parammem.pocket.world import World, draw_splits
from parammem.stages import uptake
from parammem.stages.uptake import FORMS, given, placed
from tests.stages.arena import Knowing, drawn_tasks, parsed, write_params

PARAMS = parsed(tasks={"train": 40})


class Obeying(Knowing):
    """Solves a task where its prompt says the right conventions, all of them; else writes nothing."""

    obeys = True

    def _draw(self, request, draw) -> Completion:
        prompt = "\n".join(message.content for message in request.messages)
        drawn = max(self.tasks.values(), key=lambda one: prompt.rfind(one.task.text))
        knows = self.obeys and phrase(drawn.key.facts) in prompt
        text = drawn.key.gold if knows else "no idea"
        return Completion(text=text, finish="stop", prompt_tokens=len(prompt.split()), completion_tokens=2)


class Deaf(Obeying):
    obeys = False


def ran(monkeypatch, kind, domain="math", count=20):
    engine = kind(PARAMS, domain)
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    return engine, uptake.run(PARAMS, domain, count, seed=0)


@pytest.mark.parametrize("domain", ["code", "math", "qa"])
def test_an_actor_that_does_what_it_is_told_uses_right_advice_wherever_it_stands(domain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, found = ran(monkeypatch, Obeying, domain)
    solved = {one.arm.name: one.solved for one in found.arms}
    assert {solved[f"oracle, list, {place}"] for place in ("system", "before", "after")} == {20}
    assert solved["no advice"] == 0
    assert solved["irrelevant, list, after"] < 20
    assert found.says[0].startswith("This actor can use right advice")
    assert found.says[1].startswith("It is what the advice says that helps")
    assert not list(tmp_path.iterdir()), "a diagnosis writes no trajectory and no row"


def test_where_right_advice_does_not_help_the_actor_is_called_the_limit(monkeypatch):
    _, found = ran(monkeypatch, Deaf)
    assert {one.solved for one in found.arms} == {0}
    assert "It is not clear" in found.says[0], "none of 20 tasks differs, and of so few that says little"
    _, found = ran(monkeypatch, Deaf, count=40)
    assert "The actor is the limit" in found.says[0]
    assert (found.arms[1].difference_low, found.arms[1].difference_high) == pytest.approx((-0.0876, 0.0876), abs=1e-3)


def test_only_train_tasks_are_attempted(monkeypatch):
    engine, found = ran(monkeypatch, Obeying, count=1000)
    assert found.tasks == 40
    train = [text for text, one in drawn_tasks(PARAMS, "math").items() if "-train-" in one.task.task_id]
    assert len(engine.requests) == len(ARMS) * 40
    for request in engine.requests:
        assert any(text in request.messages[-1].content for text in train)


def test_advice_of_an_oracle_can_never_become_a_row():
    row: dict[str, Any] = {
        "domain": "code",
        "task_id": "t",
        "task_text": "do it",
        "reflection": "r",
        "label_source": "self",
        "part": "feedback",
        "trajectory_id": "",
        "outcome": "none",
    }
    assert ReflectionExample(**row, author="a" * 64)
    with pytest.raises(ValidationError, match="never trained on"):
        ReflectionExample(**row, author=ORACLE)


def test_irrelevant_advice_is_another_task_s_in_as_many_words():
    drawn = draw_splits("code", World(3, 0.9), {"train": 12})["train"]
    pairs = [(one.task, one.key) for one in drawn]
    right: dict[Form, list[str]] = {form: [oracle_advice(key, form) for _, key in pairs] for form in FORMS}
    said = given(pairs, right)
    for own, other in zip(right["list"], said["irrelevant, list, after"], strict=True):
        assert other != own
        assert len(other.split()) <= len(own.split())
        assert any(text.startswith(other) for text in right["list"])


@pytest.mark.parametrize("real", [True, False])
def test_moved_advice_keeps_its_words_and_changes_its_place(real):
    prompts = get_domain("code", real=real).prompts
    task = draw_splits("code", World(3, 0.9), {"train": 1})["train"][0].task
    usual = placed(prompts, task, "limit inside", "after")
    before = placed(prompts, task, "limit inside", "before")
    system = placed(prompts, task, "limit inside", "system")
    bare = placed(prompts, task, "", "")
    user = usual[-1].content
    assert user.index(task.text) < user.index("limit inside")
    assert before[-1].content.index("limit inside") < before[-1].content.index(task.text)
    assert sorted(before[-1].content) == sorted(user)
    assert system[0].role == "system"
    assert "limit inside" in system[0].content
    assert system[-1] == bare[-1]


GOLD = 'def f(x):\n    """Add."""\n    total = 0\n    for y in x:\n        total += y\n    return total + 1\n'


def key_of(**fields) -> AnswerKey:
    return AnswerKey.model_validate({"task_id": "t", "domain": "code", "hidden": {"entry": "f"}, "gold": GOLD} | fields)


def test_advice_from_a_program_says_what_it_returns_or_all_it_does():
    assert oracle_advice(key_of(), "sentence") == "A right solution returns `total + 1`."
    assert oracle_advice(key_of(), "list").splitlines() == [
        "A right solution does this:",
        "1. total = 0",
        "2. for y in x:",
        "3. total += y",
        "4. return total + 1",
    ]


@pytest.mark.parametrize("gold", ["", "def f(:", "print(1)", "def f(x):\n    pass\n", "def g():\n    return\n"])
def test_any_gold_gives_advice_or_none_and_never_an_error(gold):
    for form in ("sentence", "list"):
        assert isinstance(oracle_advice(key_of(gold=gold), form), str)
    assert oracle_advice(key_of(gold=""), "list") == ""


def test_advice_from_an_answer_or_a_worked_solution():
    worked = key_of(domain="math", gold="Two and two are four.\n#### 4")
    assert oracle_advice(worked, "sentence") == "The right answer: #### 4."
    assert oracle_advice(worked, "list") == "1. Two and two are four.\n2. #### 4"
    assert oracle_advice(key_of(domain="qa", gold="Answer: Paris"), "list") == "The right answer: Paris."
    assert of_length("one  two\nthree", 2) == "one  two"


def test_the_command_prints_the_table_and_writes_what_the_report_reads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tasks={"train": 40})
    engine = Obeying(PARAMS, "math")
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    done = CliRunner().invoke(app, ["uptake", "-d", "math", "--tasks", "20"])
    assert done.exit_code == 0, done.output
    assert "oracle, list, after          20 of 20" in done.output
    assert "This actor can use right advice" in done.output
    found = read_uptake(tmp_path / "reports/uptake/math.json")
    assert found is not None
    assert (found.tasks, found.split) == (20, "train")
    assert read_uptake(tmp_path / "reports/uptake/code.json") is None
    (tmp_path / "reports/uptake/code.json").write_text("{}")
    with pytest.raises(DataError, match="run it again"):
        read_uptake(tmp_path / "reports/uptake/code.json")


def test_without_solutions_there_is_nothing_to_advise(monkeypatch):
    monkeypatch.setattr("parammem.stages.uptake.oracle_advice", lambda key, form: "")
    with pytest.raises(DataError, match="have a solution to write advice from"):
        ran(monkeypatch, Obeying)


def test_the_report_shows_it_where_it_was_run_and_says_nothing_where_not(monkeypatch):
    from parammem.evaluation.report import build_report
    from tests.evaluation.synthetic import make_inputs

    _, found = ran(monkeypatch, Obeying)
    inputs = make_inputs(tasks=6, unseen=0, study=False, domains=("math",))
    plain, shown = build_report(inputs), build_report(inputs.model_copy(update={"uptake": (found,)}))
    assert "Can the actor use right advice? Math" in shown.html
    assert found.says[0].replace("'", "&#39;") in shown.html
    assert "oracle, list, after" in shown.table
    assert "oracle" not in plain.html + plain.table


def test_of_few_tasks_it_is_not_said_that_the_actor_can_use_advice(monkeypatch):
    """A bootstrap over four tasks that all differ alike knows of no doubt; p is .125 then."""
    _, few = ran(monkeypatch, Obeying, count=4)
    best = next(one for one in few.arms if one.arm.name == "oracle, list, after")
    assert (best.solved, best.difference, best.p) == (4, 1.0, 0.125)
    assert best.difference_low < 0.6
    assert few.says[0].startswith("It is not clear")
    none, some = [False] * 40, [True] * 4 + [False] * 36
    arms = [measured(arm, some if arm.advice == "oracle" else none, none) for arm in ARMS]
    assert arms[1].difference_low > 0
    says = in_words(arms, {one.arm.name: some if one.arm.advice == "oracle" else none for one in arms})
    assert "It is not clear" in says[0]
