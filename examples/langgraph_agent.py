"""A LangGraph agent that is advised before each run, and whose outcome is checked and reported after it.

    parammem up                                           # in the repository of your domain, in another terminal
    pip install parammem langchain langchain-openai       # in your agent's environment
    OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none MODEL=my-model \\
        python examples/langgraph_agent.py 12 13

Without the service the agent runs as it would without ParamMem, and says so once in the log. What was changed to get
advice is the one line with AdviceMiddleware. The outcome is no opinion: it is whether the order is refunded afterwards.
"""

import os
import sys

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from parammem.integrations.langchain import AdviceMiddleware

ORDERS = {12: "paid", 13: "paid", 14: "sent back"}


def order_state(order: int) -> str:
    """Say in which state an order is."""
    return ORDERS.get(order, "there is no such order")


def refund(order: int) -> str:
    """Give the money of an order back."""
    if order not in ORDERS:
        return "there is no such order"
    ORDERS[order] = "refunded"
    return f"order {order}: refunded"


def main(orders: list[int]) -> None:
    """Have each order refunded, one run of the agent for each."""
    for order in orders:
        advised = AdviceMiddleware("support", outcome=lambda _, order=order: ORDERS.get(order) == "refunded")
        agent = create_agent(
            ChatOpenAI(model=os.environ.get("MODEL", "gpt-4o-mini")),
            [order_state, refund],
            system_prompt="You are the support desk of a shop. Use the tools; do not claim what you have not done.",
            middleware=[advised],
            checkpointer=InMemorySaver(),
        )
        asked = {"messages": [{"role": "user", "content": f"Refund order {order}"}]}
        state = agent.invoke(asked, {"configurable": {"thread_id": str(order)}})
        print(f"order {order}: {ORDERS.get(order, 'unknown')}; the agent says: {state['messages'][-1].content}")


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]] or [12])
