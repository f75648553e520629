"""`parammem grade`: is this answer right, what was read out of it, and by which rule?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parammem.cli.options import PARAMS, Domain
from parammem.cli.say import say
from parammem.errors import DataError

if TYPE_CHECKING:
    from parammem.benchmarks.grade import Graded

SHOWN = 200
"""Characters of a value that a line for people shows."""


def grade(
    file: Annotated[
        Path, typer.Argument(help="JSONL of {text, gold} or {text, row}, row in a benchmark's own format.")
    ],
    domain: Domain,
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="The benchmark whose format the rows have, e.g. math.")
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Programs run at once.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Judge answers as an evaluation would, and say what was read, and by which rules.

    Exit code 0 when every row was judged, right or wrong; 4 when a row was refused.
    """
    from parammem.benchmarks.grade import grade as judge
    from parammem.config import kinds_in
    from parammem.domains import get_domain

    limits = {"wall_seconds": 20.0, "cpu_seconds": 10.0, "memory_mb": 1024}
    found = judge(
        file, get_domain(domain, kind=kinds_in(PARAMS).get(domain, ""), real=True, workers=workers, **limits), benchmark
    )
    counts = {name: sum(one.verdict == name for one in found) for name in ("right", "wrong", "refused")}
    if as_json:
        say(json.dumps({"rows": [one.model_dump() for one in found], **counts}, indent=2))
    else:
        for one in found:
            say(as_text(one))
        say(", ".join(f"{count} {name}" for name, count in counts.items()))
    if counts["refused"]:
        raise DataError(f"{counts['refused']} of {len(found)} rows were refused; their reasons stand above")


def as_text(one: Graded) -> str:
    """Return one row for people."""
    if one.verdict == "refused":
        return f"{one.row}: refused  {one.reason}"
    lines = [f"{one.row}: {one.verdict}", f"    read      {_shown(one.read) or '(nothing)'}   [{one.read_by}]"]
    if one.expected:
        lines.append(f"    expected  {_shown(one.expected)}")
    return "\n".join([*lines, f"    judged    {one.judged_by}" + (f": {_shown(one.detail)}" if one.detail else "")])


def _shown(text: str) -> str:
    line = text.replace("\n", "⏎")
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"
