"""The client of the service: advice for a run of an agent, its steps, and how it ended.

    with parammem.run("Refund order 12", domain="support") as run:
        answer = my_agent(run.advice, run.task)
        run.outcome(answer.ok)

It never stands in the agent's way: whatever is wrong with the service, the block runs, at the latest after `deadline`
seconds, without advice. It needs the bare package alone. docs/agents.md says what happens when the service is down.
"""

from parammem.client.advised_run import AdvisedRun, current_run, outcome, run
from parammem.client.unsent import send_unsent

__all__ = ["AdvisedRun", "current_run", "outcome", "run", "send_unsent"]
