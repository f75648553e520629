"""`parammem schema`: the JSON Schema of each record that people write or read, of params.yaml, and of what agents send
to the service; and examples."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from typing import Annotated, Any

import typer

from parammem.cli.say import say


def schema(
    name: Annotated[str, typer.Argument(help="A record; none: list them.", show_default=False)] = "",
    example: Annotated[bool, typer.Option("--example", help="Print a valid example, as one line of JSON.")] = False,
) -> None:
    """Print the JSON Schema of a record: a row of experience, a trajectory, a task, an answer key, a decision …"""
    found = records()
    if not name:
        say("\n".join(f"{one:17} {(inspect.getdoc(found[one]) or '').splitlines()[0]}" for one in found))
        return
    if name not in found:
        raise typer.BadParameter(f"no record {name!r}; there are {', '.join(found)}")
    if example and name not in examples():
        why = "params.yaml is one" if name == "params" else "programs write it"
        raise typer.BadParameter(f"no example of {name!r}: {why}; there are {', '.join(examples())}")
    say(json.dumps(examples()[name]) if example else json.dumps(described(found[name]), indent=2))


def records() -> dict[str, Any]:
    """Return name → class of each record."""
    from parammem.config import Params
    from parammem.core import (
        Adapter,
        AnswerKey,
        Attempt,
        Feedback,
        GivenAdvice,
        Outcome,
        Reflection,
        ReflectionExample,
        Step,
        Task,
        Trajectory,
    )  # fmt: skip
    from parammem.core.decision import Decision
    from parammem.core.event import Event
    from parammem.core.experience import Experience
    from parammem.core.live_run import LiveRun

    return {"experience": Experience, "task": Task, "trajectory": Trajectory, "attempt": Attempt, "step": Step,
            "outcome": Outcome, "advice": GivenAdvice, "feedback": Feedback,
            "reflection": Reflection, "answer-key": AnswerKey, "training-row": ReflectionExample, "adapter": Adapter,
            "decision": Decision, "event": Event, "live-run": LiveRun, "params": Params, **_bodies()}  # fmt: skip


def _bodies() -> dict[str, Any]:
    """Return the classes of what programs send to the service; none where its libraries are not installed."""
    try:
        from parammem.service.run_routes import OutcomeBody, StartBody, StepsBody
    except ModuleNotFoundError:
        return {}
    return {"run-start": StartBody, "run-steps": StepsBody, "run-outcome": OutcomeBody}


def described(record: Any) -> dict[str, Any]:
    """Return the JSON Schema of a record; what the source says of a field stands in it as description."""
    from parammem.core.record import Record
    from parammem.sections import Section

    found = record.model_json_schema()
    known = {one.__name__: one for one in (record, *_below(Record), *_below(Section))}
    for name, part in {record.__name__: found, **found.get("$defs", {})}.items():
        said = _said_of_fields(known[name]) if name in known else {}
        for field, text in said.items():
            if field in part.get("properties", {}):
                part["properties"][field]["description"] = text
    return found


def examples() -> dict[str, dict[str, Any]]:
    """Return name → an example of each record that people write."""
    task = {"task_id": "shop-17", "domain": "math", "visible": {},
            "text": "A crate holds 12 jars. How many jars do 7 crates hold?"}  # fmt: skip
    feedback = {"passed": False, "text": "The sum is not the number of jars."}
    attempt = {"number": 1, "text": "12 + 7 = 19. Answer: 19", "candidate": "19", "temperature": 0.2}
    better = {"number": 2, "text": "12 * 7 = 84. Answer: 84", "candidate": "84", "temperature": 0.2}
    passed = {"passed": True, "text": "This is the number of jars."}
    advice = {"text": "Each crate holds the same number: multiply, do not add.", "source": "self",
              "author": "my-model", "iteration": 2, "temperature": 1.0}  # fmt: skip
    call = {"role": "assistant", "call": {"name": "multiply", "arguments": {"a": 12, "b": 7}, "id": "c1"}}
    steps = [call, {"role": "tool", "text": "84", "result_of": "c1"}, {"role": "assistant", "text": better["text"]}]
    outcome = {"passed": True, "value": 1.0, "source": "test", "at": "2026-11-28T09:00:00Z"}
    given = {"text": "Multiply: each crate holds the same number.", "digest": "5a1f0c", "draw": 0}
    trajectory = {"task_id": "shop-17", "domain": "math", "method": "reflexion", "protocol": "strict", "seed": 0,
                  "attempts": [attempt | {"feedback": feedback}, better | {"feedback": passed, "steps": steps}],
                  "reflections": [advice], "stop": "visible-pass", "submission": 2}  # fmt: skip
    key = {"task_id": "shop-17", "domain": "math", "hidden": {"answer": "84"}, "gold": "84"}
    row = {"domain": "math", "task_id": "shop-17", "task_text": task["text"], "reflection": advice["text"],
           "label_source": "experience", "part": "hindsight", "author": "my-model", "trajectory_id": "",
           "outcome": "final"}  # fmt: skip
    experience = {"schema": 2, "task": task, "trajectory": trajectory, "outcome": outcome, "advice": [given],
                  "run_id": "run-4711"}  # fmt: skip
    return {"experience": experience, "task": task, "step": steps[0], "outcome": outcome, "advice": given,
            "trajectory": trajectory, "attempt": attempt | {"feedback": feedback}, "feedback": feedback,
            "reflection": advice, "answer-key": key, "training-row": row,
            "run-start": {"task": task["text"], "domain": "math", "run_id": "run-4711"},
            "run-steps": {"steps": steps, "tokens": 311},
            "run-outcome": {"passed": True, "value": 1.0, "source": "test"}}  # fmt: skip


def _below(record: Any) -> list[Any]:
    return [one for child in record.__subclasses__() for one in (child, *_below(child))]


def _said_of_fields(record: Any) -> dict[str, str]:
    """Return field → the text under it in the class's source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):  # pyright: ignore[reportAttributeAccessIssue]
        said = after.value if isinstance(after, ast.Expr) else None
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Constant) and isinstance(field.target, ast.Name):
            found[field.target.id] = inspect.cleandoc(str(said.value))
    return found
