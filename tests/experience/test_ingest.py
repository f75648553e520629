"""Facts about ingestion: what comes in is whole and there once, what does not is kept with its reasons."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from parammem.checkout.places import BATCHES, FRESH, FRESH_KEYS, INGESTING, PRIVATE_ROWS, REFUSED_ROWS
from parammem.errors import DataError, LedgerError
from parammem.experience.ingest import ingest, ingested
from parammem.experience.ingest_result import IngestResult, Refused
from parammem.experience.source_files import Source
from parammem.experience.split import is_fresh
from parammem.registry import Ledger
from parammem.stages.ingested import read_experience
from tests.experience.rows import key, line, row, rows_in, store, task, text_of, write

WHO = "person ada"


def take(root, lines, share: float = 0.0, name: str = "in.jsonl", **more) -> IngestResult:
    return ingest(Source.of(write(root / name, lines)), store(root, share, **more), WHO)


def apart(root: Path, outcome: IngestResult) -> dict[int, bytes]:
    """Number of a line → its bytes, of those that are shown to nobody."""
    found = {}
    for one in refused(root):
        if one.private:
            data = (root / PRIVATE_ROWS / outcome.event.source / one.private).read_bytes()
            found[one.number] = data[one.offset : one.offset + one.size]
            assert hashlib.sha256(found[one.number]).hexdigest() == one.raw_digest
    return found


def refused(root) -> list[Refused]:
    lines = [one for file in (root / REFUSED_ROWS).glob("*.jsonl") for one in file.read_text().splitlines()]
    return [Refused.model_validate_json(one) for one in lines]


def everything_below(root) -> dict[str, bytes]:
    """All files but the index and the locks."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file() and ".cache" not in file.parts
    }


def test_a_batch_is_named_by_its_bytes_and_holds_the_rows_in_order(tmp_path):
    outcome = take(tmp_path, [line(row(n)) for n in range(5)])
    file = tmp_path / BATCHES / f"{outcome.event.batch}.jsonl"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == outcome.event.batch
    assert [one.task.task_id for one in rows_in(tmp_path / BATCHES)] == [f"t-{n}" for n in range(5)]
    assert outcome.event.kept == outcome.event.rows == 5


def test_collect_reads_what_ingest_wrote(tmp_path):
    outcome = take(tmp_path, [line(row(n)) for n in range(3)])
    found = read_experience(tmp_path / BATCHES, "code")
    assert [origin for origin, _ in found] == [outcome.event.batch] * 3
    assert [one.task.text for _, one in found] == [text_of(n) for n in range(3)]


def test_batches_are_read_in_the_order_in_which_they_came(tmp_path):
    names = [take(tmp_path, [line(row(n))], name=f"{n}.jsonl").event.batch for n in range(8)]
    assert names != sorted(names)
    assert [origin for origin, _ in read_experience(tmp_path / BATCHES, "code")] == names
    (tmp_path / BATCHES / "order.txt").unlink()
    assert [origin for origin, _ in read_experience(tmp_path / BATCHES, "code")] == sorted(names)
    take(tmp_path, [line(row(7))], name="7.jsonl")
    assert [origin for origin, _ in read_experience(tmp_path / BATCHES, "code")] == names


def test_a_batch_that_the_order_does_not_name_comes_last(tmp_path):
    names = [take(tmp_path, [line(row(n))], name=f"{n}.jsonl").event.batch for n in range(3)]
    (tmp_path / BATCHES / "order.txt").write_text(f"{names[2]}\n{names[0]}\n")
    assert [origin for origin, _ in read_experience(tmp_path / BATCHES, "code")] == [names[2], names[0], names[1]]


def test_the_event_stands_in_the_ledger_and_adds_up(tmp_path):
    lines = [line(row(n)) for n in range(40)]
    outcome = take(tmp_path, [*lines, *lines[:4], "{"], share=0.3)
    (fact,) = ingested(Ledger(tmp_path).read())
    assert fact == outcome.event
    assert fact.rows == 45 == fact.kept + fact.held + fact.duplicates + fact.quarantined
    assert (fact.duplicates, fact.quarantined, fact.reasons) == (4, 1, {"not-json": 1})
    assert 0 < fact.held < 40


