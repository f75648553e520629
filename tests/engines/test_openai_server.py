"""Facts about requests to a server: what is repeated and when, what fails alone, and what concerns all."""

from __future__ import annotations

import random

import pytest

from parammem.engines.base import Request, chat
from parammem.engines.futures import gathered
from parammem.engines.openai import server as module
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import OpenAIEngine, open_model
from parammem.engines.openai.server import Server, ServerSettings, is_local, retry_after
from parammem.errors import ConfigError, EngineError, ModelMissingError, RequestFailed
from tests.engines.local_server import Asked, LocalServer, nonsense

TRANSIENT = ["500", "503", "429", "408", "stall", "reset", "cut", "garbage", "model", "empty", "null", "unfinished"]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)


def engine_of(local: LocalServer, account: Account | None = None, model: str = "base", **settings) -> OpenAIEngine:
    how = {"concurrency": 8, "timeout_seconds": 20, "retries": 3, **settings}
    return open_model(Server(ServerSettings(local.url, **how), account or Account(Terms())), model)


def ask(text: str, **settings) -> Request:
    return Request(messages=chat(text), **{"temperature": 1.0, "max_tokens": 20, **settings})


def said(asked: Asked) -> str:
    return asked.body["messages"][-1]["content"]


def patience(trouble: str) -> float:
    """Seconds: long where nothing stalls, since the machine may be busy."""
    return 1.0 if trouble == "stall" else 20.0


@pytest.mark.parametrize("trouble", TRANSIENT)
def test_what_may_pass_is_asked_again_and_then_answered(trouble):
    with LocalServer() as good:
        wanted = engine_of(good).complete([ask("Anna")])
    with LocalServer(trouble=lambda asked: trouble if said(asked) == "Anna" and not asked.repeats else "") as local:
        engine = engine_of(local, timeout_seconds=patience(trouble))
        engine.complete([ask("Zoe")])  # another model's answer may pass where the asked one has answered before
        assert engine.complete([ask("Anna")]) == wanted
        assert len(local.chats) == 3
        assert local.chats[1].body == local.chats[2].body


@pytest.mark.parametrize("trouble", TRANSIENT)
def test_a_request_that_never_succeeds_fails_alone(trouble):
    with LocalServer(trouble=lambda asked: trouble if "Ben" in said(asked) else "") as local:
        engine = engine_of(local, retries=1, timeout_seconds=patience(trouble))
        one, bad, other = [engine.submit(ask(name)) for name in ("Anna", "Ben", "Carl")]
        assert [future.result()[0].finish for future in (one, other)] == ["length", "length"]
        with pytest.raises(RequestFailed, match=r"failed 2 times"):
            bad.result()
        assert len(local.chats) == 4
        with pytest.raises(RequestFailed):
            engine.complete([ask("Anna"), ask("Ben")])


@pytest.mark.parametrize("trouble", ["400", "413", "422"])
def test_a_refused_request_is_not_repeated(trouble):
    with LocalServer(trouble=lambda asked: trouble) as local:
        with pytest.raises(RequestFailed, match=f"answered {trouble}"):
            engine_of(local).complete([ask("Anna")])
        assert len(local.chats) == 1


def test_a_text_that_the_server_withholds_fails_its_request_at_once():
    class Prudish(LocalServer):
        def _choice(self, body, place):
            return {**super()._choice(body, place), "finish_reason": "content_filter"}

    with Prudish() as local:
        with pytest.raises(RequestFailed, match="withheld"):
            engine_of(local).complete([ask("Anna")])
        assert len(local.chats) == 1


def test_waits_double_up_to_a_bound_and_are_drawn_evenly_below_it(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.5)
    server = Server(ServerSettings("http://127.0.0.1:1/v1"), Account(Terms()))
    server._chance = random.Random(1)
    for number, bound in enumerate((0.5, 1, 2, 4, 8, 16, 30, 30, 30)):
        waits = [server._jitter(number) for _ in range(400)]
        assert 0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound
        assert 0.4 * bound < sum(waits) / len(waits) < 0.6 * bound


def test_retry_after_silences_everything_for_as_long_as_it_says():
    first: list[Asked] = []

    def trouble(asked: Asked) -> str:
        first.append(asked)
        return "429" if len(first) == 1 else ""

    with LocalServer(trouble=trouble, retry_after="0.6") as local:
        engine = engine_of(local, concurrency=1)
        gathered([engine.submit(ask(f"question {number}")) for number in range(3)])
        later = [asked.at - local.chats[0].at for asked in local.chats[1:]]
        assert len(later) == 3
        assert min(later) >= 0.6


def test_a_server_that_wants_an_hour_of_quiet_is_taken_at_its_word():
    with LocalServer(trouble=lambda asked: "429", retry_after="3600") as local:
        with pytest.raises(RequestFailed, match="3600 s of quiet"):
            engine_of(local).complete([ask("Anna")])
        assert len(local.chats) == 1


