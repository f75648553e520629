"""Facts about how jobs are shared out, sent and kept account of; no cluster is begun here."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parammem.agents.loop import Agent
from parammem.agents.methods import METHODS
from parammem.agents.run import Job, run_all
from parammem.config import RayParams, parse_params
from parammem.core import AnswerKey
from parammem.domains import get_domain
from parammem.engines.base import Request, chat
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Spent, Store
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import ClusterError, ConfigError, RequestFailed
from parammem.reflectors.parametric import Untrained
from parammem.reflectors.retrieved import Retrieved
from parammem.stages.common import Engines, budget
from parammem.stages.protocols import Oracle
from parammem.stages.ray import driver as ray_driver
from parammem.stages.ray import worker as ray_worker
from parammem.stages.ray.executor import LOCAL, open_executor
from parammem.stages.ray.pickling import RunPickler
from parammem.stages.ray.shards import split_by_key
from parammem.stages.ray.store_actor import StoreActor
from tests.agents.worlds import Echo, actor_says, make_agent, task
from tests.stages.arena import Knowing, make_model, parsed, small_params
from tests.training.rows import make_row

RAY: dict[str, Any] = {"address": "local", "shards": 2}


@given(st.lists(st.text(max_size=6), max_size=40), st.integers(1, 9))
def test_shares_are_a_partition_and_keep_the_order(keys, count):
    found = split_by_key(keys, count)
    assert sorted(place for places in found for place in places) == list(range(len(keys)))
    assert all(places and places == sorted(places) for places in found)
    assert len(found) <= count


@given(st.lists(st.text(max_size=6), max_size=40), st.integers(1, 9))
def test_the_shard_of_a_key_follows_from_the_key_alone(keys, count):
    together = [{keys[place] for place in places} for places in split_by_key(keys, count)]
    assert len(set().union(*together)) == sum(map(len, together)), "all runs on one task are in one shard"
    backwards = list(reversed(keys))
    again = [{backwards[place] for place in places} for places in split_by_key(backwards, count)]
    assert together == again


def test_many_tasks_are_shared_out_about_evenly():
    sizes = [len(places) for places in split_by_key([f"math-{number}" for number in range(1000)], 4)]
    assert all(200 < size < 300 for size in sizes)


def test_without_params_the_work_is_done_here(tmp_path):
    with open_executor(parsed(), Engines(parsed(), tmp_path), get_domain("math"), tmp_path) as executor:
        assert executor is LOCAL
    engine = actor_says("good one")
    agent = make_agent("resample", engine)
    seen: list[int] = []
    found = LOCAL.work([Job(agent, task(number), 1) for number in (3, 1, 2)], seen.append)
    assert [one.task_id for one in found] == ["math-3", "math-1", "math-2"]
    assert seen[-1] == 3
    assert LOCAL.asking(engine) is engine


@pytest.fixture
def two(tmp_path) -> tuple[RunPickler, RunPickler]:
    """Two processes' workshops on equal files."""
    made = []
    for name in ("driver", "worker"):
        root = tmp_path / name
        make_model(root)
        made.append(RunPickler(parsed(), "math", root, Engines(parsed(), root)))
    return made[0], made[1]


