"""HTTP to one server: bounded concurrency, retries with full jitter, Retry-After, and one budget.

An attempt that may succeed later (429, 5xx, a timeout, a broken connection, an answer that is cut or is another
model's) is repeated; each wait is drawn evenly between 0 and a bound that doubles (full jitter), and is never shorter
than the server's Retry-After, during which nothing else is sent either. What ends up unanswered is RequestFailed and
concerns one request. A wrong key, a missing model or an account without money is an EngineError and concerns all.

Everything async runs in one thread per process with an event loop of its own, so that engines can be called from plain
code, from threads, and from inside another event loop. Why httpx and not the openai client: the client repeats requests
by rules of its own, which would hide from the budget what was sent.
"""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import os
import random
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from parammem.engines.openai.account import Account, Most, Price
from parammem.errors import ConfigError, EngineError, ModelMissingError, RequestFailed

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")

NOTHING, FREE = Most(), Price()
REPEATED = frozenset({408, 409, 425, 429})
"""Statuses below 500 that may go away by waiting."""
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds: the bound of the first wait, and the bound that the doubling stops at."""
LONGEST_RETRY_AFTER = 600.0
"""Seconds. A server that wants longer is taken at its word: the request has failed."""
NO_MONEY = ("insufficient_quota", "billing_not_active", "account_deactivated")
EXCERPT = 300


class Unusable(Exception):
    """An answer that cannot be used, though another attempt may bring a better one. `read` functions raise it."""


class _Again(Exception):
    """This attempt failed; the next one may succeed, after `wait` seconds at the earliest."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


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


@dataclass(frozen=True)
class Call:
    """One thing to ask of a server, and who pays for it."""

    path: str
    body: dict[str, Any]
    role: str
    model: str
    most: Most = NOTHING
    """The most it can cost: what the budget must have room for."""
    price: Price = FREE


