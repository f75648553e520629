"""A support desk for tests: its log, its tasks, an agent and a judge as programs of a user's, and its params."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from parammem.config import Params, parse_params
from parammem.core import digest_of
from parammem.engines.scripted import ScriptedEngine
from tests.stages.arena import small_params

DOMAIN = "support"
NAMES = ("Adler", "Brandt", "Cohen", "Duarte", "Eriksen", "Fontaine", "Greco", "Haddad", "Ivanov", "Jansen")
WISHES = (
    "wants the money back for a kettle that leaks",
    "cannot log in since the password was changed on a telephone",
    "asks where the parcel with three lamps has been for two weeks",
    "has been charged twice for the same month of the newspaper",
)
AGENT = """
import json, sys, time, os
asked = json.load(sys.stdin)
text, n = asked["task"], int(asked["task"].split()[1])
fault = {fault!r}
if fault and n % 4 == 0:
    if fault == "hangs": time.sleep(60)
    if fault == "dies": os._exit(9)
    if fault == "rubbish": print("I am afraid I cannot do that"); sys.exit()
    if fault == "other": print(json.dumps({{"task_id": "another", "answer": "done", "outcome": True}})); sys.exit()
    if fault == "seven": print(json.dumps({{"answer": "done", "outcome": 7}})); sys.exit()
    if fault == "half": print(json.dumps({{"answer": chr(0xd800), "outcome": True}})); sys.exit()
    if fault == "no-answer": print(json.dumps({{"outcome": True}})); sys.exit()
    if fault == "steps": print(json.dumps({{"answer": "done", "steps": [{{"role": "ghost"}}]}})); sys.exit()
answer = {{"task_id": asked["task_id"], "answer": f"ticket {{n}} is closed" + (", gently" if asked["advice"] else ""),
           "steps": [{{"role": "assistant", "text": "I look it up."}}]}}
if {outcome}: answer["outcome"] = bool(asked["advice"]) or n % 2 == 0
print(json.dumps(answer))
"""
JUDGE = """
def outcome(item):
    return {"outcome": {"value": 0.9 if "closed" in item["answer"] else 0.1}}
def bad(item):
    raise RuntimeError("no verdict today")
"""


def ticket(number: int) -> str:
    return f"Ticket {number} of {NAMES[number % 10]}, counter {number * 37 % 91}: {WISHES[number % 4]}"


def log(count: int, outcomes: bool = True) -> str:
    """A chat log of a desk, one run a line."""
    rows = []
    for n in range(count):
        said = [{"role": "user", "content": ticket(n)}, {"role": "assistant", "content": f"ticket {n} is closed"}]
        rows.append({"messages": said, "outcome": (n % 3 != 0) if outcomes else None})
    return "".join(json.dumps(row) + "\n" for row in rows)


def tasks_in(start: int, count: int) -> str:
    return "".join(json.dumps({"text": ticket(n)}) + "\n" for n in range(start, start + count))


def agent(root: Path, fault: str = "", outcome: bool = True) -> dict[str, Any]:
    """The params of an agent that is a command."""
    (root / "agent.py").write_text(AGENT.format(fault=fault, outcome=outcome), encoding="utf-8")
    return {"command": [sys.executable, "agent.py"], "timeout_seconds": 30, "retries": 0, "concurrency": 2}


def judge(root: Path, name: str = "outcome") -> dict[str, Any]:
    """The params of a judge that is an entry point."""
    (root / "desk_judge.py").write_text(JUDGE, encoding="utf-8")
    return {"entry": f"desk_judge:{name}", "timeout_seconds": 60, "retries": 0, "concurrency": 2}


def desk_params(root: Path, options: Mapping[str, Any], **sections: Mapping[str, Any]) -> Params:
    raw = small_params(
        **{"train": {"controls": ["shuffled"]}, "experience": {"domain": DOMAIN, "fresh_share": 0.3}} | sections
    )
    raw["domains"] = {DOMAIN: {"kind": "open", "passes_at": 0.5, **options}}
    (root / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return parse_params(raw)


def saying(monkeypatch) -> ScriptedEngine:
    """Every engine that a stage opens: advice is a few words of its own for every prompt and draw."""
    from parammem.stages.common import Engines

    words = "listen first then check the order before any promise ask gently once close kindly".split()

    def reply(request: Any, draw: int) -> str:
        start = int(digest_of([request.messages[-1].content, draw])[:4], 16)
        return " ".join(words[(start + k * 3) % len(words)] for k in range(6))

    engine = ScriptedEngine(reply)
    monkeypatch.setattr(Engines, "open", lambda self, model="", adapter=None: engine)
    return engine
