"""What can be said of an adapter that was trained elsewhere, where it is less than of one that was trained here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parammem.core.adapter import UNKNOWN
from parammem.core.escape import shown
from parammem.lineage.pages import questions
from parammem.lineage.pages.questions import Case, Said


def answer_of(question: Callable[[Case], Said], case: Case) -> Said:
    """Return the answer to a question: its own, or, for an imported adapter, that it cannot be answered here."""
    if not case.subject.adapter.imported:
        return question(case)
    own: dict[Any, Callable[[Case], Said]] = {questions.data: _data, questions.code: _code}
    said = own.get(question)
    if said:
        return said(case)
    return (UNKNOWN, None, {"imported": True}) if question in ABOUT_ROWS else question(case)


ABOUT_ROWS = (questions.rules, questions.sharing, questions.rebuild, questions.leakage, questions.recall)
"""Questions that follow from rows and recipe alone."""


def _data(case: Case) -> Said:
    source = case.subject.adapter.imported
    came = [event for event in case.life.of(case.subject.adapter.digest) if event.fact.kind == "import"]
    lines = [UNKNOWN, f"it came from a folder called {shown(source)}"]
    lines += [f"event {event.number}, {event.time}, {event.actor}: imported" for event in came]
    return "\n".join(lines), None, {"imported": True, "source": source, "events": [event.number for event in came]}


def _code(case: Case) -> Said:
    adapter = case.subject.adapter
    base = f"digest {adapter.base_digest[:16]}" if adapter.base_digest else "its digest is not known"
    lines = [f"code, environment and recipe: {UNKNOWN}", f"base model {shown(adapter.base_model)}, {base}"]
    lines.append(f"settings {adapter.settings_digest[:16]} (adapter_config.json)")
    facts = {"imported": True, "base": {"name": adapter.base_model, "digest": adapter.base_digest}}
    return "\n".join(lines), None, facts
