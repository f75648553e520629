"""Text and data from outside in the form in which the spool takes them."""

from __future__ import annotations

import json
from typing import Any

from parammem.core.escape import clean
from parammem.core.step import Step
from parammem.experience.formats.base import is_deep


def as_json(value: Any) -> str:
    """Return data as JSON."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def step_line(step: Step) -> str:
    """Return a step as one line of JSON. Arguments that are nested too deep to be read again become text."""
    call = step.call
    if call and isinstance(call.arguments, dict) and is_deep(call.arguments):
        call = call.model_copy(update={"arguments": as_json(call.arguments)})
        step = step.model_copy(update={"call": call})
    return clean(step.line())
