"""Rule 1: the agent never holds the answer key. Shown on every prompt of every method, and on the code itself."""

from __future__ import annotations

import ast
import inspect
import typing
from pathlib import Path

import numpy as np
import pytest

import parammem
from parammem.agents.labels import Labelling, label
from parammem.agents.loop import Agent, Check, solve
from parammem.agents.methods import METHODS
from parammem.agents.run import run_all
from parammem.core import Attempt, Feedback, Outcome, Task
from parammem.domains import Judge, Prompts, VisibleChecks, get_domain
from parammem.domains.base import Example
from parammem.engines.base import Request
from parammem.engines.scripted import ScriptedEngine
from parammem.pocket.world import World, WorldTask, draw_splits
from parammem.reflectors.base import Reflector
from tests.agents.worlds import BUDGET, Sampled, Told, prompt_of

SOURCE = Path(parammem.__file__).parent
ROOMS = sorted([*SOURCE.glob("agents/*.py"), *SOURCE.glob("reflectors/*.py")])
REVEALED = "revealed"


def babble(request: Request, draw: int) -> str:
    """Words without any meaning: whatever a prompt says of a key, it does not say because the model guessed it."""
    return f"# nothing {draw}\nnothing at all"


def example() -> Example:
    said = Feedback(passed=True, text="fine")
    attempt = Attempt(number=1, text="# shown", candidate="# shown", temperature=1.0, feedback=said)
    return Task(task_id="elsewhere", domain="math", text="something else"), attempt


def all_alike(texts):
    """An embedding by which every task is near to every other."""
    return np.ones((len(texts), 1), dtype=np.float32)


def prompts_of_everything(name: str, tasks: list[Task]) -> list[str]:
    """Every prompt that any method, and any labelling rule, sends about these tasks."""
    engine, domain = ScriptedEngine(babble), get_domain(name)
    reflectors: dict[str, Reflector | None] = {"none": None, "parametric": Sampled(engine), "retrieved": Told()}
    runs = [
        solve(
            Agent(method, domain.prompts, domain.judge, engine, BUDGET, reflectors[method.advisor]),
            task,
            3,
            [example()] if method.bank else [],
        )
        for method in METHODS.values()
        for task in tasks
    ]
    trajectories = run_all(runs)
    assert all(t.failure is None for t in trajectories)
    ended = {t.trajectory_id: Outcome(passed=place % 2 == 0) for place, t in enumerate(trajectories)}
    parts = ("in_context", "hindsight", "failure", "contrast", "task")
    for rule in ("experience", "teacher", "self", "task-only"):
        how = Labelling(rule, "final", parts, engine, domain.prompts, 12, 1.0, embed=all_alike)
        label(how, {task.task_id: task for task in tasks}, trajectories, ended)
    return [prompt_of(request) for request in engine.requests]


def secrets_of(drawn: WorldTask) -> list[str]:
    """Texts that only the answer key holds: the gold solution, its lines, its hidden cases, the unrevealed values."""
    key = drawn.key
    plan, *body = key.gold.splitlines()
    cases = [case.get("args", [case.get("instance")])[0] for case in key.hidden.get("checks", [])]
    unrevealed = set(key.facts) - set(key.tags[REVEALED].split())
    last = body[-1] if drawn.task.domain == "qa" else "\n".join(body)
    return [key.gold, plan, last, *map(str, cases), *(f"{name} {key.facts[name]}" for name in sorted(unrevealed))]


@pytest.mark.parametrize("name", ["code", "math", "qa"])
def test_agent_never_sees_answer_key(name):
    drawn = draw_splits(name, World(seed=3, rho=0.9), {"eval": 4})["eval"]
    prompts = prompts_of_everything(name, [one.task for one in drawn])
    assert len(prompts) > 4 * 5 * len(METHODS)
    assert {prompt.splitlines()[-1] for prompt in prompts} == {"solve", "reflect", "reflect anew", "advise", "assumed"}
    for one in drawn:
        mine = [prompt for prompt in prompts if one.task.text in prompt]
        for other in drawn:  # a contrast may show the nearest task beside this one
            mine = [prompt.replace(other.task.text, "") for prompt in mine]
        assert mine
        for secret in secrets_of(one):
            assert len(secret) > 3
            assert not any(secret in prompt for prompt in mine), secret


@pytest.mark.parametrize("name", ["code", "math", "qa"])
def test_feedback_speaks_of_revealed_conventions_alone(name):
    drawn = draw_splits(name, World(seed=4, rho=0.9), {"eval": 4})["eval"]
    for one in drawn:
        (said,) = get_domain(name).judge.check([(one.task, "nothing")])
        assert isinstance(said, Feedback)
        named = {part.split()[0] for part in said.text.split(" ; ")}
        assert named == set(one.key.tags[REVEALED].split())


def test_the_search_for_secrets_finds_them_where_they_are():
    """The test above can fail: a task that held its key would be caught."""
    for name in ("code", "math", "qa"):
        (one,) = draw_splits(name, World(seed=3, rho=0.9), {"eval": 1})["eval"]
        leaky = one.task.model_copy(update={"text": f"{one.task.text} {one.key.gold} {one.key.hidden}"})
        prompts = prompts_of_everything(name, [leaky])
        found = [secret for secret in secrets_of(one) if any(secret in prompt for prompt in prompts)]
        assert len(found) >= 4


def test_solve_takes_a_task_and_nothing_that_could_hold_a_key():
    hints = typing.get_type_hints(solve)
    assert hints["task"] is Task
    assert "AnswerKey" not in " ".join(str(hint) for hint in hints.values())
    assert not {"key", "keys", "gold", "hidden"} & set(inspect.signature(solve).parameters)
    assert set(Task.model_fields) == {"task_id", "domain", "text", "visible"}


def taking_a_key(part: type) -> list[str]:
    methods = [name for name, _ in inspect.getmembers(part, inspect.isfunction) if not name.startswith("_")]
    return [name for name in methods if "AnswerKey" in str(typing.get_type_hints(getattr(part, name)))]


def test_only_the_judge_takes_a_key_and_no_agent_or_labeller_has_a_judge():
    assert taking_a_key(Judge) == ["score"]
    assert taking_a_key(Prompts) == taking_a_key(VisibleChecks) == []
    agent, labeller = typing.get_type_hints(Agent), typing.get_type_hints(Labelling)
    assert (agent["prompts"], agent["checks"], labeller["prompts"]) == (Prompts, VisibleChecks, Prompts)
    assert typing.get_type_hints(Check)["checks"] is VisibleChecks
    assert not {"Judge", "Domain"} & {kind.__name__ for kind in (*agent.values(), *labeller.values())
                                      if isinstance(kind, type)}  # fmt: skip


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_module_of_agents_or_reflectors_knows_the_answer_key_or_asks_for_a_score(path):
    words = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            words.add(node.id)
        elif isinstance(node, ast.Attribute):
            words.add(node.attr)
        elif isinstance(node, ast.alias):
            words.add(node.name)
    assert not words & {"AnswerKey", "Judge", "Domain", "Score", "score", "hidden", "gold", "facts", "keys_of"}
