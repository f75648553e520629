"""What every engine promises, asked of every engine."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from parammem.engines.base import Engine, Request, chat
from parammem.engines.cache import CachedEngine
from parammem.engines.hf import HfEngine
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.scripted import ScriptedEngine
from tests.engines.local_server import LocalServer

WORDS = "sum price limit inside apples Anna mentor round zero once".split()


def scripted_reply(request: Request, draw: int) -> str:
    """Nonsense that follows from the request alone."""
    chance = random.Random(f"{request.seed} {draw} {request.messages[-1].content} {request.temperature > 0}")
    return " ".join(chance.choices(WORDS, k=30))


SERVERS = {"openai": "vllm", "openai-cached": "vllm", "openai-seeds-apart": "apart", "openai-n-ignored": "n-ignored"}
"""Engine → how its server gives seeds to the draws of one request."""


@pytest.fixture(params=["scripted", "hf", "hf-stock-forward", "cached", *SERVERS])
def engine(request, tmp_path) -> Iterator[Engine]:
    if request.param in SERVERS:
        with LocalServer(models=["base"], seeds=SERVERS[request.param]) as local:
            server = Server(ServerSettings(local.url, concurrency=4), Account(Terms()))
            engine = open_model(server, "base")
            yield CachedEngine(engine, tmp_path / "cache") if request.param == "openai-cached" else engine
    elif request.param == "scripted":
        yield ScriptedEngine(scripted_reply)
    elif request.param == "cached":
        yield CachedEngine(ScriptedEngine(scripted_reply), tmp_path / "cache", batch=3)
    else:
        yield HfEngine.load(request.getfixturevalue("tiny_model"), device="cpu", batch=5, lean=request.param == "hf")


def ask(text: str, **settings) -> Request:
    return Request(messages=chat(text), **{"temperature": 1.0, "max_tokens": 20, **settings})


def texts(engine: Engine, *requests: Request) -> list[list[str]]:
    return [[completion.text for completion in answer] for answer in engine.complete(requests)]


def test_no_requests_give_no_answers(engine):
    assert engine.complete([]) == []


def test_digest_is_64_hex_digits(engine):
    assert len(engine.digest) == 64
    assert int(engine.digest, 16) >= 0


def test_answers_keep_the_order_of_requests(engine):
    requests = [ask("sum " * length, seed=length) for length in (9, 1, 30, 4, 2, 17, 3)]
    together = texts(engine, *requests)
    assert len({answer[0] for answer in together}) == len(requests)
    assert texts(engine, *reversed(requests)) == together[::-1]


def test_each_request_gets_its_number_of_draws_and_they_differ(engine):
    answers = texts(engine, ask("Anna", n=1), ask("Anna and Ben", n=4), ask("Carl", n=7))
    assert [len(answer) for answer in answers] == [1, 4, 7]
    assert len(set(answers[2])) == 7


def test_two_draws_and_three_more_are_five_draws(engine):
    five = texts(engine, ask("Anna", n=5))[0]
    two, three = texts(engine, ask("Anna", n=2), ask("Anna", n=3, first_draw=2))
    assert two + three == five


def test_a_text_does_not_depend_on_its_neighbours(engine):
    alone = texts(engine, ask("What is the sum?", n=3))[0]
    crowd = [ask("limit " * length, n=length % 3 + 1, seed=length) for length in range(1, 15)]
    assert texts(engine, *crowd, ask("What is the sum?", n=3), *crowd)[len(crowd)] == alone


def test_the_same_request_twice_in_one_call_gets_the_same_answer(engine):
    first, second = texts(engine, ask("Anna", n=2), ask("Anna", n=2))
    assert first == second


def test_the_same_question_again_gets_the_same_answer(engine):
    requests = [ask("Anna", n=2), ask("Ben", temperature=0.0)]
    assert texts(engine, *requests) == texts(engine, *requests)


def test_seed_changes_the_text(engine):
    first, second = texts(engine, ask("Anna", seed=1), ask("Anna", seed=2))
    assert first != second


def test_text_ends_before_the_first_stop_string(engine):
    for request in (ask("Anna", n=3), ask("Ben", temperature=0.0)):
        for draw, whole in enumerate(texts(engine, request)[0]):
            stop = (whole[12:14], whole[9:11], "never in any text")
            one = request.model_copy(update={"stop": stop, "n": 1, "first_draw": draw})
            answer = engine.complete([one])[0][0]
            assert answer.text == whole[: min(whole.index(end) for end in stop[:2])]
            assert answer.finish == "stop"


def test_a_cut_text_says_length_and_usage_counts_its_tokens(engine):
    answer = engine.complete([ask("Anna", max_tokens=5, temperature=0.0)])[0][0]
    assert (answer.finish, answer.completion_tokens) == ("length", 5)


def test_a_shorter_limit_gives_a_beginning_of_the_same_text(engine):
    long, short = texts(engine, ask("Anna", max_tokens=20), ask("Anna", max_tokens=6))
    assert len(short[0]) < len(long[0])
    assert long[0].startswith(short[0].rstrip("\ufffd"))


def test_every_draw_is_billed_its_prompt(engine):
    one = engine.complete([ask("one two three", n=1)])[0]
    three = engine.complete([ask("one two three", n=3, seed=5)])[0]
    assert one[0].prompt_tokens > 0
    assert [completion.prompt_tokens for completion in three] == [one[0].prompt_tokens] * 3
