"""A small server that speaks the HTTP of runs as the service does, and keeps what it was told, to test clients with.

It is strict: unknown fields, a wrong token and an unknown run are refused, so that a client that sends something else
than the service takes is found out.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from parammem.core import Outcome, Step

RUN_FIELDS = {"task", "domain", "run_id", "metadata"}
OUTCOME_FIELDS = {"passed", "value", "source", "answer"}


@dataclass
class Told:
    """What the service knows of a run."""

    task: str
    domain: str
    token: str
    metadata: dict[str, Any]
    steps: list[Step] = field(default_factory=list)
    tokens: int = 0
    outcomes: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class StubService:
    """Set its fields to make it misbehave."""

    url: str = ""
    token: str = ""
    """Empty: none is needed."""
    advice: str | None = "be kind"
    delay: float = 0.0
    status: int = 0
    """Answer everything with it; 0: as it should be."""
    raw: bytes | None = None
    """Answer everything with these bytes and 200."""
    runs: dict[str, Told] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def only(self) -> Told:
        (run,) = self.runs.values()
        return run

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        if path == "/v1/runs":
            if self.token and headers.get("authorization") != f"Bearer {self.token}":
                return 401, error("wrong token")
            return self.start(body)
        _, _, _, run_id, what = path.split("/")
        run = self.runs.get(unquote(run_id))
        if run is None:
            return 404, error("no such run")
        if self.token and headers.get("authorization") not in (f"Bearer {run.token}", f"Bearer {self.token}"):
            return 404, error("no such run")
        return self.steps(run, body) if what == "steps" else self.outcome(run, body)

    def start(self, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.keys() <= RUN_FIELDS or not isinstance(body.get("task"), str):
            return 400, error("fields")
        run_id = body.get("run_id") or f"run-{len(self.runs)}"
        retry = sum(run.task == body["task"] for name, run in self.runs.items() if name != run_id)
        known = self.runs.setdefault(
            run_id, Told(body["task"], body.get("domain") or "usual", f"secret-{run_id}", body.get("metadata") or {})
        )
        advice = {"text": self.advice, "digest": "d" * 64, "draw": retry, "adapter": "a" * 64}
        return 200, {
            "run_id": run_id,
            "domain": known.domain,
            "arm": "champion" if self.advice else "holdout",
            "advice": advice if self.advice else None,
            "no_advice": "",
            "token": known.token,
        }

    def steps(self, run: Told, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.keys() <= {"steps", "tokens"}:
            return 400, error("fields")
        if len(body["steps"]) > 1000:
            return 400, error("too many steps")
        run.steps += [Step.model_validate(step) for step in body["steps"]]
        run.tokens += body.get("tokens", 0)
        return 200, {}

    def outcome(self, run: Told, body: dict[str, Any]) -> tuple[int, Any]:
        if not body.keys() <= OUTCOME_FIELDS:
            return 400, error("fields")
        Outcome.model_validate({name: body[name] for name in body if name != "answer"})
        run.outcomes.append(body)
        return 200, {"counts": True, "outcome": body}


def error(said: str) -> dict[str, Any]:
    return {"error": {"message": said, "type": "stub"}}


@contextmanager
def serve(service: StubService, port: int = 0) -> Iterator[StubService]:
    """Run the service until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(self.rfile.read(int(headers["content-length"])))
            with service.lock:
                service.requests.append((self.path, headers))
                status, found = service.answer(self.path, headers, body) if not service.status else (service.status, {})
            time.sleep(service.delay)
            data = service.raw if service.raw is not None else json.dumps(found).encode()
            self.send_response(200 if service.raw is not None else status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *_: Any) -> None: ...  # a client that stopped waiting

    server = Server(("127.0.0.1", port), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
