"""An attempt with steps as a labeller is shown it, shortened by one rule that docs/open-domains.md states.

- Left out: system messages, messages that only repeat the task, and marked advice.
- A message has at most MESSAGE characters, the arguments of a tool call CALL, a tool's result or error RESULT. A longer
  one loses its middle, and says how much of it.
- All steps together have at most as many characters as the caller allows: the first FIRST of them stay, and of the last
  ones as many as fit; the number of those between is said.
- Then comes what the agent handed over, of at most MESSAGE characters, where the last message is another text.
"""

from __future__ import annotations

import json

from parammem.core import Attempt, Step, Task
from parammem.core.advice import without_advice

ATTEMPT = 6000
"""Characters of all steps together."""
MESSAGE, CALL, RESULT = 800, 300, 400
FIRST = 2


def in_steps(task: Task, attempt: Attempt, most: int) -> str:
    """Return the steps of an attempt, one paragraph each, and what it handed over; shortened by the rule above."""
    names = {step.call.id: step.call.name for step in attempt.steps if step.call and step.call.id}
    lines = [line for step in attempt.steps if (line := _line(step, task, names))]
    handed = f"handed over: {shortened(attempt.candidate, MESSAGE)}"
    said = [step.text.strip() for step in attempt.steps if step.role == "assistant" and step.text.strip()]
    end = [] if not attempt.candidate.strip() or said[-1:] == [attempt.candidate.strip()] else [handed]
    return "\n".join([*_fitting(lines, most), *end])


def shortened(text: str, most: int) -> str:
    """Return a text of about `most` characters: as it is, or its first two thirds and its end, and what is missing."""
    text = text.strip()
    if len(text) <= most:
        return text
    first = most * 2 // 3
    return f"{text[:first].rstrip()} [… {len(text) - most} characters …] {text[first - most :].lstrip()}"


def _line(step: Step, task: Task, names: dict[str, str]) -> str:
    """Return one step in words; empty: it is left out."""
    text = without_advice(step.text).text.strip()
    if step.role == "system" or (step.role == "user" and text == task.text.strip()):
        return ""
    if step.call:
        given = step.call.arguments
        written = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, sort_keys=True)
        called = f"agent calls {step.call.name}: {shortened(written, CALL)}"
        return f"agent: {shortened(text, MESSAGE)}\n{called}" if text else called
    wrong = f"error: {shortened(step.error, RESULT)}" if step.error else ""
    if step.role == "tool":
        of = names.get(step.result_of, "")
        shown = f"{of or 'tool'} returns: {shortened(text, RESULT)}" if text or not wrong else ""
    else:
        shown = f"{'agent' if step.role == 'assistant' else 'user'}: {shortened(text, MESSAGE)}" if text else ""
    return "\n".join(filter(None, (shown, wrong)))


def _fitting(lines: list[str], most: int) -> list[str]:
    """Return all lines if they fit, else the first ones and the last ones that fit, with the number of the others."""
    if sum(map(len, lines)) <= most:
        return lines
    first, rest = lines[:FIRST], lines[FIRST:]
    left, kept = most - sum(map(len, first)), 0
    for line in reversed(rest):
        if len(line) > left:
            break
        left, kept = left - len(line), kept + 1
    return [*first, f"[… {len(rest) - kept} steps …]", *rest[len(rest) - kept :]]
