"""The completion cache: what is in the key, what a kill, a second writer, a full disk and damage can do to it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from parammem.core.record import digest_of
from parammem.engines.base import Completion, Request, chat
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import FILE, Store
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import EngineError


def reply(request: Request, draw: int) -> str:
    return digest_of([request.messages[-1].content, request.seed, request.temperature, draw])


def long_reply(request: Request, draw: int) -> str:
    return reply(request, draw) * 200


def cached(folder, batch=4, script=reply) -> tuple[CachedEngine, ScriptedEngine]:
    inner = ScriptedEngine(script)
    return CachedEngine(inner, folder, batch=batch), inner


def store_of(engine: CachedEngine) -> Store:
    """Its store, which lies here."""
    assert isinstance(engine.store, Store)
    return engine.store


def ask(text: str, **settings) -> Request:
    return Request(messages=chat(text), **{"temperature": 1.0, "max_tokens": 20, **settings})


REQUESTS = [ask(f"question {number}", n=number % 3 + 1) for number in range(20)]
DRAWS = sum(request.n for request in REQUESTS)


def bare(answers):
    return [[completion.model_copy(update={"cached": False}) for completion in answer] for answer in answers]


def test_the_second_time_nothing_is_made(tmp_path):
    engine, inner = cached(tmp_path)
    first = engine.complete(REQUESTS)
    assert first == inner.complete(REQUESTS)
    assert inner.draws == 2 * DRAWS
    again, idle = cached(tmp_path)
    second = again.complete(REQUESTS)
    assert bare(second) == first
    assert all(c.cached for answer in second for c in answer)
    assert idle.calls == 0
    assert (again.stats.hits, again.stats.misses, again.stats.tokens_generated) == (DRAWS, 0, 0)
    assert (engine.stats.hits, engine.stats.misses) == (0, DRAWS)
    assert engine.stats.tokens_generated == sum(c.completion_tokens for answer in first for c in answer)


def test_the_draw_number_is_in_the_key(tmp_path):
    engine, inner = cached(tmp_path)
    texts = [c.text for c in engine.complete([ask("x", n=10)])[0]]
    assert len(set(texts)) == 10
    more = engine.complete([ask("x", n=8, first_draw=6)])[0]
    assert [c.text for c in more[:4]] == texts[6:]
    assert [c.cached for c in more] == [True] * 4 + [False] * 4
    assert inner.draws == 14


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"temperature": 0.5}, {"max_tokens": 21}, {"stop": ("z",)}, {"first_draw": 1}]
)
def test_every_setting_is_in_the_key(tmp_path, other):
    engine, inner = cached(tmp_path)
    engine.complete([ask("x")])
    engine.complete([ask("x", **other)])
    assert inner.draws == 2


def test_the_engine_and_the_roles_are_in_the_key(tmp_path):
    cached(tmp_path)[0].complete([ask("x")])
    other = ScriptedEngine(reply, name="other")
    CachedEngine(other, tmp_path).complete([ask("x")])
    assert other.draws == 1
    engine, inner = cached(tmp_path)
    engine.complete([Request(messages=chat("x", system="be brief"), temperature=1.0, max_tokens=20)])
    assert inner.draws == 1


def test_a_request_asked_twice_in_one_call_is_made_once(tmp_path):
    engine, inner = cached(tmp_path)
    first, second = engine.complete([ask("x", n=3), ask("x", n=2)])
    assert first[:2] == second
    assert inner.draws == 3


def test_what_two_threads_want_at_once_is_made_once(tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def slow(request, draw):
        asked.set()
        assert go_on.wait(60)
        return reply(request, draw)

    engine, inner = cached(tmp_path, script=slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(engine.complete, [ask("x", n=3)])
        assert asked.wait(60)
        second = threads.submit(engine.complete, [ask("x", n=2)])
        go_on.set()
        assert first.result(60)[0][:2] == bare(second.result(60))[0]
    assert inner.draws == 3


def test_a_batch_that_failed_may_be_asked_again(tmp_path):
    errors = iter([EngineError("no memory"), KeyboardInterrupt()])

    def failing(request, draw):
        if (error := next(errors, None)) is not None:
            raise error
        return reply(request, draw)

    engine, _ = cached(tmp_path, script=failing)
    with pytest.raises(EngineError, match="no memory"):
        engine.complete([ask("x")])
    with pytest.raises(KeyboardInterrupt):
        engine.complete([ask("x")])
    assert engine.complete([ask("x")])[0][0].cached is False
    assert engine.submit(ask("x")).result()[0].cached


def test_chunks_are_recorded_before_the_next_is_begun_and_only_the_failed_one_is_lost(tmp_path):
    calls = iter(range(100))

    def failing(request, draw):
        if next(calls) >= 10:
            raise EngineError("the machine is on fire")
        return reply(request, draw)

    with pytest.raises(EngineError, match="fire"):
        cached(tmp_path, batch=4, script=failing)[0].complete(REQUESTS)
    assert len(Store(tmp_path).made()) == 8
    engine, inner = cached(tmp_path, batch=4)
    engine.complete(REQUESTS)
    assert inner.draws == DRAWS - 8


def test_after_a_stop_the_engine_sees_the_same_chunks_as_without_it(tmp_path):
    def chunks(engine, inner):
        asked = []
        complete = inner.complete
        inner.complete = lambda requests: asked.append(list(requests)) or complete(requests)
        engine.complete(REQUESTS)
        return asked

    whole = chunks(*cached(tmp_path / "a"))
    stopped, inner = cached(tmp_path / "b")
    inner.complete = stop_after(3, inner.complete)
    with pytest.raises(KeyboardInterrupt):
        stopped.complete(REQUESTS)
    assert chunks(*cached(tmp_path / "b")) == whole[3:]


def stop_after(count, complete):
    calls = iter(range(100))

    def interrupted(requests):
        if next(calls) >= count:
            raise KeyboardInterrupt
        return complete(requests)

    return interrupted


def write_some(folder, seed):
    """A process that asks for all requests, in an order of its own."""
    requests = REQUESTS * 5
    random.Random(seed).shuffle(requests)
    engine = cached(folder, batch=2)[0]
    for start in range(0, len(requests), 5):
        engine.complete(requests[start : start + 5])


def test_many_processes_write_and_read_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_some, args=(tmp_path, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    engine, inner = cached(tmp_path)
    assert bare(engine.complete(REQUESTS)) == inner.complete(REQUESTS)
    assert engine.stats.misses == 0


def test_a_fork_uses_a_connection_of_its_own(tmp_path):
    engine, _ = cached(tmp_path)
    engine.complete(REQUESTS[:3])
    child = multiprocessing.get_context("fork").Process(target=engine.complete, args=(REQUESTS,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    engine.complete(REQUESTS)
    assert engine.stats.misses == sum(request.n for request in REQUESTS[:3])
    assert len({process for _, process in store_of(engine).made()}) == 2


WRITER = """
import sys, time
sys.path.insert(0, {root!r})
from tests.engines.test_cache import ask, cached, reply
def slow(request, draw):
    time.sleep(0.001)
    return reply(request, draw)
