"""Fuzzing of what strangers send: one row, and one file of the inbox. No traceback, no hang, no flood of memory, and
nothing outside its folder touched. PARAMMEM_FUZZ multiplies the number of examples."""

from __future__ import annotations

import gzip
import json
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parammem.errors import DataError
from parammem.experience.inbox import clear, look
from parammem.experience.ingest import ingest
from parammem.experience.preview import preview
from parammem.experience.source_files import Source
from parammem.registry import Ledger
from tests.experience.rows import key, line, row, store, write
from tests.experience.test_formats import RUNS, SWE
from tests.experience.test_transcripts import REAL_REFLEXION, said, tool, user
from tests.memory import MEGABYTES, memory_bound

TIMES = int(os.environ.get("PARAMMEM_FUZZ", "1"))
SECONDS = 5.0
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
BOUNDED = settings(max_examples=50 * TIMES, deadline=None, suppress_health_check=CHECKS, print_blob=True, database=None)

OURS = json.loads(line(row(3, advice="Mind the limits."), key=key(3).model_dump(mode="json"), schema=1))
CHAT = {"messages": [user("Write f."), said("x?"), user("Yes."), tool("1"), said("def f(): pass")], "outcome": True}
LOGS = [one for _, rows in RUNS.values() for one in rows[:3]]
SEEDS: list[dict[str, Any]] = [OURS, {**CHAT, "metadata": {"success": "1"}}, REAL_REFLEXION, SWE, *LOGS]

ODD_TEXT = [
    *("", "\x00", "\ud83d", "\u2028", "\u202e", "é\u200d", "\n\n", "../" * 20, "'; DROP TABLE rows; --", "<script>"),
    *("a." * 3000, "9" * 5000, "-" * 5000 + "1", "(" * 5000, "answer " * 900, "x@" * 2000),
    *("{}", "{0.__class__}", "%s", "\\1", "(?P<a>", "```python\n", "\\boxed{"),
]
odd_text = st.sampled_from(ODD_TEXT)
text = odd_text | st.text(max_size=30) | st.text(st.characters(codec=None), max_size=8)
leaf = st.none() | st.booleans() | text | st.integers() | st.integers(-(10**400), 10**400) | st.floats()
value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12
)


def paths(item: Any, at: tuple = ()) -> list[tuple]:
    """Every place in a nested value."""
    inner = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    return [at, *(found for name, one in inner for found in paths(one, (*at, name)))]


def put(item: Any, at: tuple, new: Any) -> Any:
    if not at:
        return new
    copy = dict(item) if isinstance(item, dict) else list(item)
    copy[at[0]] = put(item[at[0]], at[1:], new)
    return copy


@st.composite
def rows(draw) -> bytes:
    """A row of a known form with some places changed, or anything at all."""
    found: Any = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.sampled_from(paths(found)))
        change = draw(st.sampled_from(["new", "key", "drop", "nest"]))
        if change == "key" and isinstance(inner := _at(found, at), dict):
            found = put(found, at, {**inner, draw(text): draw(value)})
        elif change == "drop" and isinstance(inner := _at(found, at), dict) and inner:
            gone = draw(st.sampled_from(sorted(inner)))
            found = put(found, at, {name: one for name, one in inner.items() if name != gone})
        elif change == "nest":
            found = put(found, at, json.loads("[" * 90 + "1" + "]" * 90))
        else:
            found = put(found, at, draw(value))
    data = json.dumps(found).encode()
    return draw(st.sampled_from([data, data, data, data[:-3], data.replace(b'"', b"'"), data + b"x", data * 2]))


def _at(item: Any, at: tuple) -> Any:
    for name in at:
        item = item[name]
    return item


def everything(folder: Path) -> dict[str, bytes]:
    """What lies outside the repository, where nothing may change."""
    files = [file for file in folder.rglob("*") if file.is_file() and not {"repository", "inbox"} & set(file.parts)]
    return {str(file): file.read_bytes() for file in files}


