"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.config import DomainName

Domain = Annotated[DomainName, typer.Option("--domain", "-d", help="Which kind of problem.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The params file.")]
PARAMS = Path("params.yaml")
REFLECTORS = Path("models/reflectors")
"""Where `train` leaves one adapter folder per domain."""
