"""uptake: can the actor use right advice at all? Measured on train tasks, before a reflector is paid for.

No trajectory is written and no evaluation task is attempted. Advice is written from answer keys, which is why its
author is ORACLE, of whom no training row can be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parammem.agents.asking import ask_each, call
from parammem.config import Params
from parammem.core import AnswerKey, Reflection, Task, digest_of
from parammem.core.reflection import ORACLE
from parammem.domains import Domain, Prompts
from parammem.domains.oracle import Form, of_length, oracle_advice
from parammem.engines.base import Completion, Message, Request
from parammem.engines.folders import named_model
from parammem.engines.progress import PROGRESS
from parammem.errors import DataError
from parammem.evaluation.uptake import ALONE, ARMS, Arm, Uptake, in_words, measured
from parammem.stages.common import Engines
from parammem.stages.opening import open_domain
from parammem.stages.sample import sample_train

Pair = tuple[Task, AnswerKey]
FORMS: tuple[Form, ...] = ("sentence", "list")
LEAST = 2
"""Tasks without which there is no advice on another one."""


def run(params: Params, domain: str, count: int, seed: int, root: Path = Path(".")) -> Uptake:
    """Attempt each sampled train task once under every arm of `ARMS`.

    Raises:
        DataError: fewer than two tasks have a key that advice can be written from.
        ConfigError, EngineError, SandboxError.
    """
    opened = open_domain(params, domain)
    pairs = list(sample_train(params, domain, root, count, seed).pairs)
    sampled = len(pairs)
    advice: dict[Form, list[str]] = {form: [oracle_advice(key, form) for _, key in pairs] for form in FORMS}
    kept = [place for place in range(len(pairs)) if all(texts[place] for texts in advice.values())]
    if len(kept) < LEAST:
        raise DataError(f"{len(kept)} of {sampled} train tasks have a solution to write advice from; use other sources")
    pairs = [pairs[place] for place in kept]
    said = given(pairs, {form: [advice[form][place] for place in kept] for form in FORMS})
    engine = Engines(params, root).open()
    requests = [
        _request(params, opened.prompts, task, arm, said[arm.name][at])
        for arm in ARMS
        for at, (task, _) in enumerate(pairs)
    ]
    PROGRESS.begin(f"uptake {domain}", 0, len(requests) * params.engine.max_new_tokens)
    answers = ask_each(engine, requests)
    rows = [answers[start : start + len(pairs)] for start in range(0, len(answers), len(pairs))]
    return _result(
        params,
        opened,
        pairs,
        dict(zip([arm.name for arm in ARMS], rows, strict=True)),
        said,
        sampled,
        seed,
        engine.digest,
        root,
    )


def given(pairs: Sequence[Pair], right: dict[Form, list[str]]) -> dict[str, list[str]]:
    """Return the advice of every arm, by its name, for every task; "" for none. Irrelevant advice is the right one on
    the task whose advice is nearest in length, cut to as many words."""
    found = {ALONE.name: [""] * len(pairs)}
    for arm in ARMS:
        if arm.form and arm.advice == "oracle":
            found[arm.name] = right[arm.form]
        elif arm.form:
            found[arm.name] = [_other(right[arm.form], place) for place in range(len(pairs))]
    return found


def _other(texts: Sequence[str], place: int) -> str:
    words = len(texts[place].split())
    others = [text for text in texts if text != texts[place]]
    near = min(others, key=lambda text: (abs(len(text.split()) - words), text), default="")
    return of_length(near, words)


def placed(prompts: Prompts, task: Task, text: str, place: str) -> tuple[Message, ...]:
    """Return the actor's prompt with advice in another place than after the task: its own words, moved.

    Args:
        place: "", after (where the domain has it), before or system.
    """
    bare = prompts.actor(task, [], [])
    if not text:
        return bare
    piece = Reflection(text=text, source="parametric", author=ORACLE, iteration=1, temperature=0.0)
    usual = prompts.actor(task, [piece], [])
    if place in ("", "after"):
        return usual
    block = inserted(bare[-1].content, usual[-1].content)
    if place == "before":
        user = bare[-1].content.replace(task.text, block.rstrip() + _gap(block) + task.text, 1)
        return (*bare[:-1], bare[-1].model_copy(update={"content": user}))
    if bare[0].role == "system":
        whole = f"{bare[0].content}\n\n{block.strip()}"
        return (bare[0].model_copy(update={"content": whole}), *bare[1:])
    return (Message(role="system", content=block.strip()), *bare)


def _gap(block: str) -> str:
    """Return the white space that ends a block of advice."""
    return block[len(block.rstrip()) :] or "\n"


def inserted(before: str, after: str) -> str:
    """Return what a text has that another one lacks, where that is one piece."""
    size = len(after) - len(before)
    start = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
    return after[start : start + size]


def _request(params: Params, prompts: Prompts, task: Task, arm: Arm, text: str) -> Request:
    return Request(
        messages=placed(prompts, task, text, arm.place),
        temperature=params.agent.first_temperature,
        max_tokens=params.engine.max_new_tokens,
        stop=params.engine.stop,
        seed=int(digest_of(["uptake", task.task_id])[:12], 16),
        role="uptake",
    )


def _result(
    params: Params,
    domain: Domain,
    pairs: Sequence[Pair],
    answers: dict[str, list[list[Completion] | Exception]],
    said: dict[str, list[str]],
    sampled: int,
    seed: int,
    digest: str,
    root: Path,
) -> Uptake:
    verdicts = {name: _verdicts(domain, pairs, row) for name, row in answers.items()}
    whole = [at for at in range(len(pairs)) if all(row[at] is not None for row in verdicts.values())]
    if not whole:
        raise DataError("no sampled task could be attempted and judged under every arm; look at the server or the keys")
    passed = {name: [bool(row[at]) for at in whole] for name, row in verdicts.items()}
    arms = []
    for arm in ARMS:
        written = [reply[0] for at in whole if not isinstance(reply := answers[arm.name][at], Exception)]
        facts = {
            "words": sum(len(said[arm.name][at].split()) for at in whole) / len(whole),
            "prompt_tokens": sum(one.prompt_tokens for one in written) / len(whole),
            "cut": sum(one.finish == "length" for one in written),
        }
        arms.append(measured(arm, passed[arm.name], passed[ALONE.name], **facts))
    return Uptake(
        domain=domain.name,
        model=named_model(params.engine.model, root),
        model_digest=digest,
        seed=seed,
        temperature=params.agent.first_temperature,
        tasks=len(whole),
        left_out=sampled - len(whole),
        arms=tuple(arms),
        says=in_words(arms, passed),
    )


def _verdicts(domain: Domain, pairs: Sequence[Pair], row: Sequence[list[Completion] | Exception]) -> list[bool | None]:
    """Return the final verdict on each answer; None where there is no answer, or none that can be judged."""
    asked = [
        (at, (task, key, domain.prompts.parse(reply[0].text.strip(), task)))
        for at, ((task, key), reply) in enumerate(zip(pairs, row, strict=True))
        if not isinstance(reply, Exception)
    ]
    scores = call(domain.judge.score, [item for _, item in asked])
    found: list[bool | None] = [None] * len(row)
    for (at, _), score in zip(asked, scores, strict=True):
        found[at] = None if isinstance(score, Exception) else score.passed
    return found
