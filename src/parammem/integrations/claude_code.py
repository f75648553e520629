"""Hooks of Claude Code: the first prompt of a session gets advice, and each stop reports what the agent did.

In `.claude/settings.json`, for both events `UserPromptSubmit` and `Stop`:

    {"hooks": [{"type": "command", "command": "python -m parammem.integrations.claude_code --test 'pytest -q'"}]}

A session is one run. With --test, each stop runs the command in the session's folder and passes if that exits with 0;
else `parammem.outcome("claude-code-SESSION", True)` says it. Whatever goes wrong, the session goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from parammem.client import AdvisedRun
from parammem.client.connection import log
from parammem.core import digest_of
from parammem.core.jsonl import byte_lines, write_text
from parammem.integrations.messages import steps_of

Hook = dict[str, Any]


def main() -> None:
    """Carry out one hook, whose JSON comes on stdin."""
    parser = argparse.ArgumentParser(prog="python -m parammem.integrations.claude_code", description=__doc__)
    parser.add_argument("--domain", default="", help="default: the service's own")
    parser.add_argument("--test", default="", help="shell command that says whether the work is done")
    given = parser.parse_args()
    try:
        hook = json.load(sys.stdin)
        {"UserPromptSubmit": prompted, "Stop": stopped}[hook["hook_event_name"]](hook, given)
    except Exception as error:
        log.warning("ParamMem's hook did nothing: %s: %s", type(error).__name__, error)


def prompted(hook: Hook, given: argparse.Namespace) -> None:
    """Begin a session's run with its first prompt, and print the advice for the agent."""
    state, run = _state(hook), _run(hook, hook["prompt"], given.domain)
    if state.exists():
        return
    run.start()
    if run.is_known:
        write_text(state, json.dumps({"task": run.task, "lines": len(_lines(hook))}), mode=0o600)
    if run.advice:
        said = {"hookEventName": "UserPromptSubmit", "additionalContext": run.advice}
        print(json.dumps({"hookSpecificOutput": said}))


def stopped(hook: Hook, given: argparse.Namespace) -> None:
    """Report what came since the last stop, and the test's outcome, of a session whose run was begun."""
    state = _state(hook)
    if not state.exists():
        return
    known, lines = json.loads(state.read_text(encoding="utf-8")), _lines(hook)
    run = _run(hook, known["task"], given.domain)
    run.start()  # the same run again: for its token
    if not run.is_known:  # the next stop tries again
        return
    new = [line["message"] for line in map(json.loads, lines[known["lines"] :]) if _is_agents(line)]
    run.add_steps(step for step in steps_of(new) if (step.role, step.text) != ("user", run.task))
    if given.test:
        run.outcome(_passes(given.test, hook.get("cwd")), source="test")
    run.end()
    write_text(state, json.dumps({**known, "lines": len(lines)}), mode=0o600)


def _run(hook: Hook, task: str, domain: str) -> AdvisedRun:
    return AdvisedRun(task, domain, f"claude-code-{hook['session_id']}", {"agent": "claude-code"})


def _state(hook: Hook) -> Path:
    """Return the path of the file that keeps a session between two hooks."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "parammem" / f"session-{digest_of(hook['session_id'])[:32]}.json"


def _lines(hook: Hook) -> list[bytes]:
    file = Path(hook.get("transcript_path") or "").expanduser()
    return byte_lines(file.read_bytes()) if file.is_file() else []


def _is_agents(line: dict[str, Any]) -> bool:
    """Return whether a line is a message of the session itself: no subagent's, none of the program's own."""
    return line.get("type") in ("user", "assistant") and not line.get("isSidechain") and not line.get("isMeta")


def _passes(test: str, folder: str | None) -> bool | None:
    try:
        return not subprocess.run(test, shell=True, cwd=folder, capture_output=True, timeout=300).returncode
    except (OSError, subprocess.TimeoutExpired):  # not known
        return None


if __name__ == "__main__":
    main()
