"""probe: a model on a small sample of a profile's train tasks, before anything is paid for. Nothing is kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from parammem.agents.asking import ask_each, call
from parammem.config import Params
from parammem.core import AnswerKey, ReflectionExample, Task, digest_of
from parammem.domains import Domain, Prompts
from parammem.engines.base import Completion, Engine, Request
from parammem.engines.folders import named_model
from parammem.engines.progress import PROGRESS
from parammem.errors import EngineError
from parammem.evaluation.forecast import Attempted, Pace, Probe, stages_of, warnings_of
from parammem.stages.common import Engines
from parammem.stages.opening import open_domain
from parammem.stages.sample import sample_train

Pair = tuple[Task, AnswerKey]
STEPS = 3
"""Optimiser steps that are timed; the first one is not counted."""


def run(
    params: Params, domain: str, count: int, temperatures: Sequence[float], seed: int, root: Path = Path(".")
) -> Probe:
    """Attempt each sampled task once at every temperature, ask for advice on it, and take a few training steps.

    Args:
        temperatures: beside `agent.first_temperature` and `agent.later_temperature`.

    Raises:
        EngineError: no request was answered.
        ConfigError, DataError, SandboxError.
    """
    fresh = params.model_copy(update={"engine": params.engine.model_copy(update={"cache": ""})})  # or nothing is timed
    opened = open_domain(params, domain)
    sampled = sample_train(params, domain, root, count, seed)
    engine, pairs = Engines(fresh, root).open(), sampled.pairs
    prompts, first = opened.prompts, pairs[0][0]
    ask_each(engine, [_attempt(params, prompts, first, 0.0).model_copy(update={"max_tokens": 1})])  # it is read now
    p = params.agent
    heats = list(dict.fromkeys((p.first_temperature, p.later_temperature, *temperatures)))
    asked = len(pairs) * (params.engine.max_new_tokens * len(heats) + params.engine.max_advice_tokens)
    PROGRESS.begin(f"probe {domain}", 0, asked)
    tries, attempt_seconds = [], []
    for heat in heats:
        answers, seconds = _timed(engine, [_attempt(params, prompts, task, heat) for task, _ in pairs])
        tries.append((heat, answers))
        attempt_seconds.append(seconds / len(pairs))
    pieces, seconds = _timed(engine, [_advice(params, prompts, task) for task, _ in pairs])
    attempted = [_judged(opened, pairs, heat, answers) for heat, answers in tries]
    written = [one for answers in (*(answers for _, answers in tries), pieces) for one in _answered(answers)]
    said = _answered(pieces)
    pace = Pace(
        tokens_per_second=sum(one.completion_tokens for one in written)
        / max(1e-9, sum(attempt_seconds) * len(pairs) + seconds),
        attempt_seconds=sum(attempt_seconds) / len(heats),
        advice_seconds=seconds / len(pairs),
        step_seconds=_step_seconds(params, opened, pairs, said, root),
        dollars=_dollars(params, root, _answered(tries[0][1]), said),
    )
    cut = sum(one.finish == "length" for one in said) / max(1, len(said))
    ends = attempted[0].visible or 0
    return Probe(
        domain=domain,
        model=named_model(params.engine.model, root),
        train=sampled.train,
        evaluation=sampled.evaluation,
        attempted=tuple(attempted),
        advice_cut=cut,
        pace=pace,
        stages=stages_of(params, sampled.train, sampled.evaluation, ends / len(pairs), pace),
        warnings=warnings_of(params, attempted, cut, sampled.evaluation),
    )


def _timed(engine: Engine, requests: list[Request]) -> tuple[list[list[Completion] | Exception], float]:
    began = time.monotonic()
    answers = ask_each(engine, requests)
    if not _answered(answers):
        raise EngineError(f"none of {len(requests)} requests was answered; the first: {answers[0]}; run doctor")
    return answers, time.monotonic() - began


def _answered(answers: Sequence[list[Completion] | Exception]) -> list[Completion]:
    return [answer[0] for answer in answers if not isinstance(answer, Exception)]


def _attempt(params: Params, prompts: Prompts, task: Task, temperature: float) -> Request:
    return Request(
        messages=prompts.actor(task, [], []),
        temperature=temperature,
        max_tokens=params.engine.max_new_tokens,
        stop=params.engine.stop,
        seed=int(digest_of(["probe", task.task_id])[:12], 16),
    )


def _advice(params: Params, prompts: Prompts, task: Task) -> Request:
    return Request(
        messages=prompts.advise(task.text),
        temperature=params.agent.reflector_temperature,
        max_tokens=params.engine.max_advice_tokens,
        seed=int(digest_of(["probe", task.task_id])[:12], 16),
        role="reflector",
    )


def _judged(
    domain: Domain, pairs: Sequence[Pair], temperature: float, answers: Sequence[list[Completion] | Exception]
) -> Attempted:
    done = [(pair, answer[0]) for pair, answer in zip(pairs, answers, strict=True) if not isinstance(answer, Exception)]
    items = [(task, key, domain.prompts.parse(one.text.strip(), task)) for (task, key), one in done]
    seen = call(domain.judge.check, [(task, candidate) for task, _, candidate in items])
    scores = call(domain.judge.score, items)
    visible = [None if isinstance(one, Exception) else one.passed for one in seen]
    return Attempted(
        temperature=temperature,
        tasks=len(done),
        visible=None if all(one is None for one in visible) else sum(one is True for one in visible),
        solved=sum(not isinstance(score, Exception) and score.passed for score in scores),
        cut=sum(one.finish == "length" for _, one in done),
        tokens=sum(one.completion_tokens for _, one in done) / len(done),
        prompt_tokens=sum(one.prompt_tokens for _, one in done) / len(done),
    )


def _step_seconds(
    params: Params, domain: Domain, pairs: Sequence[Pair], said: Sequence[Completion], root: Path
) -> float | None:
    """Time a step of the very training of params takes, on rows as long as the sampled advice."""
    model = named_model(params.reflector.base or params.engine.model, root)
    if params.engine.kind != "hf" or params.train.launch.processes > 1 or not (root / model).exists():
        return None
    from parammem.training.lora_sft import train_lora

    few = {"max_steps": STEPS, "checkpoint_every": STEPS + 1, "held_out": 0.0, "select": 0}
    texts = [one.text for one in said]
    rows = [_row(domain.name, task, texts[at % len(texts)]) for at, (task, _) in enumerate(pairs)]
    rows = (rows * params.train.batch)[: max(len(rows), params.train.batch)]
    moments: list[float] = []
    with tempfile.TemporaryDirectory(prefix="parammem-probe-") as place:
        train_lora(
            rows,
            domain.prompts.advise,
            root / model,
            params.train.model_copy(update=few),
            Path(place) / "adapter",
            Path(place) / "checkpoints",
            device=params.engine.device,
            progress=False,
            dtype=params.engine.dtype,
            threads=params.train.threads,
            on_step=lambda step, loss, rate: moments.append(time.monotonic()),
        )
    return (moments[-1] - moments[0]) / (len(moments) - 1)


def _row(domain: str, task: Task, text: str) -> ReflectionExample:
    return ReflectionExample(
        domain=domain,
        task_id=task.task_id,
        task_text=task.text,
        reflection=text or "nothing",
        label_source="task-only",
        part="task",
        author="probe",
        trajectory_id="",
        outcome="none",
    )


def _dollars(params: Params, root: Path, attempts: Sequence[Completion], advice: Sequence[Completion]) -> float:
    """Return the price in dollars of an attempt and a piece of advice, on average."""
    server = params.engine.server
    price = server.prices.get(named_model(params.engine.model, root)) if server else None
    if price is None:
        return 0.0
    every = [*attempts, *advice]
    prompt, written = (
        sum(getattr(one, f"{kind}_tokens") for one in every) / len(attempts) for kind in ("prompt", "completion")
    )
    return (prompt * price.prompt + written * price.completion) / 1e6
