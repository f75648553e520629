"""Text in, text out: what every engine promises, and the records that pass through it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Literal, Protocol, TypeGuard

from parammem.core.record import Record


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


class Request(Record):
    """A prompt and how to sample from it. The answer to a request depends on nothing but this record and the model."""

    messages: tuple[Message, ...]
    temperature: float
    """0 is greedy."""
    max_tokens: int
    stop: tuple[str, ...] = ()
    """The text ends before the first of these."""
    seed: int = 0
    n: int = 1
    """How many draws."""
    first_draw: int = 0
    """Number of the first draw: draws are `first_draw … first_draw + n - 1`, each with randomness of its own
    that follows from (seed, draw number) alone, so that asking for 2 and then 3 more gives what asking for 5 gives."""
    role: str = "actor"
    """Whose usage it is: actor, self-reflection, reflector, teacher. It changes no text and is in no cache key."""


class Completion(Record):
    """One draw."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    cached: bool = False
    """True if it came from the completion cache and cost nothing now."""


class Engine(Protocol):
    """Writes text. `digest` names the model (and adapter) exactly; `complete` keeps the order of its requests."""

    @property
    def digest(self) -> str: ...

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its `n` completions, in order. Raises EngineError."""
        ...


class ConcurrentEngine(Engine, Protocol):
    """An engine at which many requests wait side by side, each for itself: a server."""

    @property
    def concurrent(self) -> bool: ...

    def submit(self, request: Request) -> Future[list[Completion]]:
        """Begin a request. The future ends with its completions, or with RequestFailed (this request alone), or with
        another EngineError (it concerns all requests)."""
        ...


def is_concurrent(engine: Engine) -> TypeGuard[ConcurrentEngine]:
    """Return whether an engine takes requests one by one as they come; all others write batches."""
    return getattr(engine, "concurrent", False)


def chat(user: str, system: str | None = None) -> tuple[Message, ...]:
    """Return the usual two-turn prompt."""
    head = (Message(role="system", content=system),) if system else ()
    return (*head, Message(role="user", content=user))
