"""One conversation out of the model calls of a trace: each call was sent what had been said, and answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from parammem.core import Step, digest_of
from parammem.experience.formats.base import DEEPEST, Unreadable, loaded
from parammem.experience.formats.turns import CALLS, RESULTS, ROLES, ChatTurn, turn_of, turns_of

WRAPPINGS = (
    "messages", "contents", "generations", "choices", "candidates", "message", "content", "output", "input", "prompt",
)  # fmt: skip
"""Fields in which what a model was sent or answered stands; `content` only around a message (Gemini's)."""
PRINTED = ("role='", 'role="')
"""How a message begins that Python's `repr` wrote."""


class ModelCall(NamedTuple):
    """A model call: the name of its span, what it was sent and what it answered."""

    name: str
    sent: list[ChatTurn]
    came: list[ChatTurn]


def joined(calls: Sequence[tuple[list[ChatTurn], list[ChatTurn]]]) -> list[ChatTurn]:
    """Return the conversation that these calls (what was sent, what came back) make, in their order.

    What a call was sent replaces what is known if it holds all of it, and is appended if it holds only what is new.
    Calls that begin with another question than the first are those of agents that the first one asked, and are left
    out: their answers come back as results of its own calls.
    """
    known = _Conversation([])
    first: str | None = None
    for sent, came in calls:
        begun = _asked(sent)
        heard = [turn for turn in sent if turn.role != "system"]
        if first is None and begun is not None:
            first, known = begun, _Conversation([*sent, *came])
        elif begun == first and len(heard) >= known.size:
            known = _Conversation([*sent, *came])
        elif begun is None or (begun not in known.texts and known.is_answered_by(heard)):
            known.add([*(turn for turn in heard if turn_key(turn) not in known.keys), *came])
        elif begun == first and came != known.turns[len(known.turns) - len(came) :]:  # some tracers tell one call twice
            known.add(came)
    return known.turns


class _Conversation:
    """What is known of a conversation, with what is looked up in it: a trace can hold a hundred thousand calls."""

    def __init__(self, turns: Sequence[ChatTurn]) -> None:
        self.turns: list[ChatTurn] = []
        self.size = 0
        """Turns that are not the system's; `texts` and `keys` are of these."""
        self.texts: set[str] = set()
        self.keys: set[str] = set()
        self._made: set[str] = set()
        self.add(turns)

    def add(self, turns: Sequence[ChatTurn]) -> None:
        """Append turns."""
        self.turns += turns
        heard = [turn for turn in turns if turn.role != "system"]
        self.size += len(heard)
        self.texts |= {turn.text for turn in heard}
        self.keys |= set(map(turn_key, heard))
        self._made |= {call.id for turn in heard for call in turn.calls if call.id}

    def is_answered_by(self, heard: Sequence[ChatTurn]) -> bool:
        """Return whether what was sent holds results of calls that are known."""
        return any(step.result_of in self._made for turn in heard for step in turn.results)


def turn_key(turn: ChatTurn) -> str:
    """Return a digest that equal turns share."""
    said = [[one.model_dump() for one in listed] for listed in (turn.calls, turn.results)]
    return digest_of(json.dumps([turn.role, turn.text, *said], sort_keys=True))


def innermost(calls: Sequence[ModelCall], parents: Mapping[str, str]) -> list[tuple[list[ChatTurn], list[ChatTurn]]]:
    """Return the calls without those that only wrap others: an agent's or an SDK's span around its model calls.

    A call wraps another that stands below it, was asked the same and is answered.
    """
    asked = {one.name: _asked(one.sent) for one in calls}
    wraps: set[str] = set()
    for one in calls:
        above = parents.get(one.name, "")
        for _ in range(DEEPEST if one.came else 0):
            if above in asked and asked[above] == asked[one.name]:
                wraps.add(above)
            above = parents.get(above, "")
    return [(one.sent, one.came) for one in calls if one.name not in wraps]


def _asked(sent: Sequence[ChatTurn]) -> str | None:
    """Return what the first user of a conversation said."""
    return next((turn.text for turn in sent if turn.role == "user" and turn.text), None)


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
        return _answering(turns_of(_with_tools([_message(one, role) for one in flat if not _is_definition(one)])))
    return [turn_of(_message(value, role))] if value not in (None, "", {}) else []


def _answering(turns: list[ChatTurn]) -> list[ChatTurn]:
    """Return the turns, with a result that names no call given to the one call of the turn before it."""
    found: list[ChatTurn] = []
    for turn in turns:
        calls = found[-1].calls if found else ()
        if len(calls) == 1 and len(turn.results) == 1 and not turn.results[0].result_of:
            turn = turn._replace(results=(turn.results[0].model_copy(update={"result_of": calls[0].id}),))
        found.append(turn)
    return found


def _is_definition(one: Any) -> bool:
    """Return whether a message is the definition of a tool: LangChain's tracer puts them behind the others."""
    content = one.get("content") if isinstance(one, dict) else None
    return isinstance(content, dict) and content.get("type") == "function" and "function" in content


def _with_tools(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages, with the role of a tool's result where a tracer wrote the tool's name instead of it."""
    calls: dict[str, str] = {}
    found = []
    for message in messages:
        role = message.get("role")
        if isinstance(role, str) and role not in ROLES and role in calls:
            message = {"tool_call_id": calls[role], **message, "role": "tool"}
        made = turn_of(message).calls if message.get("tool_calls") else ()
        calls |= {call.name: call.id for call in made}
        found.append(message)
    return found


def unwrapped(value: Any) -> Any:
    """Return the messages inside `messages`, `contents`, `choices` or any other of their usual wrappings."""
    value = loaded(value)
    for _ in range(6):
        if (
            not isinstance(value, dict)
            or {"role", "toolName"} & value.keys()
            or value.get("type") in (*CALLS, *RESULTS)
        ):
            return value
        name = next(
            (one for one in WRAPPINGS if one in value and (one != "content" or isinstance(value[one], dict))), None
        )
        if name is None:
            return value
        value = loaded(value[name])
    return value


def _message(one: Any, role: str) -> dict[str, Any]:
    """Return a message of LangChain's serialisation, of a choice or of a generation, or a text, as a plain one."""
    one = unwrapped(one)
    if isinstance(one, str):
        if one.startswith(PRINTED):
            raise Unreadable("not-a-record", "messages are printed Python objects; log them as JSON")
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
    if "role" not in one and isinstance(one.get("toolName"), str):  # a call that stands for its message
        return {"role": "assistant", "content": "", "tool_calls": [dict(one)]}
    if "role" not in one and "type" not in one:
        text = next((one[name] for name in ("content", "text", "question", "query", "answer") if name in one), None)
        return {"role": role, "content": text if text is not None else result_of(dict(one)),
                **{name: one[name] for name in ("tool_calls",) if name in one}}  # fmt: skip
    calls = _calls_as_text(one)
    return {"role": "assistant", "content": "", "tool_calls": calls} if calls else dict(one)


def _calls_as_text(message: Mapping[str, Any]) -> list[Any]:
    """Return tool calls that are there as JSON in the text of a message, as Koog writes them; none elsewhere."""
    text = message.get("content")
    if not isinstance(text, str) or not text.startswith("[{") or message.get("role") not in ("assistant", "tool"):
        return []
    found = loaded(text)
    listed = isinstance(found, list) and all(
        isinstance(one, dict) and one.get("type") == "function" and isinstance(one.get("function"), dict)
        for one in found
    )
    return found if listed else []


def result_of(value: Any) -> str:
    """Return any value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