class Server:
    """One server, shared by all engines that use it, so that `concurrency` bounds them together."""

    def __init__(self, settings: ServerSettings, account: Account) -> None:
        """Raises ConfigError: the environment variable of the key is not set, or the URL is none."""
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
        self._chance = random.Random()  # waits only: nothing that is written to disk follows from it

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine of this server in the background."""
        return asyncio.run_coroutine_threadsafe(work, background_loop())

    async def post(self, call: Call, read: Callable[[Any], T]) -> T:
        """What `read` makes of the JSON answer; it raises Unusable for an answer that is not worth having.

        Raises:
            RequestFailed: no attempt brought a usable answer.
            BudgetExceeded, EngineError: no other request will fare better.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return await self._persist(lambda: self._attempt(call, read), f"POST {call.path}")
        except RequestFailed:
            raise
        except EngineError as error:
            self._broken = error  # those that still wait for their turn need not be sent
            raise

    async def get(self, path: str, read: Callable[[Any], T]) -> T:
        """As `post`, for something that costs nothing."""
        return await self._persist(lambda: self._fetch("GET", path, None, read), f"GET {path}")

    async def load_adapter(self, name: str, folder: str) -> None:
        """vLLM's run-time loading, which answers in plain text. Raises as `get` does."""
        body = {"lora_name": name, "lora_path": folder}
        await self._persist(lambda: self._send("POST", "/load_lora_adapter", body), "POST /load_lora_adapter")

    async def _persist(self, attempt: Callable[[], Coroutine[Any, Any, T]], what: str) -> T:
        """Attempt, wait, attempt again."""
        for number in range(self.settings.retries + 1):
            try:
                async with self._slots:
                    await self._gate()
                    if self._broken is not None:
                        raise self._broken
                    return await attempt()
            except _Again as failed:
                last = failed
            if number < self.settings.retries:
                await asyncio.sleep(max(last.wait, self._jitter(number)))
        raise RequestFailed(
            f"{what} at {self.base_url} failed {self.settings.retries + 1} time(s); the last time: {last}"
        )

    def _jitter(self, number: int) -> float:
        return self._chance.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**number))

    async def _gate(self) -> None:
        """Nothing is sent while the server has asked to be left alone."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait + self._jitter(0))

    async def _attempt(self, call: Call, read: Callable[[Any], T]) -> T:
        """One paid attempt: admitted by the budget, and booked whether its answer can be used or not."""
        await self.account.admit(call.most)
        with self.account.reserved(call.most):
            payload = await self._fetch("POST", call.path, call.body, lambda payload: payload)
            usage = payload.get("usage") if isinstance(payload, dict) else None
            await self.account.charge(call.role, call.model, call.price, usage)
        return _read(read, payload)

    async def _fetch(self, method: str, path: str, body: Any, read: Callable[[Any], T]) -> T:
        response = await self._send(method, path, body)
        try:
            payload = response.json()
        except ValueError:
            raise _Again(f"the answer is not JSON: {response.text[:EXCERPT]!r}") from None
        return _read(read, payload)

    async def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        """One exchange whose status is good. Raises _Again, RequestFailed or EngineError."""
        import httpx

        # A client for each place, with one connection: a pool of many looks at all of them for every request.
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                response = await client.request(method, self.base_url + path, json=body)
        except TimeoutError:
            raise _Again(f"no whole answer within {self.settings.timeout_seconds:g} s") from None
        except httpx.HTTPError as error:
            raise _Again(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        finally:
            self._idle.append(client)
        if response.status_code >= 400:
            self._refuse(response, method, path)
        return response

    def _refuse(self, response: httpx.Response, method: str, path: str) -> None:
        """Sort an error status. Raises _Again, RequestFailed or EngineError."""
        status, text = response.status_code, response.text[:EXCERPT]
        where = f"{method} {path} at {self.base_url} was answered {status}: {text}"
        if any(word in text for word in NO_MONEY):
            raise EngineError(f"{where}; see to the account, and run again: what was answered is kept")
        if status in (401, 403):
            named = self.settings.api_key_env or f"no environment variable: {self.settings.key_param} gives none"
            raise EngineError(f"{where}; the key comes from {named}; give a valid one")
        if status == 404:
            raise ModelMissingError(f"{where}; check engine.model and engine.server.base_url")
        if status not in REPEATED and status < 500:
            raise RequestFailed(where)
        wait = retry_after(response.headers.get("retry-after-ms"), response.headers.get("retry-after"))
        if wait > LONGEST_RETRY_AFTER:
            raise RequestFailed(f"{where} and wants {wait:.0f} s of quiet; run again later")
        self._not_before = max(self._not_before, time.monotonic() + wait)
        raise _Again(f"status {status}: {text}", wait)

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


def _read(read: Callable[[Any], T], payload: Any) -> T:
    try:
        return read(payload)
    except Unusable as error:
        raise _Again(str(error)) from None


def api_key(variable: str, param: str) -> str:
    """The key from the environment. Raises ConfigError: the variable is named, by this param, but not set."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"{param}: the environment variable {variable!r} is not set; set it to the server's key, or name none for "
            "a server that wants none"
        )
    return key


def retry_after(milliseconds: str | None, header: str | None) -> float:
    """Seconds that a server wants to be left alone: Retry-After in seconds or as a date. 0 if it does not say."""
    for value, unit in ((milliseconds, 0.001), (header, 1.0)):
        try:
            if value is not None:
                return max(0.0, float(value) * unit)
        except ValueError:
            continue
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header or "").timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def is_local(url: str) -> bool:
    """Whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_loops: dict[int, asyncio.AbstractEventLoop] = {}
_lock = threading.Lock()


def background_loop() -> asyncio.AbstractEventLoop:
    """This process's event loop for servers, in a thread that ends with the process."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="parammem-servers", daemon=True).start()
            _loops[os.getpid()] = loop
        return loop


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _loops.clear()


os.register_at_fork(after_in_child=_after_fork)