def test_a_parcel_holds_no_engine_and_no_judge_and_is_worked_on_alike(two):
    """The worker puts its own in their place: one engine for all runs, so that they share batches."""
    driver, worker = two
    actor, prompts = driver.engines.open(), get_domain("math").prompts
    shared = {"prompts": prompts, "checks": driver.judge, "actor": actor, "budget": budget(parsed())}
    agents = [
        Agent(method=METHODS["reflexion"], **shared),
        Agent(method=METHODS["paramagent"], reflector=Untrained(actor, prompts), **shared),
        Agent(method=METHODS["retrieved"], reflector=Retrieved([make_row(1)]), **shared),
    ]
    asked = [one.task for one in list(Knowing(parsed(), "math").tasks.values())[:3]]
    jobs = [Job(agent, one, 5, (), "two-phase", 2) for agent in agents for one in asked]
    packed = driver.pack(jobs)
    assert b"torch" not in packed
    assert len(packed) < 40_000
    found = worker.unpack(packed)
    engine = worker.engines.origin(found[0].agent.actor)
    assert engine == driver.engines.origin(actor)
    assert {id(job.agent.actor) for job in found} == {id(found[0].agent.actor)}
    assert found[0].agent.actor is not actor
    assert all(job.agent.checks is worker.judge for job in found)
    assert found[3].agent.reflector.engine is found[0].agent.actor
    assert found[3].agent.reflector.prompts == prompts
    assert [(job.task, job.seed, job.protocol, job.first) for job in found] == [
        (job.task, job.seed, job.protocol, job.first) for job in jobs
    ]
    here = run_all([job.begin() for job in jobs[:6]])
    assert run_all([job.begin() for job in found[:6]]) == here
    assert {one.stop for one in here} != {"failed"}


def test_an_oracle_takes_its_keys_along(two):
    driver, worker = two
    key = AnswerKey(task_id="math-1", domain="math", hidden={"x": 1}, gold="g")
    oracle = Oracle(driver.judge, {"math-1": key}, "both")
    found = worker.unpack(driver.pack(oracle))
    assert found == Oracle(worker.judge, {"math-1": key}, "both")


def test_a_machine_with_another_model_is_refused_by_name(tmp_path, two):
    make_model(tmp_path / "other", seed=1)
    other = RunPickler(parsed(), "math", tmp_path / "other", Engines(parsed(), tmp_path / "other"))
    packed = two[0].pack((two[0].engines.open(), []))
    with pytest.raises(ClusterError, match=r"the model 'engine.model' on machine .* is not the one .*`git pull`"):
        other.unpack(packed)


def test_things_that_were_not_opened_by_engines_travel_whole(tmp_path):
    pickler = RunPickler(parsed(), "math", tmp_path, Engines(parsed(), tmp_path))
    assert pickle.loads(pickler.pack({"a": task(1)})) == {"a": task(1)}


class _Handle:
    """The actor as workers and the driver have it: `store_actor.get.remote(...)`, answered at once."""

    def __init__(self, store_actor: StoreActor) -> None:
        self._store_actor = store_actor

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._store_actor, name))


def test_the_desk_names_a_worker_that_was_lost_once(tmp_path):
    store_actor = StoreActor(str(tmp_path))
    store_actor.begin("shard 1 of 2 (round 1)", "17 on left")
    store_actor.begin("shard 2 of 2 (round 1)", "18 on right")
    store_actor.progress("shard 1 of 2 (round 1)", 3)
    assert store_actor.news() == ([], {"shard 1 of 2 (round 1)": 3, "shard 2 of 2 (round 1)": 0})
    store_actor.begin("shard 1 of 2 (round 1)", "19 on right")
    lost, done = store_actor.news()
    assert lost == ["shard 1 of 2 (round 1): the worker 17 on left was lost; 19 on right goes on with it"]
    assert done["shard 1 of 2 (round 1)"] == 0
    assert store_actor.news().lost == []


def test_the_desk_keeps_completions_where_a_run_here_finds_them_and_counts_them(tmp_path):
    store_actor = StoreActor(str(tmp_path))
    engine = CachedEngine(ScriptedEngine(lambda request, draw: f"two words {draw}"), store_actor, batch=2)
    requests = [Request(messages=chat(f"{n}"), temperature=1.0, max_tokens=9, n=2) for n in range(3)]
    found = engine.complete(requests)
    assert (store_actor.made().misses, store_actor.made().tokens_generated, store_actor.made().prompt_tokens) == (
        6,
        18,
        6,
    )
    store_actor.put({"embedding": "[0.5, 0.5]"})
    assert store_actor.made().misses == 6, "an embedding is no completion"
    here = CachedEngine(ScriptedEngine(lambda request, draw: "never"), tmp_path)
    assert [[c.text for c in draws] for draws in here.complete(requests)] == [[c.text for c in d] for d in found]
    assert here.stats.misses == 0
    one = Spent("actor", "model", 1, 2, 3, 0.5)
    assert store_actor.spend(one) == [one]
    assert store_actor.spent() == Store(tmp_path).spent() == [one]


