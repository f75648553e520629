# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
"""Inspect: a solver that gives advice, and a hook that reports each sample's steps and score.

    Task(dataset=…, solver=[advised("support"), use_tools(…), generate()], scorer=match())

Importing this module registers the hook; it looks at samples that `advised` has begun and at no others. The sample's
target is an answer key and is not read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from inspect_ai.hooks import Hooks, SampleEnd, hooks
from inspect_ai.solver import Generate, Solver, TaskState, solver

from parammem.client import AdvisedRun
from parammem.client.connection import DEADLINE, ServiceAddress
from parammem.integrations.messages import steps_of

WORDS = {"C": True, "I": False, "N": False}
_open: dict[str, AdvisedRun] = {}
"""Uuid of a sample that is running → its run."""


@solver
def advised(domain: str = "", url: str | None = None, deadline: float = DEADLINE) -> Solver:
    """Return the solver that begins a run of each sample and puts its advice behind the user's prompt."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        metadata = {"sample": str(state.sample_id), "epoch": str(state.epoch)}
        run = AdvisedRun(state.input_text, domain, metadata=metadata, service=ServiceAddress.found(url, deadline))
        await asyncio.to_thread(run.start)
        if run.advice:
            state.user_prompt.text = f"{state.user_prompt.text}\n\n{run.advice}"
        _open[state.uuid] = run
        return state

    return solve


@hooks(name="parammem", description="Reports the steps and the score of samples that ParamMem advised.")
class InspectHooks(Hooks):
    """Reports a sample that has ended."""

    async def on_sample_end(self, data: SampleEnd) -> None:
        run = _open.pop(data.sample_id, None)
        if run is None:
            return
        sample = data.sample
        asked = next((n + 1 for n, one in enumerate(sample.messages) if one.role == "user"), 0)
        run.add_steps(steps_of(sample.messages[asked:]), sum(one.total_tokens for one in sample.model_usage.values()))
        if sample.error is not None:
            run.add_steps([{"role": "assistant", "error": sample.error.message}])
        for score in list((sample.scores or {}).values())[:1]:  # the task's first scorer is the one that counts
            passed, value = verdict_of(score.value)
            run.outcome(passed, value, "judge", answer=score.answer or "")
        await asyncio.to_thread(run.end)


def verdict_of(score: Any) -> tuple[bool | None, float | None]:
    """Return passed and value of a score: Inspect's words, a truth value, or a number from 0 to 1; else not known."""
    if isinstance(score, bool):
        return score, None
    if score == "P":
        return None, 0.5
    if isinstance(score, str):
        return WORDS.get(score), None
    if isinstance(score, int | float) and 0 <= score <= 1:
        return (bool(score) if score in (0, 1) else None), float(score)
    return None, None
