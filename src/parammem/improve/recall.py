"""Withdraw a row: quarantine it, roll back, rebuild without it in a worktree, prove its absence, and commit all of it.

What follows from that is planned, and its absence proved, in lineage/rebuilds/recall.py, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parammem.checkout import dvc
from parammem.checkout.dvc_lock import read_lock
from parammem.checkout.git import (
    UNATTENDED,
    ask,
    commit,
    file_at,
    git,
    git_folder,
    is_ancestor,
    person,
    require_identity,
    tip,
)
from parammem.checkout.leftovers import at_work, clear_leftovers, ref_lock
from parammem.checkout.lock import locked
from parammem.checkout.places import LEDGER_FOLDER, REPORTS
from parammem.checkout.worktree import remove_dead, repro, worktree
from parammem.core.event import Recalled
from parammem.core.jsonl import text_lines, write_text
from parammem.core.record import Record
from parammem.errors import LineageMissingError
from parammem.improve.generations import settings
from parammem.lineage.past.events import LEDGER
from parammem.lineage.past.history import REFLECTORS, History, card_in
from parammem.lineage.rebuilds.recall import WITHDRAWN, RecallPlan, plan_recall, prove_absence
from parammem.registry import Ledger
from parammem.registry.branch import ahead
from parammem.registry.growth import refuse_losses
from parammem.registry.register import register_adapter
from parammem.registry.state import roll_back
from parammem.registry.tags import sync_tags

TAKEN = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock")
"""Locks that git takes while it moves a person's branch on."""
COMMITTED = ("dvc.lock", str(LEDGER_FOLDER), str(REPORTS), WITHDRAWN)


class RecallDone(Record):
    """What a recall did."""

    row_hash: str
    commit: str
    branch: str
    merged: bool
    """The person's branch was moved to it; False: their tree has changes, and `git merge` is left to them."""
    adapters: dict[str, str]
    """Domain → digest of the reflector that was trained without it."""
    proof: tuple[str, ...]
    """What was looked at to show that it is absent."""


def recall(root: Path, row: str, reason: str, say: Callable[[str], None]) -> tuple[RecallPlan, RecallDone]:
    """Plan the recall of a row and do it, with automation's lock held. Raises as `execute_recall` does."""
    root = root.resolve()
    with locked(root, person(root), settings(root).wait_seconds, say):
        plan = plan_recall(root, row)
        return plan, execute_recall(root, plan, reason, say)


def execute_recall(
    repo: Path,
    plan: RecallPlan,
    reason: str,
    say: Callable[[str], None] = lambda _: None,
) -> RecallDone:
    """Quarantine the row, roll back, rebuild without it in a worktree, prove its absence, and commit all of it.

    The row's bytes stay in the immutable batch and in old datasets; what is undone is that anything learns from it.
    Call it with automation's lock held, as `recall` does.

    Raises:
        LineageError: the ledger goes on elsewhere than in HEAD, a stage failed, or the row is still there afterwards;
            nothing was committed then.
        LedgerError: git does not know who signs this off.
        DataError: the data could not be pushed, or git could not commit; nothing was committed then.
    """
    repo = repo.resolve()
    require_identity(repo)
    clear_leftovers(repo)
    remove_dead(repo)
    refuse_losses(repo)
    head = tip(repo, "HEAD")
    branch = f"recall/{plan.row_hash[:12]}"
    if done := _finished_before(repo, plan, branch, head):
        return done
    _refuse_a_fork(repo)
    actor = person(repo)
    with worktree(repo, head, shared_cache=True) as tree:
        _withdraw(tree, plan.row_hash)
        ledger = Ledger(tree)
        for domain in plan.domains:
            saw = sorted({one.digest for one in plan.trace.adapters if one.domain == domain})
            ledger.append(Recalled(domain=domain, rows=(plan.row_hash,), adapters=tuple(saw), reason=reason), actor)
        for one in plan.fallbacks:
            roll_back(ledger, one.domain, f"v{one.version}" if one.version else "none", f"recall: {reason}", actor)
        targets = [name for name in _stages(tree) if name.partition("@")[2] in ("", *plan.domains)]
        repro(tree, targets, fresh=False, say=say)
        with History.open(tree) as history:
            state = history.here()
            proof = [line for domain in plan.domains for line in prove_absence(state, domain, plan.row_hash)]
        made = {domain: register_adapter(tree, domain, None, actor).adapter for domain in plan.domains}
        say(dvc.push(tree))  # data first, then the commit that refers to it
        commit = _commit(repo, tree, branch, f"Row {plan.row_hash[:16]} is recalled: {reason}")
        merged = _follow(repo, branch)
        sync_tags(repo if merged else tree)
    return RecallDone(row_hash=plan.row_hash, commit=commit, branch=branch, merged=merged, adapters=made,
                      proof=tuple(proof))  # fmt: skip


