"""HTTP connections within bounds, for a server that anybody may reach: uvicorn's own protocol has none for headers.

- Headers (and the line with the address) may have so many bytes, and must be there within so many seconds.
- A client that was answered before it had sent its body may go on sending it for as long as an idle connection is kept.
- A request that offers an upgrade (`Upgrade: h2c`, as Java's own client sends with its first call) keeps its body: the
  parser stops behind the headers of such a request, and uvicorn then takes the body for something else.
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 2**18
"""Bytes of a request's first line and headers. A little more may come with the last read."""
HEAD_SECONDS = 60.0
"""From the beginning of a connection, or of a request, to the end of its headers."""
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
FRAMING = (b"content-length", b"transfer-encoding")


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head = 0
        """Bytes of the headers so far."""
        self._is_in_head, self._is_muted = True, False
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Any, transport))
        self._end_in(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_in(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head += len(data)
        try:
            while data:
                data = self._fed(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._is_in_head and self._head > LARGEST_HEAD:
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def _fed(self, data: bytes) -> bytes:
        """Let the parser read on. Returns what it has not read, where it stopped behind an offer of an upgrade."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            rest = data[stop.args[0] :]
            self._read_body_with_a_new_parser()
            return rest
        return b""

    def _read_body_with_a_new_parser(self) -> None:
        """Read the body with a new parser, as if no upgrade had been offered: it gets the framing headers alone."""
        self.parser = httptools.HttpRequestParser(self)
        framing = [name + b": " + value + b"\r\n" for name, value in self.headers if name in FRAMING]
        if not framing:
            return
        self._is_muted = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")
        self._is_muted = False

    def on_message_begin(self) -> None:
        if self._is_muted:
            return
        self._is_in_head = True
        self._end_in(HEAD_SECONDS)
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._is_muted:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_muted:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_muted:
            return
        self._head, self._is_in_head = 0, False
        self._end_in(None)
        self._unset_keepalive_if_required()  # set since, when the answer before this request ended
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("two hosts")  # a parser's error, and so 400: who may ask depends on the host
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and any(name in FRAMING for name, _ in self.headers):
            return  # its body is still to come
        super().on_message_complete()

    def _end_in(self, seconds: float | None) -> None:
        """Close the connection after so many seconds, in place of what was set before; None: do not."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.timeout_keep_alive_handler)