def test_ingesting_the_same_file_again_is_a_no_op(tmp_path):
    lines = [line(row(n)) for n in range(5)]
    first = take(tmp_path, [*lines, "broken"])
    before = everything_below(tmp_path)
    again = take(tmp_path, [*lines, "broken"])
    assert not again.new
    assert again.event == first.event
    assert again.files == first.files
    assert everything_below(tmp_path) == before


def test_rows_that_were_there_before_come_in_once_whatever_their_ids(tmp_path):
    take(tmp_path, [line(row(n)) for n in range(6)])
    renamed = row(3, seed=99)
    renamed = renamed.model_copy(
        update={
            "task": renamed.task.model_copy(update={"task_id": "mine"}),
            "trajectory": renamed.trajectory.model_copy(update={"task_id": "mine"}),
        }
    )
    outcome = take(tmp_path, [line(row(1)), line(renamed), line(row(7))], name="second.jsonl")
    assert (outcome.event.duplicates, outcome.event.kept) == (2, 1)
    assert len(rows_in(tmp_path / BATCHES)) == 7


def test_the_index_can_be_thrown_away(tmp_path):
    take(tmp_path, [line(row(n)) for n in range(6)])
    for file in (tmp_path / ".cache" / "experience").iterdir():
        file.unlink()
    assert take(tmp_path, [line(row(2)), line(row(9))], name="second.jsonl").event.duplicates == 1


def test_the_other_outcome_of_the_same_work_is_another_row(tmp_path):
    outcome = take(tmp_path, [line(row(1, outcome=True)), line(row(1, outcome=None))])
    assert outcome.event.kept == 2


def test_a_broken_line_costs_its_neighbours_nothing(tmp_path):
    lines = [line(row(0)), '{"task": ', line(row(1)), "[1, 2]", '"text"', line(row(2))[:-30], line(row(3))]
    outcome = take(tmp_path, lines)
    assert outcome.event.kept == 3
    assert [one.number for one in refused(tmp_path)] == [2, 4, 5, 6]
    assert [one.raw for one in refused(tmp_path)] == [lines[n] for n in (1, 3, 4, 5)]
    assert {one.reasons for one in refused(tmp_path)} == {("not-json",)}


def test_another_schema_version_is_refused_and_named(tmp_path):
    outcome = take(tmp_path, [line(row(0), schema=3), line(row(1), schema=1), line(row(2))])
    assert outcome.event.reasons == {"schema-version": 1}
    assert "reads 1" in refused(tmp_path)[0].details[0]


def test_an_evaluation_task_inside_is_refused_word_for_word_and_nearly(tmp_path):
    shouted = row(1).model_copy(update={"task": task(1).model_copy(update={"text": text_of(1).upper()})})
    wrapped = row(2).model_copy(update={"task": task(2).model_copy(update={"text": f"Please. {text_of(2)} Thanks."})})
    told = row(5, advice=text_of(3))
    lines = [line(row(0)), line(shouted), line(wrapped), line(told), line(row(6))]
    outcome = take(tmp_path, lines, evaluation=[task(n) for n in range(4)])
    assert outcome.event.reasons == {"evaluation-task": 4}
    assert [one.task.task_id for one in rows_in(tmp_path / BATCHES)] == ["t-6"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"task": {**row(1).task.model_dump(), "domain": "poetry"}}, "unknown-domain"),
        ({"task": {**row(1).task.model_dump(), "text": "  "}}, "empty-task"),
        ({"task": {**row(1).task.model_dump(), "task_id": "another"}}, "other-task"),
        ({"task": {**row(1).task.model_dump(), "text": "a\u202eb hidden marks"}}, "control-characters"),
        ({"trajectory": {**row(1).trajectory.model_dump(mode="json"), "submission": 7}}, "no-submission"),
        ({"trajectory": {**row(1).trajectory.model_dump(mode="json"), "attempts": []}}, "no-submission"),
        ({"outcome": "maybe"}, "not-a-record"),
        ({"extra": 1}, "not-a-record"),
        ({"key": key(2).model_dump()}, "other-task"),
        ({"key": {"gold": "x"}}, "not-a-record"),
    ],
)
def test_each_rule_at_the_door_is_kept(tmp_path, changed, reason):
    outcome = take(tmp_path, [line(row(1), **changed), line(row(2))])
    assert reason in outcome.event.reasons
    assert outcome.event.kept == 1


