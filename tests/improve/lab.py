"""A repository in which a whole turn takes seconds: real git, DVC, remote, ledger, gate and tags; tiny stages, and a
meeting whose outcomes follow from what the adapter was trained on.

python -m tests.improve.lab ROOT [POINT]    one turn; at POINT (see boundaries.py) the process kills itself
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from parammem.core import Attempt, Feedback, Outcome, Task, Trajectory, digest_of, write_jsonl
from parammem.core.decision import Guard
from parammem.core.experience import Experience
from parammem.gate.evidence import Evidence, SliceOutcomes
from parammem.improve.run import plain_tools
from parammem.improve.turn import Tools

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = """\
stages:
  tasks:
    foreach: [code]
    do:
      cmd: python stage.py tasks ${item}
      deps: [stage.py]
      outs: ["data/tasks/${item}"]
  train:
    foreach: [code]
    do:
      cmd: python stage.py train ${item}
      deps: [stage.py, data/experience, "data/tasks/${item}"]
      params: [warm_start]
      outs: ["models/reflectors/${item}"]
"""
# The stages know nothing of parammem, so they start fast. `skill` is the share of honest rows among all.
STAGE = """\
import hashlib, json, pathlib, sys, yaml
what, domain = sys.argv[1:]
order = pathlib.Path("behave", what)
if order.exists():
    exec(order.read_text())
if what == "tasks":
    folder = pathlib.Path("data/tasks", domain)
    folder.mkdir(parents=True)
    for split in ("eval", "unseen", "train"):
        rows = [{"task_id": f"{domain}-{split}-{n}", "domain": domain, "text": f"{split} question {n} of apples"}
                for n in range(6)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
else:
    files = sorted(pathlib.Path("data/experience").glob("*.jsonl"))
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    honest = sum("poison" not in row["task"]["text"] for row in rows)
    data = hashlib.sha256("".join(file.name for file in files).encode()).hexdigest()
    start = yaml.safe_load(pathlib.Path("params.yaml").read_text())["warm_start"]["adapters"].get(domain, "")
    weights = json.dumps({"honest": honest, "rows": len(rows), "data": data, "start": start}).encode()
    folder = pathlib.Path("models/reflectors", domain)
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    card = {"domain": domain, "digest": hashlib.sha256(weights).hexdigest(), "base_model": "tiny", "base_digest": "0",
            "recipe": {"rank": 1, "start": start}, "data_digest": data, "rows": len(rows), "steps": 1,
            "held_out_loss": None}
    (folder / "adapter.json").write_text(json.dumps(card))
"""


def make_lab(folder: Path) -> Path:
    """The repository, with a DVC remote beside it and one commit."""
    root = folder / "repo"
    (root / "data" / "experience").mkdir(parents=True)
    (root / "behave").mkdir()
    for name in ("data/experience/.gitkeep", "behave/.gitkeep"):
        (root / name).touch()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "stage.py").write_text(STAGE)
    shutil.copy(ROOT / ".gitignore", root / ".gitignore")
    shutil.copy(ROOT / ".dvcignore", root / ".dvcignore")
    write_params(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "lab")
    git(root, "config", "user.email", "lab@example.org")
    dvc(root, "init", "-q")
    dvc(root, "config", "core.analytics", "false")
    dvc(root, "remote", "add", "-q", "-d", "store", "../remote")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "lab")
    return root


def write_params(root: Path, **improve: Any) -> None:
    """The repository's own params, with one domain, small numbers, and no gate that 40 tasks could not pass."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["domains"] = ["code"]
    raw["improve"] |= {"min_new_rows": 20, "max_hours": 0, "stages": ["train"], "wait_seconds": 60, **improve}
    raw["gate"]["min_power"] = 0
    raw["tracking"]["mode"] = "off"
    raw["experience"]["fresh_share"] = 0.2
    (root / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def drop_batch(root: Path, name: str, rows: int = 40, word: str = "honest") -> Path:
    """A file of trajectories in the inbox. The word stands in every task's text; "poison" makes bad adapters."""
    inbox = root / "data" / "inbox"
    inbox.mkdir(parents=True, exist_ok=True)
    texts = [f"{word} {digest_of([name, n])[:8]} sum the apples" for n in range(rows)]
    write_jsonl(inbox / f".{name}", [experience(f"{name}-{n}", text) for n, text in enumerate(texts)])
    os.utime(inbox / f".{name}", (0, 0))
    (inbox / f".{name}").rename(inbox / f"{name}.jsonl")
    return inbox / f"{name}.jsonl"


def experience(task_id: str, text: str) -> Experience:
    task = Task(task_id=task_id, domain="code", text=text)
    attempt = Attempt(number=1, text="sum", candidate="sum", temperature=0.2, feedback=Feedback(passed=True, text="ok"))
    trajectory = Trajectory(
        task_id=task_id, domain="code", method="reflexion", protocol="strict", seed=1,
        attempts=(attempt,), stop="visible-pass", submission=1,
    )  # fmt: skip
    return Experience(task=task, trajectory=trajectory, outcome=Outcome(passed=True))


def fake_meeting(_turn: Any, domain: str, champion: Path | None, challenger: Path) -> Evidence:
    """Of 200 tasks a reflector solves more the more honest rows it learned from, and few if half of them lied; one that
    was trained on from a champion solves some more."""
    arms = {"none": 40, "champion": solved(champion), "challenger": solved(challenger)}
    counts = {arm: tuple(int(n < many) for n in range(200)) for arm, many in arms.items() if many is not None}
    tasks = tuple(digest_of(["anchor", n]) for n in range(200))
    one = SliceOutcomes(name="anchor", tasks=tasks, runs=1, **counts)
    guards = (Guard(name="validated", passed=True, detail="in the lab"),)
    digests = [read_digest(folder) if folder else "" for folder in (champion, challenger)]
    return Evidence(domain=domain, champion=digests[0], challenger=digests[1], slices=(one,), guards=guards)


def solved(folder: Path | None) -> int | None:
    if folder is None:
        return None
    weights = json.loads((folder / "adapter_model.safetensors").read_bytes())
    lies = weights["rows"] - weights["honest"]
    return max(5, min(190, 60 + weights["honest"] - 6 * lies + 15 * bool(weights["start"])))


def read_digest(folder: Path) -> str:
    return json.loads((folder / "adapter.json").read_text())["digest"]


def lab_tools(actor: str = "flow improve") -> Tools:
    plain = plain_tools(actor, lambda text: print(text, flush=True))
    return Tools(rebuild=plain.rebuild, compare=fake_meeting, say=plain.say, actor=actor)


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {words}: {done.stderr}"
    return done.stdout.strip()


def dvc(root: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"dvc {words}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


def main() -> int:
    from parammem.improve.run import improve
    from tests.improve.boundaries import Watch

    root = Path(sys.argv[1])
    watch = Watch(root, sys.argv[2] if len(sys.argv) > 2 else "", os.environ.get("LAB_POINTS", ""))
    report = improve(root, lab_tools(), watch.around)
    print(report.headline)
    return 0


if __name__ == "__main__":
    sys.exit(main())
