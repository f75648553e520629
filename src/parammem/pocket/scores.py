"""What a pocket model can do: solve with all the right advice, solve without any, and diagnose from feedback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from parammem.core import AnswerKey, Attempt, Feedback, Reflection
from parammem.core.jsonl import write_text
from parammem.domains import Domain, get_domain
from parammem.domains.conventions import CONVENTIONS
from parammem.engines.base import Engine, Message, Request
from parammem.pocket.mixture import advice_text
from parammem.pocket.problems import all_choices, solution
from parammem.pocket.world import World, WorldTask, draw_splits

WORLD = World(seed=990_001, rho=0.0)
"""No regularities: nothing but the model's own ability counts. Used for scores alone."""


def score_model(engine: Engine, tasks: int = 200, domains: tuple[str, ...] = tuple(CONVENTIONS)) -> dict[str, Any]:
    """Return per domain, over unseen tasks: share solved greedily with complete right advice and with none; share of
    the revealed conventions that a self-reflection on a failed attempt gets right, beside its Bayes bound (1: the
    feedback names each revealed convention and what was expected)."""
    return {name: _score_domain(engine, get_domain(name), tasks) for name in domains}


def write_scores(folder: Path, engine: Engine, tasks: int = 200) -> dict[str, Any]:
    """Measure a model and write scores.json into its folder. Returns what was written."""
    found = {"tasks_per_domain": tasks, "world": WORLD.seed, "domains": score_model(engine, tasks)}
    write_text(folder / "scores.json", json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found


def _score_domain(engine: Engine, domain: Domain, count: int) -> dict[str, float]:
    drawn = draw_splits(domain.name, WORLD, {"eval": count})["eval"]
    return {
        "with_advice": _solved(engine, domain, drawn, advised=True),
        "without_advice": _solved(engine, domain, drawn, advised=False),
        "self_reflection": _diagnosed(engine, domain, drawn),
        "self_reflection_bayes_bound": 1.0,
    }


def _solved(engine: Engine, domain: Domain, drawn: list[WorldTask], advised: bool) -> float:
    prompts, judge = domain.prompts, domain.judge
    texts = _write(engine, [prompts.actor(d.task, [_right(d.key)] if advised else [], []) for d in drawn], 110)
    scores = judge.score([(d.task, d.key, prompts.parse(text, d.task)) for d, text in zip(drawn, texts, strict=True)])
    return round(sum(not isinstance(s, Exception) and s.passed for s in scores) / len(drawn), 4)


def _diagnosed(engine: Engine, domain: Domain, drawn: list[WorldTask]) -> float:
    """Return well-written attempts with random choices; how many of the revealed conventions the reflection names
    rightly."""
    rng, failed = random.Random("parammem/scores"), []
    tried = [(d, solution(d.problem, rng.choice(list(all_choices(d.problem))))) for d in drawn]
    for (d, text), said in zip(tried, domain.judge.check([(d.task, text) for d, text in tried]), strict=True):
        if isinstance(said, Feedback) and not said.passed:
            failed.append((d, Attempt(number=1, text=text, candidate=text, temperature=1.0, feedback=said)))
    texts = _write(engine, [domain.prompts.reflect(d.task, [attempt], [], diverse=False) for d, attempt in failed], 16)
    right = wanted = 0
    for (d, _), text in zip(failed, texts, strict=True):
        revealed = d.key.tags["revealed"].split()
        right += len(domain.prompts.hypotheses(text) & {f"{name}={d.key.facts[name]}" for name in revealed})
        wanted += len(revealed)
    return round(right / max(1, wanted), 4)


def _right(key: AnswerKey) -> Reflection:
    text = advice_text(key.tags["kind"], key.facts)
    return Reflection(text=text, source="parametric", author="gold", iteration=1, temperature=0.0)


def _write(engine: Engine, prompts: list[tuple[Message, ...]], max_tokens: int) -> list[str]:
    requests = [Request(messages=messages, temperature=0.0, max_tokens=max_tokens) for messages in prompts]
    return [draws[0].text.strip() for draws in engine.complete(requests)]
