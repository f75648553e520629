"""The hooks of Claude Code, called as it calls them: JSON on stdin, a transcript beside it, advice on stdout."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from parammem.core import Step, ToolCall
from tests.client.stub_service import StubService, serve

pytestmark = pytest.mark.integration  # a process a hook
TASK = "Mend the parser"
SESSION = "5f0c"


def line(role: str, content, **more) -> str:
    message = {"role": role, "content": content}
    return json.dumps({"type": role, "uuid": "u", "parentUuid": None, "sessionId": SESSION, "message": message} | more)


CALL = [
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
]
WORK = [
    line("user", TASK),
    line("assistant", CALL),
    line("user", [{"type": "tool_result", "tool_use_id": "t1", "content": "parser.py"}]),
    line("assistant", "a subagent's", isSidechain=True),
    json.dumps({"type": "file-history-snapshot", "snapshot": {}}),
    line("assistant", [{"type": "text", "text": "Done."}]),
]
STEPS = [
    Step(role="assistant", text="I look."),
    Step(role="assistant", call=ToolCall(name="Bash", arguments={"command": "ls"}, id="t1")),
    Step(role="tool", text="parser.py", result_of="t1"),
    Step(role="assistant", text="Done."),
]


@pytest.fixture
def service():
    with serve(StubService()) as found:
        yield found


@pytest.fixture
def hook(service, tmp_path, repo_root: Path):
    """Calls the hook for an event, and returns what it printed."""

    def call(event: str, *arguments: str, url: str | None = None, raw: str | None = None, **more) -> str:
        told = {"session_id": SESSION, "transcript_path": str(tmp_path / "s.jsonl"), "cwd": str(tmp_path)}
        told |= {"hook_event_name": event, "stop_hook_active": False, **more}
        environment = os.environ | {
            "PARAMMEM_URL": service.url if url is None else url, "PARAMMEM_SPOOL": str(tmp_path / "spool"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(repo_root / "src"),
        }  # fmt: skip
        command = [sys.executable, "-m", "parammem.integrations.claude_code", *arguments]
        done = subprocess.run(
            command, input=json.dumps(told) if raw is None else raw, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_a_session_is_advised_once_and_reported_at_each_stop(hook, service, tmp_path):
    said = json.loads(hook("UserPromptSubmit", "--domain", "code", prompt=TASK))["hookSpecificOutput"]
    assert said["hookEventName"] == "UserPromptSubmit"
    assert "be kind" in said["additionalContext"]
    assert said["additionalContext"].startswith("<parammem-advice")
    transcript = tmp_path / "s.jsonl"
    transcript.write_text("\n".join(WORK) + "\n")
    assert hook("Stop", "--test", "false") == ""
    assert hook("UserPromptSubmit", prompt="And the tests?") == ""
    transcript.write_text("\n".join([*WORK, line("user", "And the tests?"), line("assistant", "Mended.")]) + "\n")
    hook("Stop", "--test", "test -f s.jsonl", stop_hook_active=True)
    told = service.runs[f"claude-code-{SESSION}"]
    later = [Step(role="user", text="And the tests?"), Step(role="assistant", text="Mended.")]
    assert (told.task, told.domain, told.steps) == (TASK, "code", [*STEPS, *later])
    assert told.outcomes == [{"passed": False, "source": "test"}, {"passed": True, "source": "test"}]
    assert len(service.runs) == 1


def test_a_session_that_was_not_begun_is_not_reported(hook, service, tmp_path):
    (tmp_path / "s.jsonl").write_text("\n".join(WORK))
    hook("Stop", "--test", "true")
    assert service.requests == []


def test_a_stop_without_the_service_is_made_up_for_by_the_next(hook, service, tmp_path):
    hook("UserPromptSubmit", prompt=TASK)
    (tmp_path / "s.jsonl").write_text("\n".join(WORK))
    hook("Stop", url="http://127.0.0.1:9")
    assert service.only.steps == []
    hook("Stop")
    assert service.only.steps == STEPS


@pytest.mark.parametrize(
    "raw", ["", "[]", "{}", '{"hook_event_name": "Stop"}', '{"hook_event_name": "PreToolUse"}', "\x00"]
)
def test_a_hook_that_makes_no_sense_stops_no_session(hook, raw):
    assert hook("", raw=raw) == ""


def test_a_service_that_is_away_prints_nothing(hook):
    assert hook("UserPromptSubmit", prompt=TASK, url="http://127.0.0.1:9") == ""


COMMAND = {
    "type": "object",
    "required": ["type", "command"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "command"},
        "command": {"type": "string", "minLength": 1},
        "timeout": {"type": "number", "exclusiveMinimum": 0},
    },
}
ENTRY = {
    "type": "object",
    "required": ["hooks"],
    "additionalProperties": False,
    "properties": {"matcher": {"type": "string"}, "hooks": {"type": "array", "items": COMMAND, "minItems": 1}},
}
SETTINGS = {
    "type": "object",
    "required": ["hooks"],
    "properties": {
        "hooks": {
            "type": "object",
            "propertyNames": {"enum": ["UserPromptSubmit", "Stop"]},
            "additionalProperties": {"type": "array", "items": ENTRY},
        }
    },
}
"""What https://json.schemastore.org/claude-code-settings.json says of the hooks that are used here."""


def test_the_settings_of_the_docs_are_settings_of_claude_code(repo_root: Path):
    page = (repo_root / "docs/agents.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"## Claude Code\n.*?```json\n(.*?)```", page, re.S)
    settings = json.loads(block)
    jsonschema.validate(settings, SETTINGS)
    assert set(settings["hooks"]) == {"UserPromptSubmit", "Stop"}
    for entries in settings["hooks"].values():
        words = shlex.split(entries[0]["hooks"][0]["command"])
        assert words[:3] == ["python", "-m", "parammem.integrations.claude_code"]
        assert {word for word in words if word.startswith("--")} <= {"--domain", "--test"}
