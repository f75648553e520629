"""Facts about the report over generations."""

from __future__ import annotations

import pytest

from parammem.core.decision import Decision
from parammem.core.event import START, Decided, Event, Ingested, Published, RolledBack, Trained, make_event
from parammem.gate import guards
from parammem.gate.decide import decide
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.gate.rule import Rule
from parammem.improve.generations import as_text, chart, generations

SOLVED = {"a": (50, 30), "b": (80, 35), "c": (30, 38)}
"""Adapter → tasks of 100 that it solves on the anchor and on the fresh slice."""


def decision(adapter: str, champion: str, start: str = "") -> Decision:
    def outcomes(name, place: int) -> SliceOutcomes:
        counts = {"none": 20, "challenger": SOLVED[adapter][place]}
        counts |= {"champion": SOLVED[champion][place]} if champion else {}
        shares = {arm: tuple(int(n < many) for n in range(100)) for arm, many in counts.items()}
        return SliceOutcomes(name=name, tasks=tuple(str(n) for n in range(100)), runs=1, **shares)

    seen = (guards.tokens(100.0, 123.4, 2.0), guards.diversity(2.0, 1.75, 0.5, 1.2))
    slices = (outcomes("anchor", 0), outcomes("fresh", 1))
    evidence = Evidence(domain="code", champion=champion, challenger=adapter, slices=slices, guards=seen)
    inputs = {"continued from": start} if start else {}
    return decide(evidence.model_copy(update={"inputs": inputs}), Rule(), 0)


def history() -> tuple[list[Event], dict[str, Decision]]:
    """v1 is promoted, v2 takes its place, v3 is refused, and then v2 is rolled back."""
    records: dict[str, Decision] = {}
    facts: list = []
    for number, (adapter, champion) in enumerate((("a", ""), ("b", "a"), ("c", "b")), 1):
        made = decision(adapter, champion, start="b" if adapter == "c" else "")
        records[made.digest] = made
        facts += [ingest(f"batch {number}", 10 * number), train(adapter, 100 * number)]
        facts.append(publish(adapter, number, "candidate"))
        facts.append(
            Decided(domain="code", decision=made.digest, champion=champion, challenger=adapter, answer=made.answer,
                    look=number, alpha=0.01)
        )  # fmt: skip
        if made.answer == "promote":
            facts.append(publish(adapter, number, "champion"))
    facts.append(RolledBack(domain="code", version=1, adapter="a", left=2, reason="it was rude"))
    events: list[Event] = []
    for fact in facts:
        time = f"2026-11-23T10:{len(events):02d}:00Z"
        events.append(make_event(len(events) + 1, time, "test", fact, events[-1].digest if events else START))
    return events, records


def ingest(name: str, kept: int) -> Ingested:
    return Ingested(
        source=name, name=name, format="parammem", batch=name, fresh="", rows=kept, kept=kept, held=0, duplicates=0,
        quarantined=0, domains={"code": kept},
    )  # fmt: skip


def train(adapter: str, rows: int) -> Trained:
    return Trained(domain="code", adapter=adapter, data_digest="", rows=rows, base_digest="", recipe_digest="")


def publish(adapter: str, version: int, stage) -> Published:
    return Published(domain="code", version=version, adapter=adapter, stage=stage, decision="", dvc="")


def test_each_decision_is_a_generation_with_its_shares_its_cost_and_what_became_of_it():
    events, records = history()
    first, second, third = generations(events, records.__getitem__, "code")
    assert [one.answer for one in (first, second, third)] == ["promote", "promote", "refuse"]
    assert (first.slices["anchor"].champion, first.slices["anchor"].challenger) == (0.2, 0.5)
    assert (second.slices["anchor"].champion, second.slices["anchor"].challenger) == (0.5, 0.8)
    assert (second.new_rows, second.rows, second.version) == (20, 200, 2)
    assert (second.left_later, second.was_champion) == ("it was rude", False)
    assert (first.was_champion, third.was_champion) == (True, False)
    assert second.seconds == 180.0


def test_forgetting_is_what_the_best_before_it_could_do_and_it_cannot():
    events, records = history()
    found = generations(events, records.__getitem__, "code")
    assert [one.slices["anchor"].forgotten for one in found] == [0.0, 0.0, pytest.approx(0.5)]
    assert [one.slices["fresh"].forgotten for one in found] == [0.0, 0.0, 0.0]


def test_diversity_and_tokens_are_those_that_the_guards_saw():
    events, records = history()
    found = generations(events, records.__getitem__, "code")
    assert {(one.diversity, one.tokens) for one in found} == {(1.75, 123.4)}


def test_other_domains_are_other_reports():
    events, records = history()
    assert generations(events, records.__getitem__, "math") == []


def test_table_and_chart_show_every_generation(tmp_path):
    events, records = history()
    found = generations(events, records.__getitem__, "code")
    lines = as_text(found).splitlines()
    assert len(lines) == 4
    assert "v2" in lines[2]
    assert "rolled back: it was rude" in lines[2]
    assert lines[1].rstrip().endswith("champion")
    chart(found, tmp_path / "generations.png")
    assert (tmp_path / "generations.png").read_bytes().startswith(b"\x89PNG")


def test_who_was_trained_on_from_a_champion_is_told_from_who_started_from_the_base():
    events, records = history()
    found = generations(events, records.__getitem__, "code")
    assert [one.start for one in found] == ["", "", "v2"]
    assert "from v2" in as_text(found)
