"""Facts about draws, tokens and the cache of an engine on a server."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from parammem.engines.base import Completion, Request, is_concurrent
from parammem.engines.batching import asked_together, draws_of
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Spent, Store
from parammem.engines.futures import joined
from parammem.engines.hf import HfEngine
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.embedder import Embedder
from parammem.engines.openai.engine import open_model, seed_of
from parammem.engines.openai.replies import shares
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import EngineError, ModelMissingError, RequestFailed
from tests.engines.local_server import LocalServer
from tests.engines.test_openai_server import ask, engine_of, short_waits  # noqa: F401

PROBES = 2
"""Requests that find out how a server seeds the draws of one request: one for two draws, one for the second alone."""


def asked_for(local: LocalServer, text: str) -> list[dict]:
    return [asked.body for asked in local.chats if asked.body["messages"][-1]["content"] == text]


def texts(answer: list[Completion]) -> list[str]:
    return [completion.text for completion in answer]


def test_ten_draws_are_one_request_where_the_server_seeds_them_as_we_do():
    with LocalServer() as local:
        (answer,) = engine_of(local).complete([ask("Anna", n=10)])
        assert len(set(texts(answer))) == 10
        assert [body["n"] for body in asked_for(local, "Anna")] == [10]
        assert len(local.chats) == 1 + PROBES


@pytest.mark.parametrize("seeds", ["n-ignored", "apart"])
def test_elsewhere_each_draw_is_a_request_of_its_own_with_the_same_results(seeds):
    with LocalServer() as local:
        together = engine_of(local).complete([ask("Anna", n=10), ask("Ben", n=3, first_draw=4)])
    with LocalServer(seeds=seeds) as local:
        alone = engine_of(local).complete([ask("Anna", n=10), ask("Ben", n=3, first_draw=4)])
        assert [texts(answer) for answer in alone] == [texts(answer) for answer in together]
        assert ["n" in body for body in asked_for(local, "Anna")] == [False] * 10


def test_a_server_that_ignores_seeds_writes_its_draws_together():
    with LocalServer(seeds="ignored") as local:
        (answer,) = engine_of(local).complete([ask("Anna", n=4)])
        assert len(set(texts(answer))) == 4
        assert len(asked_for(local, "Anna")) == 1


class Calling(LocalServer):
    """Says in each answer that it is of a model by another name."""

    def __init__(self, name: str, **settings) -> None:
        super().__init__(**settings)
        self.name = name

    def _chat(self, body, card):
        return super()._chat(body, card) | {"model": self.name}


@pytest.mark.parametrize("name", ["base-2024-07-18", "base-20240718", "base-0613"])
def test_a_dated_snapshot_of_the_model_is_the_model_and_counts_under_the_asked_name(tmp_path, name):
    account = Account(Terms(), Store(tmp_path))
    with LocalServer() as plain, Calling(name) as local:
        wanted = CachedEngine(engine_of(plain), tmp_path / "plain")
        cache = CachedEngine(engine_of(local, account), tmp_path)
        assert texts(cache.complete([ask("Anna")])[0]) == texts(wanted.complete([ask("Anna")])[0])
        assert len(local.chats) == 1
    assert [(spent.role, spent.model) for spent in account.total()] == [("actor", "base")]
    keys = [{key for key, _ in Store(folder).made()} for folder in (tmp_path, tmp_path / "plain")]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 1


@pytest.mark.parametrize(
    "name",
    ["other", "base-mini", "base-4096", "base-1306", "base-2024", "base-2024-13-18", "base-2024-0718",
     "base-2024-07-18-x", "base2024-07-18", "xbase-0613", "base-", "base-0613\n", "code-" + "1" * 64],
)  # fmt: skip
def test_a_really_different_model_is_refused_after_one_request(name):
    with Calling(name) as local:
        with pytest.raises(EngineError, match=r"and 'base' was asked.*engine\.server\.aliases") as caught:
            engine_of(local).complete([ask(f"question {number}") for number in range(9)])
        assert not isinstance(caught.value, RequestFailed), "it concerns all requests"
        assert len(local.chats) == 1


@pytest.mark.parametrize("name", ["", None, 7, ["base"]])
def test_a_server_that_does_not_say_which_model_answers_is_believed(name):
    with Calling(name) as local:
        assert engine_of(local, retries=0).complete([ask("Anna")])


def test_draws_that_a_server_left_out_are_asked_for_one_by_one():
    class Stingy(LocalServer):
        """Ignores n for everything but the probe."""

        def _chat(self, body, card):
            return super()._chat({**body, "n": min(body.get("n", 1), 2)}, card)

    with LocalServer() as local:
        whole = engine_of(local).complete([ask("Anna", n=5)])
    with Stingy() as local:
        (answer,) = engine_of(local).complete([ask("Anna", n=5)])
        assert texts(answer) == texts(whole[0])
        assert len(asked_for(local, "Anna")) == 4


def test_how_a_server_seeds_is_found_out_once():
    with LocalServer() as local:
        engine = engine_of(local)
        engine.complete([ask(f"question {number}", n=2) for number in range(9)])
        engine.complete([ask("Anna", n=2)])
        assert len(local.chats) == 10 + PROBES


def test_single_draws_need_no_finding_out():
    with LocalServer() as local:
        engine_of(local).complete([ask("Anna"), ask("Ben", temperature=0.0, n=3)])
        assert len(local.chats) == 2


def test_greedy_draws_are_one_and_the_same():
    with LocalServer() as local:
        (answer,) = engine_of(local).complete([ask("Anna", temperature=0.0, n=3)])
        assert len(answer) == 3
        assert len(set(texts(answer))) == 1
        assert "n" not in local.chats[0].body


def test_seeds_follow_from_request_and_draw_and_stay_small():
    one, other = ask("Anna", seed=1), ask("Anna", seed=2)
    seeds = {seed_of(request, draw) for request in (one, other, ask("Ben", seed=1)) for draw in range(1000)}
    assert len(seeds) == 3000
    assert seed_of(one, 7) == seed_of(one, 0) + 7
    assert max(seeds) < 2**31


def test_what_is_sent_is_the_request_and_nothing_else():
    with LocalServer() as local:
        engine_of(local).complete([ask("Anna", max_tokens=7, temperature=0.3, stop=("x", "yy"), seed=4)])
        assert local.chats[0].body == {
            "model": "base",
            "messages": [{"role": "user", "content": "Anna"}],
            "temperature": 0.3,
            "max_tokens": 7,
            "stop": ["x", "yy"],
            "seed": seed_of(ask("Anna", seed=4), 0),
        }


def test_tokens_of_draws_written_together_add_up_to_what_the_server_counted():
    with LocalServer() as local:
        (answer,) = engine_of(local).complete([ask("one two three", n=7, max_tokens=30, stop=("zero",))])
        counted = [asked.usage for asked in local.chats if asked.body.get("n") == 7]
        assert sum(c.completion_tokens for c in answer) == counted[0]["completion_tokens"]
        assert {c.prompt_tokens for c in answer} == {3}


def test_shares_are_whole_numbers_that_add_up():
    assert shares(10, [1, 1, 1]) == [3, 4, 3]
    assert shares(7, [5, 0, 5]) == [4, 0, 3]
    assert shares(5, [0, 0]) == [0, 0]
    assert shares(9, [40]) == [9]


def test_usage_is_summed_by_role_and_model():
    account = Account(Terms())
    with LocalServer(models=["base", "other"]) as local:
        engine_of(local, account).complete([ask("a b c", role="actor"), ask("d e", role="reflector", n=2)])
        engine_of(local, account, model="other").complete([ask("f", role="teacher", max_tokens=9)])
        spent = {(one.role, one.model): one for one in account.total()}
        of_log = [asked.usage for asked in local.chats]
    assert set(spent) == {("actor", "base"), ("reflector", "base"), ("teacher", "other"), ("probe", "base")}
    assert spent["actor", "base"][2:] == (1, 3, 20, 0.0)
    assert spent["reflector", "base"][2:] == (1, 2, 40, 0.0)  # the prompt of two draws is paid once
    assert spent["teacher", "other"][2:] == (1, 1, 9, 0.0)
    for name in ("prompt_tokens", "completion_tokens"):
        assert sum(getattr(one, name) for one in spent.values()) == sum(usage[name] for usage in of_log)


def test_engines_for_servers_are_concurrent_and_others_are_not(tmp_path):
    with LocalServer() as local:
        engine = engine_of(local)
        assert is_concurrent(engine)
        assert is_concurrent(CachedEngine(engine, tmp_path))
    inner = ScriptedEngine("said")
    assert not is_concurrent(inner)
    assert not is_concurrent(CachedEngine(inner, tmp_path))
    assert not getattr(HfEngine, "concurrent", False)


def test_the_digest_names_the_model_and_its_weights(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with LocalServer(models=["base", "other"]) as local:
        server = Server(ServerSettings(local.url), Account(Terms()))
        digests = {
            open_model(server, "base").digest,
            open_model(server, "other").digest,
            open_model(server, "base", tmp_path).digest,
        }
        assert len(digests) == 3
        assert open_model(server, "base").digest in digests


def test_a_server_without_a_list_of_models_is_asked_all_the_same():
    class Bare(LocalServer):
        def _answer(self, path, body):
            return (404, {"error": {}}) if path == "/v1/models" else super()._answer(path, body)

    with Bare() as local:
        assert engine_of(local).complete([ask("Anna")])
        with pytest.raises(ModelMissingError, match="no-such"):
            engine_of(local, model="no-such").complete([ask("Anna")])


def test_nothing_that_is_recorded_is_asked_again(tmp_path):
    requests = [ask("Anna", n=4), ask("Ben"), ask("Carl", temperature=0.0)]
    with LocalServer() as local:
        first = CachedEngine(engine_of(local), tmp_path)
        made = first.complete(requests)
        before = len(local.chats)
        second = CachedEngine(engine_of(local), tmp_path)
        again = second.complete(requests)
        assert len(local.chats) == before
        more = second.complete([ask("Anna", n=6)])[0]
        assert [body.get("n") for body in asked_for(local, "Anna")] == [4, 2]
    assert [texts(answer) for answer in again] == [texts(answer) for answer in made]
    assert all(c.cached for answer in again for c in answer)
    assert [c.cached for c in more] == [True] * 4 + [False] * 2
    assert (first.stats.misses, first.stats.hits) == (6, 0)
    assert (second.stats.misses, second.stats.hits) == (2, 10)
    assert second.stats.tokens_generated == sum(c.completion_tokens for c in more[4:])


def test_draws_that_are_wanted_twice_at_once_are_asked_once(tmp_path):
    with LocalServer(latency=0.1) as local:
        cache = CachedEngine(engine_of(local), tmp_path)
        futures = [cache.submit(ask("Anna", role=role)) for role in ("actor", "reflector", "actor")]
        assert len({future.result()[0].text for future in futures}) == 1
        assert len(local.chats) == 1


def test_a_failed_request_is_not_recorded_and_may_be_asked_again(tmp_path):
    with LocalServer(trouble=lambda asked: "400" if asked.repeats == 0 else "") as local:
        cache = CachedEngine(engine_of(local), tmp_path)
        with pytest.raises(RequestFailed):
            cache.complete([ask("Anna")])
        assert cache.complete([ask("Anna")])[0][0].cached is False


def test_an_answer_is_recorded_before_anybody_sees_it(tmp_path):
    with LocalServer() as local:
        cache = CachedEngine(engine_of(local), tmp_path)
        seen: list[int] = []
        futures = [cache.submit(ask(f"question {number}")) for number in range(5)]
        for future in futures:
            future.add_done_callback(lambda _: seen.append(len(Store(tmp_path).made())))
        cache.complete([ask("question 0")])
        assert [future.result() for future in futures]
    assert sorted(seen) == seen
    assert all(count >= place for place, count in enumerate(seen, 1))


class Answering(ScriptedEngine):
    """A concurrent engine whose answers come when the test wants them."""

    concurrent = True

    def __init__(self) -> None:
        super().__init__(lambda request, draw: f"{request.messages[-1].content} {draw}")
        self.asked: list[tuple[Request, Future[list[Completion]]]] = []

    def submit(self, request: Request) -> Future[list[Completion]]:
        self.asked.append((request, Future()))
        return self.asked[-1][1]

    def answer(self, first: int, last: int) -> None:
        for request, future in self.asked[first:last]:
            future.set_result(self.complete([request])[0])


class SlowStore(Store):
    """A store on a disk that waits for the test; notes how much it was given at a time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writing, self.go_on, self.puts = Event(), Event(), list[int]()

    def put(self, values: Mapping[str, str]) -> None:
        self.writing.set()
        assert self.go_on.wait(60)
        self.puts.append(len(values))
        super().put(values)


