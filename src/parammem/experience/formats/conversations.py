"""One conversation out of the model calls of a trace: each call was sent what had been said, and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parammem.core import Step
from parammem.experience.formats.base import loaded
from parammem.experience.formats.turns import ChatTurn, turn_of, turns_of


def joined(calls: Sequence[tuple[list[ChatTurn], list[ChatTurn]]]) -> list[ChatTurn]:
    """Return the conversation that these calls (what was sent, what came back) make, in their order.

    A call that was sent all that came before tells it anew; one that was sent only what is new is appended. Calls that
    begin with another question than the first are those of agents that the first one asked, and are left out: their
    answers come back as results of its own calls.
    """
    whole: list[ChatTurn] = []
    first: str | None = None
    for sent, came in calls:
        begun = next((turn.text for turn in sent if turn.role == "user" and turn.text), None)
        heard = [turn for turn in sent if turn.role != "system"]
        known = [turn for turn in whole if turn.role != "system"]
        if first is None and begun is not None:
            first, whole = begun, [*sent, *came]
        elif begun == first and len(heard) >= len(known):
            whole = [*sent, *came]
        elif begun is None or (begun not in {turn.text for turn in known} and _answers_calls(heard, known)):
            whole = [*whole, *(turn for turn in heard if turn not in known), *came]
        elif begun == first:
            whole = [*whole, *came]
    return whole


def _answers_calls(heard: Sequence[ChatTurn], known: Sequence[ChatTurn]) -> bool:
    """Whether what was sent holds results of calls that are known."""
    made = {call.id for turn in known for call in turn.calls if call.id}
    return any(step.result_of in made for turn in heard for step in turn.results)


def with_results(turns: list[ChatTurn], results: Sequence[Step]) -> list[ChatTurn]:
    """Return the conversation with results of its calls that only the tools' own spans tell, each behind its call."""
    told = {step.result_of for turn in turns for step in turn.results}
    missing = {step.result_of: step for step in results if step.result_of and step.result_of not in told}
    found: list[ChatTurn] = []
    for turn in turns:
        found.append(turn)
        mine = tuple(missing[call.id] for call in turn.calls if call.id in missing)
        found += [ChatTurn("tool", results=mine)] if mine else []
    return found


def messages_in(value: Any, role: str) -> list[ChatTurn]:
    """Return the turns in what a model was sent or answered, in any of the usual wrappings. Raises Unreadable.

    Args:
        role: of a bare text.
    """
    value = unwrapped(value)
    if isinstance(value, list):
        flat = [inner for one in value for inner in (one if isinstance(one, list) else [one])]
        return turns_of([_message(one, role) for one in flat])
    return [turn_of(_message(value, role))] if value not in (None, "", {}) else []


def unwrapped(value: Any) -> Any:
    """Return the messages inside `messages`, `generations`, `choices`, `message`, `input` or `output`."""
    value = loaded(value)
    for _ in range(6):
        if not isinstance(value, dict) or "role" in value:
            return value
        name = next(
            (one for one in ("messages", "generations", "choices", "message", "output", "input") if one in value), None
        )
        if name is None:
            return value
        value = loaded(value[name])
    return value


def _message(one: Any, role: str) -> dict[str, Any]:
    """A message of LangChain's serialisation, of a choice or of a generation, or a text, as a plain one."""
    one = unwrapped(one)
    if isinstance(one, str):
        return {"role": role, "content": one}
    if isinstance(one, list) and len(one) == 2 and isinstance(one[0], str):  # LangChain's ("human", "…")
        return {"role": one[0], "content": one[1]}
    if not isinstance(one, Mapping):
        return {"role": role, "content": result_of(one)}
    if isinstance(one.get("kwargs"), dict):
        kind = str((one.get("id") or [""])[-1]).removesuffix("Chunk").removesuffix("Message").lower()
        return {"type": kind, **one["kwargs"]}
    if isinstance(one.get("data"), dict) and "type" in one:
        return {"type": one["type"], **one["data"]}
    if "role" not in one and "type" not in one:
        text = next((one[name] for name in ("content", "text", "question", "query", "answer") if name in one), None)
        return {"role": role, "content": text if text is not None else result_of(dict(one)),
                **{name: one[name] for name in ("tool_calls",) if name in one}}  # fmt: skip
    return dict(one)


def result_of(value: Any) -> str:
    """Return any value as text."""
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