engine, _ = cached({folder!r}, batch=5, script=slow)
print("ready", flush=True)
for number in range(200):
    engine.complete([ask(f"task {{number}}", n=10)])
"""


@pytest.mark.integration
def test_kill_9_loses_nothing_committed_and_nothing_is_made_twice(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    script = WRITER.format(root=root, folder=str(tmp_path))
    chance = random.Random(7)
    kept = 0
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.02, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        store = Store(tmp_path)
        keys = [key for key, _ in store.made()]
        values = store.get(keys)
        store.close()
        assert len(keys) == len(set(keys)) == len(values) >= kept
        assert all(Completion.model_validate_json(value) for value in values.values())
        kept = len(keys)
    assert 0 < kept < 2000
    engine, inner = cached(tmp_path, batch=5)
    requests = [ask(f"task {number}", n=10) for number in range(200)]
    assert bare(engine.complete(requests)) == inner.complete(requests)
    assert engine.stats.hits == kept
    assert len(store_of(engine).made()) == 2000


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path):
    engine, _ = cached(tmp_path, script=long_reply)
    engine.complete(REQUESTS[:5])
    before = len(store_of(engine).made())
    pages = store_of(engine)._open().execute("PRAGMA page_count").fetchone()[0]
    store_of(engine)._open().execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(EngineError, match=r"free some space.*recorded before is kept"):
        engine.complete(REQUESTS)
    store_of(engine).close()
    recorded = Store(tmp_path).made()
    assert len(recorded) >= before
    again, inner = cached(tmp_path, script=long_reply)
    answers = again.complete(REQUESTS)
    assert again.stats.hits == len(recorded)
    assert bare(answers) == inner.complete(REQUESTS)


def fill(folder, size, code):
    """Write until files may not grow any more; report by exit code how that ended."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    engine = cached(folder, script=long_reply)[0]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        engine.complete(REQUESTS)
    except EngineError:
        os._exit(code)
    os._exit(0)


