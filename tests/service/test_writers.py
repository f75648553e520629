"""The thread that writes advice: batches, what fails in one, what does not come back."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from parammem.core.record import digest_of
from parammem.engines.base import chat
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import AdapterError, EngineError, RequestFailed
from parammem.registry.state import Version
from parammem.service import writers
from parammem.service.writers import Asking, LocalWriter, adapter_folder, open_writer, try_out
from tests.engines.conftest import write_card
from tests.service.proxies import params_with


class Prompt:
    def advise(self, task_text):
        return chat(f"advise: {task_text}")


class Held(ScriptedEngine):
    """Writes nothing before it is let go."""

    def __init__(self, replies):
        super().__init__(replies)
        self.go = threading.Event()

    def complete(self, requests):
        self.go.wait(10)
        return super().complete(requests)


def writer_of(engine, clock=time.monotonic):
    return LocalWriter(engine, Asking("a" * 64, Prompt(), 16, 1.0), clock)


def said(request, draw):
    if "too long" in request.messages[0].content:
        raise RequestFailed("a prompt has too many tokens")
    return f"{request.messages[0].content} #{draw}"


def test_what_waits_is_written_in_one_batch():
    engine = Held(said)
    writer = writer_of(engine)

    async def many():
        asked = [asyncio.ensure_future(writer.write(f"t{number}", number)) for number in range(9)]
        await asyncio.sleep(0.1)
        engine.go.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(many()) == [f"advise: t{number} #{number}" for number in range(9)]
    assert engine.calls <= 2


def test_one_that_fails_does_not_take_its_neighbours_along():
    engine = Held(said)
    writer = writer_of(engine)

    async def many():
        asked = [asyncio.ensure_future(writer.write(text, 0)) for text in ("first", "a", "too long", "b")]
        await asyncio.sleep(0.1)
        engine.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(many())
    assert [one for one in found if isinstance(one, str)] == ["advise: first #0", "advise: a #0", "advise: b #0"]
    assert isinstance(found[2], RequestFailed)


def test_the_thread_lives_on_after_any_error():
    def broken(request, draw):
        if "bad" in request.messages[0].content:
            raise SystemExit("a library ends the process")
        return "fine"

    writer = writer_of(ScriptedEngine(broken))
    with pytest.raises(EngineError):
        asyncio.run(writer.write("bad", 0))
    assert asyncio.run(writer.write("good", 0)) == "fine"


def test_who_was_late_is_not_written_for():
    engine = Held(said)
    writer = writer_of(engine)

    async def late():
        first = asyncio.ensure_future(writer.write("first", 0))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await writer.write("late", 0)
        engine.go.set()
        return await first

    asyncio.run(late())
    asyncio.run(writer.write("last", 0))
    assert [one.messages[0].content for one in engine.requests] == ["advise: first", "advise: last"]


def test_a_writer_that_does_not_come_back_is_stuck():
    now = [100.0]
    engine = Held(said)
    writer = writer_of(engine, lambda: now[0])
    assert not writer.is_stuck()

    async def ask():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await writer.write("x", 0)

    asyncio.run(ask())
    assert not writer.is_stuck()
    now[0] += writers.STUCK_SECONDS + 1
    assert writer.is_stuck()
    engine.go.set()


def test_too_many_that_wait_are_refused(monkeypatch):
    monkeypatch.setattr(writers, "MOST_WAITING", 2)
    engine = Held(said)
    writer = writer_of(engine)

    async def many():
        asked = [asyncio.ensure_future(writer.write(f"t{number}", 0)) for number in range(9)]
        await asyncio.sleep(0.1)
        engine.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    assert any("requests wait" in str(one) for one in asyncio.run(many()))


def test_closed_writer_ends_its_thread_and_fails_what_waits():
    writer = writer_of(ScriptedEngine(said))
    writer.close()
    time.sleep(0.1)
    with pytest.raises(EngineError):
        asyncio.run(writer.write("x", 0))
    assert writer.is_stuck()


def test_draws_differ_and_are_the_same_again():
    asking = Asking(digest_of("x"), Prompt(), 16, 0.7)
    first, again, second = asking.request("t", 0), asking.request("t", 0), asking.request("t", 1)
    assert first == again
    assert (first.seed, first.first_draw, first.temperature) == (second.seed, 0, 0.7)
    assert second.first_draw == 1
    assert Asking(digest_of("y"), Prompt(), 16, 0.7).request("t", 0).seed != first.seed


def test_a_reflector_that_writes_nothing_is_found_out():
    with pytest.raises(EngineError, match="writes nothing"):
        asyncio.run(try_out(writer_of(ScriptedEngine(lambda *_: "  "))))


def version_of(adapter):
    return Version(domain="code", number=1, adapter=adapter, dvc="", event="", time="")


def test_folder_of_the_pipeline_is_copied_and_not_used_where_it_lies(tmp_path):
    made = tmp_path / "models/reflectors/code"
    made.mkdir(parents=True)
    write_card(made, "b" * 64, "a" * 64)
    found = adapter_folder(tmp_path, "code", version_of("a" * 64))
    assert found == tmp_path / ".cache/champions" / ("a" * 16)
    (made / "adapter.json").write_text("the next rebuild")
    assert adapter_folder(tmp_path, "code", version_of("a" * 64)) == found
    assert (found / "adapter.json").read_text() != "the next rebuild"


def test_another_adapter_under_the_name_is_refused(tmp_path):
    folder = tmp_path / ".cache/champions" / ("a" * 16)
    folder.mkdir(parents=True)
    write_card(folder, "b" * 64, "a" * 16 + "f" * 48)
    with pytest.raises(AdapterError, match="the ledger names"):
        open_writer(tmp_path, params_with().service, "code", version_of("a" * 64))
