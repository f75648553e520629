"""Which experience batch hurt: retrain without halves of the batches and compare on the same tasks.

One bad batch is assumed. If everything together is worse than without one half, the batch is in that half; then that
half is split, and so on: log2(n) trainings after the first two. Each comparison is the exact one-sided sign test over
tasks; what was trained before comes from DVC's run-cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from parammem.checkout.git import ask, tip
from parammem.checkout.places import BATCHES, Places
from parammem.checkout.worktree import repro, worktree
from parammem.core.jsonl import iter_values
from parammem.core.record import Record
from parammem.core.words import count
from parammem.errors import LineageMissingError
from parammem.lineage.past.events import read_life

EXPERIENCE = BATCHES.as_posix()
ALPHA = 0.01
"""Per comparison: at most five are made over 16 batches, so a blame is false in at most 5% of clean histories."""

Outcomes = dict[str, bool]
"""Task → passed."""


class Trial(Record):
    """One training without some batches, compared with the one with all of them."""

    without: tuple[str, ...]
    solved: float
    """Share of tasks solved."""
    better: int
    """Tasks that it solves and the full one does not."""
    worse: int
    p: float
    """One-sided: how likely so many better ones are if leaving these out made no difference."""


class Blame(Record):
    """What the bisection found."""

    batch: str | None
    """The batch that hurt; None: none did, as far as this many tasks can tell."""
    solved: float
    """Share solved by the reflector that was trained on every batch."""
    tasks: int
    batches: int
    trials: tuple[Trial, ...]
    trainings: int
    """The full one and one per trial; those that DVC's run-cache had cost nothing."""
    strength: float
    """Share of tasks won by leaving out the smallest group that was tested and hurt; 0 if none did."""


Measure = Callable[[frozenset[str]], Outcomes]
"""The outcomes of an adapter trained without these batches."""


def bisect(batches: Sequence[str], measure: Measure, alpha: float = ALPHA) -> Blame:
    """Find the batch that hurts.

    Args:
        measure: trains without these batches and evaluates; called at most 2 + ceil(log2(n)) times.
        alpha: level of each test.
    """
    full = measure(frozenset())
    trials: list[Trial] = []

    def hurts(group: Sequence[str]) -> bool:
        trials.append(compare(full, measure(frozenset(group)), group))
        return trials[-1].p <= alpha

    suspects = list(batches)
    halves = (suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :])
    found = next((half for half in halves if half and hurts(half)), None)
    while found and len(found) > 1:
        first, second = found[: len(found) // 2], found[len(found) // 2 :]
        found = first if hurts(first) else second  # the whole of it hurts, so if not the one, then the other
    named = [one for one in trials if one.p <= alpha]
    return Blame(
        batch=found[0] if found else None,
        solved=_share(full),
        tasks=len(full),
        batches=len(batches),
        trials=tuple(trials),
        trainings=1 + len(trials),
        strength=(named[-1].solved - _share(full)) if named else 0.0,
    )


def compare(full: Outcomes, without: Outcomes, group: Sequence[str]) -> Trial:
    """Return the paired comparison on the tasks that both did."""
    from scipy.stats import binomtest

    tasks = full.keys() & without.keys()
    better = sum(without[task] and not full[task] for task in tasks)
    worse = sum(full[task] and not without[task] for task in tasks)
    p = binomtest(better, better + worse, 0.5, alternative="greater").pvalue if better + worse else 1.0
    return Trial(without=tuple(group), solved=_share(without), better=better, worse=worse, p=float(p))


def _share(outcomes: Outcomes) -> float:
    return sum(outcomes.values()) / len(outcomes) if outcomes else 0.0


def blame_batches(
    repo: Path, domain: str = "code", arm: str = "paramagent", say: Callable[[str], None] = lambda _: None
) -> Blame:
    """Bisect over the experience batches of HEAD, training in worktrees that share DVC's cache and run-cache.

    Raises:
        LineageMissingError: there are fewer than two batches, or a stage failed.
    """
    repo = repo.resolve()
    head = tip(repo, "HEAD")
    batches = batches_in_order(repo)
    if not head or len(batches) < 2:
        raise LineageMissingError(
            f"{EXPERIENCE} has {count(len(batches), 'batch', 'batches')} in HEAD, so there is nothing to choose "
            "between; `parammem ingest` takes more in, then commit it"
        )

    def measure(without: frozenset[str]) -> Outcomes:
        say(f"training without {len(without)} of {len(batches)} batches")
        skip = [f"{EXPERIENCE}/{batch}.jsonl" for batch in sorted(without)]
        with worktree(repo, head, shared_cache=True, skip=skip) as tree:
            repro(tree, [f"evaluate@{domain}"], fresh=False, say=say)
            return read_outcomes(Places(tree, domain).evaluation / "runs.jsonl", arm)

    return bisect(batches, measure)


def batches_in_order(repo: Path) -> list[str]:
    """Return the batches that HEAD's .dvc pointers name, in the order in which they came; unknown ones last, by
    name."""
    names = (ask(repo, "ls-tree", "-z", "--name-only", "HEAD", f"{EXPERIENCE}/") or "").split("\0")
    there = {Path(name).name.removesuffix(".dvc").removesuffix(".jsonl") for name in names if ".jsonl" in name}
    came = [event.fact.batch for event in read_life(repo).events if event.fact.kind == "ingest" and event.fact.batch]
    known = [batch for batch in dict.fromkeys(came) if batch in there]
    return [*known, *sorted(there - set(known))]


def read_outcomes(path: Path, arm: str) -> Outcomes:
    """Return task → passed, of one arm. Raises LineageMissingError if there is no such arm."""
    found = {}
    for _, run in iter_values(path):
        if run["arm"] == arm:
            found[f"{run.get('slice')}/{run['task_id']}"] = bool(run["passed"])
    if not found:
        raise LineageMissingError(f"{path.name} has no runs of the arm {arm!r}; name one of evaluate.methods")
    return found


def render_blame(done: Blame) -> str:
    """Return in words, each training on a line."""
    lines = [f"all {count(done.batches, 'batch', 'batches')}: {done.solved:.3f} of {done.tasks} tasks solved"]
    for one in done.trials:
        said = f"without {len(one.without)}: {one.solved:.3f}, {one.better} better, {one.worse} worse, p = {one.p:.2g}"
        lines.append(f"  {said}{'  <- hurts' if one.p <= ALPHA else ''}")
    if done.batch:
        lines.append(f"batch {done.batch} hurt: {100 * done.strength:+.1f} points without it (or its group)")
    else:
        lines.append(f"no batch hurt, as far as {count(done.tasks, 'task')} can tell at p <= {ALPHA:g}")
    return "\n".join([*lines, f"{count(done.trainings, 'training')}, those in the run-cache among them"])
