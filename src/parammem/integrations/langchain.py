# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
"""Middleware for agents of LangChain and LangGraph (`langchain.agents.create_agent`).

    agent = create_agent(model, tools, middleware=[AdviceMiddleware("support", outcome=lambda messages: True)])

Each call of the agent is a run; its task is the user's last message. The advice goes behind it in what the model gets,
not into the agent's state, so that no later turn holds it. `outcome` judges a run by its messages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, convert_to_openai_messages

from parammem.client import AdvisedRun
from parammem.client.connection import log
from parammem.integrations.messages import steps_of, text_of, with_text

MOST_OPEN = 1000  # runs whose end is waited for: one that is broken off never ends


class AdvisedState(AgentState):
    parammem_run: NotRequired[str]  # by which `parammem.outcome` takes an outcome later


class AdviceMiddleware(AgentMiddleware[AdvisedState]):
    """Advice before an agent's first model call, its steps and outcome after the last."""

    state_schema = AdvisedState

    def __init__(self, domain: str = "", outcome: Callable[..., bool | None] | None = None) -> None:
        super().__init__()
        self._domain, self._outcome = domain, outcome
        self._open: OrderedDict[str, AdvisedRun] = OrderedDict()

    def before_agent(self, state: AdvisedState, runtime: Any) -> dict[str, Any] | None:
        task = next((text_of(m.content) for m in reversed(state["messages"]) if isinstance(m, HumanMessage)), "")
        if not task:
            return None
        run = AdvisedRun(task, self._domain)
        run.start()
        self._open[run.run_id] = run
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].end()
        return {"parammem_run": run.run_id}

    async def abefore_agent(self, state: AdvisedState, runtime: Any) -> dict[str, Any] | None:
        return await asyncio.to_thread(self.before_agent, state, runtime)

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        with self._advised(request) as changed:
            return handler(changed)

    async def awrap_model_call(self, request: ModelRequest, handler: Callable[..., Awaitable[ModelResponse]]) -> Any:
        with self._advised(request) as changed:
            return await handler(changed)

    def after_agent(self, state: AdvisedState, runtime: Any) -> None:
        run = self._open.pop(state.get("parammem_run", ""), None)
        if run is None:
            return
        since = state["messages"][_place(state["messages"], run.task) + 1 :]
        tokens = sum((m.usage_metadata or {}).get("total_tokens", 0) for m in since if isinstance(m, AIMessage))
        try:
            run.add_steps(steps_of(convert_to_openai_messages(since)), tokens)
            if self._outcome:
                run.outcome(self._outcome(since))
        except Exception as error:  # the agent has its answer, whatever becomes of the report
            log.warning("run %s could not be reported whole: %s: %s", run.run_id, type(error).__name__, error)
        run.end()

    async def aafter_agent(self, state: AdvisedState, runtime: Any) -> None:
        await asyncio.to_thread(self.after_agent, state, runtime)

    @contextmanager
    def _advised(self, request: ModelRequest) -> Iterator[ModelRequest]:
        """Send the request with the advice. An error is reported at once: an agent that it ends does not say so."""
        run = self._open.get(request.state.get("parammem_run", ""))
        place = _place(request.messages, run.task) if run and run.advice else -1
        if run and place >= 0:
            messages, task = list(request.messages), request.messages[place]
            messages[place] = task.model_copy(update={"content": with_text(task.content, run.advice)})
            request = request.override(messages=messages)
        try:
            yield request
        except Exception as error:
            if run:
                run.end(error)
            raise


def _place(messages: Sequence[AnyMessage], task: str) -> int:
    """Return the place of the task: the last user message with its text; -1 if it was summarised away."""
    asked = (n for n, one in enumerate(messages) if isinstance(one, HumanMessage) and text_of(one.content) == task)
    return max(asked, default=-1)
