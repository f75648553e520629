"""HTTP to one server: bounded concurrency, retries with full jitter, Retry-After, and one budget.

What an error means is in faults.py, one exchange and its bounds in http_client.py, what a model of the server was found
to take in capabilities.py. An attempt that may succeed later is repeated; each wait is drawn evenly between 0 and a
bound that doubles (full jitter), and is never shorter than the server's Retry-After, during which nothing else is sent
either. What was paid and failed twice in the same way is not asked a third time. What ends up unanswered is
RequestFailed and concerns one request. A wrong key, a missing model or an account without money is an EngineError and
concerns all.

The first request for a model goes alone, so that what it teaches is paid once and not for every place of `concurrency`.

Everything async runs in one thread per process with an event loop of its own, so that engines can be called from plain
code, from threads, and from inside another event loop. Why httpx and not the openai client: the client repeats requests
by rules of its own, which would hide from the budget what was sent.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from parammem.core.words import count
from parammem.engines.openai.account import Account, Most, Price
from parammem.engines.openai.background import background_loop
from parammem.engines.openai.capabilities import Capabilities, FieldRefused
from parammem.engines.openai.faults import Kind, ServerFault, error_in, sorted_fault
from parammem.engines.openai.headers import api_key, is_local, retry_after, said_wait
from parammem.engines.openai.http_client import (
    BASE_LIMIT,
    EXCERPT,
    IncompleteResponse,
    NotJson,
    Response,
    exchange,
    is_page,
    json_of,
    printable,
    start_of,
)
from parammem.errors import ConfigError, EngineError, ModelMissingError, RequestFailed

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")

NOTHING, FREE = Most(), Price()
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds: the bound of the first wait, and the bound that the doubling stops at."""
LONGEST_RETRY_AFTER = 600.0
"""Seconds. A server that wants longer is taken at its word: the request has failed."""
PAID_ALIKE, PAID, LOST_ALIKE = 2, 3, 3
"""How often a request is asked in all when its answers were paid and useless in the same way; in any way; or when it
was sent and the answer got lost, each time in the same way."""
LOST = ("time-out", "connection")
ADAPTED = 8
"""Fields that are left out of one request, at most."""


class Unusable(Exception):
    """An answer that cannot be used, though another attempt may bring a better one. `read` functions raise it.

    Two of one `kind` in a row of attempts are enough.
    """

    def __init__(self, why: str, kind: str = "") -> None:
        super().__init__(why)
        self.kind = kind or why


class _Again(Exception):
    """This attempt failed; the next one may succeed, after `wait` seconds at the earliest."""

    def __init__(self, why: str, wait: float = 0.0, kind: str = "", paid: bool = False) -> None:
        super().__init__(why)
        self.wait, self.kind, self.paid = wait, kind, paid


@dataclass(frozen=True)
class ServerSettings:
    """How one server is spoken to."""

    base_url: str
    """Up to and including /v1."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key. Empty: no key is sent."""
    key_param: str = "engine.server.api_key_env"
    """Which key of params.yaml gives that name, for messages."""
    concurrency: int = 64
    """Requests in flight."""
    timeout_seconds: float = 300.0
    """For one attempt, from connecting to the last byte of the answer."""
    retries: int = 6
    """Attempts after the first."""
    aliases: tuple[tuple[str, str], ...] = ()
    """(model, name that the server answers for it under), where that is no dated form of the model's own."""


@dataclass(frozen=True)
class ServerCall:
    """One thing to ask of a server, and who pays for it."""

    path: str
    body: dict[str, Any]
    role: str
    model: str
    most: Most = NOTHING
    """The most it can cost: what the budget must still allow."""
    price: Price = FREE
    limit: int = BASE_LIMIT
    """Bytes that the answer may have."""
    needs: frozenset[str] = frozenset()
    """Fields without which the answer would be worth nothing: FieldRefused when one is refused."""


