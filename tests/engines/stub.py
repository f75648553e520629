"""A server on this machine that answers each request as a test says, down to its bytes.

with Stub(lambda asked: (200, {"choices": [...]})) as stub:
    ...  # stub.url, stub.posts
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    body: dict[str, Any]
    number: int
    """Of those with the same method, from 0."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The last message."""
        return self.body["messages"][-1]["content"]


@dataclass(frozen=True)
class Raw:
    """An answer whose body is bytes, which may come in pieces; `head` replaces the whole head."""

    pieces: Iterable[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    head: bytes = b""


Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]] | Raw
Answerer = Callable[[Asked], Reply]


def chat_answer(text: Any = "Anna", n: int = 1, **changes: Any) -> dict[str, Any]:
    """A whole chat answer of the model `m`; `changes` replace its keys, `choice` and `message` those inside."""
    choice = {"finish_reason": "stop"} | changes.pop("choice", {})
    message = {"role": "assistant", "content": text} | changes.pop("message", {})
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": place, "message": message, **choice} for place in range(n)],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2 * n, "total_tokens": 5 + 2 * n},
        **changes,
    }


class Stub:
    """Runs from `with` to its end."""

    def __init__(self, answer: Answerer, models: Reply = (404, {})) -> None:
        """answer: what a POST gets. models: what a GET gets."""
        self.answer, self.models = answer, models
        self.log: list[Asked] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = stub.note(self.command, self.path, data, {k.lower(): v for k, v in self.headers.items()})
                reply = stub.answer(asked) if self.command == "POST" else stub.models
                with suppress(ConnectionError):
                    self.send(reply if isinstance(reply, Raw) else raw(reply[0], reply[1], dict(*reply[2:])))

            def send(self, reply: Raw) -> None:
                if reply.head:
                    self.wfile.write(reply.head)
                else:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    if "Content-Length" not in reply.headers:
                        self.send_header("Connection", "close")
                    self.end_headers()
                for piece in reply.pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
                self.close_connection = "Content-Length" not in reply.headers or bool(reply.head)

            do_GET = do_POST = handle_any

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def note(self, method: str, path: str, data: bytes, headers: dict[str, str]) -> Asked:
        with self._lock:
            number = sum(asked.method == method for asked in self.log)
            self.log.append(Asked(method, path, json.loads(data) if data else {}, number, headers))
            return self.log[-1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def posts(self) -> list[Asked]:
        return [asked for asked in self.log if asked.method == "POST"]


def raw(status: int, body: Any, headers: dict[str, str] | None = None) -> Raw:
    """An answer of bytes, text or plain data."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    head = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
    return Raw([data], head, status)
