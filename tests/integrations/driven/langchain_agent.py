# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
"""An agent of LangChain with the middleware: `langchain_agent.py sync|async|twice|fails`. Prints what it answered."""

import asyncio
import json
import sys

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from parammem.integrations.langchain import AdviceMiddleware

TASK = "Refund order 12"


def refund(order: int) -> str:
    """Refund an order."""
    return f"order {order}: refunded"


def judge(messages) -> bool:
    return "refunded" in messages[-1].content


def main(how: str) -> None:
    middleware = AdviceMiddleware("support", outcome=None if how == "later" else judge)
    model = ChatOpenAI(model="scripted", max_retries=0)
    agent = create_agent(model, [refund], middleware=[middleware], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    asked = {"messages": [{"role": "user", "content": TASK}]}
    if how == "fails":
        try:
            agent.invoke(asked, config)
        except Exception as error:
            print(json.dumps({"raised": type(error).__name__, "open": len(middleware._open)}))
        return
    found = asyncio.run(agent.ainvoke(asked, config)) if how == "async" else agent.invoke(asked, config)
    if how == "twice":
        found = agent.invoke({"messages": [{"role": "user", "content": "And order 13?"}]}, config)
    if how == "later":
        import parammem

        parammem.outcome(found["parammem_run"], False, source="person")
    state = agent.get_state(config).values
    texts = [message.content for message in found["messages"]]
    print(json.dumps({"texts": texts, "run": found["parammem_run"], "state": str(state["messages"])}))


main(sys.argv[1])
