# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
"""An agent of the OpenAI Agents SDK: `openai_agent.py hooks|processor responses|chat`. Prints what it answered."""

import asyncio
import json
import sys

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_trace_processors,
)  # fmt: skip
from openai import AsyncOpenAI

import parammem
from parammem.integrations.openai_agents import AgentsRunHooks, AgentsTraceProcessor

TASK = "Refund order 12"


@function_tool
def refund(order: int) -> str:
    """Refund an order."""
    return f"order {order}: refunded"


async def main(how: str, interface: str) -> None:
    kind = OpenAIChatCompletionsModel if interface == "chat" else OpenAIResponsesModel
    agent = Agent("desk", tools=[refund], model=kind("scripted", AsyncOpenAI(max_retries=0)))
    set_trace_processors([AgentsTraceProcessor()] if how == "processor" else [])
    async with parammem.run(TASK, domain="support") as run:
        if how == "hooks":
            advised = AgentsRunHooks(run, RunConfig(tracing_disabled=True))
            result = await Runner.run(agent, run.task, hooks=advised, run_config=advised.run_config)
        else:
            result = await Runner.run(agent, f"{run.task}\n\n{run.advice}")
        run.outcome("refunded" in result.final_output, source="test")
    print(json.dumps({"answer": result.final_output}))


asyncio.run(main(*sys.argv[1:]))
