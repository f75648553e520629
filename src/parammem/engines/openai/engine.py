"""The engine over a server's chat completions. The server holds the model; we hold its name, and what it promised.

Draw d of a request is asked with a seed of its own, `seed_of(request, d)`, and these seeds count up with d. Servers
that give draw i of one request the seed plus i (vLLM) can so write n draws in one request, and asking for 2 and then 3
more still gives what asking for 5 gives. Whether a server does that is tried out once, before the first request for
several draws: the others are asked draw by draw, except those that ignore seeds, where there is nothing to keep.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path
from typing import Any

from parammem.core.record import digest_of
from parammem.engines.base import Completion, Request, chat
from parammem.engines.concurrent import concerns_one, gathered
from parammem.engines.openai.account import counted, most_of
from parammem.engines.openai.server import Call, Server, Unusable
from parammem.engines.sampling import GREEDY, messages_digest
from parammem.engines.vetting import vet_model
from parammem.errors import ModelMissingError, RequestFailed

PROTOCOL = "chat-1"
"""Part of the digest. Raise it when the same request gets another text, so that no cache serves the old one."""
SEEDS = 2**31 - 2**24
"""Seeds stay below 2**31, which every server can read, however far the draws count up."""
MONTH, DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
SNAPSHOT = re.compile(f"-(?:20[0-9]{{2}}-{MONTH}-{DAY}|(?:20[0-9]{{2}})?{MONTH}{DAY})|")
"""What a server may add to the asked name: nothing, or a date, as gpt-4o-mini answers as gpt-4o-mini-2024-07-18."""
PROBE = Request(messages=chat("Write whichever words come to mind."), temperature=1.0, max_tokens=16, role="probe")


class OpenAIEngine:
    """Writes text with a model, or an adapter, that a server has under this name. `digest` says what it is."""

    def __init__(self, server: Server, model: str, digest: str, base: str = "") -> None:
        """base: the model by whose price it is paid, if not its own."""
        self.server = server
        self._price = server.account.terms.price(base or model)
        self.model = model
        self.digest = digest
        self._together: asyncio.Task[bool] | None = None

    def submit(self, request: Request) -> Future[list[Completion]]:
        """Begin a request; see ConcurrentEngine."""
        return self.server.start(self._answer(request))

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """For each request its completions, in order; all requests wait side by side.

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
        found = await self._ask(request, request.first_draw, request.n)
        return found + await self._one_by_one(request, draws[len(found) :])

    async def _one_by_one(self, request: Request, draws: Sequence[int]) -> list[Completion]:
        asked = await asyncio.gather(*(self._ask(request, draw, 1) for draw in draws), return_exceptions=True)
        errors = [answer for answer in asked if isinstance(answer, BaseException)]
        if errors:
            raise min(errors, key=concerns_one)
        return [answer[0] for answer in asked if not isinstance(answer, BaseException)]

    async def _ask(self, request: Request, draw: int, n: int) -> list[Completion]:
        """One HTTP request for up to n draws."""
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
        most = most_of(request, n, self._price)
        call = Call("/chat/completions", body, request.role, self.model, most, self._price)
        return await self.server.post(call, lambda payload: read_completions(payload, request, self.model)[:n])

    async def _writes_together(self) -> bool:
        """Whether n draws go into one request; found out once. A try that failed is made again by the next request."""
        if self._together is None or (self._together.done() and self._together.exception()):
            self._together = asyncio.get_running_loop().create_task(self._try_together())
        return await asyncio.shield(self._together)

    async def _try_together(self) -> bool:
        both = await self._ask(PROBE, 0, 2)
        if len(both) < 2:
            return False
        second = (await self._ask(PROBE, 1, 1))[0].text
        if second == both[1].text != both[0].text:
            return True
        again = (await self._ask(PROBE, 1, 1))[0].text
        return again != second  # it ignores seeds