def test_retry_after_is_read_in_all_its_forms(monkeypatch):
    monkeypatch.setattr(module.time, "time", lambda: 1_700_000_000.0)
    assert retry_after(None, "7") == 7
    assert retry_after("1500", "7") == 1.5
    assert retry_after(None, "Tue, 14 Nov 2023 22:13:50 GMT") == 30
    assert retry_after(None, "Tue, 14 Nov 2023 22:13:10 GMT") == 0
    assert [retry_after(None, value) for value in (None, "soon", "-3", "nan")] == [0, 0, 0, 0]


def test_no_more_requests_are_open_than_allowed_and_no_fewer():
    with LocalServer(latency=0.05) as local:
        engine = engine_of(local, concurrency=5)
        engine.complete([ask(f"question {number}") for number in range(23)])
        assert local.busiest == 5


def test_engines_of_one_server_share_its_places():
    with LocalServer(models=["base", "other"], latency=0.05) as local:
        server = Server(ServerSettings(local.url, concurrency=3), Account(Terms()))
        engines = [open_model(server, name) for name in ("base", "other")]
        gathered([engine.submit(ask(f"question {n}")) for n in range(6) for engine in engines])
        assert local.busiest == 3


def test_the_key_comes_from_the_environment_and_is_never_told(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sesame-7")
    with LocalServer(key="sesame-7") as local:
        assert engine_of(local, api_key_env="SOME_KEY").complete([ask("Anna")])
        monkeypatch.setenv("SOME_KEY", "sesame-8")
        engine = OpenAIEngine(Server(ServerSettings(local.url, api_key_env="SOME_KEY"), Account(Terms())), "base", "d")
        with pytest.raises(EngineError, match="SOME_KEY") as caught:
            engine.complete([ask("Anna")])
        assert "sesame" not in str(caught.value)
        assert not isinstance(caught.value, RequestFailed)
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(ConfigError, match="SOME_KEY"):
        Server(ServerSettings("http://127.0.0.1:1/v1", api_key_env="SOME_KEY"), Account(Terms()))


def test_after_a_wrong_key_nothing_more_is_sent():
    with LocalServer(key="secret", latency=0.01) as local:
        engine = OpenAIEngine(Server(ServerSettings(local.url, concurrency=2), Account(Terms())), "base", "d")
        with pytest.raises(EngineError, match="401"):
            engine.complete([ask(f"question {number}") for number in range(50)])
        assert len(local.chats) <= 4


def test_an_account_without_money_concerns_all():
    class Poor(LocalServer):
        def _answer(self, path, body):
            if path.endswith("/chat/completions"):
                return 429, {"error": {"code": "insufficient_quota"}}
            return super()._answer(path, body)

    with Poor() as local:
        with pytest.raises(EngineError, match="insufficient_quota") as caught:
            engine_of(local).complete([ask("Anna")])
        assert not isinstance(caught.value, RequestFailed)
        assert len(local.chats) == 1


def test_a_model_that_the_server_does_not_have_is_said_by_the_first_request_and_costs_nothing(caplog):
    """Many lists are not whole, so only the server's own answer is one."""
    account = Account(Terms())
    with LocalServer(models=["small", "large"]) as local:
        engine = engine_of(local, account, model="medium")
        assert "does not list the model 'medium', but 'small', 'large'" in caplog.text
        with pytest.raises(ModelMissingError, match="the server lists 'small', 'large'"):
            engine.complete([ask(f"question {number}") for number in range(20)])
        assert len(local.chats) == 1
    assert account.total() == []


def test_a_server_that_is_not_there_is_an_engine_error():
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:1"):
        open_model(Server(ServerSettings("http://127.0.0.1:1/v1", retries=1), Account(Terms())), "base")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000/v1", "ftp://there/v1"])
def test_what_is_no_url_is_a_config_error(url):
    with pytest.raises(ConfigError, match="base_url"):
        Server(ServerSettings(url), Account(Terms()))


def test_proxies_are_not_for_this_machine():
    assert [is_local(f"http://{host}/v1") for host in ("127.0.0.1:8000", "localhost:1", "[::1]:8000")] == [True] * 3
    assert not is_local("https://api.example.org/v1")


def test_a_server_that_fails_a_tenth_of_everything_in_every_way_answers_all_in_the_end():
    chance = random.Random(3)

    def trouble(asked: Asked) -> str:
        return chance.choice(TRANSIENT) if chance.random() < 0.1 else ""

    requests = [ask(f"question {number}", n=number % 3 + 1) for number in range(60)]
    with LocalServer() as good:
        wanted = [[c.text for c in answer] for answer in engine_of(good).complete(requests)]
    with LocalServer(trouble=trouble) as local:
        got = engine_of(local, retries=8, timeout_seconds=1).complete(requests)
        assert [[c.text for c in answer] for answer in got] == wanted
        assert len(local.chats) > len([asked for asked in local.chats if asked.answered])


def test_texts_are_of_the_model_that_was_asked():
    with LocalServer(models=["base", "other"]) as local:
        texts = [engine_of(local, model=name).complete([ask("Anna")])[0][0].text for name in ("base", "other")]
    assert texts[0] != texts[1]
    assert nonsense({"model": "base", "messages": [], "temperature": 0}, 1) == nonsense(
        {"model": "base", "messages": [], "temperature": 0}, 2
    )