def _finished_before(repo: Path, plan: RecallPlan, branch: str, head: str) -> RecallDone | None:
    """Return what an earlier recall of the row had committed when it was killed: only the person's branch has still to
    follow. None: there is nothing of that kind."""
    commit = tip(repo, f"refs/heads/{branch}")
    if not commit or not is_ancestor(repo, head, commit):
        return None
    with History.open(repo) as history:
        state = history.at(commit)
        proof = [line for domain in plan.domains for line in prove_absence(state, domain, plan.row_hash)]
        made = {d: card_in(state, f"{REFLECTORS}{d}").digest for d in plan.domains}
    merged = _follow(repo, branch)
    if merged:
        sync_tags(repo)
    return RecallDone(row_hash=plan.row_hash, commit=commit, branch=branch, merged=merged, adapters=made,
                      proof=tuple(proof))  # fmt: skip


def _refuse_a_fork(repo: Path) -> None:
    """Raise LineageMissingError if a recall would make a second ledger. It adds to HEAD's ledger; where that is not the
    newest, there would be two."""
    here = (repo / LEDGER).read_bytes() if (repo / LEDGER).is_file() else b""
    branch, lacking = ahead(repo)
    if here == (file_at(repo, "HEAD", LEDGER) or b"") and not lacking:
        return
    todo = (
        f"has more events on the branch {branch}; `git merge {branch}`"
        if lacking
        else "is not committed; commit ledger/"
    )
    raise LineageMissingError(f"the ledger {todo}, then recall the row; nothing was changed")


def _withdraw(tree: Path, row: str) -> None:
    path = tree / WITHDRAWN
    lines = text_lines(path.read_text(encoding="utf-8")) if path.is_file() else []
    if row not in lines:
        write_text(path, "".join(f"{line}\n" for line in [*lines, row]))


def _stages(tree: Path) -> list[str]:
    return list(read_lock(tree))


def _commit(repo: Path, tree: Path, branch: str, message: str) -> str:
    """Commit the worktree to the recall's branch; return the commit's name."""
    folder = git_folder(tree) or tree
    with at_work(repo, [ref_lock(folder, f"refs/heads/{branch}")]):
        commit(tree, COMMITTED, message)  # nothing where it was all recalled before
        git(tree, *UNATTENDED, "branch", "--force", branch, "HEAD")
    return tip(tree, "HEAD")


def _follow(repo: Path, branch: str) -> bool:
    """Move the person's branch on, if nothing of theirs is in the way."""
    if ask(repo, "diff", "--quiet", "HEAD") is None:
        return False
    own, folder = Path(ask(repo, "rev-parse", "--absolute-git-dir") or ""), git_folder(repo) or repo
    here = ask(repo, "symbolic-ref", "--quiet", "HEAD") or "HEAD"
    with at_work(repo, [*(own / name for name in TAKEN), ref_lock(folder, here)]):
        return ask(repo, *UNATTENDED, "merge", "--ff-only", "--quiet", branch) is not None


def render_done(done: RecallDone) -> str:
    """Return what happened, for people."""
    lines = [f"committed {done.commit[:12]} on {done.branch}"]
    lines += [
        f"  {domain}: rebuilt as {digest[:16]}, registered as candidate" for domain, digest in done.adapters.items()
    ]
    lines += [f"  proof: {line}" for line in done.proof]
    todo = (
        "`dvc checkout`"
        if done.merged
        else f"commit or put aside your changes, `git merge {done.branch}`, `dvc checkout`"
    )
    lines.append(f"now: {todo}, and `parammem gate` judges the rebuilt reflector")
    lines.append("the row's bytes stay in its batch and in old datasets; `dvc gc` removes what no commit needs")
    return "\n".join(lines)
