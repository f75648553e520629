"""The branch that automation commits to, and the worktree in which it does. The person's tree is never written to.

A run works on a detached HEAD in a worktree of its own; the branch moves at the end, in one step, from the commit that
the run began with to the one it made. So a run that is killed leaves a worktree that is not needed, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from parammem.checkout.git import (
    UNATTENDED,
    file_at,
    git,
    git_folder,
    is_ancestor,
    run,
    tip,
    worktrees,
)
from parammem.checkout.leftovers import ref_lock, take_away
from parammem.checkout.places import BATCH_ORDER, REFUSED_ROWS, REPORTS
from parammem.checkout.worktree import TREES, add_tree, equip
from parammem.core.jsonl import write_text
from parammem.errors import DataError, LineageError
from parammem.registry.growth import taken_away
from parammem.registry.ledger import PLACE as LEDGER
from parammem.registry.merge import DRIVER, merge_bytes

GENERATED = ("dvc.lock", f"{REPORTS}/", "pocket/dvc.lock", BATCH_ORDER.as_posix(), f"{REFUSED_ROWS.as_posix()}/")
"""Where both sides changed these, the branch's own stand until the next rebuild; of a source that both refused, its
pointer."""
OWN_MERGE = ("-c", f"merge.{DRIVER}.driver=false")
"""Automation joins ledgers by itself, whatever this clone was told of the driver."""


def make_tree(root: Path, branch: str, name: str) -> tuple[Path, str]:
    """Return a worktree with the branch's newest state and all that the person has committed since.

    Returns:
        Its folder, and the commit the branch points to (empty: the branch is not there yet).

    Raises:
        DataError: branch and person changed the same lines of something that is no output.
    """
    before = tip(root, f"refs/heads/{branch}")
    tree = (root / TREES / name).resolve()
    add_tree(root, tree, before or "HEAD")
    if before:
        _follow(root, tree, tip(root, "HEAD"))
    equip(root, tree)
    return tree, before


def refuse_if_checked_out(root: Path, branch: str) -> None:
    """Raise DataError when the branch itself is checked out: moving it would change what their files are."""
    for tree in worktrees(root):
        if tree.branch == f"refs/heads/{branch}":
            raise DataError(
                f"the branch {branch!r} is checked out in {tree.path}, and automation would move it under your feet; "
                "switch to another one there (`git switch -`) and merge it instead"
            )


def release_refs(root: Path, branch: str) -> None:
    """Take away what a killed git left of locks on our own branch: no other program moves it. One that a living git may
    hold stays."""
    folder = git_folder(root)
    lock = ref_lock(folder, f"refs/heads/{branch}") if folder else root
    if folder and lock.exists():
        take_away(root, lock)


def _follow(root: Path, tree: Path, person: str) -> None:
    """Bring what the person has committed into the worktree."""
    if is_ancestor(tree, person, "HEAD"):
        return
    done = run(tree, *UNATTENDED, *OWN_MERGE, "merge", "--quiet", "--no-verify", "--no-commit", person)
    conflicts = [name for name in git(tree, "diff", "-z", "--name-only", "--diff-filter=U").split("\0") if name]
    if done and done.returncode and not conflicts:
        said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")
        raise DataError(f"`git merge {person[:12]}` failed: {said}")
    ledger = LEDGER.as_posix()
    foreign = [name for name in conflicts if name != ledger and not name.startswith(GENERATED)]
    if foreign:
        raise DataError(
            f"the branch of automation and {person[:12]} changed the same lines of {', '.join(foreign)}; "
            "merge the one into the other by hand, commit, and run again"
        )
    for name in conflicts:
        git(tree, "checkout", "--ours", "--", name)
        if name == ledger:
            settle_ledger(tree, person)
        git(tree, "add", "--", name)
    _refuse_a_shorter_ledger(tree, person)
    if tip(tree, "MERGE_HEAD"):
        git(tree, *UNATTENDED, "commit", "--quiet", "--no-verify", "--no-edit")


def settle_ledger(tree: Path, person: str) -> None:
    """Join two ledgers that grew side by side, by the rule of registry/join.py."""
    ours, theirs = (file_at(tree, revision, LEDGER.as_posix()) or b"" for revision in ("HEAD", person))
    write_text(tree / LEDGER, merge_bytes(ours, theirs).decode())


def _refuse_a_shorter_ledger(tree: Path, person: str) -> None:
    """Raise LineageError if a merge would shorten the ledger. Git merges without a conflict what only one side changed,
    also a line that it took out."""
    there = tree / LEDGER
    data = there.read_bytes() if there.is_file() else b""
    for revision in ("HEAD", person):
        lost = taken_away(file_at(tree, revision, LEDGER.as_posix()) or b"", data, True)
        if lost:
            raise LineageError(
                f"event {lost[0].number} ({lost[0].fact.kind}) was taken out of the ledger in your commits, and a merge"
                " would take it out of automation's too; `parammem registry verify` names the commit: put it back first"
            )
