"""MATH, GSM8K, HotpotQA and 2WikiMultiHopQA rows, in the original files' and in the hub's form."""

from __future__ import annotations

import json

import pytest

from parammem.benchmarks.table import items_of
from parammem.domains import get_domain
from parammem.domains.real_qa import RealQaPrompts
from tests.benchmarks import rows


def test_math_takes_the_last_box_as_the_answer():
    row = rows.math_row(4) | {"solution": "First $\\boxed{1}$, then $\\boxed{\\frac{a}{\\sqrt{2}}}$."}
    (item,), _ = items_of("math", [row])
    assert item.key.hidden == {"answer": "\\frac{a}{\\sqrt{2}}"}
    assert (item.key.tags["type"], item.key.tags["level"]) == ("Algebra", "5")
    assert item.task.visible == {}


def test_math_knows_the_whole_list_where_a_solution_boxes_several():
    row = rows.math_row(4) | {"solution": "Therefore, the answers are $\\boxed{-2}$ and $\\boxed{1}$."}
    (item,), _ = items_of("math", [row])
    assert item.key.hidden == {"answer": "1", "together": "-2, 1"}
    domain = get_domain("math", real=True)
    texts = (item.key.gold, "\\boxed{1}", "\\boxed{1, -2}", "\\boxed{-2}")
    scores = domain.judge.score([(item.task, item.key, domain.prompts.parse(text)) for text in texts])
    assert [getattr(score, "passed", score) for score in scores] == [True, True, True, False]


def test_gsm8k_takes_what_follows_the_marks():
    (item,), _ = items_of("gsm8k", [rows.GSM8K])
    assert item.key.hidden == {"answer": "1200"}
    domain = get_domain("math", real=True)
    assert domain.prompts.parse(item.key.gold) == "1200"
    scores = domain.judge.score([(item.task, item.key, text) for text in ("1200", "1,200", "120")])
    assert [getattr(score, "passed", score) for score in scores] == [True, True, False]


@pytest.mark.parametrize("row", [rows.HOTPOT, rows.HOTPOT_HUB], ids=["file", "hub"])
def test_hotpotqa_is_the_same_from_the_file_and_from_the_hub(row):
    (item,), _ = items_of("hotpotqa", [row])
    (expected,), _ = items_of("hotpotqa", [rows.HOTPOT])
    assert item == expected
    assert item.task.text.endswith("[2] Ida Holm\nA painter. She taught Per Lie.")
    assert item.key.hidden["supporting_facts"] == ["Old Gate#0", "Ida Holm#1"]
    assert RealQaPrompts().question(item.task.text) == rows.HOTPOT["question"]
    assert "Lie" not in RealQaPrompts().advise(item.task.text)[-1].content


def test_2wiki_reads_contexts_that_the_hub_keeps_as_text():
    row = rows.HOTPOT | {"context": json.dumps(rows.HOTPOT["context"]), "type": "bridge_comparison"}
    (item,), _ = items_of("2wiki", [row | {"supporting_facts": json.dumps(rows.HOTPOT["supporting_facts"])}])
    assert item.key.tags["type"] == "bridge_comparison"
    assert item.key.tags["passages"] == "2"


def test_rows_without_context_are_questions_alone():
    (item,), _ = items_of("2wiki", [{"idx": 1, "question": "Who?", "answer": "Ann"}])
    assert item.task.text == "Who?"
    assert item.key.tags["passages"] == "0"


def test_rows_without_an_answer_are_named():
    items, bad = items_of("hotpotqa", [rows.HOTPOT, {"question": "Who?", "answer": ""}])
    assert len(items) == 1
    assert bad == ["row 1: its answer is empty"]
