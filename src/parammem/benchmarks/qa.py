"""HotpotQA and 2WikiMultiHopQA rows → items, from the original files, from the hub's columns, or question and answer
alone. There is no visible check."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from parammem.benchmarks.item import Item, Missing, need
from parammem.core import AnswerKey, Task, digest_of
from parammem.domains.real_qa import with_passages

Passages = list[tuple[str, list[str]]]
"""(title, sentences)."""


def hotpotqa(row: Mapping[str, Any], number: int) -> Item:
    """Return a question of HotpotQA, distractor setting (Yang et al. 2018, arXiv:1809.09600)."""
    return _item("hotpotqa", row)


def wiki2(row: Mapping[str, Any], number: int) -> Item:
    """Return a question of 2WikiMultiHopQA (Ho et al. 2020, arXiv:2011.01060)."""
    return _item("2wiki", row)


def _item(benchmark: str, row: Mapping[str, Any]) -> Item:
    question, answer = need(dict(row), "question", "answer")
    if not str(answer).strip():
        raise Missing("its answer is empty")
    passages = _passages(row.get("context") or [])
    name = str(row.get("_id") or row.get("id") or digest_of(str(question))[:16])
    task_id = f"{benchmark}/{name}"
    tags = {"benchmark": benchmark, "type": str(row.get("type", "")), "level": str(row.get("level", "")),
            "passages": str(len(passages)), "visible": "none"}  # fmt: skip
    task = Task(task_id=task_id, domain="qa", text=with_passages(str(question).strip(), passages))
    facts = [f"{title}#{number}" for title, number in _facts(row.get("supporting_facts") or [])]
    hidden = {"answer": str(answer), "supporting_facts": facts}
    key = AnswerKey(task_id=task_id, domain="qa", hidden=hidden, gold=f"Answer: {answer}", tags=tags)
    return Item(task=task, key=key, question=str(question))


def _passages(context: Mapping[str, Any] | Sequence[Any]) -> Passages:
    """Return pairs in the original files, two columns on the hub; 2Wiki's hub file holds them as JSON text."""
    if isinstance(context, str):
        context = json.loads(context)
    if isinstance(context, Mapping):
        lines = context.get("sentences", context.get("content", []))
        return [(t, list(s)) for t, s in zip(context["title"], lines, strict=True)]
    return [(title, list(sentences)) for title, sentences in context]


def _facts(facts: Mapping[str, Any] | Sequence[Any]) -> list[tuple[str, int]]:
    if isinstance(facts, str):
        facts = json.loads(facts)
    if isinstance(facts, Mapping):
        return list(zip(facts["title"], facts["sent_id"], strict=True))
    return [(title, number) for title, number in facts]
