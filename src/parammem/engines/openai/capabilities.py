"""What one model of one server was found to take and to answer: refused fields, and the name that it answers under.

Each model of a server for itself: one model of OpenAI's refuses `temperature` or `max_tokens`, and the next one needs
it. What was found is kept in the account (engines/completion_store.py), so that the next run does not ask in vain
again; refused fields are tried again after a week, since servers change.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

from parammem.engines.openai.faults import STREAM, ServerFault
from parammem.engines.openai.http_client import printable
from parammem.errors import EngineError, RequestFailed

WEEK = 7 * 24 * 3600.0
LENGTH, NEW_LENGTH = "max_tokens", "max_completion_tokens"
FIXED = ("model", "messages", NEW_LENGTH)
"""Fields without which a request makes no sense, or would cost without bound."""
FOLLOWS = {
    "seed": "texts do not follow from the seed any more; the first one that came is kept in the cache",
    "n": "each draw is a request of its own",
    "temperature": "all texts are written at the temperature that the server chooses",
    "stop": "texts are cut at the stop strings here, and their tokens after those are paid",
    "system": "the system's words stand before the user's",
}
COLDEST = 0.01
"""The temperature of greedy requests where a server refuses 0."""
MONTH, DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
SNAPSHOT = re.compile(
    f"(?:[-@](?:20[0-9]{{2}}-{MONTH}-{DAY}|(?:20[0-9]{{2}})?{MONTH}{DAY}|2[3-9]{MONTH}|00[1-9])|:latest)?"
)
"""What a server may add to the asked name: nothing, or a date or version, as gpt-4o-mini answers as
gpt-4o-mini-2024-07-18, gemini-2.0-flash as gemini-2.0-flash-001 and mistral-large-latest as mistral-large-2411."""
MOVING = re.compile(r"[-:]latest$|:[a-z]+$")
"""Ends of names that a server resolves: `-latest`; OpenRouter's `:free`."""

log = logging.getLogger(__name__)


class FieldRefused(EngineError):
    """A server refuses a field without which this call is worth nothing. For callers inside the engines."""


