"""An OpenAI-compatible server on this machine whose answers follow from the request alone, for tests and benchmarks.

It writes its own words, with seeds as vLLM has them (draw i of a request has the seed plus i), counts words as tokens,
lists models and adapters, loads adapters, embeds texts, and keeps a log of what it was asked. It can be told to
misbehave: a `trouble` is asked for every request and names what goes wrong with it.

    with LocalServer(models=["base"]) as server:
        ...  # server.url, server.log
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

WORDS = "sum price limit inside apples Anna mentor round zero once".split()
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many", 500: "Error"}

Writer = Callable[[dict[str, Any], int], str]
"""The text of a draw from (request body, seed of the draw)."""
Trouble = Callable[["Asked"], str]
"""What goes wrong with a request: "" (nothing), "500", "429", "stall", "cut", "empty", "model", "reset", "garbage"…"""


@dataclass
class Asked:
    """One entry of the log."""

    path: str
    body: dict[str, Any]
    number: int
    """From 0, in the order of arrival."""
    at: float
    """Seconds, monotonic."""
    repeats: int
    """How often the same was asked before."""
    answered: bool = False
    """A good answer was sent to its last byte."""
    usage: dict[str, int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return json.dumps([self.path, self.body], sort_keys=True)


def nonsense(body: dict[str, Any], seed: int) -> str:
    """Words that follow from seed, model and messages; at temperature 0 the seed does not count."""
    seed = seed if body.get("temperature", 1.0) > 0 else 0
    said = json.dumps([body["model"], body["messages"], seed])
    return " ".join(random.Random(hashlib.sha256(said.encode()).digest()).choices(WORDS, k=30))


class LocalServer:
    """Runs in a thread of its own from `with` to its end."""

    def __init__(
        self,
        models: list[str] | None = None,
        write: Writer = nonsense,
        trouble: Trouble = lambda asked: "",
        latency: float = 0.0,
        key: str = "",
        seeds: str = "vllm",
        adapters: str = "apply",
        retry_after: str = "",
    ) -> None:
        """seeds: vllm; apart (draw i's randomness has nothing to do with seed + i); ignored; n-ignored.
        adapters: apply, or ignore (answers for an adapter as its base does), or refuse (loads none)."""
        self.cards = [{"id": name, "object": "model", "parent": None} for name in models or ["base"]]
        self.write, self.trouble, self.latency, self.key = write, trouble, latency, key
        self.seeds, self.adapters, self.retry_after = seeds, adapters, retry_after
        self.log: list[Asked] = []
        self.busiest = 0
        """The most requests that were open at once."""
        self._open = 0
        self._seen: dict[str, int] = {}
        self._chance = random.Random(5)
        self.port = 0

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def chats(self) -> list[Asked]:
        """The log of requests for text."""
        return [asked for asked in self.log if asked.path.endswith("/chat/completions")]

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._end.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                self._open += 1
                self.busiest = max(self.busiest, self._open)
                try:
                    await self._exchange(method, path, headers, json.loads(raw) if raw else {}, writer)
                finally:
                    self._open -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # it was hung up, here or there
        finally:
            writer.close()

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        asked = Asked(path, body, len(self.log), time.monotonic(), 0, headers=headers)
        asked.repeats = self._seen.get(asked.key, 0)
        self._seen[asked.key] = asked.repeats + 1
        self.log.append(asked)
        if self.latency and method == "POST":
            await asyncio.sleep(self.latency)
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return await self._send(writer, 401, {"error": {"message": "wrong key"}})
        trouble = self.trouble(asked) if method == "POST" else ""
        if trouble == "stall":
            return await asyncio.sleep(60)
        if trouble == "reset":
            writer.transport.abort()
            return None
        if trouble.isdigit():
            return await self._send(writer, int(trouble), {"error": {"message": f"trouble {trouble}"}})
        status, answer = self._answer(path, body)
        await self._spoilt(writer, status, answer, trouble)
        asked.answered, asked.usage = status == 200 and not trouble, answer.get("usage", {}) if trouble != "cut" else {}
        return None

    async def _spoilt(self, writer: asyncio.StreamWriter, status: int, answer: dict[str, Any], trouble: str) -> None:
        if trouble == "garbage":
            answer = {"what": "?"}
        if trouble == "model":
            answer["model"] = "another"
        for choice in answer.get("choices", []) if trouble in ("empty", "null", "unfinished") else []:
            choice["message"]["content"] = {"empty": "", "null": None}.get(trouble, "half")
            choice["finish_reason"] = "stop" if trouble == "empty" else "abort"
        data = json.dumps(answer).encode()
        await self._send(writer, status, data[: len(data) // 2] if trouble == "cut" else data)

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: dict[str, Any] | bytes) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        again = f"Retry-After: {self.retry_after}\r\n" if self.retry_after and status in (429, 503) else ""
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n{again}"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/v1/models":
            return 200, {"object": "list", "data": self.cards}
        if path == "/v1/load_lora_adapter":
            return self._load(body)
        if path == "/v1/embeddings":
            return 200, self._embed(body)
        if path != "/v1/chat/completions":
            return 404, {"error": {"message": f"no {path}"}}
        card = next((card for card in self.cards if card["id"] == body["model"]), None)
        if card is None:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        return 200, self._chat(body, card)

    def _load(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.adapters == "refuse":
            return 404, {"error": {"message": "no such path"}}
        if any(card["id"] == body["lora_name"] for card in self.cards):
            return 400, {"error": {"message": "The lora adapter has already been loaded."}}
        self.cards.append({"id": body["lora_name"], "root": body["lora_path"], "parent": self.cards[0]["id"]})
        return 200, {"ok": True}

    def _embed(self, body: dict[str, Any]) -> dict[str, Any]:
        def vector(text: str) -> list[float]:
            chance = random.Random(text)
            return [chance.gauss(0, 1) for _ in range(8)]

        rows = [{"index": place, "embedding": vector(text)} for place, text in enumerate(body["input"])]
        words = sum(len(text.split()) for text in body["input"])
        return {"model": body["model"], "data": rows[::-1], "usage": {"prompt_tokens": words, "total_tokens": words}}

    def _chat(self, body: dict[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
        as_base = self.adapters == "ignore" and card["parent"]
        asked = {**body, "model": card["parent"]} if as_base else body
        n = 1 if self.seeds == "n-ignored" else body.get("n", 1)
        choices = [self._choice(asked, place) for place in range(n)]
        words = sum(len(message["content"].split()) for message in body["messages"])
        written = sum(choice.pop("words") for choice in choices)
        usage = {"prompt_tokens": words, "completion_tokens": written, "total_tokens": words + written}
        return {"id": "chat-1", "object": "chat.completion", "model": body["model"], "choices": choices, "usage": usage}

    def _choice(self, body: dict[str, Any], place: int) -> dict[str, Any]:
        seed = body.get("seed", 0)
        if self.seeds == "ignored":
            seed = self._chance.randrange(2**60)
        draw = seed + place if self.seeds != "apart" else int(f"{seed}{place or ''}")
        text, finish = self.write(body, draw), "stop"
        words, most = text.split(), body.get("max_tokens") or body["max_completion_tokens"]
        if len(words) > most:
            text, finish = " ".join(words[:most]), "length"
        for end in body.get("stop", []):
            if end in text:
                text, finish = text[: text.index(end)], "stop"
        choice: dict[str, Any] = {"index": place, "message": {"role": "assistant", "content": text}}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": [{"token": word, "logprob": -len(word) / 7} for word in text.split()]}
        return {**choice, "finish_reason": finish, "words": len(text.split())}
