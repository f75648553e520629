"""Is a row's advice about its own question?

Advice may name what it is about before all else, in one word: a label. Where the question has a noun of a known kind
and the label is another kind, the advice was written for another question. What it claims is not compared: about that,
rows of one kind may differ rightly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parammem.validation import text as look

Kinds = Mapping[str, Sequence[str]]
"""Kind → the nouns that belong to it."""


def label_of(advice: str) -> str:
    """Return the one word before the first claim; empty: there is none."""
    parts = look.clauses(advice)
    return parts[0].casefold() if len(parts) > 1 and look.word_count(parts[0]) == 1 else ""


def of_another_kind(task: str, advice: str, kinds: Kinds) -> bool:
    """Return true if the label is a kind, and the nouns of the question are of others."""
    label, asked = label_of(advice), set(look.words(task))
    about = {kind for kind, nouns in kinds.items() if not asked.isdisjoint(nouns)}
    return label in kinds and bool(about) and label not in about
