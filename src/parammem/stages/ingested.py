"""The experience that `parammem ingest` has taken in, as the stages read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl


def read_experience(folder: Path, domain: str) -> list[tuple[str, Experience]]:
    """Return (batch, experience) of this domain from all batch files, in the order in which they came. Raises
    RecordError."""
    return list(iter_experience(folder, domain))


def iter_experience(folder: Path, domain: str) -> Iterator[tuple[str, Experience]]:
    """Yield (batch, experience) of this domain from all batch files, in the order in which they came. Raises
    RecordError.

    order.txt in the folder names the batches one a line, the oldest first; those that it does not name come last, by
    name. Task ids get the batch before them: ids of other agents may be the same as ours.
    """
    listed = folder / "order.txt"
    order = {name: place for place, name in enumerate(listed.read_text().split())} if listed.is_file() else {}
    files = sorted(folder.glob("*.jsonl"), key=lambda file: (order.get(file.stem, len(order)), file.stem))
    for file in files:
        for one in iter_jsonl(file, Experience):
            if one.task.domain == domain:
                named = {"task_id": f"{file.stem[:12]}/{one.task.task_id}"}
                task, trajectory = one.task.model_copy(update=named), one.trajectory.model_copy(update=named)
                yield file.stem, one.model_copy(update={"task": task, "trajectory": trajectory})
