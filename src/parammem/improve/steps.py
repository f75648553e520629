"""The steps of a turn, in their order. The table STEPS is what a flow runs, what a person's command runs, and what the
test that kills a turn at every boundary reads.

Until `commit` has moved the branch a turn has only written into its worktree (and into caches that any run may use), so
a crash leaves nothing that counts: the next turn throws the worktree away and starts from the branch and the inbox,
which are as they were. What it has to do again is in DVC's run-cache, the completion cache and the checkpoints. After
`commit` everything counts, and `finish`, which every turn begins with, does what was left: tags and the inbox.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parammem.checkout import dvc
from parammem.checkout.git import commit as commit_paths
from parammem.checkout.git import move_branch, require_identity
from parammem.checkout.places import DATA, EVIDENCE, RECORDED, SET_ASIDE, TRACKING, Places
from parammem.checkout.processes import run_guarded
from parammem.checkout.worktree import remove_trees
from parammem.config import load_params
from parammem.core.adapter import CARD, read_card
from parammem.core.decision import Decision
from parammem.core.event import Published, SetAside, Trained
from parammem.core.jsonl import write_text
from parammem.core.words import count
from parammem.errors import DataError
from parammem.improve import batches
from parammem.improve.blame import blame
from parammem.improve.branch import make_tree, refuse_if_checked_out, release_refs
from parammem.improve.live_decisions import decide_by_runs
from parammem.improve.live_inbox import clear_entered, runs_wait, take_in_runs
from parammem.improve.triggers import Reason, Triggers, judge, last_training, new_batches
from parammem.improve.turn import Ended, Turn
from parammem.improve.warm_challenger import add_challengers, back_to_retrained, champion_folder, show_state
from parammem.registry.branch import ledger_at
from parammem.registry.register import register_adapter
from parammem.registry.state import champion, make_champion, versions
from parammem.registry.tags import sync_tags

PATHS = ("dvc.lock", "params.yaml", *map(str, RECORDED))
"""What a turn commits; .gitignore keeps the data itself out."""


@dataclass(frozen=True)
class TurnStep:
    """One step of a turn."""

    name: str
    run: Callable[[Turn], None]
    crash: str
    """What a crash in it leaves, and who puts it in order."""
    tries: int = 1
    """How often it is tried before the turn fails; each is harmless to repeat."""


def clean(turn: Turn) -> None:
    """Take away what a turn that was killed left behind, and check that this one can commit: git must have a name and
    mail."""
    require_identity(turn.root)
    refuse_if_checked_out(turn.root, turn.branch)
    left = remove_trees(turn.root)
    release_refs(turn.root, turn.branch)
    if left:
        turn.note(f"an earlier run was cut short: {count(left, 'worktree')} of it removed, its work begins anew")


def open_tree(turn: Turn) -> None:
    """Open a worktree with the branch's state, what the person has committed since, and its data."""
    turn.tree, turn.before = make_tree(turn.root, turn.branch, uuid.uuid4().hex[:8])
    turn.params = load_params(turn.tree / "params.yaml")
    dvc.fetch(turn.tree, turn.tools.say)


def finish(turn: Turn) -> None:
    """Do what an earlier turn had committed and not finished: its tags, its run for W&B, and its files in the inbox."""
    if turn.before:
        made = sync_tags(turn.tree).made
        if made:
            turn.note(f"tags that were missing: {', '.join(made)}")
        if _is_unlogged(turn):
            _tell_wandb(turn, ("track", "sync"))
    done = batches.clear_ingested(*_inbox(turn))
    done += clear_entered(turn.root, turn.tree)
    if done:
        turn.note(f"{count(done, 'file')} in the inbox had been ingested before")


def take_in(turn: Turn) -> None:
    """Turn the inbox, and runs of agents in use, into batches in the worktree. What cannot be read stays, and the
    others have their turn."""
    turn.sources, turn.refused_sources = batches.ingest_inbox(turn)
    for text in turn.refused_sources:
        turn.note(f"stays in the inbox: {text}")
    turn.observed = take_in_runs(turn)


def consider(turn: Turn) -> None:
    """Check whether there is reason to train. Ends the turn if not, and if nothing came in either."""
    p, events = turn.settings.improve, turn.ledger.read()
    triggers = Triggers(
        min_new_rows=p.min_new_rows, max_hours=p.max_hours, drift_points=p.drift_points, drift_rows=p.drift_rows
    )
    for domain in turn.settings.domains:
        reason = judge(domain, events, batches.outcomes(turn.tree, domain), triggers, turn.tools.clock())
        if turn.force and not reason.due:
            reason = Reason(
                domain=domain, due=True, why=f"{domain}: asked for", new_rows=reason.new_rows, kind="asked for"
            )
        turn.reasons.append(reason)
        turn.note(reason.why)
    if not turn.due and not turn.sources and not turn.observed:
        raise Ended(_nothing(turn))


def rebuild(turn: Turn) -> None:
    """Rebuild the pipeline in the worktree, as far as params ask for it."""
    if turn.due:
        turn.tools.rebuild(turn.tree, targets(turn))


