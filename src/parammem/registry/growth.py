"""That the ledger only ever grew: along every commit of git's history, in the working tree, and beside what remotes,
tags and reflogs still hold.

A chain says that nothing in a file was changed, and nothing of what stood behind its last line. That is in git: each
commit's ledger has to begin with its parent's; a merge's with one parent's, and has to have every fact of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from parammem.checkout.git import Blobs, ask, branches, file_at, git, has_commits, tip, worktrees
from parammem.core.event import Event
from parammem.core.ledger_format import identity, split_lines
from parammem.errors import LineageError
from parammem.registry.branch import ledgers_of
from parammem.registry.join import common, missing
from parammem.registry.ledger import PLACE, walk

REFS = ("--branches", "--tags", "--remotes")
"""What git's history is walked from: no experiments of DVC, no stash, no notes, no other worktrees."""
LOG = ("--full-history", "-m", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--format=%x01%H%x02%P%x02%s")
NONE = "0" * 40
AS_IT_IS = {"GIT_GRAFT_FILE": "/dev/null", "GIT_NO_REPLACE_OBJECTS": "1"}
"""History without the replacements (git replace, grafts) of this machine."""
LIGHT = {"ingest", "train", "publish candidate"}
"""Facts whose loss on a commit that no branch ever shared is told and is no alarm: nothing was spent or decided."""


class Loss(NamedTuple):
    """Events that a ledger had and has no more."""

    commit: str
    """The commit that took them away, or that alone still has them; empty: they lack in the working tree."""
    what: str
    """In words, with the events and what to do."""
    certain: bool = True
    """False: they may have been dropped on purpose."""


class Growth(NamedTuple):
    """What came of the walk."""

    commits: int
    """That touched the ledger."""
    losses: tuple[Loss, ...]
    unchecked: tuple[str, ...]
    """What could not be looked at, in words."""


class LedgerChange(NamedTuple):
    """A commit's ledger beside one parent's, by the names of git's objects."""

    commit: str
    parents: int
    subject: str
    old: str
    new: str


def check_growth(root: Path) -> Growth:
    """Walk git's history of the ledger. Outside a repository nothing is checked, and that is said."""
    top = ask(root, "rev-parse", "--show-toplevel")
    if top is None:
        return Growth(0, (), ("the ledger's history: this is no git repository",))
    path = (root.resolve() / PLACE).relative_to(Path(top).resolve()).as_posix()
    head = _head(root)
    with Blobs.open(root) as objects:
        ledgers = _Ledgers(objects)
        steps = list(_steps(root, path, (*REFS, *head)))
        losses = [loss for group in _by_commit(steps) for loss in _loss(root, path, group, ledgers)]
        losses += _uncommitted(root, path, bool(head))
        losses += _left_behind(root, path, head, ledgers)
        unchecked = ledgers.absent + _unseen(root)
    return Growth(len({step.commit for step in steps}), tuple(losses), tuple(unchecked))


def refuse_losses(root: Path) -> None:
    """Raise LineageError if events were taken out of the ledger: what follows would rest on less than there was."""
    losses = [loss for loss in check_growth(root).losses if loss.certain]
    if losses:
        raise LineageError(f"{losses[0].what}; see `parammem registry verify`")


class _Ledgers:
    """Ledgers by the names of git's objects; the last few are kept, since neighbours share them."""

    def __init__(self, objects: Blobs) -> None:
        self._objects = objects
        self._kept: dict[str, bytes] = {NONE: b""}
        self.absent: list[str] = []

    def at(self, revision: str, path: str) -> bytes:
        """Return the ledger of a commit or branch; empty where it has none."""
        return self._objects.read(f"{revision}:{path}") or b""

    def __getitem__(self, name: str) -> bytes | None:
        if name not in self._kept:
            data = self._objects.read(name)
            if data is None:
                self.absent.append(f"a past state of the ledger ({name[:12]}) is not in this clone; `git fetch`")
                return None
            if len(self._kept) > 4:
                del self._kept[next(one for one in self._kept if one != NONE)]
            self._kept[name] = data
        return self._kept[name]


def _head(root: Path) -> tuple[str, ...]:
    return ("HEAD",) if has_commits(root) else ()


def _steps(root: Path, path: str, revisions: Sequence[str]) -> Iterator[LedgerChange]:
    plain = ("-c", "log.showSignature=false", "-c", "log.follow=false", "log", "--reverse", *LOG)
    text = git(root, *plain, *revisions, "--", f":(top,literal){path}", env=AS_IT_IS)
    for entry in text.split("\x01")[1:]:
        head, _, raw = entry.partition("\n")
        commit, parents, subject = head.split("\x02", 2)
        for line in raw.split("\n"):
            if line.startswith(":"):
                _, _, old, new, _ = line.split(None, 4)
                yield LedgerChange(commit, len(parents.split()), subject, old, new)


def _by_commit(steps: Iterable[LedgerChange]) -> list[list[LedgerChange]]:
    found: dict[str, list[LedgerChange]] = {}
    for step in steps:
        found.setdefault(step.commit, []).append(step)
    return list(found.values())


def _loss(root: Path, path: str, group: list[LedgerChange], ledgers: _Ledgers) -> Iterator[Loss]:
    """Yield what a commit took out of the ledger, unless those who go on from it have it again."""
    first = group[0]
    merge = first.parents > 1
    lost: dict[str, Event] = {}
    whole = len(group) < first.parents  # a parent with the same ledger is not listed
    for step in group:
        old, new = ledgers[step.old], ledgers[step.new]
        if old is None or new is None:
            continue
        gone = taken_away(old, new, merge)
        whole = whole or not taken_away(old, new, False)
        lost |= {event.digest: event for event in gone}
    if merge and not whole and not lost:
        what = f"the merge {first.commit[:12]} ({first.subject}) begins with the ledger of none of its parents"
        yield Loss(first.commit, f"{what}: it was written anew; see `git show -m {first.commit[:12]} -- {path}`")
    still = _still_lacking(root, path, first.commit, list(lost.values()))
    if still:
        what = f"commit {first.commit[:12]} ({first.subject}) took {_named(still)} out of the ledger"
        mend = f"`git checkout {first.commit[:12]}^ -- {path}` restores the ledger, if nothing was added since"
        yield Loss(first.commit, f"{what}; {mend}")


def taken_away(old: bytes, new: bytes, merge: bool) -> list[Event]:
    """Return events of one ledger that the next one lacks.

    Args:
        merge: a fact that is signed off once more is there.
    """
    _, rest = split_lines(old)
    if new.startswith(old[: len(old) - len(rest)]) and (not rest or new.startswith(old)):
        return []
    before, after = walk(old)[0], walk(new)[0]
    if merge:
        return missing(before, after)
    digests = {event.digest for event in after}
    return [event for event in before if event.digest not in digests]


def _still_lacking(root: Path, path: str, commit: str, lost: list[Event]) -> list[Event]:
    """Return, of these events, those that a branch that goes on from the commit still lacks. Once they are put back
    nothing is lost; signed off once more, by another name or in another order, they would not be the same."""
    if not lost:
        return []
    refs = git(root, "for-each-ref", "--format=%(refname)", "--contains", commit, "refs/heads", "refs/remotes").split()
    if not refs or not git(root, "branch", "--show-current").strip():
        refs.append("HEAD")
    found: dict[str, Event] = {}
    for ref in refs:
        there = {event.digest for event in walk(file_at(root, ref, path) or b"")[0]}
        found |= {event.digest: event for event in lost if event.digest not in there}
    return [event for event in lost if event.digest in found]


def _uncommitted(root: Path, path: str, has_head: bool) -> list[Loss]:
    """Return what the working tree's ledger lacks beside the committed one."""
    committed = file_at(root, "HEAD", path) or b"" if has_head else b""
    file = root / PLACE
    here = file.read_bytes() if file.is_file() else b""
    merging = bool(tip(root, "MERGE_HEAD"))
    lost = taken_away(committed, here, merging)
    if not lost:
        return []
    return [Loss("", f"{path} lacks {_named(lost)} of HEAD's; `git checkout -- {path}` restores the ledger")]


def _left_behind(root: Path, path: str, head: tuple[str, ...], ledgers: _Ledgers) -> list[Loss]:
    """Return events that only a tag, or a commit of the reflog that no branch holds, still has; a remote's copy without
    a commit in common with the branch of its name."""
    refs = branches(root)
    ends = {ref: ledgers.at(ref, path) for ref in (*refs, *head)}
    data = dict.fromkeys([*ends.values(), *(one.data for one in ledgers_of(root))])
    present = {name for one in data for event in walk(one)[0] for name in (event.digest, identity(event.fact))}
    # A turn at work has commits in its worktree that no branch holds yet.
    held = {one.head for one in worktrees(root)} - {NONE, ""}
    apart = ("--not", "--branches", "--remotes", *sorted(held))
    alone = {step.commit: ("a tag", step.new) for step in _steps(root, path, ("--tags", *apart))}
    for step in _steps(root, path, ("--reflog", *apart)):
        alone.setdefault(step.commit, ("the reflog", step.new))
    found: list[Loss] = []
    told: set[str] = set()
    for commit, (who, name) in reversed(alone.items()):
        lost = [one for one in walk(ledgers[name] or b"")[0] if not {one.digest, identity(one.fact)} & (present | told)]
        told |= {one.digest for one in lost}
        if lost:
            what = f"only {who} still leads to {commit[:12]}, and with it to {_named(lost)} of the ledger"
            mend = f"`git merge {commit[:12]}` joins the ledgers again"
            certain = who == "a tag" or any(_kind(one) not in LIGHT for one in lost)
            found.append(Loss(commit, f"{what}; {mend}", certain))
    return [*found, *_strangers(root, ends)]


def _strangers(root: Path, ends: Mapping[str, bytes]) -> Iterator[Loss]:
    """Yield remotes' copies of a branch that have no commit in common with it, and another ledger."""
    for ref, data in ends.items():
        local = f"refs/heads/{ref.split('/', 3)[-1]}"
        if not ref.startswith("refs/remotes/") or local not in ends or data == ends[local]:
            continue
        one, other = walk(ends[local])[0], walk(data)[0]
        shared = common(one, other)
        if shared < min(len(one), len(other)) and not _shares(root, local, ref):
            what = f"{local.removeprefix('refs/heads/')} and {ref.removeprefix('refs/remotes/')} share no commit"
            yield Loss("", f"{what}, and their ledgers differ from event {shared + 1} on: one of them was made anew")


def _shares(root: Path, one: str, other: str) -> bool:
    return bool(ask(root, "merge-base", one, other))


def _unseen(root: Path) -> list[str]:
    if git(root, "rev-parse", "--is-shallow-repository").strip() != "true":
        return []
    return ["the ledger's history before this shallow clone begins; `git fetch --unshallow`, then verify again"]


def _kind(event: Event) -> str:
    return f"{event.fact.kind} {event.fact.stage}" if event.fact.kind == "publish" else event.fact.kind


def _named(events: Sequence[Event]) -> str:
    """Return events in words: how many, and the first and last of them."""
    said = [f"{one.number} ({_kind(one)}, {one.actor}, {one.time})" for one in events]
    shown = said if len(said) < 4 else [*said[:2], "…", said[-1]]
    return f"{len(events)} event{'s' * (len(events) > 1)}: {', '.join(shown)}"
