"""`parammem audit show`: which commit, rows, rules and params made an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.cli.options import REFLECTORS, Domain
from parammem.errors import LineageError

app = typer.Typer(help="What made a model.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """What made a model."""


@app.command()
def show(
    adapter: Annotated[
        Path | None, typer.Argument(help="Adapter folder; default: models/reflectors/<domain>.", show_default=False)
    ] = None,
    domain: Domain = "code",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Name the commit, rows, rules and params behind an adapter, and check every link again.

    Exit code 10 when one does not hold.
    """
    from parammem.lineage import render, show

    card = show(Path(), adapter or REFLECTORS / domain, strict=False)
    typer.echo(card.model_dump_json(indent=2) if as_json else render(card))
    if card.broken:
        names = ", ".join(link.name for link in card.broken)
        raise LineageError(
            f"{card.folder}: what is recorded does not hold: {names}; "
            "`dvc checkout` restores the recorded files, `dvc repro` makes new ones"
        )
