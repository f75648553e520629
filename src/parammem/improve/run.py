"""One turn from lock to lock: the table of steps, run in order. Flows hand in how a step is called, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from parammem.checkout import dvc
from parammem.checkout.dvc import Say
from parammem.checkout.lock import locked
from parammem.checkout.worktree import remove_trees
from parammem.config import load_params
from parammem.errors import ParamMemError
from parammem.improve.contest_process import contest_in_process
from parammem.improve.steps import STEPS, TurnStep, nothing_to_do
from parammem.improve.turn import Ended, Tools, Turn, TurnReport, headline

Around = Callable[[TurnStep, Turn], None]
"""Runs a step: a flow makes a task of it."""


def improve(root: Path, tools: Tools, around: Around | None = None, force: bool = False) -> TurnReport:
    """Run one turn of self-improvement of the repository at `root`, return its report.

    Args:
        around: how each step is called; by default it is simply called.
        force: train although no trigger says so.

    Raises:
        DataError, LedgerError, ConfigError: the turn failed. Nothing was lost; the next turn begins again.
    """
    params = load_params(root / "params.yaml").improve
    with locked(root, tools.actor, params.wait_seconds, tools.say):
        quick = "" if force else nothing_to_do(root, params.branch)
        if quick:
            tools.say(quick)
            return TurnReport(headline=quick, notes=(quick,))
        turn = Turn(root=root, branch=params.branch, tools=tools, force=force)
        return run_steps(turn, STEPS, around or call)


def run_steps(turn: Turn, steps: tuple[TurnStep, ...], around: Around) -> TurnReport:
    """Run the steps in order; the last one also when a step says that there is nothing more to do. After a failure only
    the worktree is taken away: what was finished is in caches outside it."""
    why = ""
    try:
        for step in steps[:-1]:
            around(step, turn)
    except Ended as end:
        why = str(end)
        turn.note(why)
    except BaseException:
        with contextlib.suppress(ParamMemError, OSError):  # on a full disk, say; the next turn cleans too
            remove_trees(turn.root)
        raise
    around(steps[-1], turn)
    return TurnReport(
        headline=headline(turn, why),
        notes=tuple(turn.notes),
        reasons=tuple(turn.reasons),
        decisions=tuple(turn.decisions),
        commit=turn.commits[-1] if turn.commits else "",
    )


def call(step: TurnStep, turn: Turn) -> None:
    """Run a step, again if it fails and may be tried again."""
    for left in reversed(range(step.tries)):
        try:
            return step.run(turn)
        except ParamMemError as error:
            if not left:
                raise
            turn.note(f"{step.name} failed and is tried again: {error}")
    return None


def plain_tools(actor: str, say: Say) -> Tools:
    """Return a person's tools: one `dvc repro`, and judging in a process of its own."""

    def rebuild(tree: Path, targets: list[str]) -> None:
        dvc.repro(tree, targets, say)

    return Tools(rebuild=rebuild, compare=contest_in_process, say=say, actor=actor)