@BOUNDED
@given(data=st.lists(rows(), min_size=1, max_size=3))
def test_one_row_of_a_stranger(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    root = folder / "repository"
    root.mkdir()
    file = folder / "in.jsonl"
    neighbours = [line(row(50)).encode(), line(row(51)).encode()]
    file.write_bytes(b"\n".join([neighbours[0], *data, neighbours[1]]) + b"\n")
    before, start = everything(folder), time.process_time()
    with memory_bound():
        shown = list(preview(Source.of(file), store(root, 0.2, domain="code")))
        outcome = ingest(Source.of(file), store(root, 0.2, domain="code"), "person eve")
    assert time.process_time() - start < SECONDS
    event = outcome.event
    assert event.rows == event.kept + event.held + event.duplicates + event.quarantined == len(shown)
    assert event.kept + event.held >= 2, "the neighbours came in"
    assert event.quarantined == sum(one.becomes == "refused" for one in shown)
    assert everything(folder) == before
    assert Ledger(root).verify() == []
    assert not ingest(Source.of(file), store(root, 0.2, domain="code"), "person eve").new or event.reasons.get(
        "unknown-domain"
    )


kinds = st.integers(0, 9)
names = st.binary(min_size=1, max_size=60).map(lambda raw: raw.replace(b"/", b"_").replace(b"\x00", b"_"))
suffixes = st.sampled_from([b".jsonl", b".jsonl.gz", b".json", b".json.gz", b".txt", b""])
contents = st.one_of(
    st.binary(max_size=200),
    st.lists(rows(), max_size=3).map(lambda data: b"\n".join(data) + b"\n"),
    st.lists(rows(), max_size=3).map(lambda data: b"[" + b",".join(data) + b"]"),
    st.just(b"\xef\xbb\xbf" + line(row(1)).encode() + b"\r\n"),
    st.just(b"\xff\xfe" + line(row(1)).encode("utf-16-le")),
    st.just(b"\n" * 5000),
    st.just(b"[" * 5000),
)


@BOUNDED
@given(name=names, suffix=suffixes, content=contents, packed=st.booleans(), cut=st.integers(0, 30), kind=kinds)
def test_one_file_of_the_inbox(tmp_path_factory, name, suffix, content, packed, cut, kind):
    folder = tmp_path_factory.mktemp("fuzz")
    root, inbox = folder / "repository", folder / "inbox"
    root.mkdir()
    inbox.mkdir()
    secret = write(folder / "secret.jsonl", [line(row(7))])
    file = inbox / os.fsdecode(name[: 255 - len(suffix)] + suffix)
    if file.name in (".", "..", "done", ".taken"):
        return
    data = gzip.compress(content) if packed else content
    make = {
        0: file.mkdir,
        1: lambda: file.symlink_to(secret),
        2: lambda: os.mkfifo(file),
        3: lambda: os.link(secret, file),
    }
    make.get(kind, lambda: file.write_bytes(data[: len(data) - cut] if cut < 10 else data))()
    regular = kind > 3
    if regular:
        os.utime(file, (0, 0))
    before, start = everything(folder), time.process_time()
    with memory_bound():
        found = look(inbox)
        for source in found.sources:
            with suppress(DataError):
                outcome = ingest(source, store(root, 0.2, domain="code"), "person eve")
                assert clear(inbox, source, outcome.digest)
    assert time.process_time() - start < SECONDS
    assert regular or not found.sources
    assert all(shown.isprintable() for shown in found.left)
    assert everything(folder) == before
    kept = [one for one in inbox.rglob("*") if one.name == file.name] if regular else [file]
    assert kept, "no file is lost"
    assert Ledger(root).verify() == []
    for made in root.rglob("*"):
        assert stat.S_ISDIR(made.lstat().st_mode) or stat.S_ISREG(made.lstat().st_mode)


def chat(task: bytes, answer: bytes) -> bytes:
    said = b'{"role":"user","content":"' + task + b'"},{"role":"assistant","content":"' + answer + b'"}'
    return b'{"messages": [' + said + b'], "outcome": true}'


BIG = {
    "deep": b"[" * (4 << 20),
    "wide": b"[" + b"[]," * (1 << 20) + b"1]",
    "nested": b'{"task": ' + b"[1," * 300 + b"1" + b"]" * 300 + b"}",
    "turns": b'{"messages": [' + b'{"role":"user","content":"a?"},' * 100_000 + b'{"role":"x"}], "outcome": true}',
    "words": chat(b"a. " * 1_000_000, b"x"),
    "fences": chat(b"```" * 1_000_000, b"x"),
    "signs": chat(b"x", b"-" * 1_000_000 + b"1"),
    "answers": chat(b"x", b"answer is " * 300_000),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("big", BIG.values(), ids=list(BIG))
def test_a_row_of_four_megabytes_takes_seconds_and_little_memory(tmp_path, big):
    """In a process of its own, so that its peak is its own."""
    import subprocess
    import sys

    (tmp_path / "in.jsonl").write_bytes(b"\n".join([line(row(1)).encode(), big, line(row(2)).encode()]) + b"\n")
    program = """
import sys, time
from pathlib import Path
from tests.experience.rows import store
from parammem.experience.ingest import ingest
from parammem.experience.source_files import Source
root = Path(sys.argv[1])
ingest(Source.of(root / "warm.jsonl"), store(root, domain="code"), "person ada")
cpu = time.process_time()
event = ingest(Source.of(root / "in.jsonl"), store(root, domain="code"), "person ada").event
# Not getrusage: what that says begins with the size of the process that this one was forked from.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(event.rows, time.process_time() - cpu, int(peak) / 1024)
"""
    write(tmp_path / "warm.jsonl", [line(row(9))])
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, seconds, memory = map(float, done.stdout.split())
    assert count == 3
    assert seconds < SECONDS
    assert memory < MEGABYTES