def enter(turn: Turn) -> None:
    """Record what was trained: a `train` event and a version for each adapter that is new."""
    for domain in turn.due:
        version = register_adapter(turn.tree, domain, None, turn.tools.actor)
        _remember_batches(turn, domain)
        incumbent = champion(turn.ledger.read(), domain)
        if incumbent and incumbent.adapter == version.adapter:
            turn.note(f"{domain}: the adapter of the champion {incumbent.name} came out again; nothing to judge")
        else:
            turn.challenge(domain, version.adapter, Places(turn.tree, domain).reflector)
            turn.note(f"{domain}: {version.name} ({version.adapter[:12]}) is candidate")


def _remember_batches(turn: Turn, domain: str) -> None:
    """Record the batches that were seen: those that changed nothing (no success among their rows) are not new any
    more."""
    last = last_training(turn.ledger.read(), domain)
    there = tuple(batches.batches(turn.tree))
    if last and isinstance(last.fact, Trained) and last.fact.batches != there:
        turn.record(last.fact.model_copy(update={"batches": there}))


def warm(turn: Turn) -> None:
    """Add second challengers, trained on from the champions, where params ask for them."""
    if turn.settings.improve.warm_start and not turn.retrained:
        add_challengers(turn, _message(turn), PATHS)


def compare(turn: Turn) -> None:
    """Run the agent with champion, challenger and no reflector on the same tasks, as evidence for the gate."""
    for one in turn.challengers:
        incumbent = champion(turn.ledger.read(), one.domain)
        folder = champion_folder(turn, one.domain, incumbent) if incumbent else None
        found = turn.tools.compare(turn, one.domain, folder, one.folder)
        turn.evidence.setdefault(one.domain, []).append(found)


def decide(turn: Turn) -> None:
    """Let the gate decide, on fixed tasks and by runs in use; the version that it promotes becomes champion in the
    worktree's ledger."""
    from parammem.gate.record_decision import decide_and_record_all, rule_of

    for domain, compared in turn.evidence.items():
        for evidence in compared:
            kept = turn.tree / EVIDENCE / f"{evidence.outcomes}.json"
            if not kept.is_file():  # named by what came out: the same once more is what an earlier decision rests on
                write_text(kept, evidence.model_dump_json() + "\n")
        decisions = decide_and_record_all(compared, rule_of(turn.settings.gate), turn.ledger, turn.tools.actor)
        turn.decisions += decisions
        for decision in decisions:
            turn.note(f"{domain}: {decision.answer}: {decision.reasons[0] if decision.reasons else ''}")
            if decision.answer == "promote":
                version = next(v for v in versions(turn.ledger.read(), domain) if v.adapter == decision.challenger)
                make_champion(turn.ledger, version, decision.digest, turn.tools.actor)
        _accuse(turn, decisions)
    decide_by_runs(turn)


def _accuse(turn: Turn, decisions: list[Decision]) -> None:
    """Record the batches that are to blame for a refusal. The decision on the retrained challenger counts: that one has
    learned from the whole pool. If the other one is champion now, there is nothing to blame."""
    first = decisions[0]
    found = blame(turn.ledger.read(), first, batches.batches(turn.tree), [one.adapter for one in turn.challengers])
    if any(found) and all(one.answer != "promote" for one in decisions):
        turn.record(SetAside(domain=first.domain, decision=first.digest, batches=found.aside, suspects=found.suspects))
        kept = f", {len(found.suspects)} under suspicion" if found.suspects else ""
        turn.note(f"{first.domain}: {count(len(found.aside), 'batch', 'batches')} set aside in {SET_ASIDE}{kept}")
        turn.aside += [name for name in found.aside if name not in turn.aside]


def push(turn: Turn) -> None:
    """Push the data to the remote before anything in git refers to it."""
    turn.note(dvc.push(turn.tree))


def commit(turn: Turn) -> None:
    """Commit dvc.lock, metrics, records and decisions, and then, in one step, move the branch. From here on the turn
    counts."""
    made = commit_paths(turn.tree, PATHS, _message(turn))
    turn.commits += [made] if made else []
    back_to_retrained(turn)
    if turn.aside:
        batches.set_aside(turn.tree, turn.aside)
        turn.commits.append(
            commit_paths(turn.tree, (str(DATA),), "Batches set aside that a refused challenger had learned from")
        )
    if turn.commits:
        move_branch(turn.root, turn.branch, turn.commits[-1], turn.before)


def publish(turn: Turn) -> None:
    """Make tags and W&B aliases from the committed ledger."""
    made = sync_tags(turn.tree).made
    if made:
        turn.note(f"tags: {', '.join(made)}")
    if turn.settings.tracking.mode != "off" and turn.commits:
        if turn.warm:  # the other challengers' adapters are in another commit
            show_state(turn, turn.warm)
            _tell_wandb(turn, ("track",))
            show_state(turn, turn.commits[-1])
        _tell_wandb(turn, ("track", "sync"))


