"""Facts about the file of the cache when it is foreign, locked, old, or on a full disk: named, with a remedy."""

from __future__ import annotations

import random
import sqlite3

import pytest

from parammem.engines import completion_store as module
from parammem.engines.base import Request, chat
from parammem.engines.batching import draws_of
from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import FILE, Spent, Store
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import open_model, seed_of
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.scripted import ScriptedEngine
from parammem.errors import EngineError
from tests.engines.local_server import LocalServer

ASKED = Request(
    messages=chat("Anna", "be brief"), temperature=0.7, max_tokens=20, stop=("x",), seed=3, n=2, first_draw=4
)


def test_keys_of_caches_that_people_have_still_hold():
    """Written down from the version before; another value here would make every cache worthless."""
    with LocalServer(models=["m"]) as local:
        digest = open_model(Server(ServerSettings(local.url), Account(Terms())), "m").digest
    assert digest == "77045c6e7292abf002e2448b2ef84f4eeb86392be14a78c5d0341210f16f3153"
    assert [draw.key for draw in draws_of(digest, ASKED)] == [
        "484549c09de8903fc378d44070b992530b84d12b75672ca82bfe38d5df9141a6",
        "2f7c79df0e48aaceb06b6f608d1820e5e9122496287d5fc9a7adf7017d0ea47b",
    ]
    assert seed_of(ASKED, 4) == 1836758921


def test_a_cache_of_the_version_before_is_read_and_learns_what_is_new(tmp_path):
    old = sqlite3.connect(tmp_path / FILE)
    for table in module.SCHEMA[:3]:
        old.execute(table)
    line = '{"completion_tokens": 2, "finish": "stop", "prompt_tokens": 5, "text": "Anna", "cached": false}'
    key = draws_of("digest", ASKED)[0].key
    old.execute("INSERT INTO completions VALUES (?, ?, ?)", (key, line, module._check_sum(key, line)))
    old.execute("INSERT INTO spent VALUES ('actor', 'm', 1, 5, 2, 0.5)")
    old.commit()
    old.close()
    store = Store(tmp_path)
    engine = ScriptedEngine([])
    engine.digest = "digest"
    (answer,) = CachedEngine(engine, store).complete([ASKED.model_copy(update={"n": 1})])
    assert (answer[0].text, answer[0].cached) == ("Anna", True)
    assert store.spent() == [Spent("actor", "m", 1, 5, 2, 0.5)]
    store.learn("there", "m", "{}")
    assert (Store(tmp_path).learnt("there", "m"), store.learnt("there", "other")) == ("{}", "")


def test_somebody_else_s_database_is_refused_and_left_as_it_is(tmp_path):
    foreign = sqlite3.connect(tmp_path / FILE)
    foreign.execute("CREATE TABLE photos (name TEXT)")
    foreign.commit()
    foreign.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(EngineError, match=rf"{FILE}.*something else.*photos.*engine\.cache"):
        Store(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))


def test_a_folder_in_the_file_s_place_is_named(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(EngineError, match=rf"{FILE}.*check what lies there"):
        Store(tmp_path)


def test_a_file_that_another_process_holds_is_named_with_what_to_do(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.put({"key": "value"})
    store.close()
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)
    holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(EngineError, match=rf"{FILE}.*wait for it or end it"):
        Store(tmp_path).put({"other": "value"})
    holder.execute("COMMIT")
    assert Store(tmp_path).get(["key", "other"]) == {"key": "value"}
    lock = module.FileLock(f"{tmp_path / FILE}.lock")
    with lock, pytest.raises(EngineError, match=rf"{FILE}.*wait for it or end it"):
        Store(tmp_path)


@pytest.mark.parametrize("line", ['{"text": "x"}', "[]", "no JSON", '{"new": 1}'])
def test_an_entry_of_another_version_is_an_error_with_a_remedy_in_both_caches(tmp_path, line):
    store = Store(tmp_path)
    with LocalServer(models=["m"]) as local:
        served = open_model(Server(ServerSettings(local.url), Account(Terms())), "m")
        scripted = ScriptedEngine(["said"] * 9)
        store.put({draws_of(engine.digest, ASKED)[0].key: line for engine in (served, scripted)})
        for cache in (CachedEngine(served, store), CachedEngine(scripted, store)):
            for _ in range(2):
                with pytest.raises(EngineError, match=r"this version cannot read.*engine\.cache"):
                    cache.complete([ASKED])


def test_a_disk_error_on_a_full_disk_says_that_it_is_full(tmp_path, monkeypatch):
    store = Store(tmp_path)
    failing = sqlite3.OperationalError("disk I/O error")
    failing.sqlite_errorcode = sqlite3.SQLITE_IOERR

    def fails(*_: object) -> None:
        raise failing

    monkeypatch.setattr(module, "_write", fails)
    with pytest.raises(EngineError, match="check the disk"):
        store.put({"key": "value"})
    monkeypatch.setattr(module, "_free", lambda path: 0)
    with pytest.raises(EngineError, match=rf"{FILE}.*free some space"):
        store.put({"key": "value"})


def test_two_hundred_full_disks_lose_nothing_that_was_recorded_and_double_nothing(tmp_path):
    """The file may have so many pages and no more: what SQLite does on a full disk, without one."""
    chance = random.Random(5)
    kept: dict[str, str] = {}
    for trial in range(200):
        store = Store(tmp_path)
        connection = store._open()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + chance.randrange(3)}")
        wanted = {f"{trial}-{place}": "x" * chance.randrange(1, 4000) for place in range(4)}
        try:
            store.put(wanted)
            kept |= wanted
        except EngineError as error:
            assert "free some space" in str(error)  # noqa: PT017
        store.close()
        again = Store(tmp_path)
        assert again.get(list(kept)) == kept
        assert sorted(key for key, _ in again.made()) == sorted(kept)
        again.close()
    assert 0 < len(kept) < 800
