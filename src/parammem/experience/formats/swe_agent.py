"""Trajectories of SWE-agent (`.traj`), one run a file.

    {"trajectory": [{"action": "ls", "observation": "a.py", "response": "…", "thought": "…", "state": {}}],
     "history": [{"role": "user", "content": "…"}], "info": {"exit_status": "submitted", "submission": "…"}}

The task is the first user message that is no demonstration. That something was submitted does not say that it is
right: the outcome is named with `--outcomes`, by `instance_id` or the file's name.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.core import Step, ToolCall
from parammem.core.advice import without_advice
from parammem.experience.formats.base import Format, LoggedRun, ReadOptions, Row, Try, Unreadable, is_text, named
from parammem.experience.formats.openai import outcome_of
from parammem.experience.formats.turns import plain, turn_of


def fits(row: Row) -> bool:
    """Return whether a row is a trajectory of SWE-agent: ours are no lists."""
    return isinstance(row.get("trajectory"), list)


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a file. Raises Unreadable."""
    row = rows[0]
    asked = without_advice(_task(row))
    info = row["info"] if isinstance(row.get("info"), dict) else {}
    steps = tuple(step for one in row["trajectory"] for step in _steps(one))
    handed = info.get("submission")
    name = named(row, "instance_id") or named(info, "instance_id") or reading.file
    return [
        LoggedRun(
            task=asked.text,
            domain=reading.domain_of(row.get("domain")),
            tries=(Try(plain(handed) if isinstance(handed, str) and handed.strip() else None, steps),),
            outcome=outcome_of(row),
            task_id=name,
            run_id=name,
            names=(name, reading.file),
            method="swe-agent",
            advice=asked.advice,
        )
    ]


def _task(row: Row) -> str:
    trajectory = [one for one in row["trajectory"] if isinstance(one, dict)]
    sent = trajectory[0].get("query", trajectory[0].get("messages")) if trajectory else None
    for listed in (row.get("history"), sent):
        for message in listed if isinstance(listed, list) else []:
            if isinstance(message, dict) and message.get("role") == "user" and not message.get("is_demo"):
                return turn_of({"role": "user", "content": message.get("content")}).text
    raise Unreadable(
        "unknown-form", "a trajectory of SWE-agent without a user message in `history`: its task is not known"
    )


def _steps(one: object) -> list[Step]:
    """Return the thought, the command and what came back of one step."""
    if not isinstance(one, dict):
        raise Unreadable("not-a-record", "trajectory: a step is not an object")
    thought, action, seen = (one.get(name) for name in ("thought", "action", "observation"))
    thought = thought if is_text(thought) else one.get("response") if not is_text(action) else None
    said = [Step(role="assistant", text=plain(str(thought)))] if is_text(thought) else []
    call = ToolCall(name="action", arguments=plain(str(action))) if is_text(action) else None
    done = [Step(role="assistant", call=call)] if call else []
    return [*said, *done, *([Step(role="tool", text=plain(str(seen)))] if is_text(seen) else [])]


FORMAT = Format("swe-agent", fits, read)
