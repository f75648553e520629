"""`parammem probe`: what a run with a model will take, cost and be able to show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parammem.cli.options import FIRST_DOMAIN, PARAMS, Domain, ParamsFile
from parammem.cli.say import say
from parammem.cli.text_table import aligned
from parammem.config import load_params

if TYPE_CHECKING:
    from parammem.evaluation.forecast import Probe


def probe(
    domain: Domain = FIRST_DOMAIN,
    tasks: Annotated[int, typer.Option(min=1, help="How many train tasks, drawn by the seed.")] = 32,
    temperature: Annotated[
        list[float] | None,
        typer.Option(min=0.0, help="A further temperature to try; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    params: ParamsFile = PARAMS,
    out: Annotated[Path | None, typer.Option(help="File for the figures as JSON.")] = None,
) -> None:
    """Try a model on a few train tasks of a profile before anything is paid for.

    Says which share it solves, how many answers the limits cut, how fast it writes, what each stage will take and
    cost, and warns where a run could not show anything. Nothing of it is kept.
    """
    loaded = load_params(params)
    from parammem.core.jsonl import write_text
    from parammem.engines.progress import progress_shown
    from parammem.evaluation.forecast import total
    from parammem.stages import probe as stage

    with progress_shown(f"probe {domain}"):
        found = stage.run(loaded, domain, tasks, temperature or [], seed)
    if out:
        write_text(out, found.model_dump_json(indent=1) + "\n")
    say(described(found))
    for warning in found.warnings:
        say(f"warning: {warning}", fg=typer.colors.YELLOW)
    say(f"the whole run on {domain}: {total(found)}")


def described(found: Probe) -> str:
    """Return the figures as two tables and a line about the speed."""
    from parammem.evaluation.statistics import wilson

    rows = []
    for one in found.attempted:
        low, high = (100 * end for end in wilson(one.solved, one.tasks))
        visible = "–" if one.visible is None else str(one.visible)
        solved = f"{one.solved} of {one.tasks}"
        cells = [
            solved,
            f"{low:.0f}–{high:.0f}%",
            visible,
            str(one.cut),
            f"{one.tokens:.0f}",
            f"{one.prompt_tokens:.0f}",
        ]
        rows.append([f"{one.temperature:g}", *cells])
    head = ["temperature", "solved", "95% interval", "visible", "cut", "written", "prompt"]
    stages = [
        [one.stage, str(one.attempts), str(one.advice), "–" if one.minutes is None else f"{one.minutes:.1f}"]
        for one in found.stages
    ]
    pace = found.pace
    return "\n".join(
        [
            f"{found.model}, {found.domain}: {found.attempted[0].tasks} of {found.train} train tasks",
            aligned(head, rows),
            f"advice: {found.advice_cut:.0%} ends at the limit",
            f"speed: {pace.tokens_per_second:.0f} tokens a second, {pace.attempt_seconds:.1f} s an attempt",
            aligned(["stage", "attempts", "advice", "minutes"], stages),
        ]
    )
