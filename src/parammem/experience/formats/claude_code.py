"""Sessions of Claude Code: the lines of `~/.claude/projects/*/SESSION.jsonl`, one run a session.

    {"type": "user", "uuid": "…", "parentUuid": null, "sessionId": "…", "message": {"role": "user", "content": "…"}}
    {"type": "assistant", "uuid": "…", "parentUuid": "…", "sessionId": "…", "message": {"role": "assistant",
     "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}]}}

Lines of subagents (`isSidechain`), of the program itself (`isMeta`, summaries, snapshots) and of branches that were
given up (not on the way from the last message back over `parentUuid`) are left out. Its log does not say how it ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from parammem.experience.formats.base import Format, LoggedRun, ReadOptions, Row
from parammem.experience.formats.openai import replaced, run_of
from parammem.experience.formats.turns import turn_of

SPOKEN = ("user", "assistant")
OTHERS = (
    "summary", "file-history-snapshot", "queue-operation", "progress", "attachment", "last-prompt", "custom-title",
    "ai-title", "agent-name", "permission-mode", "pr-link", "mode",
)  # fmt: skip


def fits(row: Row) -> bool:
    """Return whether a row is a line of a session."""
    kind = row.get("type")
    if kind in SPOKEN:
        return isinstance(row.get("message"), dict) and ("sessionId" in row or "parentUuid" in row)
    return isinstance(kind, str) and (kind in OTHERS or ("sessionId" in row and "uuid" in row))


def parts(row: Row) -> list[tuple[str | None, Row]]:
    """Return what a line adds to which session: a message, or a link between messages."""
    if row.get("isSidechain") is True or not ("uuid" in row or row.get("type") in SPOKEN):
        return []
    link = {"uuid": row.get("uuid"), "parent": row.get("parentUuid") or row.get("logicalParentUuid")}
    spoken = row.get("type") in SPOKEN and row.get("isMeta") is not True
    session = row.get("sessionId")
    key = session if isinstance(session, str) and session else None
    return [(key, {**link, "session": key or "", **({"message": row["message"]} if spoken else {})})]


def read(rows: Sequence[Row], reading: ReadOptions) -> list[LoggedRun]:
    """Return the run of a session. Raises Unreadable."""
    turns = [turn_of(row["message"]) for row in _last_branch(rows) if "message" in row]
    session = next((row["session"] for row in rows if row["session"]), "")
    run = run_of(turns, reading.domain_of(None), reading)
    return [replaced(run, task_id=session, run_id=session, names=(session,), method="claude-code")]


def _last_branch(rows: Sequence[Row]) -> Sequence[Row]:
    """Return the messages on the way from the last one back to the first; all of them where links are missing.

    Of calls made side by side only one result is on that way: the others belong to it too.
    """
    known = {row["uuid"]: row for row in rows if isinstance(row["uuid"], str)}
    way: set[str] = set()
    at: Row | None = next((row for row in reversed(rows) if "message" in row), None)
    if len(known) < len(rows) or at is None or not any(row["parent"] for row in rows):
        return rows
    while at is not None and at["uuid"] not in way:
        way.add(at["uuid"])
        parent = at["parent"]
        if parent and parent not in known:
            return rows
        at = known.get(parent) if parent else None
    messages = {_message_id(known[name]) for name in way} - {""}
    calls = {one for name in way for one in _ids(known[name], "tool_use", "id")}
    calls |= {one for row in rows if _message_id(row) in messages for one in _ids(row, "tool_use", "id")}
    return [
        row
        for row in rows
        if row["uuid"] in way or _message_id(row) in messages or calls & _ids(row, "tool_result", "tool_use_id")
    ]


def _message_id(row: Row) -> str:
    """Return the model's id of a message: its parts are lines of their own."""
    message = row.get("message")
    found = message.get("id") if isinstance(message, dict) else ""
    return found if isinstance(found, str) else ""


def _ids(row: Row, kind: str, name: str) -> set[str]:
    message = row.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    listed = content if isinstance(content, list) else []
    return {str(part.get(name)) for part in listed if isinstance(part, dict) and part.get("type") == kind}


FORMAT = Format("claude-code", fits, read, parts)
