"""Facts about when to train."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from parammem.checkout.places import BATCHES
from parammem.core import write_jsonl
from parammem.core.advice import GivenAdvice
from parammem.core.event import START, Event, Ingested, Trained, make_event
from parammem.improve import batches
from parammem.improve.triggers import Outcomes, Triggers, judge, new_batches
from tests.experience.rows import row

TRIGGERS = Triggers(min_new_rows=100, max_hours=24, drift_points=0.2, drift_rows=30)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ingest(batch: str) -> Ingested:
    return Ingested(
        source=f"source {batch}", name=batch, format="parammem", batch=batch, fresh="", rows=1, kept=1, held=0,
        duplicates=0, quarantined=0, domains={"code": 1},
    )  # fmt: skip


def train(adapter: str, *batches: str, domain: str = "code") -> Trained:
    return Trained(
        domain=domain, adapter=adapter, data_digest="", rows=1, base_digest="", recipe_digest="", batches=batches
    )


def ledger(*facts, time: str = "2026-11-23T11:00:00Z") -> list[Event]:
    events: list[Event] = []
    for fact in facts:
        events.append(make_event(len(events) + 1, time, "test", fact, events[-1].digest if events else START))
    return events


def rows(count: int, good: int = 0, bad: int = 0) -> Outcomes:
    return Outcomes(rows=count, good=good, bad=bad)


def test_nothing_new_is_no_reason():
    reason = judge("code", ledger(ingest("a"), train("x", "a")), {"a": rows(500)}, TRIGGERS, NOON)
    assert (reason.due, reason.kind, reason.new_rows) == (False, "none", 0)
    assert reason.why == "code: nothing new"


def test_enough_rows_since_the_last_training_are():
    events = ledger(ingest("a"), train("x", "a"), ingest("b"), ingest("c"))
    batches = {"a": rows(500), "b": rows(60), "c": rows(40)}
    assert judge("code", events, batches, TRIGGERS, NOON).kind == "rows"
    few = judge("code", events, {**batches, "c": rows(39)}, TRIGGERS, NOON)
    assert (few.due, few.why) == (False, "code: 99 new rows of 100 needed")


def test_rows_of_another_domain_do_not_count():
    events = ledger(ingest("a"), train("x", "a", domain="math"))
    assert new_batches(events, "math") == []
    assert new_batches(events, "code") == ["a"]
    assert not judge("code", events, {"a": rows(0)}, TRIGGERS, NOON).due


@pytest.mark.parametrize(("good", "kind"), [(8, "drift"), (32, "none"), (36, "none")])
def test_a_change_of_success_that_is_no_chance_is_drift(good, kind):
    events = ledger(ingest("a"), train("x", "a"), ingest("b"))
    batches = {"a": rows(200, 160, 40), "b": rows(40, good, 40 - good)}
    reason = judge("code", events, batches, TRIGGERS, NOON)
    assert reason.kind == kind
    assert ("points as often" in reason.why) == (kind == "drift")


def test_drift_needs_enough_rows_with_an_outcome():
    events = ledger(ingest("a"), train("x", "a"), ingest("b"))
    batches = {"a": rows(200, 160, 40), "b": rows(29, 0, 29)}
    assert judge("code", events, batches, TRIGGERS, NOON).kind == "none"


def test_time_is_a_reason_for_any_new_row():
    events = ledger(ingest("a"), train("x", "a"), ingest("b"), time="2026-11-22T11:00:00Z")
    reason = judge("code", events, {"a": rows(9), "b": rows(1)}, TRIGGERS, NOON)
    assert (reason.kind, "25 hours ago" in reason.why) == ("time", True)
    off = TRIGGERS.model_copy(update={"max_hours": 0})
    assert judge("code", events, {"a": rows(9), "b": rows(1)}, off, NOON).kind == "none"


def test_a_batch_that_was_there_and_not_learned_from_had_been_set_aside():
    events = ledger(ingest("a"), ingest("poison"), train("x", "a", "poison"), train("y", "a"))
    assert new_batches(events, "code") == []


def test_outcomes_of_runs_that_were_advised_are_no_drift(tmp_path):
    """They change with who advises. As new rows they count all the same."""
    advised = row(1).model_copy(update={"advice": (GivenAdvice(text="look twice", digest="d"),)})
    write_jsonl(tmp_path / BATCHES / "one.jsonl", [row(0), row(2, outcome=False), advised])
    assert batches.outcomes(tmp_path, "code") == {"one": Outcomes(rows=3, good=1, bad=1)}
