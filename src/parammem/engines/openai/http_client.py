"""One HTTP exchange within bounds: seconds from connecting to the last byte, and bytes before and after decompression.

What comes back is bytes; `json_of` makes plain data of them and never raises anything but NotJson.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

BASE_LIMIT = 2**20
"""Bytes that any answer may have, whatever was asked."""
BYTES_PER_TOKEN = 1024
"""Bytes of JSON that a token may take: its text with escapes, and five rivals with their log probabilities."""
LIST_LIMIT = 2**24
"""Bytes of a list of models: the longest public one has about a megabyte."""
SINGLE_BYTES = ("iso-8859-1", "latin-1", "windows-1252", "cp1252", "us-ascii")
EXCERPT = 300
EVENTS = (b"data:", b":", b"event:", b"id:", b"retry:")
"""How a stream of events begins; a line that begins with a colon is a comment, sent to keep the connection open."""


class IncompleteResponse(Exception):
    """No whole answer came. `sent`: the whole request was, so that the server may have answered and charged it."""

    def __init__(self, why: str, sent: bool, kind: str) -> None:
        super().__init__(why)
        self.sent, self.kind = sent, kind


class NotJson(Exception):
    """An answer's bytes are no JSON that can be read."""


@dataclass(frozen=True)
class Response:
    """Status, headers and decompressed body."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    data: bytes
    flaw: str = ""
    """Why the body was not read to its end; empty: it was."""

    @cached_property
    def plain(self) -> Any:
        return _read_json(self)


class _Sent:
    """Notes that the last byte of a request has left."""

    whole = False

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_body.complete"):
            self.whole = True


async def exchange(
    client: httpx.AsyncClient, method: str, url: str, body: Any, seconds: float, limit: int = BASE_LIMIT
) -> Response:
    """Send one request and read its answer, `limit` bytes of it at most.

    Raises:
        Broken: no whole answer came within `seconds`, or the connection failed.
    """
    import httpx

    sent = _Sent()
    headers = {"Accept-Encoding": "identity"} | ({} if body is None else {"Content-Type": "application/json"})
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream(
                method,
                url,
                content=None if body is None else encoded(body),
                headers=headers,
                extensions={"trace": sent.note},
            ) as response,
        ):
            data, flaw = await _read(response, limit)
            return Response(response.status_code, {k.lower(): v for k, v in response.headers.items()}, data, flaw)
    except TimeoutError:
        raise IncompleteResponse(f"no whole answer within {seconds:g} s", sent.whole, "time-out") from None
    except (httpx.HTTPError, httpx.StreamError, OSError) as error:
        raise IncompleteResponse(f"{type(error).__name__}: {error}".rstrip(": "), sent.whole, "connection") from error
    except (httpx.InvalidURL, ValueError) as error:  # a header or status line that httpx cannot read
        raise IncompleteResponse(f"no HTTP: {type(error).__name__}: {error}", sent.whole, "connection") from error


def encoded(body: Any) -> bytes:
    """Return JSON bytes; half a surrogate pair, which UTF-8 cannot hold, goes as its escape."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()


async def _read(response: httpx.Response, limit: int) -> tuple[bytes, str]:
    """Return the body, decompressed, and what was wrong with it. Stops as soon as either form exceeds the limit."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        return b"", f"its content-encoding is {coding[:40]!r}, which was not asked for"
    inflate = zlib.decompressobj(47) if coding in ("gzip", "x-gzip", "deflate") else None  # 47: gzip or zlib
    whole, raw = bytearray(), 0
    async for chunk in response.aiter_raw():
        raw += len(chunk)
        try:
            whole += chunk if inflate is None else inflate.decompress(chunk, limit - len(whole) + 1)
        except zlib.error as error:
            return bytes(whole), f"it cannot be decompressed ({error})"
        if max(raw, len(whole)) > limit:
            return bytes(whole[:limit]), f"it is longer than {limit:,} bytes, the most that this request can need"
    return bytes(whole), ""


def json_of(answer: Response) -> Any:
    """Return the plain data in an answer's body, whatever its content type says. A stream of events becomes one answer.

    Raises:
        NotJson: names what is there instead.
    """
    return answer.plain


def _read_json(answer: Response) -> Any:
    if answer.flaw:
        raise NotJson(f"the answer cannot be used: {answer.flaw}")
    try:
        if answer.data.lstrip()[:6].startswith(EVENTS):
            return _joined(answer.data)
        try:
            return json.loads(answer.data)
        except UnicodeDecodeError:
            charset = answer.headers.get("content-type", "").lower().partition("charset=")[2].strip(' "')
            if charset not in SINGLE_BYTES:
                raise
            return json.loads(answer.data.decode("latin-1"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and numbers of too many digits are ValueErrors
        why = "it is nested too deep" if isinstance(error, RecursionError) else f"begins {start_of(answer.data)!r}"
        raise NotJson(f"the answer is not JSON that can be read: {why}") from None


def _joined(data: bytes) -> dict[str, Any]:
    """Return one answer from a stream of events, for servers that stream whatever is asked. Raises ValueError."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for line in data.split(b"\n"):
        if not line.startswith(b"data:") or line[5:].strip() in (b"", b"[DONE]"):
            continue
        event = json.loads(line[5:])
        if not isinstance(event, dict):
            raise ValueError("an event is no object")
        whole |= {key: value for key, value in event.items() if key != "choices" and value is not None}
        for choice in event["choices"] if isinstance(event.get("choices"), list) else []:
            _join(choices, choice)
    return whole | {"choices": list(choices.values())}


def _join(choices: dict[int, dict[str, Any]], choice: Any) -> None:
    """Add what an event says of one choice."""
    index = choice.get("index", 0) if isinstance(choice, dict) else None
    part = (choice.get("delta") or choice.get("message") or {}) if isinstance(choice, dict) else None
    if not isinstance(index, int) or not isinstance(part, dict):
        raise ValueError("an event's choice is none")
    one = choices.setdefault(index, {"index": index, "message": {"content": ""}, "finish_reason": None})
    piece = part.get("content")
    if not isinstance(piece, str | None):
        raise ValueError("an event's content is no text")
    one["message"]["content"] += piece or ""
    one["finish_reason"] = choice.get("finish_reason") or one["finish_reason"]


def is_page(answer: Response) -> bool:
    """Return whether a body is a web page."""
    start = answer.data.lstrip()[:200].lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")) or (
        "text/html" in answer.headers.get("content-type", "") and start[:1] not in (b"{", b"[")
    )


def start_of(data: bytes, count: int = EXCERPT) -> str:
    """Return the beginning of a body as text."""
    return data[:count].decode("utf-8", "replace")


def printable(text: str) -> str:
    """Return untrusted text for a message: what a terminal would obey becomes visible escapes."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
