"""Withdraw a row: who saw it, what follows, and (when asked to) the rebuild without it and the proof of that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parammem.checkout.dvc import read_lock
from parammem.checkout.git import ask, file_at, git_folder, is_ancestor, person, require_identity, tip
from parammem.checkout.leftovers import at_work, clear_leftovers, ref_lock
from parammem.checkout.snapshot import Snapshot
from parammem.checkout.worktree import remove_dead, repro, worktree
from parammem.core import Adapter
from parammem.core.event import Recalled
from parammem.core.jsonl import text_lines, write_text
from parammem.core.record import Record, digest_of
from parammem.core.words import count
from parammem.errors import LineageError, LineageMissingError
from parammem.lineage.past.events import LEDGER, Life, read_life
from parammem.lineage.past.history import REFLECTORS, History
from parammem.lineage.rows.datasets import matching, row_hash
from parammem.lineage.rows.trace import RowTrace, trace_rows
from parammem.registry import Ledger
from parammem.registry.branch import ahead
from parammem.registry.enter import enter_adapter
from parammem.registry.growth import refuse_losses
from parammem.registry.state import roll_back
from parammem.registry.tags import sync_tags

WITHDRAWN = "data/recalled.txt"
TAKEN = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock")
"""Locks that git takes while it moves a person's branch on."""
COMMITTED = ("dvc.lock", "ledger", "reports", WITHDRAWN)


class Fallback(Record):
    """Who becomes champion of a domain while the row's adapters are out."""

    domain: str
    champion: int
    """The version that saw the row and reigns."""
    version: int
    """The newest champion that never saw it; 0: there is none, and the domain has no champion."""


class RecallPlan(Record):
    """What a recall would do."""

    row_hash: str
    trace: RowTrace
    domains: tuple[str, ...]
    """Domains of which an adapter saw it."""
    fallbacks: tuple[Fallback, ...]
    retrain: tuple[str, ...]
    """Stages to run again."""
    known: bool
    """It was withdrawn before."""


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


def plan_recall(repo: Path, row: str) -> RecallPlan:
    """What is affected by one row. Changes nothing.

    Raises:
        LineageError: no such row, or several rows are meant.
    """
    traces = trace_rows(repo, row)
    if len(traces) > 1:
        listed = ", ".join(one.row_hash[:16] for one in traces[:5])
        raise LineageMissingError(f"{row!r} means {len(traces)} rows ({listed} …); recall one by its hash")
    [trace] = traces
    life = read_life(repo)
    saw = {one.digest for one in trace.adapters}
    domains = tuple(sorted({one.domain for one in trace.adapters} or {trace.domain or "code"}))
    fallbacks = []
    for domain in domains:
        champion = life.champion(domain)
        if champion and champion.adapter in saw:
            fallbacks.append(Fallback(domain=domain, champion=champion.version, version=_newest(life, domain, saw)))
    return RecallPlan(
        row_hash=trace.row_hash,
        trace=trace,
        domains=domains,
        fallbacks=tuple(fallbacks),
        retrain=tuple(f"{stage}@{domain}" for domain in domains for stage in ("validate", "train", "evaluate")),
        known=trace.recalled is not None,
    )


def _newest(life: Life, domain: str, saw: set[str]) -> int:
    """The version of the newest champion that is none of these adapters; 0: there is none."""
    clean = [reign.version for reign in life.reigns(domain) if reign.adapter and reign.adapter not in saw]
    return clean[-1] if clean else 0


def execute_recall(
    repo: Path,
    plan: RecallPlan,
    reason: str,
    say: Callable[[str], None] = lambda _: None,
    push: Callable[[Path], None] = lambda _: None,
) -> RecallDone:
    """Quarantine the row, roll back, rebuild without it in a worktree, prove its absence, and commit all of it.

    The row's bytes stay in the immutable batch and in old datasets; what is undone is that anything learns from it.
    Call it with automation's lock held.

    Args:
        push: brings the data of the worktree to where others find it, before the commit that refers to it.

    Raises:
        LineageError: the ledger goes on elsewhere than in HEAD, a stage failed, or the row is still there afterwards;
            nothing was committed then.
        LedgerError: git does not know who signs this off.
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
            proof = [line for domain in plan.domains for line in _prove_absence(state, domain, plan.row_hash)]
        made = {domain: enter_adapter(tree, domain, None, actor).adapter for domain in plan.domains}
        push(tree)
        commit = _commit(repo, tree, branch, f"Row {plan.row_hash[:16]} is recalled: {reason}")
        merged = _follow(repo, branch)
        sync_tags(repo if merged else tree)
    return RecallDone(row_hash=plan.row_hash, commit=commit, branch=branch, merged=merged, adapters=made,
                      proof=tuple(proof))  # fmt: skip


def _finished_before(repo: Path, plan: RecallPlan, branch: str, head: str) -> RecallDone | None:
    """What an earlier recall of the row had committed when it was killed: only the person's branch has still to follow.
    None: there is nothing of that kind."""
    commit = tip(repo, f"refs/heads/{branch}")
    if not commit or not is_ancestor(repo, head, commit):
        return None
    with History.open(repo) as history:
        state = history.at(commit)
        proof = [line for domain in plan.domains for line in _prove_absence(state, domain, plan.row_hash)]
        cards = {d: state.read(f"{REFLECTORS}{d}/adapter.json") or b"" for d in plan.domains}
    made = {domain: Adapter.model_validate_json(card).digest for domain, card in cards.items()}
    merged = _follow(repo, branch)
    if merged:
        sync_tags(repo)
    return RecallDone(row_hash=plan.row_hash, commit=commit, branch=branch, merged=merged, adapters=made,
                      proof=tuple(proof))  # fmt: skip


def _refuse_a_fork(repo: Path) -> None:
    """A recall adds to HEAD's ledger; where that is not the newest, there would be two."""
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


