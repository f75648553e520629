"""`parammem init`: a new repository for a domain of the user's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from parammem.cli.say import say
from parammem.core.domain_names import BUILT_IN


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where it is made: empty, or not there yet.")],
    domain: Annotated[
        str | None, typer.Option("--domain", "-d", help="Its name; default: the folder's.", show_default=False)
    ] = None,
    kind: Annotated[
        Literal["open", "code", "math", "qa"] | None,
        typer.Option(
            "--kind", help="How tasks are judged; open: by you. Default: the name if it is a kind, else open.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            help="Model that reflectors are trained on: a Hugging Face folder, or a pin (JSON with hub and revision); "
            "default: a pin of Qwen2.5-0.5B-Instruct.",
            show_default=False,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Make a repository for a domain of your own: params, pipeline, schedules, inbox, under git and DVC."""
    from parammem.templates import make_repository

    name = folder.resolve().name if domain is None else domain
    made = make_repository(folder, name, kind or (name if name in BUILT_IN else "open"), model)
    say(f"{made.folder} is a repository for the domain {name}; its README.md says how it goes on")
    if made.committed:
        say(f"  first commit: {made.committed[:12]}")
    else:
        say(
            "  nothing is committed, since git does not know who you are; run `git config user.name NAME` and "
            "`git config user.email MAIL` there, then `git add --all` and `git commit`"
        )
    say(f"  next: cd {shlex.quote(str(made.folder))}; parammem ingest LOG --dry-run; parammem ingest LOG; dvc repro")
