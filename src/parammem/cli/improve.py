"""`parammem improve`: one turn of self-improvement now, without Prefect. `parammem check-champion`: does it hold?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import project
from parammem.cli.options import FIRST_DOMAIN, Domain
from parammem.cli.say import say, say_end


def improve(
    force: Annotated[bool, typer.Option("--force", help="Train although no trigger says so.")] = False,
) -> None:
    """Take the inbox in, train a challenger if a trigger asks for it, ask the gate, and publish what it says.

    Works in a worktree of its own and commits to the branch of `improve.branch`; your files are not touched.
    """
    from parammem.checkout.git import person
    from parammem.improve.run import improve as turn
    from parammem.improve.run import plain_tools

    report = turn(Path(), plain_tools(person(Path()), say), force=force)
    say_end(report)


def check_champion(
    night: Annotated[str, typer.Option(help="The date it is for, YYYY-MM-DD; today if left out.")] = "",
) -> None:
    """Check whether each champion still solves what it should; after two failed checks in a row the one before it takes
    its place."""
    from parammem.checkout.git import person
    from parammem.improve.champion import evaluate_champion
    from parammem.improve.run import plain_tools

    report = evaluate_champion(Path(), plain_tools(person(Path()), say), night)
    say_end(report)


def generations(
    domain: Domain = FIRST_DOMAIN,
    chart: Annotated[Path | None, typer.Option(help="An image to write.", show_default=False)] = None,
) -> None:
    """List every challenger and what became of it: solved per slice, forgotten, distinct advice, tokens, rows, time."""
    from functools import partial

    from parammem.improve import generations as challenges
    from parammem.registry.branch import decision_of, known

    root = project()
    found = challenges.generations(known(root), partial(decision_of, root), domain)
    say(challenges.as_text(found))
    if chart:
        challenges.chart(found, chart)
        say(f"chart: {chart}")
