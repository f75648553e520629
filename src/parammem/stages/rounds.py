"""Self-teaching: the adapter of one round labels the train tasks anew, and the next round's is trained on that.

Sample and retrain without filtering, as in the paper (Figure 5). Every round trains on the base model anew.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from parammem.config import Params
from parammem.core import ReflectionExample, digest_of
from parammem.domains import Prompts

log = logging.getLogger(__name__)


def earlier_rounds(params: Params) -> list[str]:
    """Return names of the rounds before the last; their adapters are among the controls."""
    return [f"round-{number}" for number in range(1, params.reflector.rounds)]


def retaught(
    params: Params, rows: Sequence[ReflectionExample], adapter: Path, prompts: Prompts, name: str, root: Path
) -> list[ReflectionExample]:
    """Return as many rows about the same tasks, with what this round's adapter says of each; one draw per row.

    On real benchmarks what it says is read and mended as a teacher's labels are; elsewhere a text that the token limit
    cut is none. A row that gets nothing keeps what it had, and so, with a warning, does one whose request failed.

    Raises:
        TooManyFailures: more requests got no answer than agent.max_failed_share allows.
        EngineError: it concerns all requests.
    """
    from parammem.agents.asking import ask_each, check_answers
    from parammem.agents.repair import mend
    from parammem.agents.teacher import TAGS, Teaches
    from parammem.engines.base import Request
    from parammem.stages.common import Engines

    engine = Engines(params, root).open(params.reflector.base, adapter=adapter)
    requests = [
        Request(
            messages=prompts.advise(row.task_text),
            temperature=params.agent.reflector_temperature,
            max_tokens=params.engine.max_advice_tokens,
            seed=int(digest_of(["self-teaching", name, row.task_id])[:12], 16),
            first_draw=place,
            role="teacher",
        )
        for place, row in enumerate(rows)
    ]
    made = []
    failed: dict[str, Exception] = {}
    for place, (row, reply) in enumerate(zip(rows, ask_each(engine, requests), strict=True)):
        if isinstance(reply, Exception):
            log.warning("%s says nothing of task %r, whose row stays as it was: %s", name, row.task_id, reply)
            failed[f"{row.task_id}, row {place}"] = reply
            made.append(row)
            continue
        text = reply[0].text.strip()
        if isinstance(prompts, Teaches):
            mended = mend(text, TAGS[prompts.style], cut=reply[0].finish == "length")
            text = mended.text if mended else ""
        elif reply[0].finish == "length":
            text = ""
        made.append(_relabelled(row, text, engine.digest) if text else row)
    check_answers(failed, len(rows), params.agent.max_failed_share)
    return made


def _relabelled(row: ReflectionExample, text: str, author: str) -> ReflectionExample:
    """Return the row with a new reflection, and with the provenance of one."""
    said = {"reflection": text, "author": author, "label_source": "self", "part": "task", "trajectory_id": ""}
    return row.model_copy(update=said | {"outcome": "none", "cut": False})
