"""Facts about a stage against a server: when it is killed, when the server misbehaves, and what it costs."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import Trajectory, read_jsonl
from parammem.engines.base import Message, Request
from parammem.engines.batching import draws_of
from parammem.engines.completion_store import Store
from parammem.engines.openai import server as module
from parammem.engines.openai.engine import OpenAIEngine, seed_of
from parammem.engines.sampling import EVALUATION_DRAWS
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import BudgetExceeded, RequestFailed, TooManyFailures
from parammem.stages import collect, tasks
from parammem.stages.bench import Bench
from parammem.stages.ray.executor import LOCAL
from tests.agents.worlds import Sampled, task
from tests.engines.local_server import Asked, LocalServer
from tests.stages.arena import MODEL, Knowing, clone, parsed, write_params
from tests.stages.commands import parammem, recorded, stopped_when

DOMAIN = "math"
CACHE = ".cache/completions"
CONCURRENCY = 4


def params_for(root: Path, local: LocalServer, agent: dict[str, Any] | None = None, **server: Any) -> Params:
    how = {"base_url": local.url, "concurrency": CONCURRENCY, "timeout_seconds": 30, "retries": 4, **server}
    engine = {"kind": "openai", "max_new_tokens": 120, "max_advice_tokens": 60, "server": how}
    return write_params(root, engine=engine, agent=agent or {})


def knowing(
    right: float = 0.5, params: Params | None = None, domain: str = DOMAIN
) -> Callable[[dict[str, Any], int], str]:
    """Texts that know the tasks of the arena's world, and follow from the request."""
    model = Knowing(params or parsed(), domain, right)

    def write(body: dict[str, Any], seed: int) -> str:
        said = tuple(Message(role=m["role"], content=m["content"]) for m in body["messages"])
        request = Request(messages=said, temperature=body["temperature"], max_tokens=body["max_tokens"], seed=seed)
        return model._draw(request, 0).text

    return write


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with the tasks of a small world, and nothing else."""
    root = tmp_path_factory.mktemp("project")
    params = write_params(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tasks.run(params, DOMAIN)
    return root


def collected(root: Path, params: Params, monkeypatch) -> list[Trajectory]:
    monkeypatch.chdir(root)
    collect.run(params, DOMAIN)
    return read_jsonl(Places(root, DOMAIN).trajectories, Trajectory)


def test_ten_percent_failures_of_every_sort_cost_no_task_and_change_no_verdict(project, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    chance = random.Random(2)
    sorts = ["500", "429", "stall", "cut", "empty", "model", "reset"]

    def trouble(asked: Asked) -> str:
        return chance.choice(sorts) if chance.random() < 0.1 else ""

    with LocalServer(models=[MODEL], write=knowing()) as good:
        wanted = collected(clone(project, tmp_path / "a"), params_for(tmp_path / "a", good), monkeypatch)
    with LocalServer(models=[MODEL], write=knowing(), trouble=trouble) as local:
        params = params_for(clone(project, tmp_path / "b"), local, timeout_seconds=1, retries=8)
        assert collected(tmp_path / "b", params, monkeypatch) == wanted
        assert sum(not asked.answered for asked in local.chats) >= 5
    assert len(wanted) == 32


def test_a_failure_that_stays_is_on_its_trajectory_and_too_many_fail_the_stage(project, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    first = (project / "data/tasks/math/train.jsonl").read_text().splitlines()[0]

    def trouble(asked: Asked) -> str:
        from parammem.core import Task

        text = Task.model_validate_json(first).text
        return "cut" if text in asked.body["messages"][-1]["content"] else ""

    with LocalServer(models=[MODEL], write=knowing(), trouble=trouble) as local:
        params = params_for(clone(project, tmp_path / "a"), local, {"max_failed_share": 0.1}, retries=1)
        found = collected(tmp_path / "a", params, monkeypatch)
        assert len(found) == 32
        failed = [t for t in found if t.failure]
        assert len({t.task_id for t in failed}) == 1
        assert len(failed) == 2
        assert all(t.failure and "not JSON" in t.failure.message for t in failed)
        strict = params_for(clone(project, tmp_path / "b"), local, {"max_failed_share": 0.05}, retries=0)
        with pytest.raises(TooManyFailures, match="2 of 32"):
            collected(tmp_path / "b", strict, monkeypatch)


def test_a_budget_stops_the_stage_and_a_larger_one_resumes_it(project, tmp_path, monkeypatch):
    root = clone(project, tmp_path / "a")
    with LocalServer(models=[MODEL], write=knowing()) as local:
        with pytest.raises(BudgetExceeded, match=r"budget of 3,000 tokens"):
            collected(root, params_for(root, local, budget_tokens=3000), monkeypatch)
        assert not Places(root, DOMAIN).trajectories.exists()
        before = len(local.chats)
        found = collected(root, params_for(root, local, budget_tokens=10**6), monkeypatch)
        assert {asked.repeats for asked in local.chats} == {0}
    spent = Store(root / CACHE).spent()
    usage = [asked.usage for asked in local.chats]
    assert 0 < before < len(usage)
    assert sum(one.requests for one in spent) == len(usage)
    assert sum(one.prompt_tokens for one in spent) == sum(one["prompt_tokens"] for one in usage)
    assert sum(one.completion_tokens for one in spent) == sum(one["completion_tokens"] for one in usage)
    assert {one.role for one in spent} == {"actor", "self-reflection", "teacher"}
    assert len(found) == 32
    shown = parammem(root, "serve", "spent")
    assert shown.returncode == 0, shown.stderr
    assert f"{sum(one['completion_tokens'] for one in usage):,}" in shown.stdout.splitlines()[-1]


def test_a_draw_of_advice_that_got_no_answer_is_left_out_and_said(caplog):
    class Deaf(ScriptedEngine):
        def complete(self, requests):
            if any("question 2" in str(request.messages) for request in requests):
                raise RequestFailed("the server said 500")
            return super().complete(requests)

    judge: Any = SimpleNamespace(name="math")
    asked = [task(number) for number in (1, 2, 3)]
    engine = Deaf(lambda request, draw: f"said {draw}")
    bench = Bench(parsed(), judge, engine, {"eval": asked}, LOCAL)
    found = bench.advice(engine, asked, Sampled(engine).messages, 1.0, 2, EVALUATION_DRAWS)
    assert found == [["said 1000", "said 1001"], [], ["said 1000", "said 1001"]]
    assert "'math-2'" in caplog.text


@pytest.mark.integration
def test_after_kill_9_nothing_that_was_recorded_is_asked_again_and_the_counts_are_right(project, tmp_path, monkeypatch):
    keys: dict[tuple[str, int], str] = {}
    submit = OpenAIEngine.submit

    def noting(self: OpenAIEngine, request: Request):
        body = [[m.role, m.content] for m in request.messages]
        for draw in draws_of(self.digest, request):
            keys[str(body), seed_of(request, draw.number)] = draw.key
        return submit(self, request)

    def key_of(asked: Asked) -> str:
        body = [[m["role"], m["content"]] for m in asked.body["messages"]]
        return keys[str(body), asked.body["seed"]]

    with LocalServer(models=[MODEL], write=knowing()) as good, pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenAIEngine, "submit", noting)
        wanted = collected(clone(project, tmp_path / "whole"), params_for(tmp_path / "whole", good), monkeypatch)
        unbroken = [asked.usage for asked in good.chats]
    root = clone(project, tmp_path / "killed")
    points = sorted(random.Random(9).sample(range(2, len(unbroken) // 2), 2))
    with LocalServer(models=[MODEL], write=knowing(), latency=0.03) as local:
        params_for(root, local)
        for point in points:
            code, err = stopped_when(
                root, lambda point=point: len(recorded(root)) >= point, signal.SIGKILL, "stage", "collect", "-d", DOMAIN
            )
            assert code == -signal.SIGKILL, err
            time.sleep(0.2)  # what was in flight is answered to nobody, and logged
            known, sent = set(recorded(root)), len(local.chats)
            done = parammem(root, "stage", "collect", "-d", DOMAIN) if point == points[-1] else None
            assert done is None or done.returncode == 0, done.stderr if done else ""
            assert known.isdisjoint(key_of(asked) for asked in local.chats[sent:])
        repeated = sum(asked.repeats > 0 for asked in local.chats)
    # Lost at a kill: what was in flight, and the answers that came while the last ones were written.
    assert repeated <= 2 * CONCURRENCY * len(points)
    assert len(recorded(root)) == len(set(recorded(root))) == len(unbroken)
    assert read_jsonl(Places(root, DOMAIN).trajectories, Trajectory) == wanted
    spent = Store(root / CACHE).spent()
    for name in ("prompt_tokens", "completion_tokens"):
        whole, logged = sum(one[name] for one in unbroken), sum(asked.usage.get(name, 0) for asked in local.chats)
        assert whole <= sum(getattr(one, name) for one in spent) <= logged
        if not repeated:
            assert whole == logged
