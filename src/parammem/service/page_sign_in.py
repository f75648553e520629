"""How a browser shows the service's token: a form, or `?token=` once; then a cookie that opens the pages alone.

A browser cannot send a header of its own. The cookie does not hold the token but a digest made with it, is sent to
`/runs` only, to no script, and with no request that another site causes, so that nothing but reading follows from it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from parammem.service.run_pages import HEADERS, STYLE, page

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

SIGN_IN = "/runs/-/sign-in"
COOKIE = "parammem_pages"
TOKEN = "x-parammem-token"
LONGEST_FORM = 4096
"""Bytes."""
OWN_PAGE = re.compile(r"/runs(?:/[!-.0-~]*)?")
"""Where a sign-in may lead: to no other site."""


class PageSignIn:
    """ASGI application around the one that asks for the token: it adds the token to what a signed-in browser asks."""

    def __init__(self, app: AsgiApp, token: str) -> None:
        """token: empty: none is needed, and everything passes."""
        self._app, self._token = app, token
        self._pass = hmac.new(token.encode(), b"pages of runs", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not self._token or not (path == "/runs" or path.startswith("/runs/")):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = await self._answer(request)
        if answer is None:
            added = [] if _brings_its_own(request) else [(TOKEN.encode(), self._token.encode())]
            scope = {**scope, "headers": [*scope["headers"], *added]}
            await self._app(scope, receive, send)
        else:
            await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return the page of the sign-in, or a redirect; None: the request may go on."""
        if request.url.path == SIGN_IN:
            return await self._signed_in(request) if request.method == "POST" else RedirectResponse("/runs", 303)
        if _brings_its_own(request) or request.url.path == STYLE:
            return None
        if "token" in request.query_params and request.method == "GET":
            rest = urlencode([(k, v) for k, v in parse_qsl(request.url.query) if k != "token"])
            leads = f"{_own_path(request)}{'?' if rest else ''}{rest}"
            return self._checked(request, request.query_params["token"], leads)
        if request.method in ("GET", "HEAD") and _same(request.cookies.get(COOKIE, ""), self._pass):
            return None
        query = f"?{request.url.query}" if request.url.query else ""
        return self._form(f"{_own_path(request)}{query}", wrong=False)

    async def _signed_in(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_FORM:
                return self._form("/runs", wrong=True)
        given = parse_qs(body.decode("utf-8", "replace"))
        return self._checked(request, given.get("token", [""])[0], given.get("next", [""])[0])

    def _checked(self, request: Request, token: str, leads: str) -> Response:
        leads = leads if OWN_PAGE.fullmatch(leads.partition("?")[0]) and leads.isascii() else "/runs"
        if not _same(token.strip(), self._token):
            return self._form(leads, wrong=True)
        answer = RedirectResponse(leads, 303, HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, self._pass, path="/runs", secure=secure, httponly=True, samesite="strict")
        return answer

    def _form(self, leads: str, wrong: bool) -> Response:
        return page("run_sign_in", 401, action=SIGN_IN, next=leads, wrong=wrong)


def _own_path(request: Request) -> str:
    """Return the path as it was asked for, escapes included."""
    return request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").partition("?")[0]


def _brings_its_own(request: Request) -> bool:
    return TOKEN in request.headers or "authorization" in request.headers


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
