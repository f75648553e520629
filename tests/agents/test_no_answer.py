"""A request without an answer costs its own row and no other, whoever asks: teachers, labels, new problems, rounds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from parammem.agents.asking import ask_each
from parammem.agents.labels import Labelling, label
from parammem.agents.synthesis import synthesised
from parammem.agents.teacher import taught
from parammem.core import ReflectionExample, Task
from parammem.domains import get_domain
from parammem.domains.real_code import RealCodePrompts
from parammem.domains.real_math import RealMathPrompts
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Store
from parammem.engines.openai import server as module
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.scripted import Script, ScriptedEngine
from parammem.errors import BudgetExceeded, EngineError, RequestFailed, TooManyFailures
from parammem.stages import rounds
from tests.agents.test_teacher import GOOD, tasks
from tests.agents.worlds import prompt_of
from tests.engines.local_server import Asked, LocalServer
from tests.stages.arena import parsed

PROBLEM = "A gardener plants tulips in rows. Given the number of rows and the number of tulips in each, print how many "
PROBLEM += "tulips there are in all rows together. Both numbers are between one and a thousand. This is number "
GIVEN = [Task(task_id=f"apps/{n}", domain="code", text=f"Given problem {n}.") for n in range(4)]
ROWS = [
    ReflectionExample(
        domain="math", task_id=f"t{n}", task_text=f"Problem {n}?", reflection="as it was", part="hindsight",
        label_source="experience", author="a" * 64, trajectory_id="b" * 16, outcome="final",
    )
    for n in range(4)
]  # fmt: skip


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)


class Failing(ScriptedEngine):
    """Gives no answer to prompts about one of these problems."""

    def __init__(self, says: str | Script, *numbers: int, error: BaseException | None = None) -> None:
        super().__init__((lambda request, draw: says) if isinstance(says, str) else says)
        self.numbers, self.error = numbers, error or RequestFailed("answered 400: content management policy")

    def complete(self, requests):
        if any(f"roblem {number}" in prompt_of(request) for request in requests for number in self.numbers):
            raise self.error
        return super().complete(requests)


def teach(engine: Any, **settings: Any) -> list[str]:
    return list(taught(engine, RealMathPrompts(), tasks(4), 1.0, 300, **settings).labels)


def label_tasks(engine: Any, **settings: Any) -> list[str]:
    how = Labelling("task-only", "final", (), engine, get_domain("math").prompts, 100, 0.5, **settings)
    return [row.task_id for row in label(how, {task.task_id: task for task in tasks(4)}, [], {})]


def synthesise(engine: Any, **settings: Any) -> list[str]:
    return synthesised(engine, RealCodePrompts(), GIVEN, 4, 1.0, 300, **settings)


SAID = f"{GOOD}<problem>{PROBLEM} 1.</problem>"
EVERY = pytest.mark.parametrize("work", [teach, label_tasks, synthesise])


def test_a_teacher_s_label_that_got_no_answer_is_left_out_with_a_warning(caplog):
    assert teach(Failing(SAID, 2)) == ["math/0", "math/1", "math/3"]
    assert "no label for task 'math/2'" in caplog.text
    assert "content management policy" in caplog.text


def test_what_a_teacher_did_not_answer_is_not_asked_again():
    def unread(request, draw):
        return GOOD if draw == 1 else "Sorry?"

    engine = Failing(unread, 2)
    found = taught(engine, RealMathPrompts(), tasks(4), 1.0, 300)
    assert list(found.labels) == ["math/0", "math/1", "math/3"]
    assert (found.unread, found.failed) == ((), ("math/2",))
    assert "without an answer: 1" in found.summary()
    assert len(engine.requests) == 6


def test_a_new_problem_that_got_no_answer_is_left_out_with_a_warning(caplog):
    def written(request, draw):
        return f"<problem>{PROBLEM} {prompt_of(request).rpartition('Given problem ')[2][:1]}.</problem>"

    assert [text[-2:] for text in synthesise(Failing(written, 1))] == ["0.", "2.", "3."]
    assert "'apps/1, draw 0'" in caplog.text


@EVERY
def test_too_many_without_an_answer_end_the_stage(work: Callable[..., list[str]]):
    with pytest.raises(TooManyFailures, match=r"3 of 4 .*the 50% that may fail.*content management policy"):
        work(Failing(SAID, 0, 1, 2))
    with pytest.raises(TooManyFailures, match="1 of 4"):
        work(Failing(SAID, 2), max_failed_share=0.1)
    work(Failing(SAID, 0, 1, 2), max_failed_share=0.75)


@EVERY
@pytest.mark.parametrize("error", [BudgetExceeded("the budget is used up"), EngineError("wrong key")])
def test_what_concerns_all_requests_ends_the_stage(work, error):
    with pytest.raises(type(error), match=str(error)):
        work(Failing(SAID, 2, error=error))


@EVERY
def test_ctrl_c_ends_the_stage(work):
    with pytest.raises(KeyboardInterrupt):
        work(Failing(SAID, 2, error=KeyboardInterrupt()))


def again(monkeypatch, tmp_path, engine: Any, share: float = 0.5) -> list[ReflectionExample]:
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    params = parsed(agent={"max_failed_share": share})
    return rounds.retaught(params, ROWS, tmp_path / "round-1", get_domain("math").prompts, "round-1", tmp_path)


def test_a_row_of_a_round_that_got_no_answer_stays_as_it_was(monkeypatch, tmp_path, caplog):
    made = again(monkeypatch, tmp_path, Failing("cut flat", 1))
    assert [row.reflection for row in made] == ["cut flat", "as it was", "cut flat", "cut flat"]
    assert made[1] == ROWS[1]
    assert "'t1'" in caplog.text


def test_a_round_in_which_too_many_got_no_answer_ends_the_stage(monkeypatch, tmp_path):
    with pytest.raises(TooManyFailures, match="1 of 4"):
        again(monkeypatch, tmp_path, Failing("cut flat", 1), share=0.1)
    with pytest.raises(BudgetExceeded):
        again(monkeypatch, tmp_path, Failing("cut flat", 1, error=BudgetExceeded("used up")))


def no_carl(asked: Asked) -> str:
    return "400" if "roblem 2" in asked.body["messages"][-1]["content"] else ""


def server_of(local: LocalServer, terms: Terms | None = None) -> Server:
    return Server(ServerSettings(local.url, concurrency=2, timeout_seconds=20, retries=1), Account(terms or Terms()))


@pytest.mark.parametrize("cached", [True, False])
def test_a_server_is_asked_for_each_once_and_for_what_failed_no_more(tmp_path, caplog, cached):
    caplog.set_level(logging.WARNING)
    with LocalServer(trouble=no_carl, write=lambda body, seed: SAID.replace("\n", " \n ")) as local:
        engine = open_model(server_of(local), "base")
        assert len(label_tasks(CachedEngine(engine, tmp_path) if cached else engine)) == 3
        assert len(local.chats) == 4
    assert "answered 400" in caplog.text


def test_a_spent_budget_ends_requests_to_a_server_and_what_was_in_flight_is_recorded(tmp_path):
    with LocalServer(trouble=no_carl) as local:
        cache = CachedEngine(open_model(server_of(local, Terms(budget_tokens=300)), "base"), tmp_path)
        with pytest.raises(BudgetExceeded):
            label_tasks(cache)
        assert len(Store(tmp_path).made()) == sum(asked.answered for asked in local.chats)


def test_nothing_asked_is_nothing_answered():
    assert ask_each(ScriptedEngine(""), []) == []
