"""Reflection rows → the table that the suite looks at.

The table holds provenance, counts and yes/no signals, and no text of a row: so no report made from it can show a
secret, whatever the report prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from parammem.core import ReflectionExample
from parammem.validation import text as look
from parammem.validation.duplicates import near_duplicates, overlaps, shingles
from parammem.validation.labels import Kinds, label_of, of_another_kind
from parammem.validation.repeats import LESSONS, KnownRuns, repeats_advice, repeats_answer
from parammem.validation.secrets import holds_secret
from parammem.validation.shift import shifted

if TYPE_CHECKING:
    import pandas

Claims = Callable[[str], frozenset[str]]

PROVENANCE = ("domain", "task_id", "label_source", "part", "author", "trajectory_id", "outcome", "origin")
TEXTS = ("task_text", "reflection")
PARTS = {
    "experience": {"in_context", "hindsight", "failure", "contrast", "task"},
    "teacher": {"feedback", "hindsight", "in_context"},
    "self": {"feedback", "hindsight", "in_context"},
    "task-only": {"task"},
}


def build_frame(
    rows: Sequence[ReflectionExample],
    eval_task_texts: Sequence[str],
    near: float,
    claims: Claims | None,
    kinds: Kinds | None = None,
    stated: Callable[[str], str] = str,
    known: KnownRuns | None = None,
) -> pandas.DataFrame:
    """Return one line per row, in order; columns: `row`, `row_hash`, PROVENANCE, and a number or bool per signal.

    Args:
        rows: what to look at; wrong types inside become missing values, so that the suite can report them.
        eval_task_texts: questions that no row may hold.
        near: Jaccard similarity from which on two texts are the same.
        claims: what advice claims, as `key=value`; None where advice is free prose.
        kinds: what advice may name first, with the nouns of each; None: not known.
        stated: the text of a task without what the project adds to it.
        known: the runs that the rows were read from; None: not known, and there are no signals about them.
    """
    import pandas

    columns: dict[str, Any] = {"row": range(len(rows)), "row_hash": [row.row_hash for row in rows]}
    for name in PROVENANCE:
        columns[name] = pandas.Series([_text_or_none(row, name) for row in rows], dtype="str")
    texts = [tuple(_text_or_none(row, name) or "" for name in TEXTS) for row in rows]
    signs = [
        _signs(row, task, stated(task), advice, claims, kinds or {})
        for row, (task, advice) in zip(rows, texts, strict=True)
    ]
    for name in _signs_of_nothing(claims):
        columns[name] = [sign[name] for sign in signs]
    columns |= _against_evaluation(texts, eval_task_texts, near, claims, stated)
    if known is not None:
        columns |= _against_runs(rows, texts, known, claims)
    return pandas.DataFrame(columns)


def advice_key(row: ReflectionExample, claims: Claims | None) -> str:
    """Return what two pieces of advice share when they say the same."""
    said = claims(row.reflection) if claims else frozenset()
    return ";".join(sorted(said)) if said else " ".join(look.words(row.reflection))


def _text_or_none(row: ReflectionExample, name: str) -> str | None:
    value = getattr(row, name, None)
    return value if isinstance(value, str) else None


def _signs(
    row: ReflectionExample, task: str, question: str, advice: str, claims: Claims | None, kinds: Kinds
) -> dict[str, Any]:
    """Return what one row shows by itself. `question`: its task without what the project added."""
    both = f"{task}\n{advice}"
    rest = "\n".join(str(getattr(row, name, "")) for name in ("task_id", "part", "origin", "outcome"))
    return {
        "task_words": look.word_count(task),
        "advice_words": look.word_count(advice),
        "advice_code": look.holds_code(advice, plain=claims is not None),
        "stray_tokens": look.holds_stray_tokens(both),
        "control_characters": look.holds_control(both),
        "garbled": look.is_garbled(task) or look.is_garbled(advice),
        "foreign": look.is_foreign(advice) or look.is_foreign(task),
        "secret": holds_secret(both) or holds_secret(rest),
        "copied_words": look.copied_run(advice, question),
        "part_fits_label": row.part in PARTS.get(row.label_source, set()),
        "trajectory_named": bool(row.trajectory_id) != (row.label_source == "task-only" or row.part == "task"),
        "outcome_fits_label": row.label_source != "experience" or row.part == "task" or row.outcome != "none",
    } | _claim_signs(advice, task, claims, kinds, row.cut is True)


def _claim_signs(advice: str, task: str, claims: Claims | None, kinds: Kinds, cut: bool) -> dict[str, Any]:
    """Return the signs of flaws in what advice claims. cut: the token limit ended the advice."""
    if claims is None:
        return {"advice_cut": cut or look.is_cut(advice), "advice_loops": look.holds_loop(advice)}
    said = claims(advice)
    parts = look.clauses(advice)
    if len(parts) > 1 and look.word_count(parts[0]) == 1:  # the first word may say what the advice is about
        parts = parts[1:]
    # Read part by part, since a parser may pass over what is said twice with different values.
    keys = Counter(claim.partition("=")[0] for claim in said.union(*map(claims, parts)))
    return {
        "claims": len(said),
        "advice_cut": cut or (bool(said) and any(not claims(part) for part in parts)),
        "contradictions": sum(n > 1 for n in keys.values()),
        "other_label": of_another_kind(task, advice, kinds),
        "advice_answer": look.holds_answer(advice) or label_of(advice) in look.words(task),
    }


def _signs_of_nothing(claims: Claims | None) -> list[str]:
    """Return names of the signs; taken from an empty row so that a table of no rows has its columns too."""
    empty = ReflectionExample(
        domain="", task_id="", task_text="", reflection="", label_source="self", part="", author="",
        trajectory_id="", outcome="",
    )  # fmt: skip
    return list(_signs(empty, "", "", "", claims, {}))


def build_repeats(
    rows: Sequence[ReflectionExample],
    places: Sequence[int],
    near: float,
    max_shift: float,
    stated: Callable[[str], str] = str,
) -> pandas.DataFrame:
    """Return what shows only beside other rows. Of a group that repeats itself the first row is the one that stays.

    Args:
        rows: all rows.
        places: the rows to compare: those that are sound by themselves, so that a broken row never speaks for its
            task, nor displaces its sound copy.
        near: as for `build_frame`.
        max_shift: as for `shift.shifted`.
        stated: as for `build_frame`.
    """
    import pandas

    picked = [rows[place] for place in places]
    pairs = [(row.task_text, row.reflection) for row in picked]
    seen: dict[tuple[str, str], int] = {}
    exact = [seen.setdefault(pair, number) != number for number, pair in enumerate(pairs)]
    firsts = sorted(seen.values())
    close = near_duplicates([shingles(stated(pairs[number][0]), pairs[number][1]) for number in firsts], near)
    near_numbers = {firsts[number] for number in close}
    text_of: dict[str, str] = {}
    task_of: dict[str, str] = {}
    return pandas.DataFrame(
        {
            "row": pandas.Series(list(places), dtype="int64"),
            "task_id_reused": [text_of.setdefault(row.task_id, row.task_text) != row.task_text for row in picked],
            "trajectory_reused": [
                row.trajectory_id != "" and task_of.setdefault(row.trajectory_id, row.task_id) != row.task_id
                for row in picked
            ],
            "exact_duplicate": exact,
            "near_duplicate": [number in near_numbers for number in range(len(picked))],
            "shifted": shifted(picked, max_shift),
        }
    )


def _against_runs(
    rows: Sequence[ReflectionExample], texts: list[tuple[str, ...]], known: KnownRuns, claims: Claims | None
) -> dict[str, Any]:
    """Return signals that need the runs behind the rows. An answer in the pocket language has a rule of its own."""
    repeated = [repeats_advice(advice, known.advice(row), claims) for row, (_, advice) in zip(rows, texts, strict=True)]
    if claims is not None:
        return {"repeats_advice": repeated}
    given_away = [
        repeats_answer(advice, known.answers(row), task) for row, (task, advice) in zip(rows, texts, strict=True)
    ]
    spoken = [row.part in LESSONS and look.speaks_of_run(advice) for row, (_, advice) in zip(rows, texts, strict=True)]
    return {"repeats_advice": repeated, "repeats_answer": given_away, "speaks_of_run": spoken}


def _against_evaluation(
    texts: list[tuple[str, ...]],
    eval_task_texts: Sequence[str],
    near: float,
    claims: Claims | None,
    stated: Callable[[str], str],
) -> dict[str, Any]:
    """Return signals that need the evaluation tasks."""
    known = {" ".join(look.words(text)) for text in eval_task_texts}
    references = sorted({shingles(stated(text)) for text in eval_task_texts}, key=sorted)
    held = overlaps([shingles(stated(task)) for task, _ in texts], references, near)
    held |= overlaps([shingles(advice) for _, advice in texts], references, near)
    # Generated tasks end as sentences do, all of them or none; benchmarks of others end as they like.
    whole = claims is not None and bool(eval_task_texts) and all(look.ends_sentence(text) for text in eval_task_texts)
    return {
        "evaluation_task": [" ".join(look.words(task)) in known for task, _ in texts],
        "evaluation_near": [place in held for place in range(len(texts))],
        "task_cut": [whole and not look.ends_sentence(task) for task, _ in texts],
    }
