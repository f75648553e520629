"""`parammem uptake`: whether an actor can use right advice at all, measured on train tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.checkout.places import UPTAKE
from parammem.cli.options import FIRST_DOMAIN, PARAMS, Domain, ParamsFile
from parammem.cli.say import say
from parammem.cli.text_table import aligned
from parammem.config import load_params
from parammem.core.words import count


def uptake(
    domain: Domain = FIRST_DOMAIN,
    tasks: Annotated[int, typer.Option(min=2, help="How many train tasks, drawn by the seed.")] = 60,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    params: ParamsFile = PARAMS,
    out: Annotated[
        Path | None, typer.Option(help="File for the result.", show_default=f"{UPTAKE.as_posix()}/<domain>.json")
    ] = None,
) -> None:
    """Measure whether the actor can use right advice at all, on train tasks alone.

    Each task is attempted alone, with advice written from its solution, and with irrelevant advice of the same length;
    as one sentence and as a list; before, after and above the task.
    """
    loaded = load_params(params)
    from parammem.core.jsonl import write_text
    from parammem.engines.progress import progress_shown
    from parammem.evaluation.uptake import uptake_table
    from parammem.stages import uptake as stage

    with progress_shown(f"uptake {domain}"):
        found = stage.run(loaded, domain, tasks, seed)
    path = out or UPTAKE / f"{domain}.json"
    write_text(path, found.model_dump_json(indent=1) + "\n")
    left = f", {found.left_out} left out" if found.left_out else ""
    say(f"{found.model}, {domain}: {count(found.tasks, 'train task')}{left}, temperature {found.temperature:g}")
    say(aligned(*uptake_table(found)))
    for sentence in found.says:
        say(sentence)
    say(f"{path} holds these figures; `dvc repro` puts those in {UPTAKE} into the report")
