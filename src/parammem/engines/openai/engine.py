"""The engine over a server's chat completions. The server holds the model; we hold its name, and what it promised.

Draw d of a request is asked with a seed of its own, `seed_of(request, d)`, and these seeds count up with d. Servers
that give draw i of one request the seed plus i (vLLM) can so write n draws in one request, and asking for 2 and then 3
more still gives what asking for 5 gives. Whether a server does that is tried out once, before the first request for
several draws: the others are asked draw by draw, except those that ignore seeds, where there is nothing to keep.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from parammem.core.record import digest_of
from parammem.engines.base import Completion, Request, chat
from parammem.engines.futures import concerns_one, gathered
from parammem.engines.openai.account import most_of
from parammem.engines.openai.capabilities import FieldRefused, listed
from parammem.engines.openai.http_client import BASE_LIMIT, BYTES_PER_TOKEN, LIST_LIMIT, NotJson, json_of
from parammem.engines.openai.replies import read_completions
from parammem.engines.openai.server import Server, ServerCall, Unusable
from parammem.engines.sampling import GREEDY, messages_digest
from parammem.engines.vetting import vet_model

PROTOCOL = "chat-1"
"""Part of the digest. Raise it when the same request gets another text, so that no cache serves the old one."""
SEEDS = 2**31 - 2**24
"""Seeds stay below 2**31, which every server can read, however far the draws count up."""
NAMED = 20
"""Of the models that a server lists, so many are named in messages."""
PROBE = Request(messages=chat("Write whichever words come to mind."), temperature=1.0, max_tokens=16, role="probe")

log = logging.getLogger(__name__)


class OpenAIEngine:
    """Writes text with a model, or an adapter, that a server has under this name. `digest` says what it is."""

    concurrent = True

    def __init__(self, server: Server, model: str, digest: str, base: str = "") -> None:
        """base: the model by whose price it is paid, if not its own."""
        self.server = server
        self._price = server.account.terms.price(base or model)
        self.model = model
        self.digest = digest
        self._adapter = bool(base)
        """Answers must come under the very name: it has the digest of the weights."""
        self._together: asyncio.Task[bool] | None = None

    def submit(self, request: Request) -> Future[list[Completion]]:
        """Begin a request; see ConcurrentEngine."""
        return self.server.start(self._answer(request))

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Return for each request its completions, in order; all requests wait side by side.

        Raises:
            RequestFailed: a request got no usable answer; the others were answered all the same.
            EngineError: it concerns all requests.
        """
        return gathered([self.submit(request) for request in requests])

    async def _answer(self, request: Request) -> list[Completion]:
        draws = range(request.first_draw, request.first_draw + request.n)
        if request.temperature <= GREEDY:
            return (await self._ask(request, request.first_draw, 1)) * request.n  # every draw is the same
        if request.n == 1 or not await self._writes_together():
            return await self._one_by_one(request, draws)
        try:
            found = await self._ask(request, request.first_draw, request.n)
        except FieldRefused:  # more draws together than the server allows
            found = []
        return found + await self._one_by_one(request, draws[len(found) :])

    async def _one_by_one(self, request: Request, draws: Sequence[int]) -> list[Completion]:
        asked = await asyncio.gather(*(self._ask(request, draw, 1) for draw in draws), return_exceptions=True)
        errors = [answer for answer in asked if isinstance(answer, BaseException)]
        if errors:
            raise min(errors, key=concerns_one)
        return [answer[0] for answer in asked if not isinstance(answer, BaseException)]

    async def _ask(self, request: Request, draw: int, n: int) -> list[Completion]:
        """Send one HTTP request for up to n draws, return its completions."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "seed": seed_of(request, draw),
        }
        if n > 1:
            body["n"] = n
        if request.stop:
            body["stop"] = list(request.stop)
        most, limit = most_of(request, n, self._price), BASE_LIMIT + BYTES_PER_TOKEN * request.max_tokens * n
        needs = frozenset({"n"}) if n > 1 else frozenset[str]()
        call = ServerCall("/chat/completions", body, request.role, self.model, most, self._price, limit, needs)
        return await self.server.post(call, lambda payload: self._read(payload, request, n))

    def _read(self, payload: Any, request: Request, n: int) -> list[Completion]:
        """Return the completions of an answer. Raises Unusable, RequestFailed, and EngineError where it is always
        another model that answers."""
        completions = read_completions(payload, request, n)
        if wrong := self.server.capabilities(self.model).check_name(payload.get("model"), exact=self._adapter):
            raise Unusable(wrong, "another model")
        return completions

    async def _writes_together(self) -> bool:
        """Return whether n draws go into one request; found out once. A try that failed is made again by the next
        request."""
        if self._together is None or (self._together.done() and self._together.exception()):
            self._together = asyncio.get_running_loop().create_task(self._try_together())
        return await asyncio.shield(self._together)

    async def _try_together(self) -> bool:
        try:
            both = await self._ask(PROBE, 0, 2)
        except FieldRefused:
            return False
        if len(both) < 2 or both[0].text == both[1].text:  # it ignores n, or writes copies
            return False
        second = (await self._ask(PROBE, 1, 1))[0].text
        if second == both[1].text != both[0].text:
            return True
        again = (await self._ask(PROBE, 1, 1))[0].text
        return again != second  # it ignores seeds


def open_model(server: Server, name: str, folder: Path | None = None, revision: str = "") -> OpenAIEngine:
    """Return the engine for a model that the server has under `name`.

    Args:
        folder: where the same model is on this machine; its weights are then part of the digest.
        revision: the commit that the server is said to have it at, part of the digest where there is no folder. A model
            that is known by its name alone is trusted to stay what it is.

    Raises:
        EngineError: the server does not answer. A model that it does not list is asked all the same, since many lists
            are not whole; its first request then says ModelMissingError if there is none.
    """
    names = [card["id"] for card in server.start(models(server)).result()]
    if names and not listed(name, names):
        log.warning(
            "the server %s does not list the model %r, but %s; it is asked all the same",
            server.base_url, name, ", ".join(map(repr, names[:NAMED])),
        )  # fmt: skip
        server.capabilities(name).others = tuple(names[:NAMED])
    vetted = vet_model(folder, served=True) if folder else None
    named = [vetted.digest, *vetted.named] if vetted else [revision]
    return OpenAIEngine(server, name, digest_of(["openai", PROTOCOL, name, *named]))


async def models(server: Server) -> list[dict[str, Any]]:
    """Return the cards of /v1/models, each with its name as `id`; none where the server has no list that can be read.

    Raises:
        EngineError: the server does not answer, or the key is wrong.
    """
    try:
        answer = await server.get("/models", LIST_LIMIT)
        payload = json_of(answer) if answer.status < 300 else None
    except NotJson:
        return []
    return [{**card, "id": name} for card in _cards(payload) if (name := _name_of(card))]


def _cards(payload: Any) -> list[dict[str, Any]]:
    """Return the entries of a list of models of any shape: {data: […]}, {models: […]}, a plain list, names alone."""
    found = payload
    if isinstance(payload, dict):
        found = next((payload[key] for key in ("data", "models", "result") if isinstance(payload.get(key), list)), [])
    cards = found if isinstance(found, list) else []
    return [{"id": card} if isinstance(card, str) else card for card in cards if isinstance(card, str | dict)]


def _name_of(card: dict[str, Any]) -> str:
    return next((card[key] for key in ("id", "name", "model") if isinstance(card.get(key), str)), "")


def seed_of(request: Request, draw: int) -> int:
    """Return the seed of a draw: follows from seed, messages and draw number, and counts up with the draw."""
    first = int(digest_of(["server", request.seed, messages_digest(request)])[:15], 16) % SEEDS
    return first + draw % 2**24
