"""Where experience is, and by which rules it comes in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parammem.checkout.places import PRIVATE_ROWS, TASKS
from parammem.core import Task, read_jsonl
from parammem.core.domain_names import USUAL_KINDS
from parammem.core.jsonl import iter_jsonl
from parammem.errors import DataError
from parammem.experience.admission import Admission
from parammem.experience.outcomes import NONE, OutcomeTable


@dataclass(frozen=True)
class ExperienceStore:
    """Where experience goes, and by which rules it comes in."""

    root: Path
    """The repository, or a worktree of it."""
    admission: Admission
    fresh_share: float
    """Share of tasks that are kept for judging."""
    domain: str = ""
    """What the tasks of logs are that do not say it themselves."""
    outcomes: OutcomeTable = NONE
    """How runs ended whose logs do not say it, or say that it is not known."""
    passes_at: Mapping[str, float] = field(default_factory=dict)
    """Domain → least value of an outcome that passes, where the outcome does not say it itself."""
    private: Path | None = None
    """Folder for rows with secrets; default: data/quarantine/private below root. It is never pushed anywhere, so a run
    in a worktree names the folder of the tree that stays."""

    @property
    def private_folder(self) -> Path:
        return self.private or self.root / PRIVATE_ROWS


def open_store(
    root: Path,
    domains: Iterable[str],
    fresh_share: float,
    near: float,
    domain: str = "",
    private: Path | None = None,
    kinds: Mapping[str, str] = USUAL_KINDS,
    outcomes: OutcomeTable = NONE,
    passes_at: Mapping[str, float] | None = None,
) -> ExperienceStore:
    """Return a store that compares rows with the evaluation tasks of these domains.

    Domains of kind open have none to know: their tasks come from experience, and by the hash of a task's text it is
    either learned from or kept for judging.

    Args:
        kinds: kind of each domain that rows may be of, by its name.
        passes_at: of the domains whose params say it, the least value of an outcome that passes.

    Raises:
        DataError: the evaluation tasks of a domain are not here, so nobody could tell whether one is in a batch.
    """
    tasks: list[Task] = []
    domains = [name for name in domains if kinds.get(name) != "open"]
    for name in domains:
        for split in ("eval", "unseen"):
            file = root / TASKS / name / f"{split}.jsonl"
            if not file.is_file():
                raise DataError(
                    f"no evaluation tasks in {str(file)!r}, so a batch could not be searched for them; "
                    f"run `dvc repro tasks@{name}` or `dvc pull` first"
                )
            tasks += read_jsonl(file, Task)
    return ExperienceStore(
        root,
        Admission.against(tasks, near, _with_programs(root, domains), kinds),
        fresh_share,
        domain,
        outcomes,
        passes_at or {},
        private,
    )


def _with_programs(root: Path, domains: Sequence[str]) -> Iterator[Task]:
    """Yield tasks of our own whose visible checks are test programs: rows about them come from our own pipeline."""
    files = [root / TASKS / name / f"{split}.jsonl" for name in domains for split in ("train", "bank")]
    for task in (task for file in files if file.is_file() for task in iter_jsonl(file, Task)):
        if any("tests" in check for check in task.visible.get("checks", ())):
            yield task
