"""Facts about answers of servers that are hostile or broken: bounded in bytes and time, and one request is harmed."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from parammem.core.record import digest_of
from parammem.engines.base import Completion
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Store
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.embedder import Embedder
from parammem.engines.openai.engine import open_model
from parammem.engines.openai.http_client import encoded
from parammem.engines.openai.server import Server, ServerSettings
from parammem.errors import EngineError, RequestFailed
from tests.engines.stub import Answerer, Asked, Raw, Stub, chat_answer
from tests.engines.test_openai_server import ask, short_waits  # noqa: F401
from tests.memory import memory_bound

JSON = {"Content-Type": "application/json"}


def packed(data: bytes, how: str = "gzip", **headers: str) -> Raw:
    body = gzip.compress(data) if how == "gzip" else zlib.compress(data)
    return Raw([body], {**JSON, "Content-Encoding": how, "Content-Length": str(len(body)), **headers})


def answers(hostile: Any) -> Answerer:
    """Hostile to the question Ben, honest to all others."""

    def answer(asked: Asked) -> Any:
        if asked.text != "Ben":
            return 200, chat_answer()
        return hostile(asked) if callable(hostile) else hostile

    return answer


def drip(seconds: float) -> Iterator[bytes]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield b" "
        time.sleep(0.05)


def unending(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


BOMB = gzip.compress(b" " * 2**28, compresslevel=6)
"""A quarter of a megabyte that becomes 256."""
LONG = "word " * 1_600_000
"""8 MB."""
HOSTILE = {
    "gzip bomb": lambda _: Raw([BOMB], {**JSON, "Content-Encoding": "gzip", "Content-Length": str(len(BOMB))}),
    "two layers of gzip": lambda _: packed(gzip.compress(b"{}"), **{"Content-Encoding": "gzip, gzip"}),
    "unasked compression": lambda _: packed(b"{}", **{"Content-Encoding": "br"}),
    "no gzip where it says so": Raw([b"{}"], {**JSON, "Content-Encoding": "gzip", "Content-Length": "2"}),
    "a body without end": lambda _: Raw(unending(b" " * 65536), JSON),
    "8 MB of text for 20 tokens": (200, chat_answer(LONG)),
    "100 kB of text for 20 tokens": (200, chat_answer(LONG[:100_000])),
    "nested too deep": (200, b'{"choices":' + b"[" * 200_000),
    "nested deep and whole": (200, b'{"choices":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "a number of 5,000 digits": (200, b'{"choices": ' + b"9" * 5000 + b"}"),
    "truncated": (200, json.dumps(chat_answer()).encode()[:60]),
    "nothing": (200, b""),
    "null": (200, b"null"),
    "a list": (200, b"[]"),
    "a text": (200, b'"Anna"'),
    "not UTF-8": (200, b'{"choices": "\xff\xfe\xfa"}'),
    "strange charset": (200, b'{"x": "\xff"}', {"Content-Type": "application/json; charset=unicode_escape"}),
    "a page": (200, b"<!doctype html><p>Log in", {"Content-Type": "text/html"}),
    "content is a number": (200, chat_answer(42)),
    "content is a list of numbers": (200, chat_answer([1, 2])),
    "content is a part without text": (200, chat_answer([{"type": "image_url", "image_url": {"url": "x"}}])),
    "content is a dict": (200, chat_answer({"a": {"b": 1}})),
    "content is true": (200, chat_answer(True)),
    "choices is a dict": (200, chat_answer(choices={"0": {}})),
    "choices is null": (200, chat_answer(choices=None)),
    "a choice is a list": (200, chat_answer(choices=[[]])),
    "a choice is null": (200, chat_answer(choices=[None])),
    "the message is a text": (200, chat_answer(choices=[{"message": "Anna"}])),
    "the type of a part is a list": (200, chat_answer([{"type": [1], "text": "x"}])),
    "events that are none": (200, b'data: {"choices": [null]}\n\ndata: 7\n\n'),
    "events with a list for an index": (200, b'data: {"choices": [{"index": [], "delta": {"content": "x"}}]}\n\n'),
    "events with a number for a text": (200, b'data: {"choices": [{"index": 0, "delta": {"content": 7}}]}\n\n'),
    "no status line": Raw([], head=b"hello\r\n\r\n"),
    "a strange status": Raw([], head=b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"),
    "endless headers": lambda _: Raw(unending(b"X-A: " + b"a" * 1000 + b"\r\n"), head=b"HTTP/1.1 200 OK\r\n"),
    "a wrong length": Raw([b"{}"], head=b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    "a bad chunk": Raw([b"zz\r\n"], head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "hung up": Raw([], head=b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
    "terminal codes in an error": (400, {"error": {"message": "\x1b[2J\x07 bad \u202e input"}}),
}

LOST = ("no status line", "endless headers", "a wrong length", "a bad chunk", "hung up")
MOST_ASKED = {"a strange status": 7} | dict.fromkeys(LOST, 3)
"""How often; else twice: what was paid and useless in the same way is not asked again."""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_harms_its_own_request_within_bounds_of_time_and_memory(name, tmp_path):
    with Stub(answers(HOSTILE[name])) as stub:
        engine = open_model(Server(ServerSettings(stub.url, timeout_seconds=4, retries=6), Account(Terms())), "m")
        cache = CachedEngine(engine, tmp_path / "cache")
        cache.complete([ask("Zoe")])
        began = time.monotonic()
        with memory_bound(150):
            futures = [cache.submit(ask(who)) for who in ("Anna", "Ben", "Carl")]
            with pytest.raises(RequestFailed) as caught:
                futures[1].result(60)
            assert [future.result(60)[0].text for future in (futures[0], futures[2])] == ["Anna", "Anna"]
        assert time.monotonic() - began < 20
        asked = [one for one in stub.posts if one.text == "Ben"]
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1500
    assert len(asked) <= MOST_ASKED.get(name, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("where", ["body", "head"])
def test_a_server_that_drips_bytes_is_left_when_the_time_is_up(where):
    def slow(_: Asked) -> Raw:
        head = b"HTTP/1.1 200 OK\r\nX-A: " if where == "head" else b""
        return Raw(drip(30), JSON, head=head)

    with Stub(answers(slow)) as stub:
        engine = open_model(Server(ServerSettings(stub.url, timeout_seconds=0.5, retries=0), Account(Terms())), "m")
        began = time.monotonic()
        with pytest.raises(RequestFailed, match=r"no whole answer within 0\.5 s"):
            engine.complete([ask("Ben")])
        assert time.monotonic() - began < 3


def test_a_request_that_finds_no_end_is_not_asked_seven_times():
    with Stub(answers(lambda _: Raw(drip(30), JSON))) as stub:
        engine = open_model(Server(ServerSettings(stub.url, timeout_seconds=0.3, retries=6), Account(Terms())), "m")
        with pytest.raises(RequestFailed, match=r"failed 3 times"):
            engine.complete([ask("Ben")])


def text_of(answer: Any, tmp_path, headers: dict[str, str] | None = None) -> tuple[Completion, Account]:
    """What is made of an answer, recorded and read again."""
    account = Account(Terms(), Store(tmp_path))
    with Stub(lambda _: (200, answer, headers or {})) as stub:
        engine = open_model(Server(ServerSettings(stub.url, retries=0), account), "m")
        CachedEngine(engine, tmp_path).complete([ask("Anna")])
        (again,) = CachedEngine(engine, tmp_path).complete([ask("Anna")])
        assert again[0].cached
    return again[0], account


def test_half_a_surrogate_pair_becomes_a_sign_that_can_be_written(tmp_path):
    found, _ = text_of(json.dumps(chat_answer("a\ud800b 🙂")).encode(), tmp_path)
    assert found.text == "a\ufffdb 🙂"
    assert digest_of(found.text)


@pytest.mark.parametrize("count", [10**30, -1, "7", 1e300, float("nan"), None, [], {}, True, 2.5])
def test_a_count_that_cannot_be_true_is_booked_at_its_bound(tmp_path, count):
    answer = chat_answer(usage={"prompt_tokens": count, "completion_tokens": count})
    found, account = text_of(json.dumps(answer).encode(), tmp_path)
    (spent,) = account.total()
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("Anna", 132, 5)
    assert (spent.requests, spent.prompt_tokens, spent.completion_tokens) == (1, 64 + 64 + 4, 20)


@pytest.mark.parametrize(
    "usage", [None, [], "none", 7, {"total_tokens": 7}, {"prompt_tokens": 0, "completion_tokens": 0}]
)
def test_an_answer_without_usage_is_booked_at_its_bound(tmp_path, usage):
    _, account = text_of(chat_answer(usage=usage), tmp_path)
    assert account.total()[0][2:5] == (1, 132, 20)


def test_whole_numbers_in_other_words_are_counts(tmp_path):
    _, account = text_of(chat_answer(usage={"input_tokens": 5.0, "output_tokens": 2}), tmp_path)
    assert account.total()[0][2:5] == (1, 5, 2)


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream", "image/png", "nonsense", ""])
def test_the_content_type_of_json_does_not_count(tmp_path, kind):
    assert text_of(chat_answer(), tmp_path, {"Content-Type": kind})[0].text == "Anna"


def test_a_charset_of_single_bytes_is_read(tmp_path):
    body = json.dumps(chat_answer("Zoë"), ensure_ascii=False).encode("latin-1")
    assert text_of(body, tmp_path, {"Content-Type": "application/json; charset=ISO-8859-1"})[0].text == "Zoë"
    utf_16 = json.dumps(chat_answer("Zoë"), ensure_ascii=False).encode("utf-16")
    assert text_of(utf_16, tmp_path / "b")[0].text == "Zoë"


def test_compressed_answers_are_read():
    for how in ("gzip", "deflate"):
        with Stub(lambda _, how=how: packed(json.dumps(chat_answer()).encode(), how)) as stub:
            engine = open_model(Server(ServerSettings(stub.url, retries=0), Account(Terms())), "m")
            assert engine.complete([ask("Anna")])[0][0].text == "Anna"


def test_a_redirect_is_not_followed_and_ends_the_run_at_once():
    with Stub(lambda asked: (307, b"", {"Location": asked.path})) as stub:
        engine = open_model(Server(ServerSettings(stub.url), Account(Terms())), "m")
        with pytest.raises(EngineError, match=r"redirect to.*engine\.server\.base_url") as caught:
            engine.complete([ask("Anna"), ask("Ben")])
        assert not isinstance(caught.value, RequestFailed)
        assert str(caught.value).isprintable()
        assert len(stub.posts) == 1


def test_a_page_in_place_of_a_server_ends_the_run_at_once():
    page = (200, b"<html><title>Welcome</title>", {"Content-Type": "text/html"})
    with Stub(lambda _: page, page) as stub:
        engine = open_model(Server(ServerSettings(stub.url), Account(Terms())), "m")
        with pytest.raises(EngineError, match=r"web page.*/v1"):
            engine.complete([ask("Anna"), ask("Ben")])
        assert len(stub.posts) == 1


def test_a_key_that_a_server_sends_back_is_not_told(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sesame-7")
    with Stub(lambda asked: (400, {"error": {"message": f"bad {asked.headers['authorization']}"}})) as stub:
        engine = open_model(Server(ServerSettings(stub.url, "SOME_KEY"), Account(Terms())), "m")
        with pytest.raises(RequestFailed, match="bad Bearer …") as caught:
            engine.complete([ask("Anna")])
    assert "sesame" not in str(caught.value)


def test_half_a_surrogate_pair_can_be_sent_too():
    body = {"input": ["a\ud800", "é"]}
    assert json.loads(encoded(body)) == body
    assert json.loads(encoded({"input": ["é"]})) == {"input": ["é"]}


@pytest.mark.parametrize(
    "data",
    [None, {}, [[1.0]], [{"embedding": "x"}], [{"embedding": [1.0, "nan"]}], [{"embedding": [10**400]}],
     [{"embedding": []}],
     [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}], [{"index": [], "embedding": [1.0]}]],
)  # fmt: skip
def test_vectors_that_are_none_harm_no_more_than_their_request(data):
    with Stub(lambda _: (200, {"model": "m", "data": data})) as stub:
        embed = Embedder(Server(ServerSettings(stub.url), Account(Terms())), "m")
        with pytest.raises(RequestFailed, match=r"failed 2 times"):
            embed(["a", "b"])
        assert len(stub.posts) == 2


@pytest.mark.parametrize(
    "answer",
    [(200, chat_answer(usage=None)), (200, b"{"), Raw([], head=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")],
    ids=["without a count", "cut", "lost"],
)
def test_the_budget_holds_where_answers_are_lost_or_count_nothing(answer):
    with Stub(lambda _: answer) as stub:
        account = Account(Terms(budget_tokens=1000))
        engine = open_model(Server(ServerSettings(stub.url, retries=6), account), "m")
        with pytest.raises(EngineError):
            engine.complete([ask(f"question {number}") for number in range(30)])
        assert 0 < sum(one.prompt_tokens + one.completion_tokens for one in account.total()) <= 1000
        assert len(stub.posts) * (20 + 5) <= 1000
