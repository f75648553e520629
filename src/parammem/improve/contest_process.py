"""Compare champion and challenger in a process of its own, which has the worktree's code and ends with the turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from parammem.checkout.places import CONTESTS
from parammem.checkout.processes import run_guarded
from parammem.errors import DataError
from parammem.gate.evidence import Evidence

if TYPE_CHECKING:
    from parammem.improve.turn import Turn


def contest_in_process(turn: Turn, domain: str, champion: Path | None, challenger: Path) -> Evidence:
    """Return the evidence about a challenger, by `python -m parammem.improve.contest_command` in the worktree.

    Raises:
        DataError: it failed; with its last lines.
    """
    out = turn.tree / CONTESTS / f"{domain}.json"
    command = [
        sys.executable,
        "-m",
        "parammem.improve.contest_command",
        "--domain",
        domain,
        "--challenger",
        str(challenger),
    ]
    command += ["--champion", str(champion)] if champion else []
    code, tail = run_guarded([*command, "--out", str(out)], turn.tree, turn.tools.say)
    if code:
        last = "\n".join(f"    {line}" for line in tail[-15:])
        raise DataError(f"{domain}: champion and challenger could not be compared. The last lines:\n{last}")
    return Evidence.model_validate_json(out.read_text(encoding="utf-8"))
