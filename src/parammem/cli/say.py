"""The one way in which commands print: what came from outside cannot steer the terminal."""

from __future__ import annotations

from typing import Any

import typer

from parammem.core.escape import printable


def say(text: str, err: bool = False, **style: Any) -> None:
    """Print text and a line end; control characters and marks that reorder text become escapes.

    Args:
        style: colours and weights, as typer.secho takes them.
    """
    typer.secho(printable(str(text)), err=err, **style)
