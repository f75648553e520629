"""A small real repository with git and DVC, whose train stage writes a fake adapter in no time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from parammem.core import Adapter, digest_of
from parammem.core.decision import Decision, ErrorBudget

ENV = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "DVC_NO_ANALYTICS": "1",
}
PIPELINE = """stages:
  train:
    foreach: [code]
    do:
      cmd: cp -r made models/reflectors/${item}
      deps: [made]
      outs: ["models/reflectors/${item}"]
artifacts:
  code-reflector: {path: models/reflectors/code, type: model}
"""


def call(root: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=root, env={**os.environ, **ENV}, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def dvc(root: Path, *words: str) -> str:
    return call(root, sys.executable, "-m", "dvc", *words)


def make_repository(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    call(root, "git", "init", "-q", "-b", "main")
    dvc(root, "init", "-q")
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / ".gitignore").write_text(".cache/\n/made\n")
    commit(root, "start")
    return root


def make_adapter(root: Path, seed: int) -> Adapter:
    """What train would leave for this seed, made by a real `dvc repro`."""
    made = root / "made"
    made.mkdir(exist_ok=True)
    (made / "adapter_model.safetensors").write_text(f"weights {seed}")
    adapter = Adapter(
        domain="code",
        digest=digest_of(f"weights {seed}"),
        base_model="base",
        base_digest="b",
        recipe={"seed": seed},
        data_digest=digest_of([seed]),
        rows=1,
        steps=1,
        held_out_loss=None,
    )
    (made / "adapter.json").write_text(json.dumps(adapter.model_dump(mode="json")))
    (root / "models" / "reflectors").mkdir(parents=True, exist_ok=True)
    dvc(root, "repro", "-q")
    return adapter


def commit(root: Path, message: str) -> str:
    call(root, "git", "add", "-A")
    call(root, "git", "commit", "-q", "-m", message)
    return call(root, "git", "rev-parse", "HEAD").strip()


def promoting(challenger: str, champion: str = "") -> Decision:
    """A decision that promotes."""
    return Decision(
        domain="code",
        champion=champion,
        challenger=challenger,
        answer="promote",
        reasons=("better",),
        guards=(),
        slices=(),
        test=None,
        budget=ErrorBudget(total=0.05, look=1, alpha=0.01, spent_before=0.0, paid=True),
        rule={},
        rule_version=1,
    )
