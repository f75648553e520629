"""Hooks of Claude Code: the first prompt of a session gets advice, and each stop reports what the agent did.

In `.claude/settings.json`, for both events `UserPromptSubmit` and `Stop`:

    {"hooks": [{"type": "command", "command": "python -m parammem.integrations.claude_code --test 'pytest -q'"}]}

A session is one run. With --test, a stop runs the command in the session's folder, and passes if it exits with 0; else
`parammem.outcome("claude-code-SESSION", True)` says it. Whatever goes wrong, this exits with 0 and the session goes on.
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

STATES = "PARAMMEM_SESSIONS"
"""Environment variable: folder for what is remembered between two hooks of a session."""
TEST_SECONDS = 300
"""After which the outcome is not known."""


def main() -> None:
    """Carry out one hook, whose JSON comes on stdin."""
    parser = argparse.ArgumentParser(prog="python -m parammem.integrations.claude_code", description=__doc__)
    parser.add_argument("--domain", default="", help="default: the service's own")
    parser.add_argument("--test", default="", help="shell command that says whether the work is done")
    given = parser.parse_args()
    try:
        hook = json.load(sys.stdin)
        if hook.get("hook_event_name") == "UserPromptSubmit":
            prompted(hook, given.domain)
        elif hook.get("hook_event_name") == "Stop":
            stopped(hook, given.domain, given.test)
    except Exception as error:
        log.warning("ParamMem's hook did nothing: %s: %s", type(error).__name__, error)


def prompted(hook: dict[str, Any], domain: str) -> None:
    """Begin a session's run with its first prompt, and print the advice for the agent."""
    state = _state(hook)
    if state.exists():
        return
    run = _run(hook, hook["prompt"], domain)
    run.start()
    if not run.is_known:
        return
    write_text(state, json.dumps({"task": run.task, "lines": len(_lines(hook))}), mode=0o600)
    if run.advice:
        said = {"hookEventName": "UserPromptSubmit", "additionalContext": run.advice}
        print(json.dumps({"hookSpecificOutput": said}))


def stopped(hook: dict[str, Any], domain: str, test: str) -> None:
    """Report what came since the last stop, and the test's outcome, of a session whose run was begun."""
    state = _state(hook)
    if not state.exists():
        return
    known, lines = json.loads(state.read_text(encoding="utf-8")), _lines(hook)
    run = _run(hook, known["task"], domain)
    run.start()  # the same run again: for its token
    if not run.is_known:  # the next stop tries again
        return
    new = [line["message"] for line in map(json.loads, lines[known["lines"] :]) if _is_agents(line)]
    run.add_steps(step for step in steps_of(new) if (step.role, step.text) != ("user", run.task))
    if test:
        run.outcome(_passes(test, hook.get("cwd")), source="test")
    run.end()
    write_text(state, json.dumps({**known, "lines": len(lines)}), mode=0o600)


def _run(hook: dict[str, Any], task: str, domain: str) -> AdvisedRun:
    return AdvisedRun(task, domain, f"claude-code-{hook['session_id']}", {"agent": "claude-code"})


def _state(hook: dict[str, Any]) -> Path:
    folder = os.environ.get(STATES) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "parammem"
    return Path(folder, f"session-{digest_of(hook['session_id'])[:32]}.json")


def _lines(hook: dict[str, Any]) -> list[bytes]:
    """The transcript's lines so far; none: it has not been begun."""
    file = Path(hook.get("transcript_path") or "").expanduser()
    return byte_lines(file.read_bytes()) if file.is_file() else []


def _is_agents(line: dict[str, Any]) -> bool:
    """Whether a line is a message of the session itself: no subagent's, and not the program's own."""
    return line.get("type") in ("user", "assistant") and not line.get("isSidechain") and not line.get("isMeta")


def _passes(test: str, folder: str | None) -> bool | None:
    try:
        return not subprocess.run(test, shell=True, cwd=folder, capture_output=True, timeout=TEST_SECONDS).returncode
    except (OSError, subprocess.TimeoutExpired):
        return None


if __name__ == "__main__":
    main()
