"""The connection to the user's server: the same bytes and headers there and back, chunk by chunk, nothing sent twice.

aiohttp and not httpx: at 256 calls in flight its parser, in C, leaves the processor to the calls (docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from parammem.errors import ConfigError
from parammem.service.access import TOKEN, is_same

if TYPE_CHECKING:
    import aiohttp

Headers = list[tuple[str, str]]

HOP_BY_HOP = frozenset(
    ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade"]
)  # fmt: skip
"""RFC 9110, 7.6.1: of one connection, and not passed on. What `Connection` names is of them, too."""
OURS = "x-parammem-"
WITHOUT_BODY = (204, 304)
"""Statuses of answers that never have a body; a 304 may name the length of the one that has not changed."""
READABLE = ("gzip", "deflate", "identity")
"""Encodings of answers that can be read here; others are not asked for, so that a run's answers are known."""
IDLE_SECONDS = 3.0
"""Connections that were quiet for longer are not used again: a server that is about to close one would lose a call that
nobody sends a second time. uvicorn, and vLLM with it, closes after 5 seconds."""


class Upstream:
    """Where calls go. For one event loop."""

    def __init__(self, base_url: str, key: str = "", token: str = "") -> None:
        """
        Args:
            base_url: with /v1.
            key: sent in place of the client's; empty: the client's goes on.
            token: the service's own, which upstream never sees.

        Raises:
            ConfigError: the URL is none.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(f"service.upstream: {base_url!r} is no URL; give one like http://127.0.0.1:8000/v1")
        self.base = base_url.rstrip("/")
        self._key, self._token = key, token
        self._proxy = None if proxy_bypass(url.hostname) else getproxies().get(url.scheme)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pool of connections. Importing aiohttp takes a moment, which no call should wait for."""
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=2**16,
            max_field_size=2**16,
        )
        # aiohttp sends GET, PUT and DELETE a second time when a connection breaks, and has no public setting for it.
        self._session._retry_connection = False

    def open(self, method: str, path: str, headers: Headers, data: bytes) -> aiohttp.client._RequestContextManager:
        """Begin a request; the body of its answer comes as it is sent, still encoded.

        Args:
            path: with its query, behind the base URL.
        """
        from yarl import URL

        assert self._session is not None, "not started"
        return self._session.request(
            method,
            URL(self.base + path, encoded=True),
            headers=headers,
            data=data or None,
            allow_redirects=False,
            proxy=self._proxy,
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def request_headers(self, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Return a client's headers as they go on."""
        found = [(name.decode("latin-1"), _text(value)) for name, value in raw]
        dropped = {"host", "content-length", "expect", TOKEN} | HOP_BY_HOP | _listed(found)
        kept = []
        for name, value in found:
            low = name.lower()
            if low in dropped or low.startswith(OURS):
                continue
            if low == "accept-encoding":
                value = _readable(value)
            elif low == "authorization" and (self._key or self._is_ours(value)):
                continue
            kept.append((name, value))
        return [*kept, ("authorization", f"Bearer {self._key}")] if self._key else kept

    def _is_ours(self, authorization: str) -> bool:
        """Return whether a header holds the service's own token."""
        kind, _, given = authorization.strip().partition(" ")
        return bool(self._token) and kind.lower() == "bearer" and is_same(given.strip(), self._token)


def answer_headers(status: int, raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers as the client gets them: all but those of the connection, those that only we may
    set, and the length of a body that is not sent."""
    found = [(name.lower(), value) for name, value in raw]
    dropped = HOP_BY_HOP | _listed([(name.decode("latin-1"), value.decode("latin-1")) for name, value in found])
    if status in WITHOUT_BODY:
        dropped |= {"content-length"}
    kept = [(name, value) for name, value in found if not name.startswith(OURS.encode())]
    return [(name, value) for name, value in kept if name.decode("latin-1") not in dropped]


def _listed(headers: Headers) -> set[str]:
    """Return the names of headers that the header `Connection` lists."""
    values = [value for name, value in headers if name.lower() == "connection"]
    return {one.strip().lower() for value in values for one in value.split(",")} - {"close"}


def _readable(accepted: str) -> str:
    """Return the client's choice of encodings, without those that cannot be read here."""
    parts = [part.strip() for part in accepted.split(",")]
    kept = [part for part in parts if part.split(";")[0].strip().lower() in READABLE]
    return ", ".join(kept) or "identity"


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
