"""Short answers in the ways that models write them: the line that the prompt asks for is read first, and cleanly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parammem.domains import get_domain
from parammem.domains.qa import normalise
from parammem.domains.real_qa import RealQaPrompts, exact_match

PUBLIC = [json.loads(line) for line in (Path(__file__).parent / "public/qa.jsonl").read_text().splitlines()]
OWN = [json.loads(line) for line in (Path(__file__).parent / "own/qa.jsonl").read_text().splitlines()]
"""Texts of our own in the habits of several families of models: tables, tokens of chat templates, agents' actions,
remarks behind an answer, titles that look like remarks, `yes` with its reason, labels in other languages."""
DOMAIN = get_domain("qa", real=True)
LABEL, TAGS, BOX = "the line that the prompt asks for", "the answer tags", "the last box"
SAID, LAST, JSON = "words that say the answer", "the last line", "a field of JSON"

KINDS: dict[str, list[tuple[str, str, str]]] = {
    "the line that the prompt asks for, in other dress": [
        ("**Answer**: Paris", "Paris", LABEL), ("**Answer: Paris**", "Paris", LABEL),
        ("**Final Answer:** **Paris**", "Paris", LABEL), ("### Final Answer\n\nParis", "Paris", LABEL),
        ("> **Answer:** *Paris*", "Paris", LABEL), ("- Answer: Paris", "Paris", LABEL), ("Answer\uff1aParis",
        "Paris", LABEL),
        ("Answer:\n- Paris", "Paris", LABEL), ("Short answer: Paris", "Paris", LABEL), ("ANSWER: Paris", "Paris",
        LABEL),
        ("```\nAnswer: Paris\n```", "Paris", LABEL), ("Answer: …\nAnswer: Paris", "Paris", LABEL),
    ],
    "that line beats every other one": [
        ("Answer: Paris\n\n(The answer is supported by passages 2 and 4.)", "Paris", LABEL),
        ("Answer: Paris\nLet me check: the answer is Lyon? No.", "Paris", LABEL),
        ("I think the answer is Lyon.\n\nAnswer: Paris", "Paris", LABEL),
        ("\\boxed{Lyon} is wrong.\nAnswer: Paris", "Paris", LABEL),
        ("<answer>Lyon</answer>\nAnswer: Paris\nSo it ends.", "Paris", LABEL),
        ("Answer: Lyon\nNo, wait.\nAnswer: Paris", "Paris", LABEL),
    ],
    "thinking": [
        ("```\nParis\n```", "Paris", LAST), ("So:\n~~~text\nParis\n~~~", "Paris", LAST),
        ("<think>Answer: Lyon</think>\nParis", "Paris", LAST), ("<think>\nAnswer: Lyon", "",
        "no answer after the thinking"),
        ("Answer: Lyon</think>\n\nParis", "Paris", LAST), ("[THINK]Answer: Lyon[/THINK]Answer: Paris", "Paris", LABEL),
        ("<thinking>Answer: Lyon</thinking>Answer: Paris", "Paris", LABEL),
        ("<|channel|>analysis<|message|>Answer: Lyon<|end|><|start|>assistant<|channel|>final<|message|>Paris",
        "Paris", LAST),
    ],
    "tags, boxes, quotes, JSON": [
        ("<answer>Paris</answer>", "Paris", TAGS), ("<answer>\n  Paris\n</answer>\nThat is all.", "Paris", TAGS),
        ("So it is \\boxed{\\text{Paris}}.", "Paris", BOX), ("Answer: $\\boxed{\\text{Paris}}$", "Paris", LABEL),
        ("Answer: “The Old Gate”.", "The Old Gate", LABEL), ("Answer: `Paris`", "Paris", LABEL),
        ('Answer: "The" Band', '"The" Band', LABEL), ("Answer: 'Paris.'", "Paris", LABEL),
        ("Answer: “Ricardo “El Finito” Nava”", "Ricardo “El Finito” Nava", LABEL),
        ('{"reason": "x", "answer": "Paris"}', "Paris", JSON),
    ],
    "words that say it": [
        ('The answer to this question is: "Paris."', "Paris", LABEL), ("So the answer is Paris.", "Paris", SAID),
        ("The answer to the question is **Paris**.", "Paris", SAID), ("Thus the correct answer would be Paris",
        "Paris", SAID),
        ("The answer is in 1877.", "in 1877", SAID), ("The answer is Justin Spitzer.", "Justin Spitzer", SAID),
        ("The answer is Paris.\n\nThe answer is supported by passage 3.", "Paris", SAID),
    ],
    "explanations behind it": [
        ("Answer: Paris, because passage 2 says so.", "Paris", LABEL), ("Answer: Paris (passage 3)", "Paris", LABEL),
        ("Answer: Paris [2]", "Paris", LABEL), ("Answer: Paris. The passage says so.", "Paris", LABEL),
        ("Answer: J. R. R. Tolkien. He wrote it.", "J. R. R. Tolkien", LABEL), ("Answer: Dr. No", "Dr. No", LABEL),
        ("Answer: Everything Remains (As It Never Was)", "Everything Remains (As It Never Was)", LABEL),
        ("Answer: Hey Pa! There's a Goat", "Hey Pa! There's a Goat", LABEL), ("Answer: Paris\nConfidence: 90%",
        "Paris", LABEL),
    ],
}  # fmt: skip


@pytest.mark.parametrize("row", PUBLIC, ids=lambda row: f"{row['case']}-{row['text'][-20:]!r}")
def test_public_cases_are_judged_as_a_reader_would(row):
    assert exact_match(DOMAIN.prompts.parse(row["text"]), row["gold"]) is row["right"]


def test_texts_of_our_own_are_judged_as_a_reader_would():
    assert len(OWN) >= 387
    assert [row for row in OWN if exact_match(DOMAIN.prompts.parse(row["text"]), row["gold"]) is not row["right"]] == []


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_found_in_every_dress(kind):
    assert len(KINDS[kind]) >= 5
    read = [RealQaPrompts().read(text) for text, _, _ in KINDS[kind]]
    assert [(text, one.answer, one.rule) for (text, _, _), one in zip(KINDS[kind], read, strict=True)] == KINDS[kind]


GOLDS = ("Washington, D.C.", "1990–1995", "Mt. Everest", "yes", "The The", "from 1847 until 1980", "St. Louis", "3.5",
         "“Heroes” and more", "Yes! We Have No Bananas", "Suleiman I", "KKR & Co.", "O", "given names",
         "as loud as possible",
         "Who's Afraid of Virginia Woolf?", "[[REDACTED]]", "It", "Answer Me!", "What Is to Be Done?")  # fmt: skip


@pytest.mark.parametrize(
    "dress", ["Answer: {}", "**Answer:** {}", "**Answer: {}**", "<answer>{}</answer>", "So.\n\n## Answer\n\n{}"]
)
def test_an_answer_loses_nothing_that_the_official_rule_sees(dress):
    assert [normalise(DOMAIN.prompts.parse(dress.format(gold))) for gold in GOLDS] == [
        normalise(gold) for gold in GOLDS
    ]
