"""Runs the service on uvicorn until a signal ends it: its socket, its limits, and why it cannot start."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from parammem.config import Params
from parammem.errors import ConfigError, ServiceError
from parammem.service.access import AsgiApp, is_local
from parammem.service.app import Service

if TYPE_CHECKING:
    import uvicorn

BACKLOG = 2048
IDLE_SECONDS = 75
"""A client's idle connection is kept for longer than clients keep it, so that no call goes to a closed one."""
GRACE_SECONDS = 20
"""For calls in flight when the service is stopped."""
SWITCH_SECONDS = 0.0005
"""How soon a thread that computes lets the calls go on; Python's own 5 ms would be felt in every call."""


def serve(root: Path, params: Params, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; calls in flight are ended first.

    Args:
        ready: is told the address once it listens.

    Raises:
        ConfigError: the address needs a token, or a variable with a key is not set.
        ServiceError: the port is taken.
        DataError: another service has the repository's runs.
    """
    import uvicorn

    settings = params.service
    token = checked_token(settings.host, settings.token_env)
    service = Service(root, params, token, upstream_key(settings.upstream_key_env))
    try:
        listener = listen(settings.host, settings.port)
    except ServiceError:
        service.book.close()
        raise
    sys.setswitchinterval(SWITCH_SECONDS)
    allow_many_connections()
    server = uvicorn.Server(configured(service.app))
    host, port = listener.getsockname()[:2]
    asyncio.run(_run(server, listener, lambda: ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")))


def allow_many_connections() -> None:
    """Raise this process's limit of open files to what it may have: a call takes two connections, and the usual limit
    of 1,024 would refuse the 500th that waits for a slow upstream."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # as some systems refuse what they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def configured(app: AsgiApp) -> uvicorn.Config:
    """Return uvicorn's settings for an application: no headers of its own, no log of its own."""
    import uvicorn

    from parammem.service.bounded_http import BoundedHttp

    return uvicorn.Config(
        app,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
        proxy_headers=False,
    )


async def _run(server: uvicorn.Server, listener: socket.socket, ready: Callable[[], None]) -> None:
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not running.done() and not server.started:
        await asyncio.sleep(0.02)
    if not running.done():
        ready()
    await running


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises ServiceError: the port is taken, or the host is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio else leaves Nagle's delay on, which holds each answer for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServiceError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); another program has the port, or the host is "
            "none of this machine's: give another one (--port 0 takes a free one)"
        ) from error
    listener.setblocking(False)
    return listener


def checked_token(host: str, token_env: str) -> str:
    """Return the token that requests must bring; empty: none. Raises ConfigError: the host needs one and none is set,
    or it is too short to be one."""
    token = os.environ.get(token_env, "").strip()
    if not token and not is_local(f"[{host}]" if ":" in host else host):
        raise ConfigError(
            f"service.host: {host} is reached by other machines, so requests need a token: put one into the "
            f"environment variable {token_env} (`export {token_env}=$(openssl rand -hex 32)`), or listen on 127.0.0.1"
        )
    if token and (len(token) < 16 or not token.isascii()):
        raise ConfigError(f"the token in {token_env} should be 16 or more ASCII characters; `openssl rand -hex 32`")
    return token


def upstream_key(name: str) -> str:
    """Return upstream's API key. Raises ConfigError: the variable that should hold it is not set."""
    key = os.environ.get(name, "").strip() if name else ""
    if name and not key:
        raise ConfigError(f"service.upstream_key_env: the environment variable {name} is not set; set it to the key")
    return key
