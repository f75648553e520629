"""The service for agents that speak MCP: the tools `advise`, `report` and `similar`, over stdio or at /mcp.

`similar` shows solved tasks and no advice, so runs of the arm `holdout` stay without any.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, Protocol
from urllib.parse import quote

import httpx
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import BaseRoute

from parammem.config import Params
from parammem.core.advice import GivenAdvice, marked
from parammem.core.outcome import Outcome, OutcomeSource
from parammem.errors import ParamMemError
from parammem.service.run_book import RunBook
from parammem.service.run_routes import AdvisesRuns, BadRequest, as_plain, begin, begun_as_json
from parammem.service.solved_tasks import SolvedTasks

INSTRUCTIONS = (
    "Before each try of a task, call `advise` with the task's text and heed the advice it returns. When you know how "
    "the try ended, call `report` with the run id. Every try is a run of its own. `similar` shows solved tasks."
)
SOURCE: OutcomeSource = "model"
"""Of outcomes that do not say who said so: an agent that reports by MCP is a model."""
TIMEOUT = 30.0


class ServedRuns(Protocol):
    """What the tools need: runs of a book here, or of a service that is running."""

    async def start(self, task: str, domain: str) -> dict[str, Any]:
        """Return a run that was begun, as POST /v1/runs answers."""
        ...

    async def report(self, run: str, outcome: Outcome) -> dict[str, Any]:
        """Return which outcome counts, as POST /v1/runs/{id}/outcome answers."""
        ...


class BookRuns:
    """Runs of a book that this process has."""

    def __init__(self, book: RunBook, advisor: AdvisesRuns) -> None:
        self._book, self._advisor = book, advisor

    async def start(self, task: str, domain: str) -> dict[str, Any]:
        return begun_as_json(await begin(self._book, self._advisor, domain, task))

    async def report(self, run: str, outcome: Outcome) -> dict[str, Any]:
        result = await asyncio.to_thread(self._book.report, run, outcome, "MCP")
        return {"counts": result.counts, "late": result.late, "outcome": as_plain(result.outcome)}


class RemoteRuns:
    """Runs of a service that is running elsewhere."""

    def __init__(self, url: str, token: str = "") -> None:
        headers = {"x-parammem-token": token} if token else {}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False)

    async def start(self, task: str, domain: str) -> dict[str, Any]:
        return await self._post("/v1/runs", {"task": task, "domain": domain})

    async def report(self, run: str, outcome: Outcome) -> dict[str, Any]:
        said = {"passed": outcome.passed, "value": outcome.value, "source": outcome.source}
        return await self._post(f"/v1/runs/{quote(run, safe='')}/outcome", said)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._http.post(path, json=body)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ToolError(f"the service does not answer ({type(error).__name__}); see that it runs") from None
        if answer.is_error:
            raise ToolError(str(said.get("error", {}).get("message", answer.status_code)))
        return said


def make_server(runs: ServedRuns, solved: SolvedTasks, domains: list[str], default: str) -> MCPServer:
    """Return an MCP server with the three tools."""
    server = MCPServer("parammem", instructions=INSTRUCTIONS, log_level="ERROR")
    known = ", ".join(domains)

    def checked(domain: str) -> str:
        if domain and domain not in domains:
            raise ToolError(f"no domain of that name; there are {known}")
        return domain or default

    @server.tool(description=f"Begin a run of a task and get advice for it. Domains: {known}; default {default}.")
    async def advise(task: str, domain: str = "") -> dict[str, Any]:
        begun = await _told(runs.start(task, checked(domain)))
        given = begun["advice"]
        return {
            "run": begun["run_id"],
            "advice": given["text"] if given else "",
            "block": marked(GivenAdvice(**given)) if given else "",
            "no_advice": begun["no_advice"],
        }

    @server.tool(description="Say how a run ended: passed (null: not known), or a value from 0 to 1, and who said so.")
    async def report(
        run: str,
        passed: bool | None,
        value: float | None = None,
        source: Literal["judge", "test", "person", "reward", "model"] = SOURCE,
    ) -> dict[str, Any]:
        return await _told(runs.report(run, outcome_of_call(passed, value, source)))

    @server.tool(description="Show solved tasks of a domain that are like this one, with their answers.")
    async def similar(task: str, domain: str = "", count: int = 3) -> list[dict[str, str]]:
        return await _told(asyncio.to_thread(solved.similar, checked(domain), task, count))

    return server


def outcome_of_call(passed: bool | None, value: float | None, source: OutcomeSource) -> Outcome:
    """Return an outcome as a tool's arguments say it. Raises ToolError."""
    if value is not None and not 0 <= value <= 1:  # also NaN
        raise ToolError("value: a number from 0 to 1")
    return Outcome(passed=passed, value=value, source=source)


async def _told(answer: Any) -> Any:
    """Return the answer; turn the project's own errors into ones that the model may read."""
    try:
        return await answer
    except (ParamMemError, BadRequest) as error:
        raise ToolError(str(error)) from None


def mount(
    book: RunBook, advisor: AdvisesRuns, params: Params
) -> tuple[list[BaseRoute], Callable[[], AbstractAsyncContextManager[None]]]:
    """Return the routes of /mcp, and what has to be open while they are served.

    Each request is by itself, so a restart of the service ends no session. Who may speak to it, access.py decides.
    """
    default = params.service.domain or next(iter(params.domains))
    server = make_server(BookRuns(book, advisor), SolvedTasks(book.root), list(params.kinds()), default)
    app = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    return list(app.routes), lifespan
