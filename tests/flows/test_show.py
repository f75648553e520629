"""Facts about the pages of a turn."""

from __future__ import annotations

import pytest

from flows.show import CHECK_FAILED, PROMOTED, ROLLED_BACK, decision_table, news, run_name, turn_page
from parammem.core.event import Checked, Published, RolledBack, make_event
from parammem.improve.triggers import Reason
from parammem.improve.turn import TurnReport
from tests.improve.test_generations import decision


def test_page_says_why_it_trained_what_it_did_and_what_was_decided():
    reason = Reason(domain="code", due=True, why="code: 120 new rows, 100 are enough", new_rows=120, kind="rows")
    made = decision("b", "a")
    page = turn_page(TurnReport("code: promote", ("one.jsonl: 5 rows",), (reason,), (made,), "abc123"))
    assert page.startswith("# code: promote")
    assert "| code | 120 | yes | code: 120 new rows, 100 are enough |" in page
    assert "- one.jsonl: 5 rows" in page
    assert "## code: promote" in page
    assert page.endswith("commit abc123")


def test_table_has_a_row_for_each_slice():
    table = decision_table([decision("b", "a")])
    assert [row["slice"] for row in table] == ["anchor", "fresh"]
    assert (table[0]["champion"], table[0]["challenger"], table[0]["answer"]) == (50.0, 80.0, "promote")


def wrote(*facts) -> list:
    return [make_event(n, "", "flow evaluate-champion", fact, "") for n, fact in enumerate(facts, 1)]


def checked(holds: bool | None) -> Checked:
    return Checked(
        domain="code", version=2, adapter="a", holds=holds, solved=0.2, expected=0.5, p=0.001, night="2026-11-23"
    )


BACK = RolledBack(domain="code", version=1, adapter="b", left=2, reason="the nightly check failed 2 times in a row")


def test_a_promotion_is_news():
    (one,) = news(TurnReport("code: promote", (), decisions=(decision("b", "a"),), commit="c"), [])
    assert (one.event, one.domain, one.payload["commit"]) == (PROMOTED, "code", "c")


def test_a_check_that_failed_and_the_rollback_after_it_are_news():
    failed, left = news(TurnReport("code: …", (), commit="c"), wrote(checked(False), BACK))
    assert (failed.event, failed.domain, failed.payload["night"]) == (CHECK_FAILED, "code", "2026-11-23")
    assert (left.event, left.payload["left"], left.payload["version"]) == (ROLLED_BACK, 2, 1)
    assert "2 times in a row" in left.payload["reason"]


@pytest.mark.parametrize("holds", [True, None])
def test_a_check_that_did_not_fail_is_no_news(holds):
    assert news(TurnReport("code: …", (), commit="c"), wrote(checked(holds))) == []


HOSTILE = "a](javascript:x)|<img src=x onerror=y>\n# b\x1b[2J.jsonl"


def test_a_page_shows_a_hostile_file_name_and_does_nothing_with_it():
    from markdown_it import MarkdownIt

    reason = Reason(domain="code", due=True, why=HOSTILE, new_rows=1, kind="rows")
    page = turn_page(TurnReport(HOSTILE, (HOSTILE,), (reason,), (decision("b", "a"),), "c"))
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    inline = [child.type for token in tokens for child in token.children or ()]
    assert set(inline) <= {"text", "text_special", "code_inline"}
    assert next(t.content for t in tokens if t.type == "inline").startswith("a\\]")
    assert "\x1b" not in page


def test_a_note_that_is_the_headline_is_shown_once():
    assert turn_page(TurnReport("Nothing to do: waiting", ("Nothing to do: waiting",))).count("waiting") == 1


def test_a_page_of_a_decision_is_narrow_enough_to_be_read():
    page = turn_page(TurnReport("code: promote", (), decisions=(decision("b", "a"),)))
    assert "```" not in page
    assert "| anchor | 400 |" in page or "| anchor |" in page
    assert "parammem gate --show" in page


def test_a_run_is_named_after_what_it_did():
    made = decision("b", "a")
    published = Published(domain="code", version=4, adapter="b", stage="champion", decision=made.digest, dvc="")
    report = TurnReport("code: promote", (), decisions=(made,), commit="c")
    assert run_name("improve", report, wrote(published)) == "improve code: v4 promoted"
    idle = TurnReport("Nothing to do: code: 3 new rows, 100 are wanted " + "x" * 300, ())
    assert run_name("improve", idle, []).startswith("improve: Nothing to do: code: 3 new rows")
    assert len(run_name("improve", idle, [])) <= 100
