"""Experience on its way through a turn: from the inbox to batches, what batches say, and batches that are set aside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parammem.checkout.dvc import track
from parammem.checkout.git import worktrees
from parammem.checkout.places import BATCHES, DATA, FRESH, FRESH_KEYS, PRIVATE_ROWS, SET_ASIDE, TASKS
from parammem.checkout.worktree import TREES
from parammem.core.event import Ingested
from parammem.core.experience import Experience
from parammem.core.jsonl import iter_jsonl
from parammem.core.words import count
from parammem.errors import DataError, LedgerError
from parammem.experience.inbox import clear, look, waiting
from parammem.experience.ingest import already, ingest, ingested
from parammem.experience.source_files import concerns_all, words_of
from parammem.experience.store import open_store
from parammem.improve.triggers import Outcomes
from parammem.registry.ledger import Ledger

if TYPE_CHECKING:
    from parammem.experience.source_files import Source
    from parammem.improve.turn import Turn

"""Batches that are to blame for a refused challenger (blame.py). To give one another chance, move its .dvc file back to
data/experience and commit."""


def ingest_inbox(turn: Turn) -> tuple[list[Source], list[str]]:
    """Ingest every source of the inbox into the worktree. Returns what came in, and in words what could not."""
    params = turn.settings
    found = look(turn.root / params.experience.inbox)
    for name, why in found.left.items():
        turn.note(f"left in the inbox: {name}: {why}")
    if not found.sources:
        return [], []
    _make_sure_of_tasks(turn)
    share, near = params.experience.fresh_share, params.validate_.near_duplicate
    domain, private = params.experience.domain, turn.root / PRIVATE_ROWS
    least = params.passes_at()
    store = open_store(turn.tree, params.domains, share, near, domain, private, params.kinds(), passes_at=least)
    taken, refused = [], []
    for source in found.sources:
        try:
            outcome = ingest(source, store, turn.tools.actor)
        except LedgerError:
            raise
        except Exception as error:  # of this source alone: the others have their turn
            if concerns_all(error):
                raise
            refused.append(f"{source.name}: {words_of(error)}")
            continue
        if (turn.tree / ".dvc").is_dir():
            track(turn.tree, outcome.files)
        event = outcome.event
        turn.note(
            f"{event.name}: {count(event.rows, 'row')}, {event.kept} to learn from, {event.held} kept for judging, "
            f"{count(event.duplicates, 'duplicate')}, {event.quarantined} quarantined"
        )
        taken.append(source)
    return taken, refused


def _make_sure_of_tasks(turn: Turn) -> None:
    """Refuse to ingest as long as there are no evaluation tasks: whether a batch holds one could not be told."""
    own = [name for name, one in turn.settings.domains.items() if one.kind != "open"]
    missing = [d for d in own if not (turn.tree / TASKS / d / "eval.jsonl").is_file()]
    if missing:
        turn.tools.rebuild(turn.tree, [f"tasks@{domain}" for domain in missing])


def clear_ingested(inbox: Path, tree: Path, domain: str = "") -> int:
    """Move the files of the inbox that the worktree's ledger names to its done/. Returns how many sources that were.

    Call it only when that ledger is committed.
    """
    facts = ingested(Ledger(tree).read())
    return sum(_clear_if(inbox, source, facts, domain) for source in waiting(inbox, settled=0))


def _clear_if(inbox: Path, source: Source, facts: list[Ingested], domain: str) -> bool:
    try:
        digest = source.digest()
    except DataError:  # `ingest_inbox` will name it
        return False
    return already(facts, digest, domain) is not None and clear(inbox, source, digest)


def batches(tree: Path) -> list[str]:
    """Return names of the batches that are learned from."""
    return sorted(file.stem for file in (tree / BATCHES).glob("*.jsonl"))


def outcomes(tree: Path, domain: str) -> dict[str, Outcomes]:
    """Return what a domain's rows in each batch say of how agents did. Outcomes of runs that were advised are left out:
    they change with who advises, and that is no drift of the tasks."""
    found: dict[str, Outcomes] = {}
    for file in sorted((tree / BATCHES).glob("*.jsonl")):
        rows = good = bad = 0
        for row in iter_jsonl(file, Experience):
            if row.task.domain == domain:
                passed = None if row.advice else row.outcome.passed
                rows, good, bad = rows + 1, good + (passed is True), bad + (passed is False)
        found[file.stem] = Outcomes(rows=rows, good=good, bad=bad)
    return found


def set_aside(tree: Path, names: Sequence[str]) -> None:
    """Take batches out of the pool, with the tasks split off from them."""
    events = Ledger(tree).read()
    for name in names:
        fresh = {e.fact.fresh for e in events if isinstance(e.fact, Ingested) and e.fact.batch == name}
        for folder, digest in [(BATCHES, name), *((place, f) for f in fresh if f for place in (FRESH, FRESH_KEYS))]:
            _move(tree, folder, digest)


def _move(tree: Path, folder: Path, digest: str) -> None:
    for name in (f"{digest}.jsonl", f"{digest}.jsonl.dvc"):
        file = tree / folder / name
        if file.exists():
            place = tree / SET_ASIDE / folder.relative_to(DATA) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)


def leftovers(root: Path) -> bool:
    """Return whether a run that was killed has left a worktree, or git's note of one."""
    folder = root / TREES
    if folder.is_dir() and any(folder.iterdir()):
        return True
    return any(TREES.as_posix() in tree.path.as_posix() for tree in worktrees(root))
