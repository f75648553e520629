"""Facts about many tasks against a server: no task waits for another, and the trajectories are those of batches."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from parammem.agents.loop import Agent, solve
from parammem.agents.methods import METHODS
from parammem.agents.run import run_all
from parammem.core import Task, Trajectory
from parammem.engines.base import Completion, Request
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Store
from parammem.engines.openai import server as module
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import OpenAIEngine, open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import BudgetExceeded, EngineError
from tests.agents.worlds import Echo, Sampled, actor_says, make_agent, task
from tests.engines.local_server import Asked, LocalServer


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)


class LockStep:
    """The same engine as one that writes batches."""

    def __init__(self, engine: OpenAIEngine) -> None:
        self.inner, self.digest = engine, engine.digest

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        return self.inner.complete(requests)


def words(body: dict[str, Any], seed: int) -> str:
    """Attempts that are right one time in four, and numbered advice."""
    prompt = body["messages"][-1]["content"]
    if not prompt.endswith("solve"):
        return f"advice {seed % 97}"
    return "good" if seed % 4 == 0 else f"wrong {seed % 97}"


def engine_of(local: LocalServer, account: Account | None = None, **settings) -> OpenAIEngine:
    how = {"concurrency": 16, "timeout_seconds": 30, "retries": 2, **settings}
    return open_model(Server(ServerSettings(local.url, **how), account or Account(Terms())), "base")


def runs(engine: Any, names: Sequence[str] = ("reflexion",), count: int = 6, **changes):
    return [solve(make_agent(name, engine, **changes), task(n), 3) for name in names for n in range(count)]


def prompt(asked: Asked) -> str:
    return asked.body["messages"][-1]["content"]


def test_trajectories_are_those_of_batches_for_every_method():
    with LocalServer(write=words) as local:
        engine = engine_of(local)
        side_by_side = run_all(runs(engine, list(METHODS)))
        lock_step = run_all(runs(LockStep(engine), list(METHODS)))
    assert side_by_side == lock_step
    assert {t.stop for t in side_by_side} == {"visible-pass", "iterations"}
    assert [t.task_id for t in side_by_side[:6]] == [f"math-{n}" for n in range(6)]


def test_a_slow_task_holds_no_other():
    """Each answer for question 0 waits until all other tasks have ended."""
    others_ended = threading.Event()

    def write(body: dict[str, Any], seed: int) -> str:
        return "wrong"

    class Slow(LocalServer):
        async def _exchange(self, method, path, headers, body, writer):
            if "question 0" in str(body):
                while not others_ended.is_set():
                    await asyncio.sleep(0.01)
            return await super()._exchange(method, path, headers, body, writer)

    def progress(done: int) -> None:
        if done == 5:
            others_ended.set()

    with Slow(write=write) as local:
        found = run_all(runs(engine_of(local)), progress)
    assert [len(t.attempts) for t in found] == [5] * 6


def test_checks_of_different_tasks_run_side_by_side():
    meeting = threading.Barrier(4, timeout=20)

    class Sociable(Echo):
        def check(self, items):
            assert len(items) == 1
            meeting.wait()
            return super().check(items)

    with LocalServer(write=lambda body, seed: "wrong") as local:
        found = run_all(runs(engine_of(local), ("base",), 4, echo=Sociable()))
    assert [t.failure for t in found] == [None] * 4


def test_a_server_for_the_actor_and_a_model_here_for_the_reflector():
    advisor = actor_says("never asked")
    with LocalServer(write=words) as local:
        agent_of = lambda engine: make_agent("paramagent", engine, reflector=Sampled(advisor))  # noqa: E731
        mixed = run_all([solve(agent_of(engine_of(local)), task(n), 3) for n in range(6)])
        calls = advisor.calls
        lock_step = run_all([solve(agent_of(LockStep(engine_of(local))), task(n), 3) for n in range(6)])
    assert mixed == lock_step
    assert 0 < calls <= advisor.draws


def test_what_shares_a_batch_beside_a_server_does_not_depend_on_how_long_anything_takes():
    def batches(first: str) -> list[list[str]]:
        """The prompts of each call of the reflector's engine; the server answers requests that hold `first` first."""

        class Uneven(LocalServer):
            async def _exchange(self, method, path, headers, body, writer):
                await asyncio.sleep(0 if first in str(body) else 0.05)
                return await super()._exchange(method, path, headers, body, writer)

        asked: list[list[str]] = []

        class Noting(ScriptedEngine):
            def complete(self, requests):
                asked.append([request.messages[-1].content for request in requests])
                return super().complete(requests)

        with Uneven(write=words) as local:
            engine, advisor = engine_of(local), Noting(lambda request, draw: f"advice {draw}")
            agents = [make_agent("paramagent", engine, reflector=Sampled(advisor)), make_agent("reflexion", engine)]
            run_all([solve(agent, task(n), 3) for agent in agents for n in range(4)])
        return asked

    found = [batches(first) for first in ("question 0", "question 1", "question 2")]
    assert found[0] == found[1] == found[2]
    assert len(found[0][0]) == 4
    assert len(found[0]) <= 5, "one call for each iteration, however the server's answers come"