def test_a_file_that_may_not_grow_is_an_engine_error_and_loses_nothing(tmp_path):
    cached(tmp_path, script=long_reply)[0].complete(REQUESTS[:5])
    child = multiprocessing.get_context("fork").Process(target=fill, args=(tmp_path, 150_000, 5))
    child.start()
    child.join(60)
    assert child.exitcode == 5
    engine, inner = cached(tmp_path, script=long_reply)
    assert bare(engine.complete(REQUESTS)) == inner.complete(REQUESTS)
    assert engine.stats.hits >= sum(request.n for request in REQUESTS[:5])
    assert not list(tmp_path.glob("*damaged*"))


def damage(folder, how: str) -> None:
    path = folder / FILE
    data = bytearray(path.read_bytes())
    if how == "no database":
        path.write_bytes(b"this is not a database, it is a text\n" * 500)
    elif how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "zeros":
        data[5000:] = bytes(len(data) - 5000)
        path.write_bytes(data)


@pytest.mark.parametrize("how", ["no database", "cut", "empty", "zeros"])
def test_a_damaged_file_costs_work_and_never_gives_a_wrong_answer(tmp_path, how, caplog):
    engine, _inner = cached(tmp_path, script=long_reply)
    right = engine.complete(REQUESTS)
    store_of(engine).close()
    damage(tmp_path, how)
    again, _ = cached(tmp_path, script=long_reply)
    with caplog.at_level(logging.WARNING):
        assert bare(again.complete(REQUESTS)) == right
    assert again.stats.misses > 0
    if list(tmp_path.glob("*.damaged-*")):
        assert "damaged" in caplog.text
    third, idle = cached(tmp_path, script=long_reply)
    assert bare(third.complete(REQUESTS)) == right
    assert idle.draws == 0


def test_a_file_that_is_no_database_is_moved_aside_and_not_deleted(tmp_path, caplog):
    (tmp_path / FILE).write_bytes(b"somebody's diary " * 100)
    cached(tmp_path)[0].complete(REQUESTS[:2])
    aside = list(tmp_path.glob(f"{FILE}.damaged-*"))
    assert len(aside) == 1
    assert aside[0].read_bytes().startswith(b"somebody's diary")


def test_a_damaged_file_is_noticed_by_an_engine_that_has_it_open(tmp_path):
    engine, inner = cached(tmp_path, script=long_reply)
    engine.complete(REQUESTS)
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    damage(tmp_path, "no database")
    assert bare(engine.complete(REQUESTS)) == inner.complete(REQUESTS)


def test_random_damage_never_gives_a_wrong_answer(tmp_path):
    right = ScriptedEngine(reply).complete(REQUESTS)
    chance = random.Random(3)
    for round_number in range(25):
        folder = tmp_path / str(round_number)
        engine, _ = cached(folder)
        engine.complete(REQUESTS)
        store_of(engine).close()
        data = bytearray((folder / FILE).read_bytes())
        for _ in range(chance.choice([1, 20, 400])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (folder / FILE).write_bytes(data)
        assert bare(cached(folder)[0].complete(REQUESTS)) == right, round_number


def test_an_entry_whose_check_sum_fails_is_made_again(tmp_path, caplog):
    engine, inner = cached(tmp_path)
    right = engine.complete(REQUESTS)
    store_of(engine)._open().execute("UPDATE completions SET value = replace(value, 'stop', 'length')")
    assert bare(engine.complete(REQUESTS)) == right
    assert inner.draws == 2 * DRAWS
    engine.complete(REQUESTS)
    assert inner.draws == 2 * DRAWS


def test_the_first_writers_text_is_everybodys_text(tmp_path):
    slow, _ = cached(tmp_path, script=lambda request, draw: "late")
    inner = slow.engine
    complete = inner.complete

    def overtaken(requests):
        cached(tmp_path, script=lambda request, draw: "early")[0].complete(requests)
        return complete(requests)

    inner.complete = overtaken
    assert slow.complete([ask("x")])[0][0].text == "early"
    assert cached(tmp_path)[0].complete([ask("x")])[0][0].text == "early"


def test_a_folder_that_cannot_be_used_is_an_engine_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match=r"engine\.cache"):
        cached(tmp_path / "file" / "cache")
