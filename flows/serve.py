"""Everything by schedule on one box: python -m flows.serve

`improve` by cron or interval and whenever something comes into the inbox, `evaluate-champion` by night, `rollback` by
hand. `rebuild` writes into your own tree, so it is served only when it is asked for: `--cron CRON`, or `--only rebuild`
(by night). Schedules need a Prefect server that stays up. Where PREFECT_API_URL names none, one is started here
on a free local port and ends with this process, however this process ends.
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
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows import ROOT
from parammem.improve.processes import GUARD

NIGHTLY = "0 3 * * *"
IMPROVE = "0 1 * * *"
CHECK = "0 4 * * *"
FLOWS = ("rebuild", "improve", "evaluate-champion", "rollback")
BRANCH_FLOWS = FLOWS[1:]
"""Those that never touch the person's tree: what is served by default."""
START_SECONDS = 600
"""Far more than it needs, for machines that are busy with something else."""


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Exit code 0 when stopped that way, 1 when the server does not start."""
    given = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with contextlib.ExitStack() as stack:
            if not os.environ.get("PREFECT_API_URL"):
                os.environ["PREFECT_API_URL"] = stack.enter_context(local_server(ROOT / ".cache" / "prefect"))
            print(f"serving {', '.join(given.only)} of {given.root}; Prefect: {os.environ['PREFECT_API_URL']}")
            print("stop with Ctrl-C", flush=True)
            serve(given)
    except KeyboardInterrupt:
        pass
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("stopped; the next start serves the same schedules again")
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """What to serve and when; `only` and `cron` are always set."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="Run the flows by schedule.")
    parser.add_argument("--root", default=str(ROOT), help="the repository (default: this one)")
    served = "all that leave your tree alone, and rebuild if --cron is given"
    parser.add_argument("--only", nargs="+", choices=FLOWS, help=f"these flows (default: {served})")
    parser.add_argument("--cron", help=f"serve rebuild too: five cron fields, UTC ({NIGHTLY!r} with --only rebuild)")
    parser.add_argument("--improve-cron", default=IMPROVE, help=f"of improve (default: {IMPROVE!r})")
    parser.add_argument("--improve-every", type=float, help="of improve: seconds between two runs, instead of a cron")
    parser.add_argument("--check-cron", default=CHECK, help=f"of evaluate-champion (default: {CHECK!r})")
    parser.add_argument("--retries", type=int, default=1, help="tries again of a failed stage (default: 1)")
    parser.add_argument("--track", action=argparse.BooleanOptionalAction, default=True, help="rebuild logs to W&B")
    given = parser.parse_args(arguments)
    if given.only and given.cron and "rebuild" not in given.only:
        parser.error("--cron is of rebuild, which --only leaves out; add rebuild to --only, or leave --cron out")
    given.only = given.only or [*(["rebuild"] if given.cron else []), *BRANCH_FLOWS]
    given.cron = given.cron or NIGHTLY
    return given


def serve(given: argparse.Namespace) -> None:
    """Register the schedules and run what falls due, one run at a time. Returns on Ctrl-C."""
    # Imported here: Prefect reads PREFECT_API_URL when it is imported.
    from prefect import serve as serve_all

    root, stop = Path(given.root).resolve(), threading.Event()
    if "improve" in given.only:
        threading.Thread(target=watch_when_served, args=(root, stop), daemon=True).start()
    try:
        # limit=1: two runs would only wait for each other's lock.
        serve_all(*deployments(given, str(root)), limit=1, print_starting_message=False)
    finally:
        stop.set()


def watch_when_served(root: Path, stop: threading.Event) -> None:
    """Watch the inbox as soon as the server has the trigger that answers: what is told before that starts nothing."""
    from flows.watch import EVERY, watch

    while not stop.is_set() and not has_trigger("improve/scheduled"):
        stop.wait(1)
    watch(root, EVERY, stop)


def has_trigger(deployment: str) -> bool:
    """Whether the server knows this deployment, and an automation that starts it."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(deployment)
            return bool(client.read_resource_related_automations(f"prefect.deployment.{found.id}"))
    except (ObjectNotFound, HTTPError):
        return False


def deployments(given: argparse.Namespace, root: str) -> list[Any]:
    """One deployment for each flow that is served."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.events import DeploymentEventTrigger

    from flows import improve as flows
    from flows.rebuild import rebuild
    from flows.watch import ARRIVED, RESOURCE

    one = ConcurrencyLimitConfig(limit=1, grace_period_seconds=300)
    arrived = DeploymentEventTrigger(
        enabled=True, expect={ARRIVED}, match={"prefect.resource.id": f"{RESOURCE}.{Path(root).name}"}
    )
    when = {"interval": given.improve_every} if given.improve_every else {"cron": given.improve_cron}
    both = {"root": root, "retries": given.retries}
    made = {
        "rebuild": lambda: rebuild.to_deployment(
            "nightly", cron=given.cron, parameters={**both, "track": given.track}, concurrency_limit=one
        ),
        "improve": lambda: flows.improve.to_deployment(
            "scheduled", parameters=both, triggers=[arrived], concurrency_limit=one, **when
        ),
        "evaluate-champion": lambda: flows.evaluate_champion.to_deployment(
            "nightly", cron=given.check_cron, parameters={"root": root}, concurrency_limit=one
        ),
        "rollback": lambda: flows.rollback.to_deployment("by-hand", parameters={"root": root}, concurrency_limit=one),
    }
    return [made[name]() for name in given.only]


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
