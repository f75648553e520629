"""A scripted model server: OpenAI's two interfaces, one tool call, then an answer. It keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "Order 12 is refunded."
ARGUMENTS = '{"order": 12}'
USAGE = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}


class ModelServer:
    """What was sent to it, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.sent: list[Any] = []
        """The messages, or the input, of each request."""

    @property
    def texts(self) -> list[str]:
        return [json.dumps(one) for one in self.sent]


def chat_answer(request: dict[str, Any]) -> dict[str, Any]:
    called = any(one["role"] == "tool" for one in request["messages"])
    call = {"id": "call-1", "type": "function", "function": {"name": "refund", "arguments": ARGUMENTS}}
    if called or not request.get("tools"):
        message, reason = {"role": "assistant", "content": ANSWER}, "stop"
    else:
        message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    head = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": request["model"]}
    return {**head, "choices": [choice], "usage": USAGE}


def response_answer(request: dict[str, Any]) -> dict[str, Any]:
    items = request["input"] if isinstance(request["input"], list) else []
    said = {
        "type": "message", "id": "msg-1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": ANSWER, "annotations": []}],
    }  # fmt: skip
    call = {"type": "function_call", "id": "fc-1", "call_id": "call-1", "name": "refund", "arguments": ARGUMENTS,
            "status": "completed"}  # fmt: skip
    done = any(one.get("type") == "function_call_output" for one in items)
    usage = {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": "resp-1", "object": "response", "created_at": 1, "status": "completed", "model": request["model"],
        "output": [said if done else call], "usage": usage, "parallel_tool_calls": True, "tool_choice": "auto",
        "tools": [], "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
    }  # fmt: skip


@contextmanager
def serve_model() -> Iterator[ModelServer]:
    """Run the server until the block ends."""
    model = ModelServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.sent.append(request.get("messages") or request.get("input"))
            found = response_answer(request) if self.path.endswith("/responses") else chat_answer(request)
            data = json.dumps(found).encode()
            self.send_response(model.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