@dataclass
class Capabilities:
    """See the module. Used in the servers' event loop alone."""

    where: str
    """The server, for messages."""
    model: str
    expected: str = ""
    """The name that params say the model answers under (engine.server.aliases)."""
    refused: set[str] = field(default_factory=set)
    length: str = LENGTH
    """The field that bounds the answer."""
    coldest: float = 0.0
    """Lowest temperature that is sent."""
    streams: bool = False
    """It answers in events alone."""
    answers_as: str = ""
    """The dated name that answers come under; "": the asked one, or none."""
    since: float = 0.0
    """When the first field was refused."""
    others: tuple[str, ...] = ()
    """Models that the server lists, where this is none of them."""
    answered: bool = False
    """A usable answer came."""
    tried: bool = False
    """An attempt was made and did not teach anything; others need not wait for what it finds."""
    lead: asyncio.Lock = field(default_factory=asyncio.Lock)

    def line(self) -> str:
        """Return what is worth keeping, as one JSON line."""
        kept = {name: getattr(self, name) for name in ("length", "coldest", "answers_as", "since", "streams")}
        return json.dumps(kept | {"refused": sorted(self.refused)}, sort_keys=True)

    def recall(self, line: str) -> None:
        """Take over what an earlier run found; a line that cannot be read is none."""
        try:
            kept = json.loads(line)
            self.answers_as = str(kept["answers_as"])
            if time.time() - float(kept["since"]) < WEEK:
                self.refused, self.since = set(map(str, kept["refused"])), float(kept["since"])
                self.length, self.coldest = str(kept["length"]), float(kept["coldest"])
                self.streams = bool(kept.get("streams"))
        except (ValueError, KeyError, TypeError, RecursionError):
            log.warning("what was kept of the server %s cannot be read and is found out again", self.where)

    def body(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return a request as this model takes it."""
        if self.streams:
            wanted = wanted | {STREAM: True, "stream_options": {"include_usage": True}}
        body = {key: value for key, value in wanted.items() if key not in self.refused}
        if LENGTH in body and self.length != LENGTH:
            body[self.length] = body.pop(LENGTH)
        if "temperature" in body:
            body["temperature"] = max(body["temperature"], self.coldest)
        if "system" in self.refused:
            body["messages"] = merged(body["messages"])
        return body

    def fields(self, body: dict[str, Any]) -> list[str]:
        """Return names of what may be refused of a body. `system` stands for the system's turn."""
        own = [key for key in body if key not in ("model", "messages", "input")]
        return own + (["system"] if any(m.get("role") == "system" for m in body.get("messages", [])) else [])

    def suspects(self, body: dict[str, Any]) -> list[str]:
        """Return names of what an error may speak of: what was sent, and what was left out already."""
        return [*self.fields(body), *sorted(self.refused)]

    def adapt(self, fault: ServerFault, sent: dict[str, Any], needs: frozenset[str] = frozenset()) -> None:
        """Leave out or rename what was refused.

        Raises:
            FieldRefused: the call is worth nothing without it.
            RequestFailed: only this value of it was refused.
            EngineError: it cannot be left out, or is refused though it was not sent.
        """
        name, said = fault.field, printable(fault.words[:300])
        where = f"the server {self.where} refuses {name!r} for the model {self.model!r} ({said})"
        if name == STREAM and STREAM not in sent:
            self.streams, self.since = True, self.since or time.time()
            log.warning(
                "the server %s answers for the model %r in events alone, and is asked so", self.where, self.model
            )
            return
        if name not in self.fields(sent) or name in FIXED:
            raise EngineError(f"{where}, and it cannot be left out; ask the server's documentation, or use another one")
        follows = FOLLOWS.get(name, "")
        if name == LENGTH:
            self.length, follows = NEW_LENGTH, f"{NEW_LENGTH} is sent in its place"
        elif name == "temperature" and (value := self._only_this_value(fault, sent)):
            self.coldest, follows = value, f"greedy texts are asked for at {value:g}"
        else:
            self.refused.add(name)
        self.since = self.since or time.time()
        log.warning("%s: it is left out from now on; %s", where, follows or "nothing else follows")
        if name in needs:
            raise FieldRefused(where)

    def _only_this_value(self, fault: ServerFault, sent: dict[str, Any]) -> float:
        """Return the lowest temperature, where 0 alone is refused; 0: all are. Raises RequestFailed: it is too hot."""
        value = sent["temperature"]
        if value <= COLDEST and re.search(r"positive|greater than 0|> ?0|larger than 0|at least", fault.words):
            return COLDEST if value < COLDEST else 0.0
        if value > 1 and re.search(r"less than|<=|at most|between|maximum|range|above", fault.words, re.IGNORECASE):
            raise RequestFailed(
                f"the server {self.where} refuses the temperature {value:g} for {self.model!r} "
                f"({printable(fault.words[:300])}); lower agent's or evaluate.temperatures in params.yaml"
            )
        return 0.0

    def check_name(self, named: Any, exact: bool = False) -> str:
        """Return what is wrong with the name in an answer, "" if nothing: it is the asked one, or one that it resolves
        to.

        A name is taken as it comes the first time, if it is the asked one with a date or without its folder, and must
        stay. A server that does not say is believed.

        Raises:
            EngineError: the server answers for this name with another model, and always did.
        """
        if not isinstance(named, str) or not named or named == self.model:
            return ""
        target = self.expected or self.model
        shown = f"the answer is from model {printable(named[:200])!r}, and {self.model!r} was asked"
        if exact or not resolves(target, named):
            if self.answered:
                return shown
            raise EngineError(
                f"{shown} of the server {self.where}; if that is the model you mean, write engine.server.aliases: "
                f"{{{json.dumps(self.model)}: {json.dumps(printable(named[:200]))}}}, else set engine.model to a name "
                "that the server has"
            )
        if plain(named) != plain(target) and not self.answers_as:
            self.answers_as = named
            log.warning("the server %s answers for %r as %r, and is held to it", self.where, self.model, named)
        if plain(named) not in (plain(target), plain(self.answers_as)):
            raise EngineError(
                f"{shown}, whose earlier answers are from {self.answers_as!r}: the server {self.where} has given the "
                "name to another model; set engine.model to the dated name, or engine.cache to a new folder"
            )
        return ""


def merged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages without a system's turn: its words stand before those of the first user's turn."""
    said = [m["content"] for m in messages if m["role"] == "system"]
    others = [dict(m) for m in messages if m["role"] != "system"]
    first = next((m for m in others if m["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": "\n\n".join(said)}, *others]
    first["content"] = "\n\n".join([*said, first["content"]])
    return others


def plain(name: str) -> str:
    """Return a name without what servers put before and after it: `models/`, letters' case, `.gguf`."""
    return name.strip(" /").lower().removeprefix("models/").removesuffix(".gguf")


def resolves(asked: str, named: str) -> bool:
    """Return whether a server may answer for `asked` under `named`: the same with a date, or with or without its
    folder."""
    if named != named.strip():
        return False
    one, other = plain(asked).split("/"), plain(named).split("/")
    shared = min(len(one), len(other))
    if shared > 1 and one[-shared:-1] != other[-shared:-1]:
        return False
    stem = MOVING.sub("", one[-1])
    return other[-1].startswith(stem) and bool(stem) and bool(SNAPSHOT.fullmatch(other[-1][len(stem) :]))


def listed(model: str, names: list[str]) -> bool:
    """Return whether a list of models has this one, under a spelling that servers take for it."""
    return any(resolves(model, name) or resolves(name, model) for name in names)
