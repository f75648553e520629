"""Facts about the ledger: it only grows, it says which line was touched, and a crash costs nothing."""

from __future__ import annotations

import json
import multiprocessing
import os

import pytest

from parammem.core.decision import Decision, ErrorBudget
from parammem.core.event import START, Published, RolledBack, Trained
from parammem.errors import LedgerError
from parammem.registry import Ledger


def fact(number: int = 1) -> Published:
    return Published(
        domain="code",
        version=number,
        adapter=f"{number:064x}",
        stage="candidate",
        decision="",
        dvc="",
    )


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path, clock=lambda: "2026-01-02T03:04:05Z")


def test_missing_ledger_is_empty_and_sound(ledger):
    assert ledger.read() == []
    assert ledger.verify() == []


def test_events_are_chained_and_read_back_in_order(ledger):
    first = ledger.append(fact(1), "person ada")
    second = ledger.append(fact(2), "flow improve")
    assert first.previous == START
    assert second.previous == first.digest
    assert [e.number for e in ledger.read()] == [1, 2]
    assert Ledger(ledger.root).read() == [first, second]


def test_a_fact_that_is_there_is_not_added_again(ledger):
    once = ledger.append(fact(1), "person ada")
    ledger.append(fact(2), "person ada")
    assert ledger.append(fact(1), "flow improve") == once
    assert len(ledger.read()) == 2


def test_the_same_rollback_may_come_twice_in_a_life(ledger):
    back = RolledBack(domain="code", version=1, adapter="a", left=2, reason="worse")
    assert ledger.append(back, "person ada").number == 1
    assert ledger.append(back, "person ada").number == 2


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("field", ["actor", "time", "previous", "digest"])
def test_a_changed_line_is_named(ledger, line, field):
    for number in range(1, 4):
        ledger.append(fact(number), "person ada")
    lines = ledger.path.read_text().splitlines()
    changed = json.loads(lines[line])
    changed[field] = changed[field][:-1] + "x"
    lines[line] = json.dumps(changed, sort_keys=True)
    ledger.path.write_text("\n".join(lines) + "\n")
    assert line + 1 in [fault.line for fault in ledger.verify()]
    with pytest.raises(LedgerError, match=f"events.jsonl:{line + 1}"):
        ledger.read()
    with pytest.raises(LedgerError):
        ledger.append(fact(9), "person ada")


def test_a_removed_or_moved_line_is_named(ledger):
    for number in range(1, 4):
        ledger.append(fact(number), "person ada")
    lines = ledger.path.read_text().splitlines(keepends=True)
    ledger.path.write_text(lines[0] + lines[2])
    assert {fault.line for fault in ledger.verify()} == {2}
    ledger.path.write_text(lines[1] + lines[0] + lines[2])
    assert {1, 2} <= {fault.line for fault in ledger.verify()}


def test_an_event_whose_own_digest_was_made_anew_no_longer_fits_the_next(ledger):
    ledger.append(fact(1), "person ada")
    second = ledger.append(fact(2), "person ada")
    first = ledger.read()[0].model_copy(update={"actor": "nobody"})
    forged = first.model_copy(update={"digest": first.expected_digest})
    ledger.path.write_text(forged.line() + "\n" + second.line() + "\n")
    assert [fault.line for fault in ledger.verify()] == [2]


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_line_that_a_crash_cut_short_counts_as_never_written(ledger, cut):
    ledger.append(fact(1), "person ada")
    whole = ledger.path.read_bytes()
    ledger.append(fact(2), "person ada")
    ledger.path.write_bytes(ledger.path.read_bytes()[: len(whole) + cut])
    assert len(ledger.read()) == 1
    ledger.append(fact(3), "person ada")
    assert [e.fact.version for e in ledger.read()] == [1, 3]  # pyright: ignore


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    ledger.append(fact(1), "person ada")
    before = ledger.path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ledger.append(fact(2), "person ada")
    assert ledger.path.read_bytes() == before


def _append_some(root, start: int) -> None:
    for number in range(start, start + 10):
        Ledger(root).append(fact(number), f"person {start}")


def test_writers_at_the_same_time_leave_one_unbroken_chain(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_some, args=(tmp_path, start)) for start in (100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(Ledger(tmp_path).read()) == 30


def decision(answer: str = "refuse") -> Decision:
    budget = ErrorBudget(total=0.05, look=1, alpha=0.01, spent_before=0.0, paid=False)
    return Decision(
        domain="code", champion="", challenger="c", answer=answer, reasons=("no",), guards=(), slices=(),  # pyright: ignore
        test=None, budget=budget, rule={}, rule_version=1,
    )  # fmt: skip


def test_a_decision_is_named_by_its_content_and_a_changed_one_is_found_out(ledger):
    made = decision()
    path = ledger.save_decision(made)
    assert path.stem == made.digest
    assert ledger.decision(made.digest) == made
    path.write_text(path.read_text().replace("refuse", "promote"))
    with pytest.raises(LedgerError, match="was changed"):
        ledger.decision(made.digest)


def test_a_fact_of_another_kind_keeps_its_kind_when_read_back(ledger):
    trained = Trained(domain="qa", adapter="a", data_digest="d", rows=3, base_digest="b", recipe_digest="r")
    ledger.append(trained, "flow improve")
    assert ledger.read()[0].fact == trained
