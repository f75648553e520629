"""The ten questions of an audit, answered for one adapter from git, dvc.lock, the manifests and the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from parammem.core.record import Record
from parammem.lineage.checks.findings import Finding
from parammem.lineage.checks.verify import verify_history
from parammem.lineage.pages import questions
from parammem.lineage.pages.imported_answers import answer_of
from parammem.lineage.pages.questions import Answer, Case
from parammem.lineage.past.events import read_life
from parammem.lineage.past.history import History
from parammem.lineage.past.subject import find_subject

QUESTIONS: tuple[tuple[str, Callable[[Case], tuple[str, bool | None, dict[str, Any]]]], ...] = (
    ("Which data trained it?", questions.data),
    ("By which rules was that data validated?", questions.rules),
    ("Which adapters saw these rows?", questions.sharing),
    ("Can I rebuild it bit for bit?", questions.rebuild),
    ("Who or what promoted it, on what evidence?", questions.promotion),
    ("Which adapter gave this answer?", questions.advice),
    ("Which code, environment and base revision?", questions.code),
    ("Was evaluation data in training?", questions.leakage),
    ("Has anything been changed since?", questions.changed),
    ("What must be redone if one of its rows is recalled?", questions.recall),
)


class Page(Record):
    """One adapter and its ten answers."""

    title: str
    domain: str
    folder: str
    digest: str
    version: int | None
    """The version under which it was registered; None: it is not in the ledger."""
    generation: int | None
    commit: str | None
    """The first commit whose dvc.lock names it."""
    answers: tuple[Answer, ...]
    broken: tuple[Finding, ...]
    """Links that do not hold."""


def audit_page(repo: Path, adapter: str | None = None, domain: str = "code") -> Page:
    """Answer the ten questions.

    Args:
        adapter: a version (v7), a digest (8 digits or more), champion, HEAD or a folder; None: the working tree's.

    Raises:
        AdapterMissingError: there is no such adapter, or its card is not here.
    """
    with History.open(repo) as history:
        life = read_life(history.repo)
        subject = find_subject(history, life, adapter, domain)
        checked = verify_history(history, life, subject)
        case = Case(history, life, subject, list(history.generations()), checked)
        answers = []
        for number, (question, answer) in enumerate(QUESTIONS, 1):
            says, holds, facts = answer_of(answer, case)
            answers.append(Answer(number=number, question=question, says=says, holds=holds, facts=facts))
        made = subject.generation
        return Page(
            title=subject.title,
            domain=subject.domain,
            folder=subject.place,
            digest=subject.adapter.digest,
            version=subject.version,
            generation=made.number if made else None,
            commit=made.commit.sha if made and made.commit else None,
            answers=tuple(answers),
            broken=checked.broken,
        )


def render_page(page: Page) -> str:
    """Return the page for people."""
    signs = {True: "[ok]", False: "[FAILED]"}
    lines = [f"Reflector {page.title}", f"  digest {page.digest}", f"  folder {page.folder}"]
    lines.append(f"  commit {page.commit or 'not committed'}")
    for one in page.answers:
        sign = f" {signs[one.holds]}" if one.holds is not None else ""
        lines += ["", f"{one.number:2}. {one.question}{sign}"]
        lines += [f"    {line}" for line in one.says.splitlines()]
    return "\n".join(lines)
