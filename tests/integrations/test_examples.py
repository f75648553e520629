"""The examples do what they say, with the real framework and a scripted model."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = "examples/langgraph_agent.py"


@pytest.mark.integration
def test_langgraph_agent_refunds_with_advice_and_its_outcomes_are_those_of_its_orders(
    drive, agents_python, service, model
):
    printed = drive(agents_python, EXAMPLE, "12", "14", as_json=False)
    assert printed.splitlines() == [  # the scripted model refunds order 12, whatever it is asked
        "order 12: refunded; the agent says: Order 12 is refunded.",
        "order 14: sent back; the agent says: Order 12 is refunded.",
    ]
    assert {run.task: run.outcomes for run in service.runs.values()} == {
        "Refund order 12": [{"passed": True}],
        "Refund order 14": [{"passed": False}],
    }
    assert all("be kind" in text for text in model.texts)


@pytest.mark.integration
def test_langgraph_agent_works_without_the_service(drive, agents_python, model):
    printed = drive(agents_python, EXAMPLE, "12", as_json=False, url="http://127.0.0.1:9")
    assert printed == "order 12: refunded; the agent says: Order 12 is refunded.\n"
    assert not any("parammem" in text for text in model.texts)


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/[!_]*.py")), ids=lambda file: file.name)
def test_an_example_says_how_it_is_run(file):
    assert f"python examples/{file.name}" in (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "")
