"""`parammem mcp`: advice, reports and similar tasks for an agent that starts us as its MCP server, over stdio."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parammem.cli.options import PARAMS, ParamsFile
from parammem.config import Params, load_params
from parammem.errors import ParamMemError

if TYPE_CHECKING:
    from parammem.service.solved_tasks import SolvedTasks

log = logging.getLogger(__name__)

URL = "PARAMMEM_URL"
SWEEP_SECONDS = 5.0


def mcp(
    domain: Annotated[
        str, typer.Option("--domain", "-d", help="Of tasks that name none.", show_default="service.domain")
    ] = "",
    url: Annotated[
        str, typer.Option(help=f"Of a running service; also in {URL}.", show_default="where params.yaml says")
    ] = "",
    params: ParamsFile = PARAMS,
) -> None:
    """Serve MCP on stdin and stdout: by a running service (`parammem up`), or without one if there is none."""
    import asyncio

    from parammem.service.solved_tasks import SolvedTasks

    loaded, root = load_params(params), Path.cwd()
    chosen = domain or loaded.service.domain or next(iter(loaded.domains))
    if chosen not in loaded.kinds():
        raise typer.BadParameter(f"{chosen!r} is no domain of {params}; there are {', '.join(loaded.kinds())}")
    given = url or os.environ.get(URL, "")
    address = given or f"http://{loaded.service.host}:{loaded.service.port}"
    if given or is_up(address):
        asyncio.run(_remote(address, loaded, chosen, SolvedTasks(root)))
    else:
        asyncio.run(_alone(root, loaded, chosen, SolvedTasks(root)))


def is_up(url: str) -> bool:
    """Return whether a service answers there."""
    import httpx

    try:
        return httpx.get(f"{url}/healthz", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


async def _remote(url: str, params: Params, domain: str, solved: SolvedTasks) -> None:
    from parammem.service.mcp_server import RemoteRuns, make_server

    runs = RemoteRuns(url, os.environ.get(params.service.token_env, ""))
    await make_server(runs, solved, list(params.kinds()), domain).run_stdio_async()


async def _alone(root: Path, params: Params, domain: str, solved: SolvedTasks) -> None:
    """Serve without a service: the book and the advisor are this process's own."""
    import asyncio

    from parammem.service.advisor import Advisor
    from parammem.service.mcp_server import BookRuns, make_server
    from parammem.service.run_book import RunBook

    advisor = Advisor(root, params)
    book = RunBook(root, params, advisor.arms)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await asyncio.to_thread(book.sweep)
            except (ParamMemError, OSError) as error:  # the next one tries again
                log.warning("runs were not handed over: %s", error)

    await advisor.look()
    work = [asyncio.create_task(advisor.follow()), asyncio.create_task(sweep())]
    try:
        await make_server(BookRuns(book, advisor), solved, list(params.kinds()), domain).run_stdio_async()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        book.sweep(all=True)
        book.close()
        advisor.close()
