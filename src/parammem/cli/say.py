"""The one way in which commands print: what came from outside cannot steer the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from parammem.core.escape import printable

if TYPE_CHECKING:
    from parammem.improve.turn import TurnReport


def say(text: str, err: bool = False, **style: Any) -> None:
    """Print text and a line end; control characters and marks that reorder text become escapes.

    Args:
        style: colours and weights, as typer.secho takes them.
    """
    typer.secho(printable(str(text)), err=err, **style)


def say_end(report: TurnReport) -> None:
    """Print how a turn ended, unless its own lines have said so."""
    if report.headline not in "; ".join(report.notes):
        say(report.headline, bold=True)
