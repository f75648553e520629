"""Kinds of mathematical answers: public cases and inputs of our own are judged right, and wrong answers never are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parammem.core import AnswerKey, Task
from parammem.domains import get_domain
from parammem.domains.real_math import RealMathPrompts
from tests.domains.math_kinds import KINDS, TEXTS

PUBLIC = [json.loads(line) for line in (Path(__file__).parent / "public/math.jsonl").read_text().splitlines()]
OWN = [json.loads(line) for line in (Path(__file__).parent / "own/math.jsonl").read_text().splitlines()]
"""Texts of our own: several rows, sets, words for numbers, remarks, lists of solutions, answers in sentences."""
DOMAIN = get_domain("math", real=True)


def judged(gold: str, text: str) -> tuple[bool, str]:
    task = Task(task_id="t", domain="math", text="?")
    key = AnswerKey(task_id="t", domain="math", hidden={"answer": gold}, gold="")
    (score,) = DOMAIN.judge.score([(task, key, DOMAIN.prompts.parse(text))])
    assert not isinstance(score, Exception)
    return score.passed, score.detail


@pytest.mark.parametrize("row", PUBLIC, ids=lambda row: f"{row['case']}-{row['text'][-20:]!r}")
@pytest.mark.integration
def test_public_cases_are_judged_as_a_reader_would(row):
    assert judged(row["gold"], row["text"])[0] is row["right"]


@pytest.mark.integration
def test_texts_of_our_own_are_judged_as_a_reader_would():
    assert len(OWN) >= 1138
    assert [row for row in OWN if judged(row["gold"], row["text"])[0] is not row["right"]] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.integration
def test_answers_of_every_kind_are_the_same_or_not(kind):
    assert len(KINDS[kind]) >= 5
    found = [(gold, answer, *judged(gold, f"So it is $\\boxed{{{answer}}}$.")) for gold, answer, _ in KINDS[kind]]
    odd = [told for told, (_, _, right) in zip(found, KINDS[kind], strict=True) if told[2] is not right]
    assert odd == []


@pytest.mark.parametrize("kind", TEXTS)
def test_answers_are_found_where_the_text_says_them(kind):
    assert len(TEXTS[kind]) >= 5
    found = [(text, *_read(text)) for text, _, _ in TEXTS[kind]]
    assert found == TEXTS[kind]


def _read(text: str) -> tuple[str, str]:
    read = RealMathPrompts().read(text)
    return read.answer, read.rule


@pytest.mark.integration
def test_the_order_of_gold_and_answer_does_not_matter_for_values():
    pairs = [pair for kind in ("mixed numbers", "brackets", "thousands") for pair in KINDS[kind]]
    assert [judged(answer, f"\\boxed{{{gold}}}")[0] for gold, answer, _ in pairs] == [right for _, _, right in pairs]


@pytest.mark.integration
def test_a_key_with_several_boxes_takes_the_last_one_or_all():
    task = Task(task_id="t", domain="math", text="?")
    key = AnswerKey(task_id="t", domain="math", hidden={"answer": "1", "together": "-2, 1"}, gold="")
    texts = ("\\boxed{1}", "\\boxed{-2} and \\boxed{1}", "\\boxed{-2}", "\\boxed{1, 2}")
    scores = DOMAIN.judge.score([(task, key, DOMAIN.prompts.parse(text)) for text in texts])
    assert [getattr(score, "passed", score) for score in scores] == [True, True, False, False]


def test_votes_of_one_number_are_one_and_nothing_is_lost_on_the_way():
    assert (
        len({DOMAIN.prompts.parse(f"\\boxed{{{way}}}") for way in ("0.5", "\\frac12", "1/2", "2/4", ".50", "½")}) == 1
    )
    assert DOMAIN.prompts.parse("\\boxed{9\\text{ a.m.}}") != DOMAIN.prompts.parse("\\boxed{9\\text{ p.m.}}")
    assert DOMAIN.prompts.parse("\\boxed{7 \\text{ or } 9}") != DOMAIN.prompts.parse("\\boxed{7}")
