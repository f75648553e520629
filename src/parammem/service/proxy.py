"""The OpenAI-compatible proxy: calls go on to the user's server, and what it says comes back, byte for byte.

Calls of /chat/completions and /responses belong to runs: with advice put in (begin.py) and recorded beside
(transcript.py, recorder.py). Everything else below /v1 passes. Nothing is retried, and an error here never is one of
the call's.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.routing import Route

from parammem.engines.openai.http_client import encoded
from parammem.experience.formats.base import Unreadable, refuse_many
from parammem.service.access import TRUSTED, Receive, Scope, Send, refuse, refuse_stranger
from parammem.service.begin import Beginning
from parammem.service.call_body import LARGEST_CALL, ClientGone, client_left, read_bytes, read_json
from parammem.service.correlate import AgentCall, OngoingRun, read_call
from parammem.service.service_log import say_call
from parammem.service.spans import CallSpans
from parammem.service.transcript import AnswerReader, new_messages, steps_of
from parammem.service.upstream import Upstream, answer_headers

if TYPE_CHECKING:
    from parammem.service.advisor import Advisor
    from parammem.service.recorder import Recorder
    from parammem.service.run_book import RunBook
    from parammem.service.service_metrics import ServiceMetrics

ADVISED_ON = ("/chat/completions", "/responses")
MOST_ESCAPES = 4
"""Times that a path is unescaped; one that is escaped more often is refused."""
MOST_RECORDED = 50
"""Histories of one run that are remembered as recorded."""


@dataclass
class _Passing:
    """One call on its way."""

    path: str
    data: bytes
    begun: float
    call: AgentCall | None = None
    ongoing: OngoingRun | None = None
    reader: AnswerReader | None = None
    status: int = 0
    added: float = 0.0
    is_advised: bool = False
    is_first: bool = False


class Proxy:
    """ASGI application for everything below /v1 that has no route of its own."""

    def __init__(
        self, upstream: Upstream, beginning: Beginning, book: RunBook, advisor: Advisor, recorder: Recorder,
        metrics: ServiceMetrics,
    ) -> None:  # fmt: skip
        self._upstream, self._beginning, self._book, self._advisor = upstream, beginning, book, advisor
        self._recorder, self._metrics, self._spans = recorder, metrics, CallSpans()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        path, where = scope["path"].removeprefix("/v1"), _behind_v1(scope)
        if not scope.get(TRUSTED):  # a run's own token opens that run, and nothing of upstream
            await refuse_stranger(send)
            return
        if not where:
            await refuse(send, 404, "no address below /v1: it is empty, or leads out of it by `..`", "not_found")
            return
        try:
            data = await read_bytes(receive, LARGEST_CALL)
        except ClientGone:
            return
        except ValueError as error:
            await refuse(send, 413, str(error), "request_too_large")
            return
        passing = _Passing(path, data, begun)
        work = asyncio.ensure_future(self._pass(scope, where, passing, send))
        gone = asyncio.ensure_future(client_left(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:  # the client has gone, or the server is stopped: upstream is let go of
            gone.cancel()
            if not work.done():
                work.cancel()
            try:
                with suppress(asyncio.CancelledError):
                    await work
            finally:
                self._finish(scope, passing, not work.cancelled())

    async def _pass(self, scope: Scope, where: str, passing: _Passing, send: Send) -> None:
        if scope["method"] == "POST" and passing.path in ADVISED_ON:
            await self._belong(scope, passing)
        headers = self._upstream.request_headers(scope["headers"])
        passing.added = time.perf_counter() - passing.begun
        await self._exchange(scope["method"], where, headers, passing, send)

    async def _belong(self, scope: Scope, passing: _Passing) -> None:
        """Find the run of a call, and put its advice in. A call that cannot be read goes on as it came."""
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            refuse_many(passing.data)
            call = passing.call = read_call(read_json(passing.data), headers, self._advisor.gave)
            ongoing = await self._beginning.run_of(call)
            passing.ongoing, passing.is_first = ongoing, ongoing.answered == 0 and ongoing.in_flight == 0
            ongoing.in_flight += 1
            body = self._beginning.body_with_advice(ongoing, call)
            if body is not None:
                passing.data, passing.is_advised = encoded(body), True
        except (ValueError, RecursionError, TypeError, Unreadable):  # a body that is for upstream to refuse
            self._metrics.unrecorded.labels("not understood").inc()

    async def _exchange(
        self, method: str, path: str, headers: list[tuple[str, str]], passing: _Passing, send: Send
    ) -> None:
        import aiohttp

        has_begun = False
        try:
            async with self._upstream.open(method, path, headers, passing.data) as answer:
                passing.status = answer.status
                if not 200 <= answer.status < 600:
                    raise ValueError(f"{answer.status} is no status of an answer")
                if passing.ongoing is not None:
                    coding = answer.headers.get("content-encoding", "").strip().lower()
                    passing.reader = AnswerReader(answer.status, answer.headers.get("content-type", ""), coding)
                named = [*answer_headers(answer.status, answer.raw_headers), *_run_headers(passing)]
                await send({"type": "http.response.start", "status": answer.status, "headers": named})
                has_begun = True
                async for chunk in answer.content.iter_any():
                    if passing.reader is not None:
                        passing.reader.feed(chunk)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except (aiohttp.ClientError, OSError, ValueError) as error:
            await self._broken(passing, error, has_begun, send)
            return
        self._take_note(passing)  # before the end is sent: the client's next call may come at once
        await send({"type": "http.response.body", "body": b""})

    async def _broken(self, passing: _Passing, error: Exception, has_begun: bool, send: Send) -> None:
        """End a call of which upstream gave no whole answer.

        An answer that was begun is broken off, as upstream did: without its end, the server closes the connection.
        """
        why = f"upstream gave no whole answer: {type(error).__name__}"
        passing.reader = passing.reader or AnswerReader(502, "", "")
        passing.reader.fail(why)
        if not has_begun:
            passing.status = 502
            said = f"{why}; is the server at {self._upstream.base} up? Nothing was sent twice"
            await refuse(send, 502, said, "upstream_unreachable")

    def _take_note(self, passing: _Passing) -> None:
        """Let calls that go on from this answer be known."""
        reader, ongoing, call = passing.reader, passing.ongoing, passing.call
        if reader is None or ongoing is None or call is None:
            return
        reader.end()
        if reader.status < 400:
            response = reader.response_id if passing.path == "/responses" else ""
            self._beginning.correlator.answered(ongoing, call, reader.messages, response)

    def _finish(self, scope: Scope, passing: _Passing, is_whole: bool) -> None:
        """Count, log and record a call that is over. Never raises."""
        route = passing.path if passing.path in (*ADVISED_ON, "/models") else "other"
        advice = "given" if passing.is_advised else "none"
        self._metrics.requests.labels(route, str(passing.status or "gone")).inc()
        self._metrics.added.labels(advice).observe(passing.added)
        ongoing = passing.ongoing
        run = ongoing.run if ongoing else None
        named = {"run": run.run_id, "domain": run.domain, "arm": run.arm} if run else {"run": ""}
        seconds = time.perf_counter() - passing.begun
        told = {"route": route, "status": passing.status, "advice": advice, **named}
        say_call(**told, added_ms=round(1000 * passing.added, 2), seconds=round(seconds, 4))
        self._spans.add(scope["headers"], seconds, told)
        if ongoing is None:
            return
        ongoing.in_flight -= 1
        if not is_whole:
            passing.reader = passing.reader or AnswerReader(0, "", "")
            passing.reader.fail("the client went away before the answer was complete")
            passing.reader.end()
        self._record(passing, ongoing)

    def _record(self, passing: _Passing, ongoing: OngoingRun) -> None:
        """Hand over what the call said that no call of its run said before, and the answer."""
        call, reader, run = passing.call, passing.reader, ongoing.run
        if run is None or call is None or reader is None or not run.recorded:
            self._metrics.unrecorded.labels("the run is not recorded").inc()
            return
        history = call.chain[-1]
        is_new = history not in ongoing.recorded or call.is_held_upstream
        said = new_messages(call.messages, passing.is_first, call.is_held_upstream) if is_new else []
        ongoing.recorded[history] = None
        while len(ongoing.recorded) > MOST_RECORDED:
            ongoing.recorded.popitem(last=False)
        book, is_ours = self._book, self._advisor.gave

        def write() -> bool:
            if reader.response_id and passing.path == "/responses":
                book.add_key(run.run_id, f"response:{reader.response_id}")
            return book.add_steps(run.run_id, steps_of([*said, *reader.messages], is_ours), reader.tokens, reader.error)

        self._recorder.put(run.run_id, len(passing.data), write)


def routes(proxy: Proxy) -> list[Route]:
    """Return the route of everything below /v1; it comes after the routes of runs."""
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [Route("/v1/{path:path}", proxy, methods=methods)]


def _behind_v1(scope: Scope) -> str:
    """Return the path behind /v1 as it was sent, with its query; empty: there is none, or some server would read it as
    one that is not below /v1."""
    raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    _, slash, rest = raw.removeprefix("/").partition("/")
    if not slash or is_upwards(rest):
        return ""
    query = scope["query_string"].decode("latin-1")
    return f"/{rest}" + (f"?{query}" if query else "")


def is_upwards(path: str) -> bool:
    """Return whether a path has a segment `.` or `..`, however often it is escaped: a server may resolve it, and then
    the call, with upstream's key, is for another part of it than the one that this service stands for."""
    for _ in range(MOST_ESCAPES):
        if {".", ".."} & set(path.replace("\\", "/").split("/")):
            return True
        path, before = unquote(path), path
        if path == before:
            return False
    return True


def _run_headers(passing: _Passing) -> list[tuple[bytes, bytes]]:
    run: Any = passing.ongoing.run if passing.ongoing else None
    if run is None:
        return []
    named = [(b"x-parammem-run", run.run_id.encode())]
    return [*named, (b"x-parammem-run-token", run.token.encode())] if passing.is_first else named
