# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
"""The OpenAI Agents SDK: run hooks that give advice and record, or a tracing processor that records.

    async with parammem.run("Refund order 12", domain="support") as run:
        advised = AgentsRunHooks(run)
        result = await Runner.run(agent, run.task, hooks=advised, run_config=advised.run_config)
        run.outcome(result.final_output == "done")

Who pastes `run.advice` into the input himself needs no hooks: `add_trace_processor(AgentsTraceProcessor())`, once, has
every trace that begins in the block of a run recorded as its steps. One of the two is enough.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from agents import RunConfig, RunHooks, TracingProcessor
from agents.run_config import CallModelData, ModelInputData

from parammem.client import AdvisedRun, current_run
from parammem.client.connection import log
from parammem.integrations.messages import plain, steps_of, with_text


class AgentsRunHooks(RunHooks):
    """Puts the advice of a run behind the user's first message, and adds what the agent does to the run."""

    def __init__(self, run: AdvisedRun, run_config: RunConfig | None = None) -> None:
        self._run = run
        self._next = run_config.call_model_input_filter if run_config else None
        self.run_config = replace(run_config or RunConfig(), call_model_input_filter=self._advised)
        """To be given to the runner: the hooks alone cannot change what a model is sent."""

    async def _advised(self, data: CallModelData[Any]) -> ModelInputData:
        found = self._next(data) if self._next else data.model_data
        given: ModelInputData = found if isinstance(found, ModelInputData) else await found
        if not self._run.advice:
            return given
        place = next((n for n, item in enumerate(given.input) if plain(item).get("role") == "user"), None)
        if place is None:
            return given
        items: list[Any] = list(given.input)
        items[place] = {**items[place], "content": with_text(items[place]["content"], self._run.advice, "input_text")}
        return ModelInputData(input=items, instructions=given.instructions)

    async def on_llm_end(self, context: Any, agent: Any, response: Any) -> None:
        self._run.add_steps(steps_of(response.output), response.usage.total_tokens)

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
        call_id = getattr(context, "tool_call_id", "")
        self._run.add_steps([{"role": "tool", "text": str(result), "result_of": str(call_id)}])


class AgentsTraceProcessor(TracingProcessor):
    """Adds what a trace shows of model calls to the run in whose block it began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traces: dict[str, tuple[AdvisedRun, list[Any]]] = {}

    def on_trace_start(self, trace: Any) -> None:
        if (run := current_run()) is not None:
            with self._lock:
                self._traces[trace.trace_id] = (run, [])

    def on_span_end(self, span: Any) -> None:
        data = span.span_data
        if data.type not in ("generation", "response"):
            return
        output = data.response.output if data.type == "response" and data.response else getattr(data, "output", None)
        asked = [{"role": "user", "content": data.input}] if isinstance(data.input, str) else list(data.input or [])
        with self._lock:
            run, seen = self._traces.get(span.trace_id, (None, []))
            if run is None:
                return
            if seen[:1] == asked[:1]:  # each call is sent all that came before; one that goes on a server's is not
                seen.clear()
            seen += [*asked, *(output or [])]
        run.add_steps([], int((data.usage or {}).get("total_tokens") or 0))

    def on_trace_end(self, trace: Any) -> None:
        with self._lock:
            run, seen = self._traces.pop(trace.trace_id, (None, []))
        if run is None:
            return
        try:
            begun = next((n + 1 for n, item in enumerate(seen) if plain(item).get("role") == "user"), 0)
            run.add_steps(steps_of(seen[begun:]))
        except Exception as error:  # a trace of an unknown form must not stop its agent
            log.warning("trace of run %s could not be read: %s: %s", run.run_id, type(error).__name__, error)

    def on_span_start(self, span: Any) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self) -> None: ...
