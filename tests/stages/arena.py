"""A small world for the stage tests: its params, its folder, and an engine that knows the answers.

`Knowing` writes what a very good model would write: half of its attempts are right, its advice is the truth. So runs
have successes and failures, rows pass validation, and nothing has to be decoded.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from parammem.config import Params, parse_params
from parammem.core import digest_of
from parammem.engines.base import Completion, Request
from parammem.pocket.mixture import advice_text
from parammem.pocket.problems import all_choices, solution
from parammem.pocket.world import World, WorldTask, draw_splits
from tests.tiny import make_tiny_model

ROOT = Path(__file__).resolve().parents[2]
MODEL = "models/tiny"
SMALL: dict[str, dict[str, Any]] = {
    "tasks": {"world": 7, "rho": 0.9, "train": 16, "bank": 6, "eval": 4, "unseen": 2},
    "engine": {"model": MODEL, "device": "cpu", "batch": 8, "max_new_tokens": 12, "max_advice_tokens": 6},
    "sandbox": {"workers": 1},
    "agent": {"iterations": 3, "examples": 1},
    "collect": {"trajectories": 2},
    "validate": {"min_rows": 4},
    "train": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"], "epochs": 1, "max_steps": 6, "batch": 4,
              "checkpoint_every": 2},
    "evaluate": {"advice_draws": 2, "temperatures": [0.6, 1.0], "curve_tasks": 2, "bootstrap": 100},
    "tracking": {"mode": "off"},
}  # fmt: skip


def small_params(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """params.yaml of the repository with SMALL, and then these sections, laid over it."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for layer in (SMALL, sections):
        for section, values in layer.items():
            raw[section].update(values)
    return raw


def parsed(**sections: Mapping[str, Any]) -> Params:
    return parse_params(small_params(**sections))


def write_params(root: Path, **sections: Mapping[str, Any]) -> Params:
    raw = small_params(**sections)
    (root / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return parse_params(raw)


def drawn_tasks(params: Params, domain: str) -> dict[str, WorldTask]:
    """Every task of the world by its text."""
    p = params.tasks
    sizes = {"train": p.train, "bank": p.bank, "eval": p.eval, "unseen": p.unseen}
    splits = draw_splits(domain, World(p.world, p.rho), sizes)
    return {one.task.text: one for part in splits.values() for one in part}


def make_model(root: Path, seed: int = 0) -> Path:
    """A random model whose vocabulary fits the pocket tasks, so that prompts stay short."""
    texts = [text for domain in ("code", "math", "qa") for text in list(drawn_tasks(parsed(), domain))[:20]]
    return make_tiny_model(root / MODEL, vocab_texts=texts, hidden=16, layers=1, max_positions=2048, seed=seed)


class Knowing:
    """Right solutions about half of the time, right advice always; the same request gets the same words."""

    def __init__(self, params: Params, domain: str, right: float = 0.5, name: str = "knowing") -> None:
        self.tasks = drawn_tasks(params, domain)
        self.right = right
        self.digest = digest_of(["knowing", name, right])
        self.requests: list[Request] = []

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        self.requests.extend(requests)
        return [[self._draw(r, d) for d in range(r.first_draw, r.first_draw + r.n)] for r in requests]

    def _wrong(self, drawn: WorldTask) -> list[dict[str, str]]:
        """Choices that are not the task's; if it is to be right at no time, the visible checks shall see it too."""
        seen = drawn.key.tags["revealed"].split() if self.right == 0 else list(drawn.key.facts)
        return [c for c in all_choices(drawn.problem) if any(c[name] != drawn.key.facts[name] for name in seen)]

    def _draw(self, request: Request, draw: int) -> Completion:
        prompt = request.messages[-1].content
        # The task itself comes after the examples of a bank.
        drawn = max(self.tasks.values(), key=lambda one: prompt.rfind(one.task.text))
        rng = random.Random(digest_of([request.seed, draw, prompt]))
        if not prompt.endswith("solve"):
            text = advice_text(drawn.key.tags["kind"], drawn.key.facts)
        elif rng.random() < self.right:
            text = drawn.key.gold
        else:
            wrong = self._wrong(drawn)
            text = solution(drawn.problem, rng.choice(wrong))
        words = len(text.split())
        return Completion(text=text, finish="stop", prompt_tokens=len(prompt.split()), completion_tokens=words)


def knowing_everywhere(monkeypatch, params: Params, domain: str, right: float = 0.5) -> Knowing:
    """Every engine that a stage opens is this one, whatever the model and adapter."""
    from parammem.stages.common import Engines

    engine = Knowing(params, domain, right)
    monkeypatch.setattr(Engines, "open", lambda self, model="", adapter=None: engine)
    return engine


def snapshot(folder: Path, *inside: str) -> dict[str, bytes]:
    """Every file under these parts of a folder, hidden ones too: a stray temporary file shows."""
    files = [file for part in inside for file in sorted((folder / part).rglob("*")) if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def clone(project: Path, to: Path) -> Path:
    """A copy of a prepared project that a test may spoil."""
    return Path(shutil.copytree(project, to))
