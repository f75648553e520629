"""One behaviour of one server, as a stub: what it answers, what the engine does and how many requests it pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.engines.stub import Asked, Reply, chat_answer


@dataclass(frozen=True)
class Specimen:
    """One behaviour of one server."""

    server: str
    answers: str
    """What it answers, in words."""
    does: str
    """What the engine does."""
    reply: Callable[[Asked], Reply]
    outcome: str
    """The text of every draw; or the name of the error."""
    sent: int
    """Requests for text that reach the server for the first question."""
    paid: int
    """Answers that are booked for it."""
    then: int = 1
    """Requests for the second question."""
    model: str = "m"
    models: Reply = (404, {"error": "no such path"})
    ask: dict[str, Any] = field(default_factory=dict)
    says: str = ""
    """What an error's message contains."""
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.server}: {self.answers}"


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


def always(text: Any = "Anna", **changes: Any) -> Callable[[Asked], Reply]:
    """The same answer to everything."""
    return lambda asked: (200, chat_answer(text, **changes))


def fails(status: int, body: Any) -> Callable[[Asked], Reply]:
    return lambda asked: (status, body)


def unless(good: Callable[[dict[str, Any]], bool], status: int, body: Any) -> Callable[[Asked], Reply]:
    """Refuses what is not good."""
    return lambda asked: (200, chat_answer(n=asked.body.get("n", 1))) if good(asked.body) else (status, body)


def first(status: int, body: Any, headers: dict[str, str] | None = None) -> Callable[[Asked], Reply]:
    """Fails the first time."""
    return lambda asked: (200, chat_answer()) if asked.number else (status, body, headers or {})


def seeded(asked: Asked) -> Reply:
    """Draw i of a request has the seed plus i."""
    answer = chat_answer(n=asked.body.get("n", 1))
    for place, choice in enumerate(answer["choices"]):
        choice["message"] = {"role": "assistant", "content": f"Anna {asked.body['seed'] + place}"}
    return 200, answer


def copies(asked: Asked) -> Reply:
    """n times the same text, of the first seed alone."""
    return 200, chat_answer(f"Anna {asked.body['seed']}", n=asked.body.get("n", 1))


GREEDY = {"temperature": 0.0}
ENDS = "ends the run"
FAILS = "this request fails"
