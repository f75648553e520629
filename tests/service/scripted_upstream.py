"""An OpenAI-compatible server for tests: on a local port, it answers as it is told and keeps what it got."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from parammem.service.listening import listen

Answer = Callable[["Received"], Response]


@dataclass
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    data: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.data)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


@dataclass
class ScriptedUpstream:
    """What it got, and how it answers. `answer` may be replaced at any time."""

    answer: Answer
    received: list[Received] = field(default_factory=list)
    left: int = 0
    """Streams that ended because their client had gone."""
    url: str = ""

    async def take(self, request: Request) -> Response:
        headers = [(name.decode(), value.decode()) for name, value in request.headers.raw]
        one = Received(request.method, request.url.path, headers, await request.body())
        self.received.append(one)
        return self.answer(one)


def message(text: str | None = "done", calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}


def completion(text: str = "done", calls: list[dict[str, Any]] | None = None, **headers: str) -> Response:
    """An answer of /chat/completions whose bytes nobody would write a second time."""
    plain = {
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "message": message(text, calls), "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        "odd": 1.50,
    }
    data = json.dumps(plain, indent=3).encode() + b"\n \n"
    return Response(data, headers={"content-type": "application/json", **headers})


def stream(events: list[Any], pause: float = 0.0, upstream: ScriptedUpstream | None = None) -> StreamingResponse:
    """An answer of server-sent events, each sent by itself."""

    async def parts() -> AsyncIterator[bytes]:
        try:
            for event in events:
                named = f"event: {event['type']}\n" if "type" in event else ""
                yield f"{named}data: {json.dumps(event)}\n\n".encode()
                await asyncio.sleep(pause)
            yield b"data: [DONE]\n\n"
        except asyncio.CancelledError:
            if upstream is not None:
                upstream.left += 1
            raise

    return StreamingResponse(parts(), media_type="text/event-stream")


def delta(text: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {**({} if text is None else {"content": text}), **fields}}
    return {"id": "chatcmpl-2", "choices": [choice]}


def zipped(answer: Response) -> Response:
    data = gzip.compress(bytes(answer.body))
    return Response(data, headers={"content-type": "application/json", "content-encoding": "gzip"})


@contextmanager
def serving(app: Any, **settings: Any) -> Iterator[str]:
    """Serve an ASGI application on a free local port; yields its address."""
    listener: socket.socket = listen("127.0.0.1", 0)
    usual = {"log_config": None, "server_header": False, "date_header": False, "timeout_graceful_shutdown": 2}
    server = uvicorn.Server(uvicorn.Config(app, **{**usual, **settings}))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.005)
    assert server.started, "the server did not start"
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listener.close()


@contextmanager
def upstream_server(answer: Answer) -> Iterator[ScriptedUpstream]:
    scripted = ScriptedUpstream(answer)
    methods = ["GET", "POST", "DELETE"]
    app = Starlette(routes=[Route("/v1/{path:path}", scripted.take, methods=methods)])
    with serving(app, lifespan="off") as address:
        scripted.url = f"{address}/v1"
        yield scripted
