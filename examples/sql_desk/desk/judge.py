"""The judge of the desk: an answer is right if its query returns the same rows as the query by the rules in house.json.

Only this module reads that file: the agent never sees the rules.
"""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

from desk.agent import run_query
from desk.shop import DATABASE, HOUSE, House, parse_question, query

_FENCED = re.compile(r"```(?:sql)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_SELECT = re.compile(r"\b(?:select|with)\b.*", re.DOTALL | re.IGNORECASE)


def outcome(item: dict[str, Any]) -> dict[str, Any]:
    """Return {outcome} for {task_id, task, answer}: the judge's entry point."""
    return {"outcome": is_right(item["task"], item["answer"], json.loads(HOUSE.read_text(encoding="utf-8")))}


def is_right(task: str, answer: str, house: House, database: Path = DATABASE) -> bool:
    """Return whether an answer has the rows of the query by the rules. Raises ValueError: it is no question."""
    question = parse_question(task)
    if question is None:
        raise ValueError("the task is no question of the desk")
    try:
        rows = run_query(sql_in(answer), database)
    except sqlite3.Error:
        return False
    return rows == run_query(query(question, house[question.department]), database)


def sql_in(answer: str) -> str:
    """Return the query in an answer: the last fenced one, or what begins with select."""
    fenced = _FENCED.findall(answer)
    found = _SELECT.search(answer)
    return (fenced[-1] if fenced else found[0] if found else "").strip().rstrip(";")
