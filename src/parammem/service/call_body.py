"""A call's body: its bytes within bounds, and its JSON if that can be written again without saying anything else."""

from __future__ import annotations

import json
import math
from typing import Any

from parammem.service.access import Receive

LARGEST_CALL = 2**26
"""Bytes of a call's body."""


class ClientGone(Exception):
    """The client has closed the connection."""


async def read_bytes(receive: Receive, limit: int) -> bytes:
    """Return a request's body.

    Raises:
        ClientGone: there is no whole one.
        ValueError: it is too large. All of it was taken, so that the client reads the answer to it.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        size += len(message.get("body", b""))
        if size > limit:
            parts.clear()
        else:
            parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    if size > limit:
        raise ValueError(f"the call has more than {limit} bytes")
    return b"".join(parts)


async def client_left(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def read_json(data: bytes) -> Any:
    """Return what a body says.

    Raises:
        ValueError, RecursionError: it is no JSON in UTF-8, or readers of JSON differ about it: a name that stands
            twice in an object, a number that is none. What we wrote in its place could say something else.
    """
    return json.loads(data.decode(), object_pairs_hook=_once, parse_float=_finite, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of bounds")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
