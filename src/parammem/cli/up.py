"""`parammem up`: the service beside the agents that are running (docs/service.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parammem.cli.options import PARAMS, ParamsFile
from parammem.cli.say import say
from parammem.config import Params, load_params
from parammem.errors import ConfigError, DataError

EXTRA = "the service needs packages that are not installed: pip install 'parammem[service]'"


def up(
    host: Annotated[str | None, typer.Option(help="Where it listens.", show_default="service.host")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any that is free.", show_default="service.port")
    ] = None,
    upstream: Annotated[
        str | None, typer.Option(help="Your OpenAI-compatible server, with /v1.", show_default="service.upstream")
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="Of calls that name none.", show_default="service.domain, or the first")
    ] = None,
    log_calls: Annotated[bool, typer.Option("--log-calls", help="Log a line for each call, too.")] = False,
    params: ParamsFile = PARAMS,
) -> None:
    """Serve advice to agents that are running: change their base URL to the address that this prints."""
    found = with_flags(load_params(params), host=host, port=port, upstream=upstream, domain=domain)
    root = repository(params)
    try:
        from parammem.service.listening import serve
        from parammem.service.service_log import log_to_stderr
    except ModuleNotFoundError as error:
        raise ConfigError(f"{EXTRA} ({error.name})") from error
    log_to_stderr(log_calls)
    serve(root, found, lambda address: tell(address, found))


def with_flags(params: Params, **flags: str | int | None) -> Params:
    """Return the params with what was said on the command line. Raises ConfigError: a domain is none."""
    given = {name: value for name, value in flags.items() if value is not None}
    service = params.service.model_copy(update=given)
    if service.domain:
        params.kind(service.domain)
    return params.model_copy(update={"service": service})


def repository(params: Path) -> Path:
    """Return the folder of params.yaml, where the ledger and the runs are. Raises DataError: it is no repository."""
    root = params.resolve().parent
    if not (root / ".git").exists():
        raise DataError(
            f"{root} is no repository: the service reads the ledger there and leaves runs there; run it where "
            "params.yaml is, or make a repository with `parammem init`"
        )
    return root


def tell(address: str, params: Params) -> None:
    """Say where it is, and what to do with it."""
    say(f"ParamMem listens on {address}")
    if params.service.upstream:
        say(f"proxy: set your agent's base URL to {address}/v1; its calls go on to {params.service.upstream}")
    else:
        say("no proxy: no upstream is set (--upstream URL, or service.upstream in params.yaml)")
    say(f"runs: {address}/runs   metrics: {address}/metrics   stop with Ctrl-C")
