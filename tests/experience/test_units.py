"""Facts about sources as units: an odd file or row is named and left or refused, and costs its neighbours nothing."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
import stat
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.checkout.places import BATCHES, PRIVATE_ROWS, REFUSED_ROWS
from parammem.core import write_jsonl
from parammem.core.escape import shown
from parammem.errors import DataError
from parammem.experience import ingest as room
from parammem.experience import sorter, units
from parammem.experience.inbox import DONE, TAKEN, UNFINISHED, clear, look, report, waiting
from parammem.experience.index import INDEX
from parammem.experience.ingest import ingest, ingested
from parammem.experience.source_files import Source
from parammem.registry import Ledger
from tests.experience.rows import line, row, rows_in, store, task, write

ROOT = Path(__file__).resolve().parents[2]
ODD_NAMES = {
    "no UTF-8": b"bad\xff\xfe.jsonl",
    "a newline": b"two\nlines.jsonl",
    "separators": "a\u2028b\u0085c\u202ed.jsonl".encode(),
    "a terminal's escape": b"\x1b[2Jx.jsonl",
    "255 bytes": b"n" * 249 + b".jsonl",
    "255 bytes of other letters": "é".encode() * 124 + b".jsonl",
    "markup": b"<script>|`x`|.jsonl",
}


def old(file: Path, seconds: float = 100.0) -> Path:
    """The file as if it had been left alone for so long."""
    then = time.time() - seconds
    os.utime(file, (then, then))
    return file


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A folder with params and evaluation tasks, and no git or DVC."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for domain in ("code", "math", "qa"):
        for split in ("eval", "unseen"):
            write_jsonl(tmp_path / "data" / "tasks" / domain / f"{split}.jsonl", [task(900, domain)])
    (tmp_path / "data" / "inbox").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep() -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(cli.app, ["ingest"])
    assert result.exception is None or isinstance(result.exception, DataError | SystemExit), result.exception
    return result.output, result.exception


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=list(ODD_NAMES))
def test_a_file_of_any_name_is_ingested_and_its_name_is_shown_as_one_plain_line(repository, name):
    inbox = repository / "data" / "inbox"
    old(write(inbox / os.fsdecode(name), [line(row(1))]))
    old(write(inbox / "z.jsonl", [line(row(2))]))
    output, error = sweep()
    assert error is None
    assert {
        one.task.task_id for one in [*rows_in(repository / "data/experience"), *rows_in(repository / "data/fresh")]
    } == {"t-1", "t-2"}
    assert sorted(os.listdir(os.fsencode(inbox / DONE))) == sorted([name, b"z.jsonl"])
    for fact in ingested(Ledger(repository).read()):
        assert fact.name.isprintable()
        assert len(fact.name) <= 200
        assert fact.name in output
    assert len((repository / "ledger" / "events.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def make_link(file: Path, outside: Path) -> None:
    file.symlink_to(outside)


def make_dangling(file: Path, outside: Path) -> None:
    file.symlink_to(outside.parent / "nowhere")


def make_hard_link(file: Path, outside: Path) -> None:
    os.link(outside, file)


def make_fifo(file: Path, outside: Path) -> None:
    os.mkfifo(file)


def make_folder(file: Path, outside: Path) -> None:
    file.mkdir()


def make_socket(file: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(file))


def make_device(file: Path, outside: Path) -> None:
    try:
        os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_link, "a link"), (make_dangling, "a link"), (make_hard_link, "a hard link"),
        (make_fifo, "no regular file"), (make_folder, "no regular file"),
        (make_socket, "no regular file"), (make_device, "no regular file"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_the_inbox_is_named_and_left_and_never_read(repository, make, why):
    outside = write(repository / "secret.jsonl", [line(row(7)), "root:x:0:0"])
    inbox = repository / "data" / "inbox"
    make(inbox / "odd.jsonl", outside)
    old(write(inbox / "z.jsonl", [line(row(2))]))
    start = time.monotonic()
    output, error = sweep()
    assert time.monotonic() - start < 5
    assert error is None
    assert "odd.jsonl: left in" in output
    assert why in output
    assert os.path.lexists(inbox / "odd.jsonl")
    assert [fact.name for fact in ingested(Ledger(repository).read())] == ["z.jsonl"]
    assert not (repository / REFUSED_ROWS).exists()


def test_a_file_that_becomes_a_link_after_the_look_is_not_followed(tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    old(write(inbox / "a.jsonl", [line(row(1))]))
    (source,) = waiting(inbox)
    outside = write(tmp_path / "secret.jsonl", [line(row(7))])
    (inbox / "a.jsonl").unlink()
    (inbox / "a.jsonl").symlink_to(outside)
    with pytest.raises(DataError, match="a link is not followed"):
        ingest(source, store(tmp_path), "person eve")
    assert not clear(inbox, source, "0" * 64)
    assert os.readlink(inbox / "a.jsonl") == str(outside)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [("notes.txt", "hello", "not one of .jsonl"), ("data.csv", "a,b", "not one of"), ("empty.jsonl", "", "empty")],
)
def test_what_is_not_taken_is_named(repository, name, text, why):
    inbox = repository / "data" / "inbox"
    (inbox / name).write_text(text)
    old(inbox / name)
    output, _ = sweep()
    assert f"{name}: left in data/inbox: {why}" in output
    assert (inbox / name).exists()


def test_arrays_and_packed_files_are_taken(repository):
    inbox = repository / "data" / "inbox"
    (inbox / "a.json").write_text(json.dumps([json.loads(line(row(n))) for n in (1, 2)], indent=1))
    (inbox / "b.jsonl.gz").write_bytes(gzip.compress(f"{line(row(3))}\n{line(row(4))}\n".encode()))
    (inbox / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + f"{line(row(5))}\r\n{line(row(6))}\r\n".encode())
    for file in inbox.iterdir():
        old(file)
    _, error = sweep()
    assert error is None
    facts = ingested(Ledger(repository).read())
    assert [(fact.rows, fact.kept + fact.held, fact.quarantined) for fact in facts] == [(2, 2, 0)] * 3


def test_a_packed_line_that_is_set_apart_is_copied_unpacked(tmp_path):
    bad = b'{"task": "\xff\xfe"}'
    (tmp_path / "in.jsonl.gz").write_bytes(gzip.compress(line(row(1)).encode() + b"\n" + bad + b"\n"))
    outcome = ingest(Source.of(tmp_path / "in.jsonl.gz"), store(tmp_path), "person ada")
    assert (tmp_path / PRIVATE_ROWS / outcome.event.source / "lines").read_bytes() == bad + b"\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named_and_left(repository):  # pragma: no cover
    inbox = repository / "data" / "inbox"
    old(write(inbox / "a.jsonl", [line(row(1))])).chmod(0)
    output, _ = sweep()
    assert "a.jsonl: left in data/inbox: a.jsonl cannot be read: Permission denied" in output


@pytest.mark.parametrize(
    "failing", [PermissionError(13, "Permission denied"), ValueError("odd"), RecursionError(), KeyError("x")]
)
def test_a_source_that_fails_is_named_and_the_others_go_on(repository, monkeypatch, failing):
    inbox = repository / "data" / "inbox"
    for name in ("a", "b", "c"):
        old(write(inbox / f"{name}.jsonl", [line(row(ord(name)))]))
    real = Source.digest

    def digest(source):
        if source.name == "b.jsonl":
            raise failing
        return real(source)

    monkeypatch.setattr(Source, "digest", digest)
    output, error = sweep()
    assert "1 of 3 could not be ingested and stay in data/inbox: b.jsonl" in str(error)
    assert type(failing).__name__ in output
    assert "Traceback" not in output
    assert [fact.name for fact in ingested(Ledger(repository).read())] == ["a.jsonl", "c.jsonl"]
    assert [one.name for one in waiting(inbox)] == ["b.jsonl"]


@pytest.mark.parametrize("stage", ["own_row", "judge"])
@pytest.mark.parametrize(
    "failing", [ValueError("odd"), RecursionError(), MemoryError(), UnicodeEncodeError("a", "b", 0, 1, "")]
)
def test_a_row_that_fails_is_refused_by_name_and_the_others_come_in(tmp_path, monkeypatch, stage, failing):
    from parammem.experience.admission import Admission

    where, name = (units, "own_row") if stage == "own_row" else (Admission, "judge")
    real = getattr(where, name)

    def odd(*given):
        if "t-1" in str(given[-1] if stage == "judge" else given[0]):
            raise failing
        return real(*given)

    monkeypatch.setattr(where, name, odd)
    file = write(tmp_path / "in.jsonl", [line(row(n)) for n in range(5)])
    outcome = ingest(Source.of(file), store(tmp_path), "person ada")
    assert (outcome.event.kept, outcome.event.reasons) == (4, {"cannot-be-judged": 1})


def test_a_full_disk_is_no_fault_of_a_source(repository, monkeypatch):
    old(write(repository / "data" / "inbox" / "a.jsonl", [line(row(1))]))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sorter.Sorter, "run", full)
    result = CliRunner().invoke(cli.app, ["ingest"])
    assert isinstance(result.exception, OSError)
    assert not (repository / "ledger").exists()
    monkeypatch.undo()
    monkeypatch.chdir(repository)
    assert sweep()[1] is None


@pytest.mark.parametrize("damage", [b"", b"this is no database, whatever it is called. " * 100, None])
def test_a_damaged_index_is_made_again(tmp_path, damage):
    first = ingest(Source.of(write(tmp_path / "a.jsonl", [line(row(1))])), store(tmp_path), "person ada")
    index = tmp_path / INDEX
    data = index.read_bytes()
    index.write_bytes(data[:5000] + b"\xff" * (len(data) - 5000) if damage is None else damage)
    again = ingest(Source.of(write(tmp_path / "b.jsonl", [line(row(1)), line(row(2))])), store(tmp_path), "person ada")
    assert (first.event.kept, again.event.kept, again.event.duplicates) == (1, 1, 1)


def test_a_file_that_is_being_copied_is_taken_when_it_is_whole(repository):
    inbox = repository / "data" / "inbox"
    text = "".join(f"{line(row(n))}\n" for n in range(4))
    with (inbox / "slow.jsonl").open("w") as out:
        out.write(text[: len(text) // 2])
        out.flush()
        old(inbox / "slow.jsonl")
        assert waiting(inbox) == []  # nobody has touched it for long, and it is open
        assert "open for writing" in look(inbox).left["slow.jsonl"]
    old(inbox / "slow.jsonl", 10)
    assert waiting(inbox) == [], "cut in the middle of a line"
    old(inbox / "slow.jsonl", UNFINISHED + 1)
    assert len(waiting(inbox)) == 1, "nobody goes on with it"
    (inbox / "slow.jsonl").write_text(text)
    assert waiting(inbox) == [], "too new"
    old(inbox / "slow.jsonl", 10)
    assert sweep()[1] is None
    (fact,) = ingested(Ledger(repository).read())
    assert (fact.rows, fact.quarantined) == (4, 0)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)),
        ("a.json", b'[{"a": 1},\n {"b": [2]}]'),
        ("a.json", b'{"a": 1,\n "b": [2]\n}'),
        ("a.jsonl", b'{"a": 1}\n{"b": 2}'),
    ],
)
def test_the_end_of_a_file_tells_whether_it_is_whole(tmp_path, name, whole):
    for data, count in ((whole[:-2], 0), (whole, 1)):
        (tmp_path / name).write_bytes(data)
        old(tmp_path / name, 10)
        assert len(waiting(tmp_path)) == count


def test_rows_that_come_while_a_batch_is_put_under_dvc_are_not_lost(repository, monkeypatch):
    """They are appended between the reading of the file and its moving away."""
    inbox = repository / "data" / "inbox"
    (repository / ".dvc").mkdir()
    file = old(write(inbox / "log.jsonl", [line(row(1))]))
    late = [line(row(2)), line(row(3))]

    def slow_dvc(root, files):
        if late:
            with file.open("a") as out:
                out.write(late.pop(0) + "\n")
        old(file)
        return []

    monkeypatch.setattr("parammem.checkout.dvc.track", slow_dvc)
    output, error = sweep()
    assert error is None
    assert "log.jsonl: it has grown meanwhile and stays" in output
    assert file.exists()
    for _ in range(3):
        sweep()
    rows = [*rows_in(repository / "data/experience"), *rows_in(repository / "data/fresh")]
    assert sorted(one.task.task_id for one in rows) == ["t-1", "t-2", "t-3"]
    assert not file.exists()
    assert (inbox / DONE / "log.jsonl").read_text().count("\n") == 3


def test_a_file_with_an_open_writer_is_not_moved_away(tmp_path):
    file = old(write(tmp_path / "log.jsonl", [line(row(1))]))
    (source,) = waiting(tmp_path)
    digest = source.digest()
    with file.open("a"):
        assert not clear(tmp_path, source, digest)
        assert file.exists()
    assert clear(tmp_path, source, digest)


def test_what_a_killed_clearing_had_hidden_comes_back(tmp_path):
    file = old(write(tmp_path / "log.jsonl", [line(row(1))]))
    (tmp_path / TAKEN).mkdir()
    file.rename(tmp_path / TAKEN / "log.jsonl")
    old(write(tmp_path / "log.jsonl", [line(row(2))]))
    found = sorted(source.files[0].read_text() for source in waiting(tmp_path))
    assert found == sorted(f"{line(row(n))}\n" for n in (1, 2))


def test_originals_are_readable_by_their_owner_alone(repository):
    inbox = repository / "data" / "inbox"
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    old(write(inbox / "a.jsonl", [line(row(1, answer=f"x = 1  # {secret}")), line(row(2))])).chmod(0o644)
    sweep()
    (kept,) = (repository / PRIVATE_ROWS).glob("*/lines")
    assert secret in kept.read_text()
    for place in (inbox / DONE / "a.jsonl", kept):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    one = row(3)
    assert stat.S_IMODE(report(one.trajectory, one.task, True, inbox=inbox).stat().st_mode) & 0o007 == 0


def test_a_junk_file_of_two_megabytes_leaves_a_few_files(tmp_path):
    import random

    junk = tmp_path / "junk.jsonl"
    junk.write_bytes(random.Random(3).randbytes(2 << 20))
    outcome = ingest(Source.of(junk), store(tmp_path), "person ada")
    assert outcome.event.quarantined == outcome.event.rows > 5000
    made = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert len(made) <= 3
    assert sum(file.stat().st_size for file in made) < 8 << 20


def test_refused_lines_of_older_batches_are_still_read(tmp_path):
    from parammem.experience.ingest_result import Refused

    line = '{"number":1,"reasons":["not-utf8"],"details":["x"],"raw":"","private":"1.line","raw_digest":"ab"}'
    assert Refused.model_validate_json(line).size == 0


def test_rows_that_were_refused_for_want_of_a_domain_come_in_once_it_is_named(tmp_path):
    log = {"prompt": "Write f(x) that doubles x.", "implementations": ["def f(x): return 2 * x"], "is_solved": True}
    named = {**log, "prompt": "Which river?", "domain": "qa"}
    file = write(tmp_path / "logs.jsonl", [json.dumps(log), json.dumps(named)])
    events = [ingest(Source.of(file), store(tmp_path, domain=d), "person ada") for d in ("", "code", "code", "")]
    assert [one.new for one in events] == [True, True, False, False]
    assert [(one.event.kept, one.event.duplicates, one.event.reasons) for one in events[:2]] == [
        (1, 0, {"unknown-domain": 1}),
        (1, 1, {}),
    ]
    assert sorted(one.task.domain for one in rows_in(tmp_path / BATCHES)) == ["code", "qa"]
    assert Ledger(tmp_path).verify() == []
    assert room.already(ingested(Ledger(tmp_path).read()), events[0].digest, "") is not None


def test_params_name_the_domain_of_rows_that_do_not(repository):
    log = {"prompt": "Write f(x) that doubles x.", "implementations": ["def f(x): return 2 * x"], "is_solved": True}
    old(write(repository / "data/inbox/a.jsonl", [json.dumps(log)]))
    params = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(params.replace('  domain: ""', "  domain: code"))
    assert sweep()[1] is None
    assert ingested(Ledger(repository).read())[0].domains == {"code": 1}


def test_a_dry_run_shows_what_rows_would_become_and_writes_nothing(repository):
    rows = [line(row(1)), line(row(900)), "broken", line(row(1)), line(row(2, outcome=None))]
    write(repository / "in.jsonl", rows)

    def state() -> dict[Path, tuple[int, int]]:
        return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in repository.rglob("*")}

    before = state()
    result = CliRunner().invoke(cli.app, ["ingest", "in.jsonl", "--dry-run", "--json"])
    assert result.exit_code == 0, result.output
    found = [json.loads(one) for one in result.stdout.splitlines()]
    assert [one["number"] for one in found] == [1, 2, 3, 4, 5]
    assert [one["becomes"] for one in found][1:4] == ["refused", "refused", "duplicate"]
    assert {found[0]["becomes"], found[4]["becomes"]} <= {"batch", "fresh"}
    assert [one["reasons"] for one in found][1:3] == [["evaluation-task"], ["not-json"]]
    assert found[0]["task"] == row(1).task.text
    assert [one["text"] for one in found[0]["attempts"]] == [row(1).trajectory.attempts[0].text]
    assert (found[0]["outcome"], found[4]["outcome"]) == (True, None)
    told = CliRunner().invoke(cli.app, ["ingest", "in.jsonl", "--dry-run"]).output
    assert "in.jsonl:2: refused\n    evaluation-task: " in told
    assert state() == before


def test_names_are_shown_in_one_printable_line():
    assert shown("plain é 日本.jsonl") == "plain é 日本.jsonl"
    assert shown("a\nb\u2028c\u202e") == "a\\x0ab\\u2028c\\u202e"
    assert shown(os.fsdecode(b"\xff")) == "\\xff"
    assert len(shown("x" * 255)) == 200


def test_what_is_wrong_with_a_file_is_said_of_its_name_as_it_may_be_shown(tmp_path):
    file = tmp_path / "a\nb.jsonl"
    file.write_bytes(gzip.compress(line(row(1)).encode() * 50)[:-9])
    with pytest.raises(DataError) as raised:
        ingest(Source.of(file), store(tmp_path), "person ada")
    assert str(raised.value).startswith("a\\x0ab.jsonl: its gzip data is broken")
