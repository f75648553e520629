"""Facts about many tasks at once: calls are shared, answers find their way back, and one bad task harms no other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from parammem.agents.loop import solve
from parammem.agents.methods import METHODS
from parammem.agents.run import run_all
from parammem.engines.base import Completion, Request
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import BudgetExceeded, ParamMemError
from tests.agents.worlds import Echo, Sampled, actor_says, make_agent, prompt_of, task


class Delicate:
    """Refuses every batch with a prompt that holds `word`."""

    digest = "delicate"

    def __init__(self, word: str, error: Exception, inner: ScriptedEngine) -> None:
        self.word, self.error, self.inner = word, error, inner

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        if any(self.word in prompt_of(request) for request in requests):
            raise self.error
        return self.inner.complete(requests)


@pytest.mark.parametrize(("method", "rounds"), [("base", 1), ("resample", 5), ("reflexion", 9), ("paramagent", 14)])
def test_the_number_of_engine_calls_does_not_grow_with_the_number_of_tasks(method, rounds):
    for count in (1, 20):
        engine, domain = actor_says("wrong"), Echo()
        run_all([solve(make_agent(method, engine, domain), task(n), 3) for n in range(count)])
        assert engine.calls == rounds
        assert [len(candidates) for candidates in domain.checked] == [count] * (1 if method == "base" else 5)


def test_methods_that_run_together_share_their_calls():
    engine, domain = actor_says("wrong"), Echo()
    names = ["base", "resample", "reflexion", "dot"]
    run_all([solve(make_agent(name, engine, domain), task(n), 3) for name in names for n in range(3)])
    assert engine.calls == 10  # apart they would need 1 + 5 + 9 + 9


def test_each_engine_is_called_once_a_round():
    actor, advisor = actor_says("wrong"), actor_says("never asked")
    agent = make_agent("paramagent", actor, reflector=Sampled(advisor))
    run_all([solve(agent, task(n), 3) for n in range(4)])
    assert advisor.calls == 5
    assert advisor.draws == 20
    assert not any(prompt_of(request).endswith("advise") for request in actor.requests)


def test_trajectories_are_those_of_each_task_alone_and_in_the_order_of_the_runs():
    def words(prompt: str, draw: int) -> str:
        return "good" if draw == int(prompt.split()[1]) % 4 else f"wrong {draw} {prompt.split()[1]}"

    def runs(numbers: Sequence[int]):
        engine = actor_says(words)
        return [solve(make_agent(name, engine), task(n), 3) for name in METHODS for n in numbers]

    together = run_all(runs(range(6)))
    alone = [run_all([one])[0] for one in runs(range(6))]
    assert together == alone
    assert [t.task_id for t in together[:6]] == [f"math-{n}" for n in range(6)]
    assert len({len(t.attempts) for t in together}) > 2


def test_a_candidate_that_cannot_be_judged_fails_its_own_task_alone():
    engine = actor_says(lambda prompt, draw: "bad" if "question 2" in prompt and draw == 1 else "wrong")
    found = run_all([solve(make_agent("reflexion", engine), task(n), 3) for n in (1, 2, 3)])
    assert [t.stop for t in found] == ["iterations", "failed", "iterations"]
    failure = found[1].failure
    assert failure is not None
    assert (failure.kind, failure.message, failure.iteration) == ("ValueError", "this one cannot be judged", 2)
    assert [a.number for a in found[1].attempts] == [1]
    assert found[1].submission == 1
    assert [len(t.attempts) for t in found] == [5, 1, 5]


def test_an_engine_that_breaks_on_one_prompt_fails_that_task_alone():
    inner = actor_says("wrong")
    engine = Delicate("question 2", MemoryError("too long a prompt"), inner)
    found = run_all([solve(make_agent("resample", engine), task(n), 3) for n in (1, 2, 3)])
    assert [t.stop for t in found] == ["iterations", "failed", "iterations"]
    assert found[1].failure is not None
    assert found[1].failure.kind == "MemoryError"
    assert found[1].submission is None
    assert found[0] == run_all([solve(make_agent("resample", inner), task(1), 3)])[0]


def test_a_domain_that_breaks_on_one_item_fails_that_task_alone():
    class Fragile(Echo):
        def check(self, items):
            if any("break" in candidate for _, candidate in items):
                raise RuntimeError("no sandbox for this one")
            return super().check(items)

    domain = Fragile()
    engine = actor_says(lambda prompt, draw: "break" if "question 2" in prompt else "wrong")
    found = run_all([solve(make_agent("resample", engine, domain), task(n), 3) for n in (1, 2, 3)])
    assert [t.failure.kind if t.failure else "" for t in found] == ["", "RuntimeError", ""]


def test_a_reflector_that_breaks_on_one_task_fails_that_task_alone():
    class Forgetful:
        kind, source, author = "text", "retrieved", "rows"

        def text(self, task, iteration: int) -> str:
            if task.task_id == "math-2":
                raise LookupError("no row")
            return "row"

    engine = actor_says("wrong")
    agent = make_agent("retrieved", engine, reflector=Forgetful())
    found = run_all([solve(agent, task(n), 3) for n in (1, 2, 3)])
    assert [t.stop for t in found] == ["iterations", "failed", "iterations"]


@pytest.mark.parametrize("error", [BudgetExceeded("the token budget is spent"), ParamMemError("no model")])
def test_an_error_that_concerns_all_is_raised(error):
    engine = Delicate("question 2", error, actor_says("wrong"))
    with pytest.raises(type(error), match=str(error)):
        run_all([solve(make_agent("base", engine), task(n), 3) for n in (1, 2, 3)])


def test_long_messages_of_failures_are_cut():
    engine = Delicate("question", ValueError("x" * 10_000), actor_says("wrong"))
    (found,) = run_all([solve(make_agent("base", engine), task(), 3)])
    assert found.failure is not None
    assert len(found.failure.message) == 500


def test_progress_is_told_whenever_runs_have_ended_and_ends_at_the_number_of_runs():
    told: list[int] = []
    engine = actor_says(lambda prompt, draw: "good" if f"question {draw}" in prompt else "wrong")
    run_all([solve(make_agent("resample", engine), task(n), 3) for n in range(3)], told.append)
    assert told == sorted(told)
    assert told[-1] == 3
    assert 0 < told[1] < 3


def test_no_runs_give_no_trajectories():
    assert run_all([]) == []