def _tell_wandb(turn: Turn, commands: tuple[str, ...]) -> None:
    """Send what is new to W&B, offline without a key; `parammem sync` makes up for whatever fails here."""
    folder = str(_tracking(turn))
    for command in commands:
        code, tail = run_guarded(
            [sys.executable, "-m", "parammem.cli", command, "--folder", folder], turn.tree, turn.tools.say
        )
        if code:
            turn.note(f"W&B: `parammem {command}` failed and can be run again: {tail[-1] if tail else code}")


def _is_unlogged(turn: Turn) -> bool:
    """Return whether the tracking ledger lacks a version that the branch shows. Then a turn ended before it told
    W&B."""
    from parammem.tracking import choose_mode, logged_runs

    if choose_mode(turn.settings.tracking.mode) == "off":
        return False
    folders = (Places(turn.tree, domain).reflector for domain in turn.settings.domains)
    shown = {read_card(folder).digest for folder in folders if (folder / CARD).is_file()}
    entered = {e.fact.adapter for e in turn.ledger.read() if isinstance(e.fact, Published)}
    try:
        return bool(shown & entered - {line.adapter for line in logged_runs(_tracking(turn))})
    except DataError:  # a broken line: `parammem track` will say so, and the turn goes on
        return True


def _tracking(turn: Turn) -> Path:
    return (turn.root / TRACKING).resolve()


def clear(turn: Turn) -> None:
    """Remove from the inbox what is committed."""
    batches.clear_ingested(*_inbox(turn))
    clear_entered(turn.root, turn.tree)


def _inbox(turn: Turn) -> tuple[Path, Path, str]:
    given = turn.settings.experience
    return turn.root / given.inbox, turn.tree, given.domain


def close(turn: Turn) -> None:
    """Remove the worktree."""
    remove_trees(turn.root)


STEPS: tuple[TurnStep, ...] = (
    TurnStep("clean", clean, "what the turn before it left; the next turn takes it away"),
    TurnStep("worktree", open_tree, "a worktree that can be deleted", tries=2),
    TurnStep("finish", finish, "missing tags, or committed files in the inbox; the next turn's finish goes on"),
    TurnStep("ingest", take_in, "a worktree that can be deleted; the inbox is as it was"),
    TurnStep("consider", consider, "a worktree that can be deleted"),
    TurnStep("rebuild", rebuild, "a worktree that can be deleted; finished stages are in DVC's run-cache"),
    TurnStep("enter", enter, "a worktree that can be deleted"),
    TurnStep("warm", warm, "a worktree that can be deleted; finished stages are in DVC's run-cache", tries=2),
    TurnStep("compare", compare, "a worktree that can be deleted; completions are in the cache"),
    TurnStep("decide", decide, "a worktree that can be deleted; the next turn comes to the same decision"),
    TurnStep("push", push, "data in the remote that no commit refers to; the next turn refers to it", tries=3),
    TurnStep("commit", commit, "commits that no branch holds, or a branch that holds them all; then finish goes on"),
    TurnStep("publish", publish, "missing tags; the next turn's finish makes them", tries=2),
    TurnStep("clear", clear, "committed files in the inbox; the next turn's finish takes them away"),
    TurnStep("close", close, "a worktree that can be deleted"),
)


def nothing_to_do(root: Path, branch: str) -> str:
    """Return in words why there is nothing to do, if that can be told without a worktree; empty if it cannot.

    Looks at the inbox, at what an earlier run may have left, and at the ledgers of branch and person.
    """
    from parammem.experience.inbox import look

    params = load_params(root / "params.yaml")
    here = look(root / params.experience.inbox)
    if batches.leftovers(root) or here.sources or runs_wait(root):
        return ""
    for revision in (f"refs/heads/{branch}", "HEAD"):
        events = ledger_at(root, revision)
        if any(new_batches(events, domain) for domain in params.domains):
            return ""
    left = "; ".join(f"{name}: {why}" for name, why in here.left.items())
    inbox = f"nothing in the inbox can be taken ({left})" if left else "the inbox is empty"
    return f"Nothing to do: {inbox}, and nothing came in since the last training"


def targets(turn: Turn) -> list[str]:
    """Return stages that params ask for; the name of a stage that every domain has stands for those of the due
    domains."""
    names = turn.settings.improve.stages
    per_domain = ("tasks", "collect", "validate", "train", "evaluate")
    return [full for name in names for full in ([f"{name}@{d}" for d in turn.due] if name in per_domain else [name])]


def _nothing(turn: Turn) -> str:
    if turn.refused_sources:
        raise DataError(
            "nothing could be ingested: " + "; ".join(turn.refused_sources) + "; mend the files or take them away"
        )
    return "Nothing to do: " + "; ".join(reason.why for reason in turn.reasons)


def _message(turn: Turn) -> str:
    """Return the commit's message: what came in and what was decided."""
    parts = [f"{count(len(turn.sources), 'new source')}"] if turn.sources else []
    runs = sum(fact.last - fact.first + 1 for fact in turn.observed)
    parts += [f"{count(runs, 'run')} in use"] if runs else []
    parts += [f"{one.domain} {one.answer}" for one in turn.decisions]
    lines = [f"Improve: {', '.join(parts) or 'records'}", "", *(f"- {note}" for note in turn.notes)]
    return "\n".join(lines)
