"""The desk's scripted model: it answers like a chat model with tools, follows the advice that it reads, and guesses
what advice does not say, by the seed.

It is honest: it knows SQL and English, and of no house. Right advice helps it, and wrong advice harms it.
`python -m desk.model --port 8011` serves it as an OpenAI-compatible server; any other such server can take its place.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from desk.english import read
from desk.shop import RULES, parse_question, query

NAME = "scripted-desk"
Message = dict[str, Any]


def reply(messages: Sequence[Message], seed: int) -> Message:
    """Return the assistant's next message: it looks at the schema, tries its query, and hands it over."""
    asked = [text_of(one) for one in messages if one["role"] in ("system", "user")]
    question = next((found for text in asked if (found := parse_question(text))), None)
    if question is None:
        return {"role": "assistant", "content": "I answer questions about the shop's orders."}
    rules = {name: _guess(values, seed, question.text, name) for name, values in RULES.items()}
    for text in asked:
        rules |= read(text.replace(question.text, " "))
    said = sum(one["role"] == "assistant" for one in messages)
    sql = query(question, rules)
    if said == 0:
        return _call("schema", {}, said)
    return _call("run_sql", {"sql": sql}, said) if said == 1 else {"role": "assistant", "content": sql}


def text_of(message: Message) -> str:
    """Return the text of a message whose content is text, or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _guess(values: Sequence[str], seed: int, question: str, rule: str) -> str:
    return random.Random(f"{seed}/{question}/{rule}").choice(values)


def _call(name: str, arguments: dict[str, Any], number: int) -> Message:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"call-{number + 1}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


class Handler(BaseHTTPRequestHandler):
    """POST /v1/chat/completions and GET /v1/models."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": NAME, "object": "model"}]})

    def do_POST(self) -> None:
        try:
            asked = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
            message = reply(asked["messages"], int(asked.get("seed") or 0))
        except (ValueError, KeyError, TypeError) as error:
            self._send(400, {"error": {"message": f"no chat request: {type(error).__name__}", "code": 400}})
            return
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        words = sum(len(text_of(one).split()) for one in asked["messages"])
        usage = {"prompt_tokens": words, "completion_tokens": 1, "total_tokens": words + 1}
        head = {"id": "chat-1", "created": 0, "model": NAME}
        if asked.get("stream"):
            delta = {"index": 0, "delta": message, "finish_reason": finish}
            self._stream({**head, "object": "chat.completion.chunk", "choices": [delta]})
        else:
            self._send(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._write(status, "application/json", json.dumps(body).encode())

    def _stream(self, chunk: dict[str, Any]) -> None:
        self._write(200, "text/event-stream", f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode())

    def _write(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m desk.model", description="Serve the scripted model.")
    parser.add_argument("--port", type=int, default=8011)
    given = parser.parse_args()
    with ThreadingHTTPServer(("127.0.0.1", given.port), Handler) as server:
        print(f"serving {NAME} at http://127.0.0.1:{server.server_port}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
