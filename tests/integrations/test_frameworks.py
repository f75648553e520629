"""Each integration with the real framework: the model sees the advice, the service gets task, steps and outcome."""

from __future__ import annotations

import json

import pytest

from parammem.core import Step, ToolCall
from tests.integrations.model_server import ANSWER

pytestmark = pytest.mark.integration
TASK = "Refund order 12"
STEPS = [
    Step(role="assistant", call=ToolCall(name="refund", arguments={"order": 12}, id="call-1")),
    Step(role="tool", text="order 12: refunded", result_of="call-1"),
    Step(role="assistant", text=ANSWER),
]
LANGCHAIN = "tests/integrations/driven/langchain_agent.py"
OPENAI = "tests/integrations/driven/openai_agent.py"
INSPECT = "tests/integrations/driven/inspect_task.py"


@pytest.mark.parametrize("how", ["sync", "async"])
def test_langchain_agent_is_advised_and_reported(drive, agents_python, service, model, how):
    found = drive(agents_python, LANGCHAIN, how)
    assert found["texts"][-1] == ANSWER
    assert [text.count("be kind") for text in model.texts] == [1, 1], "every call of the run has the block once"
    assert "parammem-advice" not in found["state"], "no checkpoint or later turn holds it"
    told = service.runs[found["run"]]
    assert (told.task, told.domain, told.steps, told.tokens) == (TASK, "support", STEPS, 70)
    assert told.outcomes == [{"passed": True}]


def test_langchain_turns_of_one_conversation_are_runs_of_their_own(drive, agents_python, service):
    drive(agents_python, LANGCHAIN, "twice")
    first, second = service.runs.values()
    assert (first.task, second.task) == (TASK, "And order 13?")
    assert (first.steps, second.steps) == (STEPS, [Step(role="assistant", text=ANSWER)])


def test_langchain_outcome_can_come_later(drive, agents_python, service):
    drive(agents_python, LANGCHAIN, "later")
    assert service.only.outcomes == [{"passed": False, "source": "person"}]


def test_langchain_agent_whose_model_fails_raises_what_it_raised(drive, agents_python, service, model):
    model.status = 500
    assert "Error" in drive(agents_python, LANGCHAIN, "fails")["raised"]
    assert service.only.outcomes == []
    assert "500" in service.only.steps[-1].error


@pytest.mark.parametrize("interface", ["responses", "chat"])
@pytest.mark.parametrize("how", ["hooks", "processor"])
def test_openai_agent_is_advised_and_reported(drive, agents_python, service, model, how, interface):
    assert drive(agents_python, OPENAI, how, interface) == {"answer": ANSWER}
    assert [text.count("be kind") for text in model.texts] == [1, 1]
    told = service.only
    assert (told.task, told.domain, told.steps, told.tokens) == (TASK, "support", STEPS, 70)
    assert told.outcomes == [{"passed": True, "source": "test"}]


def test_inspect_samples_are_advised_and_reported(drive, inspect_python, service, model):
    found = drive(inspect_python, INSPECT)
    assert found == {"status": "success", "scores": {"right": "C", "wrong": "I"}}
    assert all(text.count("be kind") == 1 for text in model.texts)
    by_task = {run.task: run for run in service.runs.values()}
    assert set(by_task) == {TASK, "Refund order 13"}
    told = by_task[TASK]
    assert (told.domain, told.tokens, [step.text for step in told.steps]) == (
        "support",
        70,
        ["", *[s.text for s in STEPS[1:]]],
    )
    assert told.steps[0].call == STEPS[0].call
    assert [run.outcomes[0]["passed"] for run in (told, by_task["Refund order 13"])] == [True, False]
    assert "never said so" not in json.dumps([step.model_dump() for step in by_task["Refund order 13"].steps])


@pytest.mark.parametrize(
    ("python", "script", "arguments"),
    [
        ("agents_python", LANGCHAIN, ["sync"]),
        ("agents_python", OPENAI, ["hooks", "chat"]),
        ("inspect_python", INSPECT, []),
    ],
)
def test_agents_work_as_before_without_a_service(drive, request, model, python, script, arguments):
    drive(request.getfixturevalue(python), script, *arguments, url="http://127.0.0.1:9")
    assert not any("parammem" in text for text in model.texts)
