"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.config import kinds_in
from parammem.core.domain_names import BUILT_IN, checked_name

ParamsFile = Annotated[Path, typer.Option("--params", help="The params file.", is_eager=True)]
"""Eager, so that the domain is looked up in the file that is meant."""
PARAMS = Path("params.yaml")
FIRST_DOMAIN = ""
"""Stands for the first domain of params.yaml, where a command has none of its own choice."""


def _known_domain(context: typer.Context, name: str | None) -> str | None:
    """Return the domain that was asked for, or the first one there is.

    Raises:
        BadParameter: the params file has no domain of that name.
    """
    if name is None:
        return None
    file = context.params.get("params", PARAMS)
    kinds = kinds_in(file)
    if name == FIRST_DOMAIN:
        return next(iter(kinds), BUILT_IN[0])
    try:
        checked_name(name)
    except ValueError as error:
        raise typer.BadParameter(f"{name!r}: {error}") from None
    unread = not kinds and Path(file).is_file()  # its mistakes are for `load_params` to say, and they come first
    if name not in kinds and name not in BUILT_IN and not unread:
        raise typer.BadParameter(f"{name!r} is no domain of {file}; there are {', '.join(kinds or BUILT_IN)}")
    return name


Domain = Annotated[
    str,
    typer.Option(
        "--domain", "-d", help="Name of a domain.", show_default="the first of params.yaml", callback=_known_domain
    ),
]
"""A domain's name. Give a command the default FIRST_DOMAIN, or none where it has to be said."""
