"""The desk's agent: a loop around a chat model with the tools `schema` and `run_sql`.

`python -m desk.agent` reads {task_id, task, advice, seed} and writes {task_id, answer, steps}, as ParamMem asks for.
The model is the scripted one of this folder, or, where OPENAI_BASE_URL is set, whatever answers there (OPENAI_MODEL,
OPENAI_API_KEY): a server of your own, or ParamMem's proxy in front of it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from desk import model
from desk.shop import DATABASE

SYSTEM = (
    "You answer questions about the shop's database. Look at the schema, try your query, then hand over one SQL query."
)
SCHEMA = "select sql from sqlite_master where type = 'table'"
ADVICE = "Advice on this task, which may be wrong:"
MOST_TURNS = 8
MOST_ROWS = 20
SECONDS = 60
Message = dict[str, Any]
Ask = Callable[[Sequence[Message], int], Message]
"""Gets the conversation and a seed, returns the model's next message."""
Use = Callable[[str, str], str]
"""Gets a tool's name and its arguments as JSON, returns what the tool says."""
TOOLS = [
    {"type": "function", "function": {"name": "schema", "description": "The tables of the database.",
                                      "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "run_sql", "description": "Run one query; the first rows come back.",
                                      "parameters": {"type": "object", "required": ["sql"],
                                                     "properties": {"sql": {"type": "string"}}}}},
]  # fmt: skip


def work(task: str, advice: str, seed: int, ask: Ask, use: Use) -> list[Message]:
    """Return the whole conversation about a task; its last message hands over the query."""
    system = f"{SYSTEM}\n\n{ADVICE}\n{advice}" if advice else SYSTEM
    messages: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": task}]
    for _ in range(MOST_TURNS):
        said = ask(messages, seed)
        messages.append(said)
        calls = said.get("tool_calls") or []
        for call in calls:
            result = use(call["function"]["name"], call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        if not calls:
            break
    return messages


def steps_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return what the agent did after it was asked, as steps."""
    steps: list[dict[str, Any]] = []
    for message in messages[2:]:
        if message["role"] == "tool":
            steps.append({"role": "tool", "text": message["content"], "result_of": message["tool_call_id"]})
            continue
        if message.get("content"):
            steps.append({"role": "assistant", "text": message["content"]})
        for call in message.get("tool_calls") or []:
            named = {"name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"] or "{}")}
            steps.append({"role": "assistant", "call": {**named, "id": call["id"]}})
    return steps


def chosen_model() -> Ask:
    """Return the model that the environment names, or the scripted one."""
    base = os.environ.get("OPENAI_BASE_URL", "")
    return served_model(base) if base else model.reply


def run_query(sql: str, database: Path) -> list[tuple[Any, ...]]:
    """Return the rows of one query. It can only read, and ends after a few million steps. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        left = iter(range(200))
        connection.set_progress_handler(lambda: next(left, None) is None, 100_000)
        connection.execute("pragma query_only = on")
        return connection.execute(sql).fetchall()


def tools_of(database: Path) -> Use:
    """Return the desk's tools on a database."""
    return lambda name, arguments: _use(name, arguments, database)


def _use(name: str, arguments: str, database: Path) -> str:
    """Return what a tool says, or what was wrong with the call."""
    try:
        if name == "schema":
            return "\n".join(row[0] for row in run_query(SCHEMA, database))
        if name == "run_sql":
            return json.dumps(run_query(str(json.loads(arguments)["sql"]), database)[:MOST_ROWS])
        return f"error: there is no tool {name}"
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        return f"error: {error}"


def served_model(base: str) -> Ask:
    """Return what answers at an OpenAI-compatible base URL."""

    def ask(messages: Sequence[Message], seed: int) -> Message:
        body = {"model": os.environ.get("OPENAI_MODEL", model.NAME), "messages": list(messages), "tools": TOOLS,
                "seed": seed, "temperature": 0.7}  # fmt: skip
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}",
        }
        request = urllib.request.Request(
            f"{base.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            return json.load(response)["choices"][0]["message"]

    return ask


def main() -> None:
    """Do one task."""
    asked = json.load(sys.stdin)
    messages = work(asked["task"], asked["advice"], asked["seed"], chosen_model(), tools_of(DATABASE))
    answer = messages[-1].get("content") or ""
    json.dump({"task_id": asked["task_id"], "answer": answer, "steps": steps_of(messages)}, sys.stdout)


if __name__ == "__main__":
    main()
