"""The service as one ASGI application: its parts, how they are joined, and what runs beside the calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from parammem.config import Params
from parammem.service import mcp_server, proxy, run_pages, run_routes, service_metrics
from parammem.service.access import Access
from parammem.service.advisor import Advisor
from parammem.service.begin import Beginning
from parammem.service.page_sign_in import PageSignIn
from parammem.service.recorder import Recorder
from parammem.service.run_book import RunBook
from parammem.service.run_in_path import RunInPath
from parammem.service.service_log import say_event
from parammem.service.upstream import Upstream

FIRST_LOOK = 5.0
"""Seconds for the ledger before the first call is taken. Weights load while calls go on."""
SWEEP_SECONDS = 5.0


class Service:
    """The parts of one service. `app` is what a server runs; its lifespan starts and ends what runs beside."""

    def __init__(
        self, root: Path, params: Params, token: str = "", upstream_key: str = "",
        book: RunBook | None = None, advisor: Advisor | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            root: the repository.
            token: that requests must bring; empty: none is needed.
            upstream_key: sent to upstream in place of the client's; empty: the client's goes on.
            book, advisor: by default the repository's.

        Raises:
            ConfigError: service.upstream is no URL.
            DataError: another service has the repository's runs.
        """
        self.params = params
        self.upstream = Upstream(params.service.upstream, upstream_key, token) if params.service.upstream else None
        self.advisor = advisor or Advisor(root, params)
        self.book = book or RunBook(root, params, self.advisor.arms)
        self.metrics = service_metrics.ServiceMetrics(self.book, self.advisor, tuple(params.kinds()))
        self.recorder = Recorder(lambda why: self.metrics.unrecorded.labels(why).inc())
        self.beginning = Beginning(self.book, self.advisor, params, self.recorder, self.metrics)
        mcp_routes, self._mcp_open = mcp_server.mount(self.book, self.advisor, params)
        routes = [
            Route("/healthz", self._health),
            *service_metrics.routes(self.metrics),
            *run_routes.routes(self.book, self.advisor, params),
            *run_pages.routes(self.book, tuple(params.kinds())),
            *mcp_routes,
            *self._proxied(),
        ]
        around = [Middleware(RunInPath), Middleware(PageSignIn, token=token), Middleware(Access, token=token)]
        self.app = Starlette(routes=routes, middleware=around, lifespan=self._lifespan)

    def _proxied(self) -> list[BaseRoute]:
        if self.upstream is None:
            return []
        parts = (self.upstream, self.beginning, self.book, self.advisor, self.recorder, self.metrics)
        return [*proxy.routes(proxy.Proxy(*parts))]

    def _health(self, _: Request) -> JSONResponse:
        """Answer that the service runs, and what is wrong. No run and no text is named, and no token is needed."""
        faults = [*(["the ledger cannot be read"] if self.advisor.ledger_fault else [])]
        faults += ["a reflector cannot be loaded"] if self.advisor.faults() else []
        return JSONResponse({"status": "ok", "faults": faults, "proxy": self.upstream is not None})

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(self._close)
            if self.upstream is not None:
                await self.upstream.start()
                stack.push_async_callback(self.upstream.close)
            await stack.enter_async_context(self._mcp_open())
            reading = asyncio.ensure_future(self.advisor.read())
            await asyncio.wait([reading], timeout=FIRST_LOOK)
            beside = [asyncio.create_task(self._follow()), asyncio.create_task(self._sweep())]
            stack.push_async_callback(_ended, reading, *beside)
            yield

    async def _follow(self) -> None:
        await self.advisor.look()
        await self.advisor.follow()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await asyncio.to_thread(self.book.sweep)
            except Exception as error:  # a full disk: the runs stay in the spool, and the next sweep tries again
                say_event("sweep", "runs could not be handed over; they stay in the spool", why=str(error)[:200])

    def _close(self) -> None:
        self.recorder.close()
        self.beginning.close()
        try:
            self.book.sweep(all=True)
        except Exception as error:
            say_event("sweep", "runs could not be handed over; they stay in the spool", why=str(error)[:200])
        self.book.close()
        self.advisor.close()


def build(root: Path, params: Params, token: str = "", upstream_key: str = "") -> Starlette:
    """Return the application for a repository. Raises ConfigError and DataError as `Service` does."""
    return Service(root, params, token, upstream_key).app


async def _ended(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