class Server:
    """One server, shared by all engines that use it, so that `concurrency` bounds them together."""

    def __init__(self, settings: ServerSettings, account: Account) -> None:
        """Prepare a server; nothing is sent yet. Raises ConfigError: the environment variable of the key is not set, or
        the URL is none."""
        self.settings, self.account = settings, account
        self.base_url = settings.base_url.rstrip("/")
        if urlsplit(self.base_url).scheme not in ("http", "https"):
            raise ConfigError(
                f"engine.server.base_url or other_urls: {settings.base_url!r} is no URL; give one like "
                "http://127.0.0.1:8000/v1"
            )
        self._key = api_key(settings.api_key_env, settings.key_param)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._idle: list[httpx.AsyncClient] = []
        self._verify: ssl.SSLContext | bool | None = None
        self._not_before = 0.0
        self._broken: EngineError | None = None
        self._good = False
        """An answer came that was one of such a server."""
        self.sent = 0
        """POST requests that left."""
        self._known: dict[str, Capabilities] = {}
        self._chance = random.Random()  # waits only: nothing that is written to disk follows from it

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine of this server in the background."""
        return asyncio.run_coroutine_threadsafe(work, background_loop())

    def capabilities(self, model: str) -> Capabilities:
        """Return what is known of a model of this server."""
        if model not in self._known:
            self._known[model] = Capabilities(self.base_url, model, dict(self.settings.aliases).get(model, ""))
        return self._known[model]

    async def post(self, call: ServerCall, read: Callable[[Any], T]) -> T:
        """Return what `read` makes of the JSON answer; it raises Unusable for an answer that is not worth having.

        Raises:
            RequestFailed: no attempt brought a usable answer.
            FieldRefused: a field that the call needs is refused.
            BudgetExceeded, EngineError: no other request will fare better.
        """
        if self._broken is not None:
            raise self._broken
        found = self.capabilities(call.model)
        try:
            return await self._persist(lambda: self._attempt(call, found, read), f"POST {call.path}", found)
        except (RequestFailed, FieldRefused):
            raise
        except EngineError as error:
            self._broken = error  # those that still wait for their turn need not be sent
            raise

    async def get(self, path: str, limit: int = BASE_LIMIT) -> Response:
        """Return what a path holds, for something that costs nothing and is only a help: of bad statuses, 401 alone is
        an error, and one that may pass is waited for once. Raises RequestFailed: no answer came; EngineError: 401."""
        waited = False

        async def attempt() -> Response:
            nonlocal waited
            answer = await self._send("GET", path, None, limit)
            passing = not waited and (answer.status in (408, 429) or answer.status >= 500)
            if answer.status == 401 or passing:
                waited = True
                self._refuse(self._fault(answer), answer, f"GET {path}")
            return answer

        return await self._persist(attempt, f"GET {path}")

    async def load_adapter(self, name: str, folder: str) -> None:
        """Load an adapter by vLLM's run-time loading, which answers in plain text. Raises EngineError."""
        body = {"lora_name": name, "lora_path": folder}

        async def attempt() -> None:
            answer = await self._send("POST", "/load_lora_adapter", body)
            if answer.status >= 300:
                self._refuse(self._fault(answer), answer, "POST /load_lora_adapter")

        await self._persist(attempt, "POST /load_lora_adapter")

    async def once(self, method: str, path: str, body: Any = None, limit: int = BASE_LIMIT) -> Response:
        """Make one exchange and nothing else, for those who examine a server. Raises Broken."""
        client = self._idle.pop() if self._idle else self._new_client()
        self.sent += method == "POST"
        try:
            return await exchange(client, method, self.base_url + path, body, self.settings.timeout_seconds, limit)
        finally:
            self._idle.append(client)

    async def _persist(
        self, attempt: Callable[[], Coroutine[Any, Any, T]], what: str, found: Capabilities | None = None
    ) -> T:
        """Attempt, wait, attempt again."""
        failures: list[_Again] = []
        while True:
            try:
                async with self._slots:
                    return await self._led(attempt, found)
            except _Again as failed:
                failures.append(failed)
            if len(failures) > self.settings.retries or _enough(failures):
                raise RequestFailed(
                    f"{what} at {self.base_url} failed {count(len(failures), 'time')}; the last time: {failures[-1]}"
                )
            await asyncio.sleep(max(failures[-1].wait, self._jitter(len(failures) - 1)))

    async def _led(self, attempt: Callable[[], Coroutine[Any, Any, T]], found: Capabilities | None) -> T:
        """Attempt; the first one for a model alone, since all others follow from what it finds."""
        if found is None or found.tried:
            return await self._open(attempt)
        async with found.lead:
            if not found.tried:
                try:
                    if line := await self.account.recall(self.base_url, found.model):
                        found.recall(line)
                    return await self._open(attempt)
                finally:
                    found.tried = True
        return await self._open(attempt)

    async def _open(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Attempt, when the server may be asked."""
        await self._gate()
        if self._broken is not None:
            raise self._broken
        return await attempt()

    def _jitter(self, number: int) -> float:
        return self._chance.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**number))

    async def _gate(self) -> None:
        """Wait while the server has asked to be left alone."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait + self._jitter(0))

    async def _attempt(self, call: ServerCall, found: Capabilities, read: Callable[[Any], T]) -> T:
        """Make one paid attempt: admitted by the budget, and booked whether its answer can be used or not. What is
        refused for a field alone is sent again without it."""
        if missing := call.needs & found.refused:
            raise FieldRefused(f"the server {self.base_url} refuses {', '.join(sorted(missing))}")
        await self.account.admit(call.most)
        with self.account.reserved(call.most):
            for _ in range(ADAPTED):
                body = found.body(call.body)
                answer = await self._paid(call, body)
                fault = self._fault(answer, found.suspects(body))
                if fault is None or fault.kind is not Kind.FIELD:
                    break
                before = found.line()
                try:
                    found.adapt(fault, body, call.needs)
                finally:
                    if found.line() != before:
                        await self.account.learn(self.base_url, call.model, found.line())
            if fault is not None:
                self._refuse(fault, answer, f"POST {call.path}", found.others)
            before, self._good = found.line(), True
            try:
                result = read(json_of(answer))
            except Unusable as error:
                raise _Again(str(error), kind=error.kind, paid=True) from None
            found.answered = True
            if found.line() != before:
                await self.account.learn(self.base_url, call.model, found.line())
        return result

    async def _paid(self, call: ServerCall, body: dict[str, Any]) -> Response:
        """Make one exchange and book it: as the server counts, or at its bound where an answer may have been charged
        and says nothing that can be believed."""
        try:
            answer = await self._send("POST", call.path, body, call.limit)
        except _Again as lost:
            if lost.paid:
                await self.account.charge(call.role, call.model, call.price, None, call.most)
            raise
        if answer.status >= 300:
            return answer
        try:
            payload = json_of(answer)
        except NotJson as error:
            if is_page(answer) and not self._good:
                raise EngineError(
                    f"POST {call.path} at {self.base_url} was answered with a web page; check engine.server.base_url: "
                    "it ends where /chat/completions begins, mostly in /v1"
                ) from None
            await self.account.charge(call.role, call.model, call.price, None, call.most)
            raise _Again(self._clean(str(error)), kind="not JSON", paid=True) from None
        if error_in(payload) is None or (isinstance(payload, dict) and payload.get("usage")):
            usage = payload.get("usage") if isinstance(payload, dict) else None
            await self.account.charge(call.role, call.model, call.price, usage, call.most)
        return answer

    async def _send(self, method: str, path: str, body: Any, limit: int = BASE_LIMIT) -> Response:
        """Make one exchange, return the answer. Raises _Again: no whole answer came."""
        try:
            # A client for each place, with one connection: a pool of many looks at all of them for every request.
            return await self.once(method, path, body, limit)
        except IncompleteResponse as broken:
            raise _Again(self._clean(str(broken)), kind=broken.kind, paid=broken.sent) from broken.__cause__

    def _fault(self, answer: Response, fields: list[str] | tuple[str, ...] = ()) -> ServerFault | None:
        """Return what is wrong by the server's own words, in the status or inside the answer; None: nothing."""
        try:
            payload = json_of(answer)
        except NotJson:
            payload = None
        inside = error_in(payload)
        text = start_of(answer.data)
        if answer.status >= 300:
            status = 402 if inside is not None and inside[0] == 402 else answer.status
            return sorted_fault(status, payload, text, fields)
        return None if inside is None else sorted_fault(*inside, text, fields)

    def _refuse(self, fault: ServerFault | None, answer: Response, what: str, others: Sequence[str] = ()) -> None:
        """Raise what an error means: _Again, RequestFailed or EngineError."""
        assert fault is not None
        said = self._clean(fault.words[:EXCERPT])
        where = f"{what} at {self.base_url} was answered {answer.status}: {said}"
        if answer.status in range(300, 400):
            where += f", with a redirect to {self._clean(answer.headers.get('location', '')[:EXCERPT])!r}"
        remedy = fault.remedy
        if remedy == "key":
            named = self.settings.api_key_env or f"no environment variable: {self.settings.key_param} gives none"
            remedy = f"the key comes from {named}; give a valid one"
        if fault.kind in (Kind.RUN, Kind.FIELD):
            raise EngineError(f"{where}; {remedy or 'ask the documentation of the server'}")
        if fault.kind is Kind.MISSING:
            listed = f"; the server lists {', '.join(map(repr, others))}" if others else ""
            raise ModelMissingError(f"{where}{self._clean(listed)}; {remedy}")
        if fault.kind is Kind.REQUEST:
            raise RequestFailed(f"{where}; {remedy}" if remedy else where)
        if fault.kind is Kind.ONCE_MORE:
            raise _Again(where, kind="error inside", paid=True)
        headers = answer.headers
        wait = retry_after(headers.get("retry-after-ms"), headers.get("retry-after")) or said_wait(fault.words)
        if wait > LONGEST_RETRY_AFTER:
            raise RequestFailed(f"{where} and wants {wait:.0f} s of quiet; run again later")
        self._not_before = max(self._not_before, time.monotonic() + wait)
        raise _Again(f"status {answer.status}: {said}", wait)

    def _clean(self, text: str) -> str:
        """Return a server's words for a message: without our key, and without what a terminal would obey."""
        return printable(text.replace(self._key, "…") if self._key else text)

    def _new_client(self) -> httpx.AsyncClient:
        import httpx

        if self._verify is None:  # certificates take a while to read, so all clients share them
            self._verify = httpx.create_ssl_context() if self.base_url.startswith("https") else False
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            limits=httpx.Limits(max_connections=1, keepalive_expiry=4.0),
            verify=self._verify,
            timeout=None,  # one clock for the whole attempt: a server that drips bytes would outlive httpx's own
            trust_env=not is_local(self.base_url),  # a proxy is not for servers on this machine
        )


def _enough(failures: list[_Again]) -> bool:
    """Return whether the last failure is of a sort that more attempts would only pay for again."""
    last = failures[-1]
    if not last.paid:
        return False
    alike = sum(failed.paid and failed.kind == last.kind for failed in failures)
    if last.kind in LOST:
        return alike >= LOST_ALIKE
    return alike >= PAID_ALIKE or sum(failed.paid and failed.kind not in LOST for failed in failures) >= PAID


def shown(payload: Any) -> str:
    """Return the beginning of plain data, for messages."""
    try:
        return repr(printable(str(payload)[:200]))
    except (ValueError, RecursionError):  # a number of thousands of digits
        return "something that cannot be shown"
