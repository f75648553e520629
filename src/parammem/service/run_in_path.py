"""A run's id in the base URL: `/as/<run id>/v1/…` is `/v1/…` with the header `x-parammem-run`.

For agents of which nothing can be changed but their base URL: whoever starts one puts the id of the ticket, the test or
the job there, and reports the outcome by the same id.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from parammem.service.correlate import RUN, RUN_ID

_PATH = re.compile(rf"/as/({RUN_ID.pattern.replace('/', '')})(/v1(?:/.*)?)", re.ASCII)


class RunInPath:
    """Middleware that reads the run's id out of the path. A path that has none passes as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found:
            name = RUN.encode()
            headers = [(key, value) for key, value in scope["headers"] if key != name]
            raw = (scope.get("raw_path") or scope["path"].encode()).split(b"/", 3)  # "", as, the id, and the rest
            scope = {
                **scope,
                "path": found[2],
                "raw_path": b"/" + raw[-1],
                "headers": [*headers, (name, found[1].encode())],
            }
        await self._app(scope, receive, send)