SECRETS = {
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub Token": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "mail address": "ada.lovelace@" + "brightwater-school.net",
    "telephone number": "+44 20 7946 " + "0958",
    "card number": "4111 1111 " + "1111 1111",
    "bank account number": "DE89 3704 0044 " + "0532 0130 00",
    "social security number": "536-90-" + "4399",
    "something like a secret": "password = " + "'hunter22!x'",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_and_personal_data_are_set_apart_and_never_shown(tmp_path, kind, capsys):
    from parammem.cli.ingest import as_text

    value = SECRETS[kind]
    outcome = take(tmp_path, [line(row(1, answer=f"x = 1  # {value}")), line(row(2))])
    assert outcome.event.reasons == {"secret-or-personal-data": 1}
    (one,) = refused(tmp_path)
    assert kind in one.details[0]
    assert one.raw == ""
    shown = as_text(outcome) + json.dumps(outcome.event.model_dump()) + one.line()
    assert value not in shown
    tracked = [tmp_path / name for name in outcome.files]
    assert not any(value.encode() in file.read_bytes() for file in tracked)
    kept = tmp_path / PRIVATE_ROWS / outcome.event.source / one.private
    assert value in kept.read_text()
    assert value.encode() in apart(tmp_path, outcome)[1]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", [kind for kind in SECRETS if "/" not in SECRETS[kind]])
def test_a_secret_in_the_name_of_a_file_is_not_shown_and_not_kept(tmp_path, kind):
    """The ledger and commit messages hold the name, and both are pushed."""
    from parammem.experience.inbox import look

    value = SECRETS[kind]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    file = inbox / f"log {value}.jsonl"
    file.write_text(line(row(1)) + "\n")
    os.utime(file, (0, 0))
    (inbox / f"{value} left.txt").write_text("")
    (tmp_path / "root").mkdir()
    for source in (Source.of(file), *look(inbox).sources):
        outcome = ingest(source, store(tmp_path / "root"), "person ada")
        assert value not in source.name + outcome.event.name
    assert value not in repr(look(inbox).left)
    kept = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert kept
    assert not any(value.encode() in path.read_bytes() or value in path.name for path in kept)
    with pytest.raises(DataError) as caught:
        Source.of(inbox)
    assert value not in str(caught.value)


def changed_visible(name: str) -> str:
    visible = {name: f"x = 1  # {SECRETS['mail address']}"}
    return line(row(1).model_copy(update={"task": row(1).task.model_copy(update={"visible": visible})}))


HIDDEN_IN = {
    "schema-version": lambda v: line(row(1), schema=v),
    "unknown-domain": lambda v: json.dumps({"prompt": "f", "answers": ["x"], "is_solved": True, "domain": v}),
    "not-a-record": lambda v: line(row(1), **{v: 1}),
    "no-outcome": lambda v: json.dumps({"prompt": "f", "answers": ["x"], "is_solved": v, "domain": "code"}),
    "unknown-form": lambda v: json.dumps({v: v}),
    "not-json": lambda v: f'{{"task": {v}',
    "secret-or-personal-data": changed_visible,
    "other-task": lambda v: line(row(1), key={**key(1).model_dump(), "domain": v}),
    "empty-task": lambda v: line(row(1), task={**row(1).task.model_dump(), "text": " ", "task_id": v}),
    "no-submission": lambda _: line(
        row(1), trajectory={**row(1).trajectory.model_dump(mode="json"), "submission": 4111111111111111}
    ),
}


@pytest.mark.parametrize("kind", ["AWS Access Key", "GitHub Token", "mail address"])
@pytest.mark.parametrize("rule", HIDDEN_IN)
def test_no_rule_shows_or_tracks_the_value_that_broke_it(tmp_path, rule, kind):
    from parammem.cli.ingest import as_text

    value = SECRETS[kind]
    outcome = take(tmp_path, [HIDDEN_IN[rule](value), line(row(2))])
    assert rule in outcome.event.reasons
    shown = as_text(outcome) + json.dumps(outcome.event.model_dump())
    shown += "".join((tmp_path / name).read_text() for name in outcome.files)
    assert value not in shown
    assert "4111111111111111" not in shown


def test_a_reason_that_holds_a_secret_after_all_is_held_back(tmp_path, monkeypatch):
    from parammem.experience import units as room
    from parammem.experience.convert import Unreadable

    def careless(*_):
        raise Unreadable("not-a-record", f"strange: {SECRETS['mail address']}")

    monkeypatch.setattr(room, "own_row", careless)
    outcome = take(tmp_path, [line(row(1))])
    assert refused(tmp_path)[0].details == ("held back: mail address",)
    assert outcome.examples == ("line 1: not-a-record: held back: mail address",)


def test_reasons_that_name_kinds_of_secrets_are_not_held_back():
    from parammem.experience.sorter import masked
    from parammem.validation.secret_forms import FORMS

    for kind in [*SECRETS, *FORMS]:
        detail = f"{kind} in trajectory.attempts.0.candidate; {kind} in task.visible.… (a key)"
        assert masked(detail) == detail


def test_a_secret_in_a_line_that_cannot_be_read_is_not_shown_either(tmp_path):
    value = SECRETS["AWS Access Key"]
    outcome = take(tmp_path, [f'{{"task": "{value}"', line(row(2))])
    assert not any(value.encode() in (tmp_path / name).read_bytes() for name in outcome.files)
    assert value.encode() in apart(tmp_path, outcome)[1]


def test_a_line_of_bad_bytes_and_one_that_is_too_long_lie_apart_byte_for_byte(tmp_path, monkeypatch):
    from parammem.experience import source_files

    monkeypatch.setattr(source_files, "LONGEST_LINE", 5000)
    bad, long = b'{"task": "\xff\xfe"}', b'{"task": "' + b"x" * 20000 + b'"}'
    file = tmp_path / "in.jsonl"
    file.write_bytes(b"\n".join([line(row(1)).encode(), bad, long, line(row(2)).encode()]) + b"\n")
    outcome = ingest(Source.of(file), store(tmp_path), WHO)
    assert outcome.event.reasons == {"not-utf8": 1, "too-long": 1}
    assert outcome.event.kept == 2
    kept = apart(tmp_path, outcome)
    assert kept[2] == bad
    assert kept[3].rstrip(b"\n") == long


def test_a_task_is_on_one_side_for_ever(tmp_path):
    take(tmp_path, [line(row(n)) for n in range(60)], share=0.3)
    take(tmp_path, [line(row(n, outcome=False)) for n in range(60)], share=0.3, name="second.jsonl")
    learned = {one.task.content for one in rows_in(tmp_path / BATCHES)}
    judged = {one.task.content for one in rows_in(tmp_path / FRESH)}
    assert len(learned) + len(judged) == 60
    assert not learned & judged
    assert all(is_fresh(task(n), 0.3) == (task(n).content in judged) for n in range(60))


def test_about_the_share_that_was_asked_for_is_kept_for_judging():
    kept = sum(is_fresh(task(n), 0.2) for n in range(2000))
    assert 330 < kept < 470
    assert not any(is_fresh(task(n), 0.0) for n in range(50))


def test_answer_keys_are_kept_for_judged_tasks_only(tmp_path):
    outcome = take(tmp_path, [line(row(n), key=key(n).model_dump()) for n in range(40)], share=0.3)
    keys = [
        json.loads(one) for one in (tmp_path / FRESH_KEYS / f"{outcome.event.fresh}.jsonl").read_text().splitlines()
    ]
    judged = {one.task.task_id for one in rows_in(tmp_path / FRESH)}
    assert {one["task_id"] for one in keys} == judged
    batch = (tmp_path / BATCHES / f"{outcome.event.batch}.jsonl").read_text()
    assert "gold" not in batch
    assert "hidden" not in batch


def test_ids_that_strangers_share_are_told_apart(tmp_path):
    other = row(2).model_copy(
        update={
            "task": task(2).model_copy(update={"task_id": "t-1"}),
            "trajectory": row(2).trajectory.model_copy(update={"task_id": "t-1"}),
        }
    )
    lines = [line(row(1)), line(other), line(row(1, answer="def f(xs): return 0"))]
    take(tmp_path, lines)
    rows = rows_in(tmp_path / BATCHES)
    assert len({one.task.task_id: one.task.content for one in rows}) == 2
    assert len({one.trajectory.trajectory_id for one in rows}) == 3
    assert all(one.task.task_id == one.trajectory.task_id for one in rows)


def test_an_empty_or_missing_file_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(DataError, match="has no rows"):
        take(tmp_path, [])
    with pytest.raises(DataError, match="no file"):
        Source.of(tmp_path / "nowhere.jsonl")
    assert not (tmp_path / "ledger").exists()
    assert not (tmp_path / INGESTING).exists()


@pytest.mark.parametrize("step", range(1, 12))
def test_a_full_disk_at_any_moment_leaves_everything_as_it_was(tmp_path, monkeypatch, step):
    take(tmp_path, [line(row(100))])
    lines = [*[line(row(n)) for n in range(30)], "broken", line(row(50, answer=SECRETS["AWS Access Key"]))]
    source = Source.of(write(tmp_path / "second.jsonl", lines))
    before = everything_below(tmp_path)
    calls = {"n": 0}

    def failing(real):
        def wrapped(*arguments, **named):
            calls["n"] += 1
            if calls["n"] == step:
                raise OSError(28, "No space left on device")
            return real(*arguments, **named)

        return wrapped

    import shutil

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(os.fsync))
        patched.setattr(shutil, "move", failing(shutil.move))
        failed = None
        try:
            ingest(source, store(tmp_path, 0.3), WHO)
        except OSError as error:
            failed = error.errno
    if failed:
        assert failed == 28
        assert everything_below(tmp_path) == before
    else:
        assert len(Ledger(tmp_path).read()) == 2
        assert calls["n"] in (step - 1, step), "nothing but the order of batches may fail without an error"
    outcome = ingest(source, store(tmp_path, 0.3), WHO)
    assert outcome.event.rows == 32
    assert outcome.event.kept + outcome.event.held == 30
    assert Ledger(tmp_path).verify() == []


