"""Is evaluation data in training data? Shared n-grams of words, and near-duplicates by word 3-shingles.

n-grams as in Brown et al. 2020 (arXiv:2005.14165, appendix C, n = 13); near-duplicates as everywhere in `validation`.
Only for real benchmarks: pocket tasks come from templates, and any two of them share long stretches. So do statements
of contest problems, where they say what is read and printed: there an n-gram counts only if it tells of the problem.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from parammem.core.record import Record
from parammem.validation.duplicates import Shingles, jaccard, overlaps, shingles
from parammem.validation.text import words

SHORTEST = 8
"""A question with fewer words than an n-gram is looked for as a whole, if it has so many; else it must be equal."""
TELLING = 3
"""So many words of an n-gram of a contest statement must tell of its problem."""
_CONTEST = re.compile(r"\b(?:standard input|first line|test cases|constraints \d+)\b")
"""What a contest statement is known by, as `words` gives it."""
STOCK = frozenset(
    """
    the and for with from that this these are you your there will has have can may must should not all any each every
    its their both either which where when then than into over out only let between also after per one two three four
    five first second third fourth next last single multiple several following follows follow same given find determine
    print prints printed output outputs input inputs standard format line lines contains contain containing consists
    consisting consist integer integers int number numbers string strings array arrays list sequence length size value
    values element elements lowercase uppercase english latin letter letters character characters test tests case cases
    description describes guaranteed exceed exceeds does sample samples example examples note explanation constraints
    constraint statement problem answer answers result modulo since large space separated spaces denoting denotes
    denote respectively inclusive indexed return returns otherwise leq geq times cdot cdots ldots dots vdots text
    mathrm nums arr str
    """.split()
)
"""Words of three letters and more that any two contest statements may share: they tell of no problem."""

Named = tuple[str, str]
"""(id, text)."""


class Contact(Record):
    """A training text that holds something of an evaluation question."""

    train_id: str
    eval_id: str
    kind: Literal["same", "ngram", "near"]
    shared: str
    """The first n-gram they share, or how similar they are."""


class Contamination(Record):
    """The verdict on one set of training texts against one set of evaluation questions."""

    passed: bool
    train: int
    """Training texts looked at."""
    evaluation: int
    """Evaluation questions looked for."""
    ngram: int
    """Words in an n-gram."""
    near_duplicate: float
    """Share of word 3-shingles from which on two texts are the same."""
    allowed: int
    """So many training texts may be in contact."""
    contacts: tuple[Contact, ...]
    """One per training text that is in contact, with the first question it is in contact with."""


def judge(
    train: Sequence[Named], evaluation: Sequence[Named], ngram: int, near_duplicate: float, allowed: int = 0
) -> Contamination:
    """Return the verdict, with every contact named. Equal input gives an equal verdict."""
    found = contacts(train, evaluation, ngram, near_duplicate)
    return Contamination(
        passed=len(found) <= allowed,
        train=len(train),
        evaluation=len(evaluation),
        ngram=ngram,
        near_duplicate=near_duplicate,
        allowed=allowed,
        contacts=tuple(found),
    )


def contacts(train: Sequence[Named], evaluation: Sequence[Named], ngram: int, near_duplicate: float) -> list[Contact]:
    """Return every training text in contact with an evaluation question, in the order of the training texts."""
    grams = _index(evaluation, ngram)
    lengths = sorted({len(gram) for gram in grams}, reverse=True)
    whole = {tuple(words(text)): name for name, text in reversed(evaluation)}
    sets = {name: shingles(text) for name, text in evaluation}
    near = overlaps([shingles(text) for _, text in train], sorted(set(sets.values()), key=sorted), near_duplicate)
    found = []
    for place, (name, text) in enumerate(train):
        said = words(text)
        same = whole.get(tuple(said))
        shared = None if same else _shared(said, grams, lengths)
        if same:
            found.append(Contact(train_id=name, eval_id=same, kind="same", shared=" ".join(said[:ngram])))
        elif shared:
            found.append(Contact(train_id=name, eval_id=grams[shared], kind="ngram", shared=" ".join(shared)))
        elif place in near:
            found.append(_nearest(name, shingles(text), sets))
    return found


def _index(evaluation: Sequence[Named], ngram: int) -> dict[tuple[str, ...], str]:
    """Return n-gram → the first question that holds it. Stock phrases of contest statements are left out."""
    found: dict[tuple[str, ...], str] = {}
    for name, text in evaluation:
        said = words(text)
        size = min(ngram, len(said))
        contest = len(said) > ngram and _CONTEST.search(" ".join(said)) is not None
        for start in range(len(said) - size + 1) if size >= min(SHORTEST, ngram) else ():
            gram = tuple(said[start : start + size])
            if not contest or _tells(gram):
                found.setdefault(gram, name)
    return found


def _tells(gram: Sequence[str]) -> bool:
    """Return whether enough of it is words of its problem, and not stock words, numbers and names of variables."""
    return sum(len(word) > 2 and word.isalpha() and word not in STOCK for word in gram) >= min(TELLING, len(gram))


def _shared(said: list[str], grams: dict[tuple[str, ...], str], lengths: Sequence[int]) -> tuple[str, ...] | None:
    for size in lengths:
        for start in range(len(said) - size + 1):
            gram = tuple(said[start : start + size])
            if gram in grams:
                return gram
    return None


def _nearest(name: str, text: Shingles, sets: dict[str, Shingles]) -> Contact:
    likeness = {other: max(jaccard(text, s), len(text & s) / max(1, len(s))) for other, s in sets.items()}
    best = max(likeness, key=lambda other: likeness[other])
    return Contact(train_id=name, eval_id=best, kind="near", shared=f"{likeness[best]:.3f} of its 3-shingles")
