"""A turn: what it works with, what it has found out so far, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from parammem.config import Params
from parammem.core.decision import Decision
from parammem.core.escape import shown
from parammem.core.event import Observed
from parammem.experience.source_files import Source
from parammem.gate.evidence import Evidence
from parammem.improve.triggers import Reason
from parammem.registry.ledger import Ledger

Say = Callable[[str], None]
Rebuild = Callable[[Path, list[str]], None]
"""Bring these stages of the tree, and what they need, up to date. Raises when one failed."""
Compare = Callable[["Turn", str, Path | None, Path], Evidence]
"""(turn, domain, champion's folder or None, challenger's folder) → how the arms did on the same tasks."""


class Ended(Exception):
    """There is nothing more to do in this turn; not a failure. The text says why."""


@dataclass(frozen=True)
class Tools:
    """The functions that differ between a flow and a person: rebuild, compare, report."""

    rebuild: Rebuild
    compare: Compare
    say: Say
    actor: str
    """Who signs off the events: `flow improve`, or `person NAME`."""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass
class Challenger:
    """An adapter that has to be judged."""

    domain: str
    adapter: str
    """Its digest."""
    folder: Path
    start: str = ""
    """The champion that it was trained on from; empty: it was trained from the base."""


@dataclass
class Turn:
    """The state of one turn. Nothing of it outlives the process: what does is in the worktree, or committed."""

    root: Path
    """The repository; its tree is a person's."""
    branch: str
    tools: Tools
    force: bool = False
    """Train although no trigger says so."""
    tree: Path = Path()
    """The worktree."""
    before: str = ""
    """Commit of the branch when the turn began; empty: the branch was not there."""
    params: Params | None = None
    """Of the worktree, so as they are committed."""
    sources: list[Source] = field(default_factory=list)
    """Ingested in this turn; they leave the inbox when all is committed."""
    refused_sources: list[str] = field(default_factory=list)
    """What could not be ingested, in words; it stays in the inbox."""
    observed: list[Observed] = field(default_factory=list)
    """Runs of agents in use that came in in this turn."""
    reasons: list[Reason] = field(default_factory=list)
    challengers: list[Challenger] = field(default_factory=list)
    """Of each domain the one retrained from the base first."""
    evidence: dict[str, list[Evidence]] = field(default_factory=dict)
    """By domain, in the order of its challengers."""
    decisions: list[Decision] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    """Made in the worktree, oldest first; they count from the moment the branch points to the last."""
    retrained: str = ""
    """The commit with the retrained challengers, where others were trained on from champions."""
    warm: str = ""
    """The commit with those others."""
    aside: list[str] = field(default_factory=list)
    """Batches that leave the pool."""
    notes: list[str] = field(default_factory=list)
    """What the steps did, a line each."""

    @property
    def settings(self) -> Params:
        assert self.params is not None, "the worktree is not made yet"
        return self.params

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.tree)

    @property
    def due(self) -> list[str]:
        """Domains whose reflector is trained in this turn."""
        return [reason.domain for reason in self.reasons if reason.due]

    def challenge(self, domain: str, adapter: str, folder: Path, start: str = "") -> None:
        """Add an adapter to the challengers to be judged, unless it is in the list already."""
        if all(one.adapter != adapter for one in self.challengers):
            self.challengers.append(Challenger(domain, adapter, folder, start))

    def note(self, text: str) -> None:
        """Keep a line for the report and the commit's message. Names in it may come from outside: see core.escape."""
        line = shown(" ".join(text.split()), 2000)
        self.notes.append(line)
        self.tools.say(line)

    def record(self, fact) -> None:
        """Append to the worktree's ledger."""
        self.ledger.append(fact, self.tools.actor)


@dataclass(frozen=True)
class TurnReport:
    """How a turn ended."""

    headline: str
    notes: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    decisions: tuple[Decision, ...] = ()
    commit: str = ""
    """What the branch points to now; empty: it did not move."""


def headline(turn: Turn, why: str = "") -> str:
    """Return the turn in a line."""
    if turn.decisions:
        return "; ".join(f"{one.domain}: {one.answer}" for one in turn.decisions)
    if why:
        return why
    return "Nothing to do"