def test_a_crash_between_batch_and_ledger_is_made_good_by_doing_it_again(tmp_path, monkeypatch):
    file = write(tmp_path / "in.jsonl", [line(row(n)) for n in range(8)])

    def killed(*_):
        os.kill(os.getpid(), 9)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Ledger, "append", killed)
        ingest(Source.of(file), store(tmp_path), WHO)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    orphan = [one.name for one in (tmp_path / BATCHES).glob("*.jsonl")]
    assert len(orphan) == 1
    outcome = ingest(Source.of(file), store(tmp_path), WHO)
    assert outcome.new
    assert [one.name for one in (tmp_path / BATCHES).glob("*.jsonl")] == orphan
    assert outcome.event.kept == 8
    assert not (tmp_path / INGESTING).exists()


def test_a_broken_ledger_stops_ingestion_before_anything_is_written(tmp_path):
    take(tmp_path, [line(row(0))])
    ledger = tmp_path / "ledger" / "events.jsonl"
    ledger.write_text(ledger.read_text().replace("ada", "eve"))
    before = everything_below(tmp_path)
    with pytest.raises(LedgerError, match=r"events\.jsonl:1"):
        take(tmp_path, [line(row(1))], name="in.jsonl")
    assert {k: v for k, v in everything_below(tmp_path).items() if k != "in.jsonl"} == {
        k: v for k, v in before.items() if k != "in.jsonl"
    }


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    file = write(tmp_path / "in.jsonl", [line(row(0))])
    source = Source.of(file)
    lines = Source.lines

    def growing(self):
        yield from lines(self)
        file.write_text(line(row(5)) + "\n")

    monkeypatch.setattr(Source, "lines", growing)
    with pytest.raises(DataError, match="was changed while"):
        ingest(source, store(tmp_path), WHO)
    assert not (tmp_path / "ledger").exists()


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_200_megabytes_come_in_with_flat_memory(tmp_path):
    """In a process of its own, so that its peak is its own: twice the rows must not take more memory."""
    import subprocess
    import sys

    program = """
import sys
from pathlib import Path
from tests.experience.rows import store
from parammem.experience.ingest import ingest
from parammem.experience.source_files import Source
root = Path(sys.argv[1])
outcome = ingest(Source.of(root / "in.jsonl"), store(root, 0.2), "person ada")
# Not getrusage: what that says begins with the size of the process that this one was forked from.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
print(outcome.event.kept + outcome.event.held, peak)
"""
    peaks = []
    for megabytes in (20, 200):
        root = tmp_path / str(megabytes)
        root.mkdir()
        size = number = 0
        with (root / "in.jsonl").open("w") as out:
            while size < megabytes << 20:
                size += out.write(line(row(number, answer=f"# {number}\n" + "x = 1\n" * 1500)) + "\n")
                number += 1
        done = subprocess.run([sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True)
        rows, peak = map(int, done.stdout.split())
        assert rows == number
        peaks.append(peak)
    assert peaks[1] < 1.25 * peaks[0]
