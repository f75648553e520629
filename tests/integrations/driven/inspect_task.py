# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false
"""A task of Inspect with the solver and the hook. Prints its scores."""

import json

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool

from parammem.integrations.inspect import advised


@tool
def refund():
    async def execute(order: int) -> str:
        """Refund an order.

        Args:
            order: its number.
        """
        return f"order {order}: refunded"

    return execute


samples = [
    Sample(id="right", input="Refund order 12", target="is refunded"),
    Sample(id="wrong", input="Refund order 13", target="never said so"),
]
task = Task(dataset=samples, solver=[advised("support"), use_tools(refund()), generate()], scorer=includes())
(log,) = eval(task, model="openai/scripted", log_dir="logs", model_args={"responses_api": False}, max_retries=0)
assert log.samples, log.error
scores = {str(sample.id): next(iter(sample.scores.values())).value for sample in log.samples}
print(json.dumps({"status": log.status, "scores": scores}))