def test_answers_that_come_during_a_slow_write_are_written_together_by_the_next(tmp_path):
    engine, store = Answering(), SlowStore(tmp_path)
    cache = CachedEngine(engine, store)
    futures = [cache.submit(ask(f"question {number}", n=2)) for number in range(6)]
    engine.answer(0, 1)
    assert store.writing.wait(60)
    engine.answer(1, 5)
    engine.asked[5][1].set_exception(RequestFailed("no answer"))
    assert not any(future.done() for future in futures)
    store.go_on.set()
    assert [texts(future.result(60)) for future in futures[:5]] == [
        [f"question {number} {draw}" for draw in range(2)] for number in range(5)
    ]
    with pytest.raises(RequestFailed):
        futures[5].result(60)
    assert store.puts == [2, 8]
    assert len(store.made()) == 10


def test_parts_join_in_order_and_an_error_that_concerns_all_comes_first():
    parts = [Future[int]() for _ in range(3)]
    whole = joined(parts)
    for place in (2, 0):
        parts[place].set_result(place)
    assert not whole.done()
    parts[1].set_result(1)
    assert whole.result() == [0, 1, 2]
    broken = [Future[int]() for _ in range(3)]
    whole = joined(broken)
    broken[0].set_exception(RequestFailed("one"))
    broken[1].set_exception(ModelMissingError("all"))
    broken[2].set_result(2)
    with pytest.raises(ModelMissingError):
        whole.result()
    assert joined([]).result() == []