def test_each_failure_is_on_its_own_trajectory_and_no_task_is_lost():
    def trouble(asked: Asked) -> str:
        if not prompt(asked).endswith("solve"):
            return ""
        names = {"question 1\n": "500", "question 2\n": "cut", "question 3\n": "empty", "question 4\n": "model"}
        return next((kind for name, kind in names.items() if prompt(asked).startswith(name)), "")

    with LocalServer(write=lambda body, seed: "wrong", trouble=trouble) as local:
        found = run_all(runs(engine_of(local), count=6))
    assert [t.stop for t in found] == ["iterations", *["failed"] * 4, "iterations"]
    said = [t.failure.message if t.failure else "" for t in found]
    assert {t.failure.kind for t in found if t.failure} == {"RequestFailed"}
    for place, word in enumerate(["status 500", "not JSON", "empty", "'another'"], 1):
        assert word in said[place]
        assert re.search(r"failed [23] times", said[place]), said[place]  # the same unusable answer ends it early
    assert [len(t.attempts) for t in found] == [5, 0, 0, 0, 0, 5]


def test_a_task_that_fails_late_keeps_what_it_did():
    def trouble(asked: Asked) -> str:
        late = prompt(asked).startswith("question 1") and prompt(asked).count("reflection") == 2
        return "stall" if late else ""

    with LocalServer(write=lambda body, seed: "wrong", trouble=trouble) as local:
        found = run_all(runs(engine_of(local, timeout_seconds=1, retries=0), count=3))
    assert [len(t.attempts) for t in found] == [5, 2, 5]
    failure = found[1].failure
    assert failure is not None
    assert (failure.iteration, found[1].submission) == (3, 2)
    assert "no whole answer within 1 s" in failure.message


def test_a_spent_budget_ends_the_run_and_a_larger_one_goes_on_where_it_stopped(tmp_path):
    def run(local: LocalServer, budget: int) -> list[Trajectory]:
        engine = engine_of(local, Account(Terms(budget_tokens=budget), Store(tmp_path)), concurrency=3)
        return run_all(runs(CachedEngine(engine, tmp_path), count=12))

    with LocalServer(write=words) as local:
        whole = run_all(runs(engine_of(local), count=12))
    with LocalServer(write=words) as local:
        with pytest.raises(BudgetExceeded):
            run(local, 300)
        first = len(local.chats)
        assert 0 < first < sum(used.calls for t in whole for used in t.usage.values())
        assert run(local, 10**6) == whole
        assert {asked.repeats for asked in local.chats} == {0}
    used = [used for t in whole for used in t.usage.values()]
    spent = Store(tmp_path).spent()
    assert sum(s.requests for s in spent) == sum(u.calls for u in used)
    assert sum(s.prompt_tokens for s in spent) == sum(u.prompt_tokens for u in used)
    assert sum(s.completion_tokens for s in spent) == sum(u.completion_tokens for u in used)
    assert {s.role for s in spent} == {"actor", "self-reflection"}


def test_an_error_that_concerns_all_is_raised_and_the_rest_is_not_sent():
    with LocalServer(write=words, trouble=lambda asked: "401" if asked.number > 10 else "") as local:
        with pytest.raises(EngineError, match="401"):
            run_all(runs(engine_of(local, concurrency=2), count=40))
        assert len(local.chats) < 20


def test_a_candidate_that_cannot_be_judged_fails_its_own_task_alone():
    with LocalServer(write=lambda body, seed: "bad" if "question 2" in str(body) else "wrong") as local:
        found = run_all(runs(engine_of(local), count=4))
    assert [t.failure.kind if t.failure else "" for t in found] == ["", "", "ValueError", ""]


def test_the_same_question_of_several_methods_is_asked_once(tmp_path):
    with LocalServer(write=words) as local:
        cache = CachedEngine(engine_of(local), tmp_path)
        run_all(runs(cache, ("base", "resample", "reflexion")))
        assert {asked.repeats for asked in local.chats} == {0}


def test_progress_ends_at_the_number_of_runs():
    told: list[int] = []
    with LocalServer(write=words) as local:
        run_all(runs(engine_of(local), count=7), told.append)
    assert told == [1, 2, 3, 4, 5, 6, 7]


def test_as_many_requests_are_open_as_the_server_may_have():
    class Patient(LocalServer):
        """Answers nobody before 200 wait."""

        async def _exchange(self, method, path, headers, body, writer):
            while method == "POST" and self.busiest < 200:
                await asyncio.sleep(0.01)
            return await super()._exchange(method, path, headers, body, writer)

    tasks = [Task(task_id=f"math-{n}", domain="math", text=f"question {n}") for n in range(500)]
    with Patient(write=lambda body, seed: "good") as local:
        engine = engine_of(local, concurrency=200)
        agent: Agent = make_agent("base", engine)
        found = run_all([solve(agent, one, 3) for one in tasks])
        assert local.busiest == 200
    assert all(t.stop == "visible-pass" for t in found)