def _prove_absence(state: Snapshot, domain: str, row: str) -> list[str]:
    """What shows that the row is in no dataset, manifest or adapter of this state. Raises LineageError if it is."""
    validated, manifest = f"data/validated/{domain}.jsonl", f"{REFLECTORS}{domain}/rows.txt"
    quarantine = f"data/quarantine/{domain}.jsonl"
    still = matching(state, validated, lambda found: row_hash(found) == row)
    rows = (state.read(manifest) or b"").decode().split()
    if still or row in rows or not rows:
        where = validated if still else manifest
        raise LineageError(f"row {row[:16]} is still in {where} after the rebuild; nothing was committed")
    card = Adapter.model_validate_json(state.read(f"{REFLECTORS}{domain}/adapter.json") or b"")
    if digest_of(rows) != card.data_digest:
        raise LineageError(f"{manifest} is not the manifest of the rebuilt adapter; nothing was committed")
    lines = [f"{manifest}: {len(rows)} rows, it is none of them, and their digest is the adapter's {card.digest[:16]}"]
    lines.append(f"{validated}: it is not there")
    if matching(state, quarantine, lambda found: row_hash(found) == row):
        lines.append(f"{quarantine}: it is there")
    return lines


def _commit(repo: Path, tree: Path, branch: str, message: str) -> str:
    hooks = ("-c", "core.hooksPath=/dev/null")
    there = [path for path in COMMITTED if (tree / path).exists()]
    folder = git_folder(tree) or tree
    with at_work(repo, [ref_lock(folder, f"refs/heads/{branch}")]):
        done = [ask(tree, "add", "--all", "--", *there)]
        if ask(tree, "diff", "--cached", "--quiet") is None:  # else it was all recalled before
            done.append(ask(tree, *hooks, "commit", "--quiet", "--no-verify", "-m", message))
        done.append(ask(tree, "branch", "--force", branch, "HEAD"))
    if None in done:
        raise LineageMissingError(f"git could not commit the recall to the branch {branch}; see `git worktree list`")
    return tip(tree, "HEAD")


def _follow(repo: Path, branch: str) -> bool:
    """Move the person's branch on, if nothing of theirs is in the way."""
    if ask(repo, "diff", "--quiet", "HEAD") is None:
        return False
    own, folder = Path(ask(repo, "rev-parse", "--absolute-git-dir") or ""), git_folder(repo) or repo
    here = ask(repo, "symbolic-ref", "--quiet", "HEAD") or "HEAD"
    with at_work(repo, [*(own / name for name in TAKEN), ref_lock(folder, here)]):
        return ask(repo, "-c", "core.hooksPath=/dev/null", "merge", "--ff-only", "--quiet", branch) is not None


def render_plan(plan: RecallPlan) -> str:
    """What would happen, for people."""
    lines = [f"Row {plan.row_hash}" + (" was recalled before" if plan.known else "")]
    lines += [f"  came with batch {one.batch[:16]} {one.source or ''}".rstrip() for one in plan.trace.batches]
    lines.append(f"  {count(len(plan.trace.adapters), 'adapter')} trained on it:")
    for one in plan.trace.adapters:
        named = f"v{one.version}" if one.version else one.folder
        lines.append(f"    {named} {one.digest[:16]}, {one.folder}/rows.txt:{','.join(map(str, one.lines))}")
    for back in plan.fallbacks:
        to = (
            f"v{back.version}, the newest champion that was not trained on it"
            if back.version
            else "no reflector: all were trained on it"
        )
        lines.append(f"  champion of {back.domain}: from v{back.champion} to {to}")
    if not plan.fallbacks:
        lines.append("  no champion was trained on it, so none changes")
    lines.append(f"  then again: {', '.join(plan.retrain)}")
    return "\n".join(lines)


def render_done(done: RecallDone) -> str:
    """What happened, for people."""
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
