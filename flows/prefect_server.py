"""A Prefect server: one of our own on a free local port, or whether a configured one answers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from parammem.checkout.processes import GUARD

START_SECONDS = 600
"""Far more than it needs, for machines that are busy with something else."""


@contextlib.contextmanager
def local_server(home: Path) -> Iterator[str]:
    """Run a Prefect server on a free local port, with its database under PREFECT_HOME. Yields its API address.

    Raises:
        RuntimeError: it ended, or did not answer within START_SECONDS.
    """
    port = free_port()
    home.mkdir(parents=True, exist_ok=True)
    # The UI is a program in the browser, and asks whatever address the server gives it: by default port 4200.
    environment = {**os.environ, "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = (home / "server.log").open("ab")
    server = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command],
        stdin=subprocess.PIPE,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_until_ready(server, port, home / "server.log")
        yield f"http://127.0.0.1:{port}/api"
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
        log.close()


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server answers as a Prefect server does. Raises RuntimeError if it ends or does not answer in
    time."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the Prefect server ended at once; its log is {log}")
        if answers(f"http://127.0.0.1:{port}/api/health"):
            return
        time.sleep(0.3)
    raise RuntimeError(f"the Prefect server did not answer within {START_SECONDS} s; its log is {log}")


def answers(address: str) -> bool:
    """Return whether a healthy Prefect server answers there."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return json.load(answer) is True
    except (OSError, ValueError):
        return False


def require_answer(api: str) -> None:
    """Raise RuntimeError, with what to do, where the configured Prefect server does not answer."""
    if answers(f"{api.rstrip('/')}/health"):
        return
    raise RuntimeError(
        f"the Prefect server at {api} does not answer. Start it (`prefect server start`), or name another one "
        "(`prefect config set PREFECT_API_URL=…`), or none (`prefect config unset PREFECT_API_URL`): then one is "
        "started for the run. Nothing was lost: files stay in the inbox until a turn takes them"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
