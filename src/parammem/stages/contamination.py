"""Before training on real benchmarks: the verdict on the reflection rows, which blocks training when it fails.

Pocket tasks have none: they come from templates, any two share long stretches, and `validate` compares them whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from parammem.benchmarks.contamination import Contamination, judge
from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import ReflectionExample, Task, read_jsonl
from parammem.core.jsonl import write_text
from parammem.domains import Prompts
from parammem.domains.added import stated
from parammem.domains.prose import Prose
from parammem.errors import ValidationFailed

NAME = "contamination.json"
"""In the adapter's folder: what was compared, and what was found."""


def verdict_on(
    params: Params, rows: Sequence[ReflectionExample], places: Places, prompts: Prompts
) -> Contamination | None:
    """Return whether the rows hold anything of the evaluation questions; None for pocket tasks.

    A row is its question and its reflection. Passages do not count: questions of one encyclopedia share them.
    Nor does what we add to a statement (`domains.added`): `tasks` compared the statements alone, and promised that none
    touches another.

    Raises:
        ValidationFailed: more rows do than params allow. Nothing was trained.
    """
    if not params.benchmarks.sources or not isinstance(prompts, Prose):
        return None
    p = params.benchmarks
    train = [(row.row_hash, f"{stated(prompts.question(row.task_text))}\n{row.reflection}") for row in rows]
    tasks = read_jsonl(places.tasks("eval"), Task)
    evaluation = [(task.task_id, stated(prompts.question(task.text))) for task in tasks]
    verdict = judge(train, evaluation, p.ngram, p.near_duplicate, p.contaminated_rows)
    if not verdict.passed:
        raise ValidationFailed(_explained(verdict, rows, places.domain))
    return verdict


def write_verdict(verdict: Contamination | None, folder: Path) -> None:
    """Write contamination.json into the adapter's folder; nothing for pocket tasks."""
    if verdict is not None:
        text = json.dumps(verdict.model_dump(mode="json"), indent=1, sort_keys=True)
        write_text(folder / NAME, text + "\n")


def _explained(verdict: Contamination, rows: Sequence[ReflectionExample], domain: str, examples: int = 5) -> str:
    ids = {row.row_hash: row for row in rows}
    lines = [
        f"{domain}: {len(verdict.contacts)} of {verdict.train} reflection rows hold something of the evaluation tasks "
        f"({verdict.allowed} are allowed), so nothing was trained:"
    ]
    for contact in verdict.contacts[:examples]:
        row = ids[contact.train_id]
        lines.append(
            f"  row {contact.train_id[:12]} (task {row.task_id!r}, origin {row.origin}) and {contact.eval_id!r}: "
            f"{contact.kind}: {contact.shared}"
        )
    lines.append("  what to do: take these rows' source away (a batch, a train source) and run collect again")
    return "\n".join(lines)
