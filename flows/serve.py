"""Run `rebuild` by schedule: python -m flows.serve --cron "0 3 * * *"

Schedules need a Prefect server that stays up. Where PREFECT_API_URL names none, one is started here on a free local
port and ends with this process, however this process ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows import ROOT
from parammem.improve.processes import GUARD

NIGHTLY = "0 3 * * *"
START_SECONDS = 90


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Exit code 0 when stopped that way, 1 when the server does not start."""
    given = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with contextlib.ExitStack() as stack:
            if not os.environ.get("PREFECT_API_URL"):
                os.environ["PREFECT_API_URL"] = stack.enter_context(local_server(ROOT / ".cache" / "prefect"))
            print(f"serving rebuild of {given.root} at {given.cron!r}; Prefect: {os.environ['PREFECT_API_URL']}")
            print("stop with Ctrl-C", flush=True)
            serve(given.root, given.cron, given.retries, given.track)
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("stopped; the next start serves the same schedule again")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="Rebuild the pipeline by schedule.")
    parser.add_argument("--cron", default=NIGHTLY, help=f"five cron fields, local time (default: {NIGHTLY!r})")
    parser.add_argument("--root", default=str(ROOT), help="the repository (default: this one)")
    parser.add_argument("--retries", type=int, default=1, help="tries again of a failed stage (default: 1)")
    parser.add_argument("--track", action=argparse.BooleanOptionalAction, default=True, help="log new runs to W&B")
    return parser.parse_args(arguments)


def serve(root: str, cron: str, retries: int, track: bool) -> None:
    """Register the schedule and run what falls due. Returns on Ctrl-C."""
    # Imported here: Prefect reads PREFECT_API_URL when it is imported.
    from flows.rebuild import rebuild

    parameters = {"root": str(Path(root).resolve()), "retries": retries, "track": track}
    # limit=1: two runs would only wait for each other's DVC lock.
    rebuild.serve(name="nightly", cron=cron, parameters=parameters, limit=1, print_starting_message=False)


@contextlib.contextmanager
def local_server(home: Path) -> Iterator[str]:
    """A Prefect server on a free local port, with its database under PREFECT_HOME. Yields its API address.

    Raises:
        RuntimeError: it ended, or did not answer within START_SECONDS.
    """
    port = free_port()
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = (home / "server.log").open("ab")
    server = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command],
        stdin=subprocess.PIPE,
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
    """Until the server answers as a Prefect server does."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the Prefect server ended at once; its log is {log}")
        if answers(f"http://127.0.0.1:{port}/api/health"):
            return
        time.sleep(0.3)
    raise RuntimeError(f"the Prefect server did not answer within {START_SECONDS} s; its log is {log}")


def answers(address: str) -> bool:
    """Does a healthy Prefect server answer there?"""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return json.load(answer) is True
    except (OSError, ValueError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
