"""Access to the service: a request needs its token, or, where none is set, has to come from this machine.

Without a token the service listens on this machine alone. Web pages that a browser here shows are kept out all the
same: by the `Host` that they name (a name that was made to point here) and by the `Origin` that they come from.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

TOKEN = "x-parammem-token"
TRUSTED = "parammem.trusted"
"""Key of the ASGI scope: whether the request brought the service's token, or needs none."""
OPEN = ("/healthz",)
RUN_TOKENS = re.compile(r"/v1/runs/[^/]+(?:/steps|/outcome)?")
"""Where a run's own token may do: the routes of runs check it. Everything else there needs the service's."""
CHALLENGE = [(b"www-authenticate", b'Bearer realm="ParamMem"')]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Access:
    """ASGI middleware that answers 401 and 403, and notes in the scope who may do everything."""

    def __init__(self, app: AsgiApp, token: str = "") -> None:
        """token: empty: none is needed."""
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"]
        if self._token:
            scope[TRUSTED] = is_same(presented(headers), self._token)
        elif is_from_a_page(headers):
            await refuse(send, 403, "this service takes calls of programs on this machine alone", "forbidden")
            return
        else:
            scope[TRUSTED] = True
        if not scope[TRUSTED] and path not in OPEN and not RUN_TOKENS.fullmatch(path):
            await refuse_stranger(send)
            return
        await self._app(scope, receive, send)


def presented(headers: Mapping[str, str]) -> str:
    """Return the token that a request brings: in its own header, or as a bearer token.

    Not as a password: a browser that has been told one sends it with what any web page asks of us. Pages have a sign-in
    of their own (page_sign_in.py).

    Args:
        headers: names in lower case.
    """
    own = headers.get(TOKEN)
    if own:
        return own.strip()
    kind, _, given = headers.get("authorization", "").strip().partition(" ")
    return given.strip() if kind.lower() == "bearer" else ""


def is_same(given: str, token: str) -> bool:
    """Return whether a token is the right one, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def is_from_a_page(headers: Mapping[str, str]) -> bool:
    """Return whether a request names another host than this machine, or comes from another host's web page."""
    origin = headers.get("origin", "")
    return not is_local(headers.get("host", "").strip()) or (bool(origin) and not is_local(urlsplit(origin).netloc))


def is_local(host: str) -> bool:
    """Return whether a host, with or without its port, is this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def refuse_stranger(send: Send) -> None:
    """Answer that a token is needed."""
    await refuse(send, 401, f"a token is needed: send it as `{TOKEN}` or as bearer token", "unauthorized", CHALLENGE)


async def refuse(send: Send, status: int, message: str, kind: str, headers: list[tuple[bytes, bytes]] = ()) -> None:  # type: ignore[assignment]
    """Answer with an error in OpenAI's form."""
    data = json.dumps({"error": {"message": message, "type": kind}}).encode()
    named = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": data})
