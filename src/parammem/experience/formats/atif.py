"""Harbor's trajectories (ATIF 1.0 to 1.7), one run a trajectory.

    {"schema_version": "ATIF-v1.7", "session_id": "…", "agent": {"name": "…", "version": "…"}, "steps": [
      {"step_id": 1, "source": "user", "message": "…"},
      {"step_id": 2, "source": "agent", "message": "…", "tool_calls": [
        {"tool_call_id": "c1", "function_name": "bash", "arguments": {"command": "ls"}}],
       "observation": {"results": [{"source_call_id": "c1", "content": "a.py"}]}}]}

The reward is in another file: name it with `--outcomes`, by `trajectory_id` or `session_id`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parammem.core import Step
from parammem.experience.formats.base import Format, LoggedRun, ReadOptions, Row, Unreadable, all_named, named
from parammem.experience.formats.openai import outcome_of, replaced, run_of
from parammem.experience.formats.turns import ChatTurn, result_text, turn_of


def fits(row: Row) -> bool:
    """Return whether a row is a trajectory."""
    version = row.get("schema_version")
    return isinstance(version, str) and version.startswith("ATIF") and "steps" in row


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a trajectory. Raises Unreadable."""
    row = rows[0]
    if not isinstance(row["steps"], list):
        raise Unreadable("not-a-record", "steps: not a list")
    turns = [turn for step in row["steps"] for turn in _turns(step)]
    extra = row.get("extra")
    facts = extra if isinstance(extra, dict) else {}
    names = all_named(row, "trajectory_id", "session_id")
    run = run_of(turns, reading.domain_in(facts), reading, outcome_of({**facts, **row}))
    name = names[0] if names else ""
    return [replaced(run, task_id=named(facts, "task_id") or name, run_id=name, names=names, method="atif")]


def _turns(step: Any) -> list[ChatTurn]:
    """Return a step as the message that it is, and the results that came back."""
    if not isinstance(step, dict) or step.get("source") not in ("system", "user", "agent"):
        raise Unreadable("not-a-record", "steps: one has no source system, user or agent")
    message = {"role": step["source"], "content": step.get("message"), "tool_calls": step.get("tool_calls")}
    seen = step.get("observation")
    found = seen.get("results") if isinstance(seen, dict) else None
    results = tuple(
        Step(role="tool", text=result_text(one.get("content")), result_of=named(one, "source_call_id"))
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict)
    )
    return [turn_of(message), *([ChatTurn("tool", results=results)] if results else [])]


FORMAT = Format("atif", fits, read)
