"""Facts about the pages of a turn."""

from __future__ import annotations

from flows.show import decision_table, turn_page
from parammem.improve.triggers import Reason
from parammem.improve.turn import Report
from tests.improve.test_generations import decision


def test_page_says_why_it_trained_what_it_did_and_what_was_decided():
    reason = Reason(domain="code", due=True, why="code: 120 new rows, 100 are enough", new_rows=120, kind="rows")
    made = decision("b", "a")
    page = turn_page(Report("code: promote", ("one.jsonl: 5 rows",), (reason,), (made,), "abc123"))
    assert page.startswith("# code: promote")
    assert "| code | 120 | yes | code: 120 new rows, 100 are enough |" in page
    assert "- one.jsonl: 5 rows" in page
    assert "PROMOTE" in page
    assert page.endswith("commit abc123")


def test_table_has_a_row_for_each_slice():
    table = decision_table([decision("b", "a")])
    assert [row["slice"] for row in table] == ["anchor", "fresh"]
    assert (table[0]["champion"], table[0]["challenger"], table[0]["answer"]) == (50.0, 80.0, "promote")