def open_model(server: Server, name: str, folder: Path | None = None, revision: str = "") -> OpenAIEngine:
    """The engine for a model that the server has under `name`.

    Args:
        folder: where the same model lies here; its weights are then part of the digest.
        revision: the commit that the server is said to have it at, part of the digest where there is no folder. A model
            that is known by its name alone is trusted to stay what it is.

    Raises:
        ModelMissingError: the server says which models it has, and this is none of them.
        EngineError: the server does not answer.
    """
    known = [card["id"] for card in server.start(models(server)).result()]
    if known and name not in known:
        raise ModelMissingError(
            f"the server {server.base_url} has no model {name!r}, but {', '.join(map(repr, known))}; serve it under "
            "that name (vllm: --served-model-name), or set engine.model to a name that the server has"
        )
    vetted = vet_model(folder, served=True) if folder else None
    named = [vetted.digest, *vetted.named] if vetted else [revision]
    return OpenAIEngine(server, name, digest_of(["openai", PROTOCOL, name, *named]))


async def models(server: Server) -> list[dict[str, Any]]:
    """The cards of /v1/models; none where the server has no such list."""
    try:
        return await server.get("/models", _cards)
    except ModelMissingError:  # 404: the path is unknown
        return []


def _cards(payload: Any) -> list[dict[str, Any]]:
    try:
        return [card for card in payload["data"] if isinstance(card["id"], str)]
    except (KeyError, TypeError):
        raise Unusable(f"/models answered {str(payload)[:200]!r}, which is no list of models") from None


def seed_of(request: Request, draw: int) -> int:
    """The seed of a draw: follows from seed, messages and draw number, and counts up with the draw."""
    first = int(digest_of(["server", request.seed, messages_digest(request)])[:15], 16) % SEEDS
    return first + draw % 2**24


def read_completions(payload: Any, request: Request, model: str) -> list[Completion]:
    """The completions of a chat answer, in the order of their index.

    Raises:
        Unusable: it is another model's, has no choices, or a text is empty or was not finished.
        RequestFailed: the server withholds the text.
    """
    if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list) or not payload["choices"]:
        raise Unusable(f"the answer holds no choices: {str(payload)[:200]!r}")
    check_model(payload, model)
    choices = payload["choices"]
    if all(isinstance(choice, dict) and isinstance(choice.get("index"), int) for choice in choices):
        choices = sorted(choices, key=lambda choice: choice["index"])
    texts = [_text(choice, request) for choice in choices]
    usage = payload.get("usage")
    tokens = shares(counted(usage, "completion_tokens"), [len(text) for text, _ in texts])
    return [
        Completion(
            text=text,
            finish="length" if finish == "length" else "stop",
            prompt_tokens=counted(usage, "prompt_tokens"),
            completion_tokens=count,
        )
        for (text, finish), count in zip(texts, tokens, strict=True)
    ]


def check_model(payload: Any, asked: str) -> None:
    """Raises Unusable: the answer is another model's than the one that was asked, or than a dated snapshot of it."""
    named = payload.get("model") if isinstance(payload, dict) else None
    head, found, added = str(named).partition(asked)
    if head or not found or not SNAPSHOT.fullmatch(added):
        raise Unusable(f"the answer is from model {named!r}, and {asked!r} was asked")


def _text(choice: Any, request: Request) -> tuple[str, str]:
    """A choice's text up to the first stop string, and why it ended."""
    try:
        text, finish = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, TypeError, AttributeError):
        raise Unusable(f"a choice holds no message: {str(choice)[:200]!r}") from None
    if finish == "content_filter":
        raise RequestFailed("the server withheld the text (content_filter); this task cannot be answered by it")
    if finish not in ("stop", "length"):
        raise Unusable(f"the text was not finished (finish_reason {finish!r})")
    places = [text.index(end) for end in request.stop if end in text] if text else []
    if places:
        return text[: min(places)], "stop"
    # Where a stop string may be, the text before it may be empty; anywhere else nothing was said.
    if not isinstance(text, str) or (not text.strip() and not (request.stop and finish == "stop")):
        raise Unusable(f"the text is empty (finish_reason {finish!r})")
    return text, finish


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """A total over several draws, shared out by their lengths: servers count the tokens of all draws together."""
    ends = [sum(weights[: place + 1]) for place in range(len(weights))]
    whole = ends[-1] or 1
    upto = [0, *(round(total * end / whole) for end in ends)]
    return [later - earlier for earlier, later in pairwise(upto)]