def test_a_shard_hands_an_error_that_concerns_all_back_as_its_answer(tmp_path, monkeypatch):
    failed = ClusterError("no sandbox on this machine")

    def refuse(*_: object) -> None:
        raise failed

    monkeypatch.setattr(ray_worker, "_pickler", refuse)
    order = ray_worker.ShardJobs(
        "shard 1 of 1 (round 1)", parsed().model_dump_json(by_alias=True), "math", str(tmp_path), b""
    )
    assert ray_worker.run_shard(order, _Handle(StoreActor("")), "run") == ray_worker.ShardResult([], 0, failed)


def test_requests_that_fail_alone_are_raised_when_the_others_are_recorded():
    """So `call` asks for each by itself, here: the good ones are in the store by then."""
    failed = RequestFailed("the server said 500")
    asked: list[int] = []

    class Scattering:
        def ask(self, engine, requests):
            asked.append(len(requests))
            return [failed, *engine.complete(requests[1:])]

    requests = [Request(messages=chat(f"{n}"), temperature=1.0, max_tokens=9) for n in range(3)]
    engine = ray_driver._Asking(Scattering(), ScriptedEngine(lambda request, draw: "said"))  # type: ignore[arg-type]
    with pytest.raises(RequestFailed, match="500"):
        engine.complete(requests)
    assert engine.complete(requests[:1])[0][0].text == "said"
    assert asked == [3], "one request is not worth the way"


def test_params_travel_as_json_unchanged():
    params = parse_params(small_params(engine={"ray": RAY}))
    assert type(params).model_validate_json(params.model_dump_json(by_alias=True)) == params


@pytest.mark.parametrize("address", ["", "ray://head:10001", "head", "head:port", ":6379", "http://head:6379"])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(ConfigError, match="give local, auto or host:port"):
        parse_params(small_params(engine={"ray": {"address": address}}))


@pytest.mark.parametrize("key", ["shards", "cpus_per_shard", "retries"])
def test_numbers_out_of_range_are_refused(key):
    with pytest.raises(ConfigError, match=f"engine.ray.{key}"):
        parse_params(small_params(engine={"ray": RAY | {key: -1}}))


def test_without_ray_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    params = parse_params(small_params(engine={"ray": RAY}))
    with (
        pytest.raises(ClusterError, match=r"pip install 'parammem\[ray\]'"),
        open_executor(params, Engines(params, tmp_path), Echo(), tmp_path),  # type: ignore[arg-type]
    ):
        pass


def test_an_address_where_nothing_answers_is_named_with_what_to_do():
    """Ray itself would try for a minute and then end the process."""
    with pytest.raises(ClusterError, match=r"no Ray cluster at engine.ray.address '127.0.0.1:9'.*`ray start --head`"):
        ray_driver._join(None, RayParams(address="127.0.0.1:9"))


def test_a_cluster_without_room_for_a_shard_is_an_error_and_no_endless_wait():
    machines = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
    ]
    ray = SimpleNamespace(nodes=lambda: machines)
    ray_driver._check_room(ray, RayParams(address="auto", cpus_per_shard=4))
    ray_driver._check_room(ray, RayParams(address="auto", cpus_per_shard=2, gpus_per_shard=0.5))
    with pytest.raises(ClusterError, match=r"4 CPUs and 1 GPUs for a shard \(the most: 4 and 1\)"):
        ray_driver._check_room(ray, RayParams(address="auto", cpus_per_shard=4, gpus_per_shard=1))