def test_draws_with_consecutive_numbers_are_asked_together():
    draws = draws_of("digest", ask("Anna", n=13))
    asked = asked_together([draws[number] for number in (3, 4, 5, 9, 11, 12)] + draws_of("digest", ask("Ben")))
    assert [(request.first_draw, request.n) for request, _ in asked] == [(3, 3), (9, 1), (11, 2), (0, 1)]
    assert [key for _, keys in asked for key in keys[:1]] == [
        *(draws[number].key for number in (3, 9, 11)),
        draws_of("digest", ask("Ben"))[0].key,
    ]
    assert asked_together([]) == []


def test_embeddings_keep_their_order_are_asked_once_and_count_as_the_embedder(tmp_path):
    account = Account(Terms(), Store(tmp_path))
    names = [f"text {number}" for number in range(150)]
    with LocalServer(models=["vectors"]) as local:
        embed = Embedder(Server(ServerSettings(local.url), account), "vectors", Store(tmp_path))
        vectors = embed([*names, names[0]])
        asked = [len(one.body["input"]) for one in local.log]
        again = embed(names)
        assert len(local.log) == len(asked)
    assert sorted(asked) == [22, 64, 64]
    assert vectors.shape == (151, 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors[:150], again)
    np.testing.assert_array_equal(vectors[150], vectors[0])
    assert len({tuple(row) for row in again.tolist()}) == 150
    assert account.total() == [Spent("embedder", "vectors", 3, 300, 0, 0.0)]


def test_roles_change_no_text_and_no_key(tmp_path):
    with LocalServer() as local:
        engine = engine_of(local)
        one, other = (engine.complete([Request.model_validate({**ask("A").model_dump(), "role": r})]) for r in "ab")
    assert one == other
