"""Sessions of Codex: the lines of a rollout file, one run a session (`session_meta` begins it).

    {"timestamp": "…", "type": "session_meta", "payload": {"id": "…"}}
    {"timestamp": "…", "type": "response_item", "payload": {"type": "message", "role": "user",
     "content": [{"type": "input_text", "text": "…"}]}}
    {"timestamp": "…", "type": "response_item", "payload": {"type": "function_call", "name": "shell",
     "arguments": "{}", "call_id": "c1"}}

`event_msg` lines repeat the items for the screen and are left out, like what the program says to the model about its
surroundings (`<environment_context>`, `<user_instructions>`). Its log does not say how it ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.experience.formats.base import Format, LoggedRun, ReadOptions, Row, loaded, named
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.turns import ChatTurn, turn_of

KINDS = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")
SURROUNDINGS = (
    "<environment_context>",
    "<user_instructions>",
    "# AGENTS.md instructions",
    "<permissions instructions>",
)
ITEMS = (
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
    "local_shell_call", "local_shell_call_output",
)  # fmt: skip


def fits(row: Row) -> bool:
    """Return whether a row is a line of a rollout file."""
    return row.get("type") in KINDS and isinstance(row.get("payload"), dict)


def parts(row: Row) -> list[tuple[str | None, Row]]:
    """Return what a line adds to which session: `session_meta` names it, the lines behind belong to it.

    A session that was forked begins with a copy of the other one's lines, its `session_meta` among them.
    """
    payload = row["payload"]
    if row["type"] == "session_meta":
        name = named(payload, "id")
        return [(name, {"session": name, "copy_of": named(payload, "forked_from_id")})]
    if row["type"] != "response_item" or payload.get("type") not in ITEMS:
        return []
    return [(None, payload)]


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a session. Raises Unreadable."""
    session = next((str(row["session"]) for row in rows if "session" in row), "")
    turns = [turn for turn in (_turn(row) for row in rows if "session" not in row) if not _is_surroundings(turn)]
    run = run_of(turns, reading.domain_of(None), reading)
    return [replaced(run, task_id=session, run_id=session, names=(session,), method="codex")]


def _turn(row: Row) -> ChatTurn:
    """Return an item as a turn; a shell's output is JSON text with `output` and `metadata.exit_code`."""
    if row.get("type") == "message":
        return turn_of({name: value for name, value in row.items() if name != "type"})
    output = loaded(row.get("output"))
    if isinstance(output, dict) and "output" in output:
        meta = output.get("metadata")
        code = meta.get("exit_code") if isinstance(meta, dict) else None
        failed = {"error": f"exit code {code}"} if isinstance(code, int) and code else {}
        row = {**row, "output": output["output"], **failed}
    return turn_of(row)


def _is_surroundings(turn: ChatTurn) -> bool:
    return turn.role == "user" and turn.text.startswith(SURROUNDINGS)


FORMAT = Format("codex", fits, read, parts)
