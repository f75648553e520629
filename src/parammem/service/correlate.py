"""Which run is a call of? By a header, by ids of the conversation, by the trace, or by the messages themselves.

In this order, the first that says something counts:
1. the header `x-parammem-run`;
2. an id in `metadata` (IDS), `conversation`, or `previous_response_id`;
3. the trace id of the header `traceparent`, if calls of that trace were seen;
4. the messages. A history that goes on from an answer that a run was given is that run's. Else calls that begin with
   the same messages are one run while it is active; but a call that has nothing but these first messages, when the run
   was answered or is being answered, is a new try of the same task, and so a new run with a draw of its own.

What is remembered is bounded, in memory. After a restart the run book finds runs by their keys.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from asyncio import Task
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from parammem.core import GivenAdvice
from parammem.core.record import digest_of
from parammem.service.insert import asked_in, messages_in, stored_text, text_in
from parammem.service.strata import STRATUM, stratum_of
from parammem.service.transcript import is_assistant

if TYPE_CHECKING:
    from parammem.service.run_records import OpenRun

RUN, DOMAIN = "x-parammem-run", "x-parammem-domain"
IDS = ("parammem_run", "run_id", "conversation_id", "thread_id", "session_id", "trace_id")
"""Names in `metadata` that say which run a call is of, the surest first."""
RUN_ID = re.compile(r"[A-Za-z0-9][\w.:@/+-]{0,127}")
TRACE = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
MOST_RUNS = 20_000
"""Runs that are remembered; beyond them the one that was quiet for longest is forgotten."""
MOST_KEYS = 200
"""Keys of one run; of a longer run its oldest answers are forgotten first."""


class AgentCall(NamedTuple):
    """What a call says of the run that it belongs to."""

    domain: str
    """As the call names it; empty: it names none."""
    stratum: str
    """Group of tasks that its run is of, should it begin with this call."""
    body: Mapping[str, Any]
    messages: list[dict[str, Any]]
    task: str
    """Text of the first user message."""
    run_id: str
    """Of the header; empty: there is none."""
    keys: tuple[str, ...]
    """Of the conversation's own ids, the surest first."""
    trace: str
    """Key of the trace; empty: there is none."""
    first: str
    """Key of the first messages."""
    is_beginning: bool
    """Whether the model has said nothing in it yet."""
    is_held_upstream: bool
    """Whether upstream keeps the messages that were sent before."""
    chain: list[str]
    """For each message the digest of it and of all before it."""


