"""Middleware for agents of LangChain and LangGraph (`langchain.agents.create_agent`).

    agent = create_agent(model, tools, middleware=[AdviceMiddleware("support", outcome=lambda messages: True)])

Each call of the agent is a run; its task is the last message of the user. The advice is put behind that message in what
the model gets, and not into the agent's state, so that no checkpoint or later turn holds it.
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
from parammem.client.advised_run import LONGEST_ERROR
from parammem.client.connection import DEADLINE, Service, log
from parammem.core import Step
from parammem.integrations.messages import steps_of, text_of, with_text

MOST_OPEN = 1000
"""Runs whose end is waited for; an agent that raises never says that it has ended."""

Judge = Callable[[Sequence[AnyMessage]], bool | None]
"""The messages of a run that has ended → whether it turned out right. Without one the outcome is said elsewhere."""


class AdvisedState(AgentState):
    """The agent's state with the name of its run, by which `parammem.outcome` takes an outcome later."""

    parammem_run: NotRequired[str]


class AdviceMiddleware(AgentMiddleware[AdvisedState]):
    """Advice before an agent's first model call, its steps and outcome after the last."""

    state_schema = AdvisedState

    def __init__(self, domain: str = "", outcome: Judge | None = None, deadline: float = DEADLINE) -> None:
        super().__init__()
        self._domain, self._outcome, self._service = domain, outcome, Service.found(deadline=deadline)
        self._open: OrderedDict[str, AdvisedRun] = OrderedDict()

    def before_agent(self, state: AdvisedState, runtime: Any) -> dict[str, Any] | None:
        task = next((m for m in reversed(state["messages"]) if isinstance(m, HumanMessage)), None)
        if task is None or not text_of(task.content):
            return None
        run = AdvisedRun(text_of(task.content), self._domain, service=self._service)
        run.start()
        self._open[run.run_id] = run
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].end()
        return {"parammem_run": run.run_id}

    async def abefore_agent(self, state: AdvisedState, runtime: Any) -> dict[str, Any] | None:
        return await asyncio.to_thread(self.before_agent, state, runtime)

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        run = self._open.get(request.state.get("parammem_run", ""))
        with _errors_told(run):
            return handler(_advised(request, run))

    async def awrap_model_call(
        self, request: ModelRequest, handler: Callable[[ModelRequest], Awaitable[ModelResponse]]
    ) -> ModelResponse:
        run = self._open.get(request.state.get("parammem_run", ""))
        with _errors_told(run):
            return await handler(_advised(request, run))

    def after_agent(self, state: AdvisedState, runtime: Any) -> None:
        run = self._open.pop(state.get("parammem_run", ""), None)
        if run is None:
            return
        place = _place(state["messages"], run.task)
        since = state["messages"][0 if place is None else place + 1 :]
        tokens = sum((m.usage_metadata or {}).get("total_tokens", 0) for m in since if isinstance(m, AIMessage))
        try:
            run.add_steps(steps_of(convert_to_openai_messages(since)), tokens)
            if self._outcome is not None:
                run.outcome(self._outcome(since))
        except Exception as error:  # the agent has its answer, whatever becomes of the report
            log.warning("run %s could not be reported whole: %s: %s", run.run_id, type(error).__name__, error)
        run.end()

    async def aafter_agent(self, state: AdvisedState, runtime: Any) -> None:
        await asyncio.to_thread(self.after_agent, state, runtime)


def _advised(request: ModelRequest, run: AdvisedRun | None) -> ModelRequest:
    place = _place(request.messages, run.task) if run and run.advice else None
    if run is None or place is None:
        return request
    messages, task = list(request.messages), request.messages[place]
    messages[place] = task.model_copy(update={"content": with_text(task.content, run.advice)})
    return request.override(messages=messages)


@contextmanager
def _errors_told(run: AdvisedRun | None) -> Iterator[None]:
    """Report a call that fails at once: an agent that it ends is not told of again."""
    try:
        yield
    except Exception as error:
        if run is not None:
            run.add_steps([Step(role="assistant", error=f"{type(error).__name__}: {error}"[:LONGEST_ERROR])])
            run.send()
        raise


def _place(messages: Sequence[AnyMessage], task: str) -> int | None:
    """Where the task stands: the last message of a user with its text. None: it was summarised away."""
    found = [n for n, one in enumerate(messages) if isinstance(one, HumanMessage) and text_of(one.content) == task]
    return found[-1] if found else None
