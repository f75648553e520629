"""Does a label repeat what a run handed over, or the advice that it was given?

The runs behind a row are known by their trajectories. What is compared is text alone: whether a label leads to the
answer in other words no rule can tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from parammem.core import ReflectionExample
from parammem.validation import text as look
from parammem.validation.duplicates import CONTAINED_FROM, jaccard, shingles

REPEATED = 0.8
"""Share of the word 3-shingles of a label and a piece of advice, or of the shorter one, that makes them the same."""
SHORT, LONG = 4, 20
"""An answer of fewer words than SHORT is looked for as it is written; one of LONG words is repeated by nine tenths."""
MOST = 200
"""Different answers to one task that a label is compared with."""
_CLOSED = frozenset("yes no true false none done ok noanswer".split())
_NUMBERED = re.compile(r"^[^\S\n]*+\d{1,3}[.):]", re.MULTILINE)
_TOLD = r"(?:\banswer\b|\bresult\b|\btotal\b|=)[^.\n]{0,30}?"
LESSONS = frozenset({"failure", "contrast"})
"""Parts that are read from a run that failed."""


class RunTexts(NamedTuple):
    """What one run handed over and was told."""

    trajectory_id: str
    task_id: str
    answer: str
    """What it submitted; empty if nothing."""
    notes: tuple[str, ...] = ()
    """The agent's own reflections."""
    advice: tuple[str, ...] = ()
    """What it was advised by others."""


class KnownRuns:
    """The runs that rows were read from, and the parts that rows may have."""

    def __init__(self, runs: Iterable[RunTexts], parts: Iterable[str] = ()) -> None:
        self.parts = frozenset(parts)
        self._by_id: dict[str, RunTexts] = {}
        self._answers: dict[str, dict[str, None]] = {}
        for run in runs:
            self._by_id[run.trajectory_id] = run
            answers = self._answers.setdefault(run.task_id, {})
            if run.answer and len(answers) < MOST:
                answers[run.answer] = None

    def answers(self, row: ReflectionExample) -> list[str]:
        """Return what runs at the row's task handed over, but for the failure that the row is about: what is wrong
        with it the row must be able to say."""
        behind = self._behind(row)
        answers = [*self._answers.get(row.task_id, ()), *(run.answer for run in behind if run.answer)]
        failed = behind[0].answer if behind and row.part in LESSONS else ""
        return [answer for answer in dict.fromkeys(answers) if answer != failed]

    def advice(self, row: ReflectionExample) -> list[str]:
        """Return what the runs behind the row were advised; also by themselves, unless the row is meant to be that."""
        own = row.label_source == "experience" and row.part != "in_context"
        return [text for run in self._behind(row) for text in (*run.advice, *(run.notes if own else ()))]

    def _behind(self, row: ReflectionExample) -> list[RunTexts]:
        """Return the run that the row was read from, and the success that it was set beside."""
        return [self._by_id[name] for name in (row.trajectory_id, row.success_id) if name in self._by_id]


def repeats_answer(label: str, answers: Sequence[str], question: str) -> bool:
    """Return true if the label holds one of the answers, and the question does not hold it too."""
    said = _NUMBERED.sub("", label)
    return any(_holds(said, answer.strip(), question) for answer in answers)


def _holds(label: str, answer: str, question: str) -> bool:
    size = len(look.words(answer))
    if size == 0:
        return False
    if size >= SHORT:
        needed = size if size < LONG else math.ceil(0.9 * size)
        return look.copied_run(label, answer) >= needed > look.copied_run(question, answer)
    written = re.escape(answer.rstrip(".!"))
    here = rf"(?<![\w.]){written}(?!\w|\.\d)"
    if re.search(here, question, re.IGNORECASE):
        return False
    if len(answer) < 3 or answer.rstrip(".!").casefold() in _CLOSED:  # a word or figure that any text may hold
        return re.search(_TOLD + here, label, re.IGNORECASE) is not None
    return re.search(here, label) is not None


def repeats_advice(label: str, advice: Sequence[str], claims: Callable[[str], frozenset[str]] | None) -> bool:
    """Return true if the label says what a piece of advice said: the same claims, or nearly the same words."""
    if claims is not None:
        said = claims(label)
        return bool(said) and any(claims(piece) == said for piece in advice)
    own = shingles(label)
    for piece in map(shingles, advice):
        shorter = min(len(own), len(piece))
        contained = shorter >= CONTAINED_FROM and len(own & piece) >= REPEATED * shorter
        if contained or jaccard(own, piece) >= REPEATED:
            return True
    return False
