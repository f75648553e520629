"""`parammem track`: log what the pipeline made to Weights & Biases; offline when no key is set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import TRACKING
from parammem.cli.options import PARAMS, ParamsFile
from parammem.cli.say import say
from parammem.config import load_params
from parammem.core.words import count


def track(
    params: ParamsFile = PARAMS,
    folder: Annotated[Path, typer.Option(help="Where offline runs and what was logged are kept.")] = TRACKING,
) -> None:
    """Log params, metrics and adapters that are not logged yet. Running it again logs nothing twice."""
    from parammem.registry.branch import known
    from parammem.registry.sync import aliases_of
    from parammem.tracking import track_all

    logged = track_all(Path(), load_params(params).tracking, folder, aliases_of(known(Path())))
    say(f"tracking: {count(len(logged), 'new run')} in {folder}" if logged else "tracking: nothing new")