@dataclass
class OngoingRun:
    """What is remembered of a run while its calls come."""

    key: str
    """By which it began, and is found in the run book."""
    first: str
    task: str
    """Digest of the task's text."""
    run: OpenRun | None = None
    """None: the run book has not answered yet, or could not."""
    given: GivenAdvice | None = None
    is_ours: bool = True
    """Whether the proxy gives it its advice; a run that was begun by POST /v1/runs or MCP has got it already."""
    begun: Task[None] | None = None
    """Ends when its advice is there, or it is known that there will be none."""
    is_settled: bool = False
    """Whether its first call went on: what it then had as advice, or had not, stays."""
    answered: int = 0
    in_flight: int = 0
    last: float = 0.0
    keys: OrderedDict[str, None] = field(default_factory=OrderedDict)
    recorded: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Histories whose new messages were recorded: a call that is sent again says nothing new."""


def read_call(body: Any, headers: Mapping[str, str], is_ours: Callable[[GivenAdvice], bool]) -> AgentCall:
    """Return what a call's body and headers say.

    Args:
        headers: names in lower case.
        is_ours: whether a block of advice was given by this service; such a block is no part of the task.

    Raises:
        ValueError: it asks for nothing that can be advised on: no object, or no user message with text.
    """
    if not isinstance(body, dict):
        raise ValueError("the body is no JSON object")
    messages = messages_in(body)
    task = stored_text(asked_in(messages), is_ours)
    if not task:
        raise ValueError("no user message with text")
    told_of = body.get("metadata")
    meta: dict[str, Any] = told_of if isinstance(told_of, dict) else {}
    domain = headers.get(DOMAIN) or _named(meta, "parammem_domain") or _named(meta, "domain")
    told = [text_in(one.get("content")) for one in messages if one.get("role") in ("system", "developer")][:1]
    run_id = headers.get(RUN, "")
    trace = TRACE.fullmatch(headers.get("traceparent", "").strip().lower())
    return AgentCall(
        domain=domain,
        stratum=stratum_of(headers.get(STRATUM, ""), meta, body.get("model")),
        body=body,
        messages=messages,
        task=task,
        run_id=run_id if RUN_ID.fullmatch(run_id) else "",
        keys=_keys(body, meta),
        trace=f"trace:{trace[1]}" if trace else "",
        first=f"first:{digest_of([domain, told, task])}",
        is_beginning=not any(map(is_assistant, messages)),
        is_held_upstream=bool(body.get("previous_response_id") or body.get("conversation")),
        chain=_chained(messages),
    )


def _keys(body: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[str, ...]:
    found = [f"metadata:{name}:{value}" for name in IDS if (value := _named(meta, name))]
    talk = body.get("conversation")
    talk = talk.get("id") if isinstance(talk, dict) else talk
    if isinstance(talk, str) and talk:
        found.append(f"conversation:{talk[:200]}")
    if previous := _named(body, "previous_response_id"):
        found.append(f"response:{previous}")
    return tuple(found)


def _named(where: Mapping[str, Any], name: str) -> str:
    value = where.get(name)
    return value[:200] if isinstance(value, str) else ""


class Correlator:
    """Remembers runs by their keys. For one event loop."""

    def __init__(self, match_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """match_seconds: how long a run that only its messages tell apart is remembered after its last call."""
        self._match, self._clock = match_seconds, clock
        self._by_key: dict[str, OngoingRun] = {}
        self._runs: OrderedDict[int, OngoingRun] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def find(self, call: AgentCall) -> OngoingRun | None:
        """Return the run that a call belongs to, of those that are remembered."""
        if call.run_id:
            return self._by_key.get(f"header:{call.run_id}")
        found = next((self._by_key[key] for key in call.keys if key in self._by_key), None)
        if found or call.keys:
            return found
        return self._by_key.get(call.trace) or self._of_history(call) or (None if call.trace else self._of_first(call))

    def begin(self, call: AgentCall) -> OngoingRun:
        """Return a new run for a call."""
        first_of = (f"header:{call.run_id}" if call.run_id else "", *call.keys, call.trace, call.first)
        run = OngoingRun(key=next(filter(None, first_of)), first=call.first, task=digest_of(call.task))
        self._runs[id(run)] = run
        self.name(run, run.key, call.first)
        while len(self._runs) > MOST_RUNS:
            self._forget(next(iter(self._runs.values())))
        return run

    def touch(self, run: OngoingRun, call: AgentCall) -> None:
        """Note that a call belongs to a run: the other ids that it has are known from now on, too."""
        run.last = self._clock()
        if id(run) in self._runs:
            self._runs.move_to_end(id(run))
            self.name(run, *call.keys, *filter(None, [call.trace]))

    def name(self, run: OngoingRun, *keys: str) -> None:
        """Let a run be found by these keys."""
        for key in keys:
            self._by_key[key] = run
            run.keys[key] = None
            run.keys.move_to_end(key)
        if len(run.keys) > MOST_KEYS:
            kept = {run.key, run.first}
            of_answers = [key for key in run.keys if key.startswith(("history:", "response:")) and key not in kept]
            others = [key for key in run.keys if key not in kept.union(of_answers)]
            for key in [*of_answers, *others][: len(run.keys) - MOST_KEYS]:
                self._drop(run, key)

    def answered(self, run: OngoingRun, call: AgentCall, answer: Sequence[Mapping[str, Any]], response_id: str) -> None:
        """Note an answer: a call that goes on from it is known by its history or by the answer's id."""
        run.answered += 1
        run.last = self._clock()
        chains = [[one] for one in answer] if "messages" in call.body else [list(answer)]  # choices are alternatives
        keys = [f"history:{_chained(chain, call.chain[-1])[-1]}" for chain in chains if chain]
        if response_id:
            keys.append(f"response:{response_id}")
        if id(run) in self._runs:
            self.name(run, *keys)

    def _of_history(self, call: AgentCall) -> OngoingRun | None:
        for place in reversed(range(len(call.chain))):
            if is_assistant(call.messages[place]):
                found = self._by_key.get(f"history:{call.chain[place]}")
                if found and self._is_active(found):
                    return found
        return None

    def _of_first(self, call: AgentCall) -> OngoingRun | None:
        found = self._by_key.get(call.first)
        if found is None or not self._is_active(found):
            return None
        is_new_try = call.is_beginning and (found.answered > 0 or found.in_flight > 0)
        return None if is_new_try else found

    def _is_active(self, run: OngoingRun) -> bool:
        return run.in_flight > 0 or self._clock() - run.last <= self._match

    def _forget(self, run: OngoingRun) -> None:
        self._runs.pop(id(run), None)
        for key in list(run.keys):
            self._drop(run, key)

    def _drop(self, run: OngoingRun, key: str) -> None:
        run.keys.pop(key, None)
        if self._by_key.get(key) is run:
            del self._by_key[key]


def _chained(messages: Sequence[Mapping[str, Any]], start: str = "") -> list[str]:
    """Return for each message the digest of it and of all before it. What clients change on their way (blanks around a
    text, fields without content) does not count."""
    chain, at = [], start
    for one in messages:
        at = hashlib.sha256(f"{at}\n{_essence(one)}".encode("utf-8", "replace")).hexdigest()
        chain.append(at)
    return chain


def _essence(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls")
    named = [_call_name(one) for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []
    other = [message.get(name) for name in ("call_id", "tool_call_id", "name", "output") if message.get(name)]
    role = "assistant" if is_assistant(message) else message.get("role", message.get("type"))
    return json.dumps([role, text_in(message.get("content")).strip(), named, other], default=str)


def _call_name(call: Mapping[str, Any]) -> Any:
    return call.get("id") or call.get("function")
