"""Everything by schedule on one box: python -m flows.serve

`improve` by cron or interval and whenever something comes into the inbox, `evaluate-champion` by night, `rollback` by
hand. `rebuild` writes into your own tree, so it is served only when it is asked for: `--cron CRON`, or `--only rebuild`
(by night). Schedules need a Prefect server that stays up. Where neither PREFECT_API_URL nor your Prefect profile names
one, one is started here on a free local port and ends with this process, however this process ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from flows import ROOT, configured_server
from flows.prefect_server import local_server, require_answer
from flows.with_service import advice_service

NIGHTLY = "0 3 * * *"
IMPROVE = "0 1 * * *"
CHECK = "0 4 * * *"
FLOWS = ("rebuild", "improve", "evaluate-champion", "rollback")
DESCRIPTIONS = {
    "rebuild": "Runs `dvc repro`, stage by stage, in the tree that it is served from; then logs the runs to W&B.",
    "improve": "Takes in new experience, trains a challenger if a trigger is due, lets the gate decide, and commits.",
    "evaluate-champion": "Checks that each champion still solves more than no reflector; two failures roll it back.",
    "rollback": "Makes an earlier version champion again.",
}
"""What a deployment does, for its page. prefect.yaml says the same."""
BRANCH_FLOWS = FLOWS[1:]
"""Those that never touch the person's tree: what is served by default."""


def main() -> int:
    """Serve until Ctrl-C or SIGTERM. Exit code 0 when stopped that way, 1 when the server does not start."""
    given = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with contextlib.ExitStack() as stack:
            api = configured_server()
            if not api:
                api = os.environ["PREFECT_API_URL"] = stack.enter_context(local_server(ROOT / ".cache" / "prefect"))
            else:
                require_answer(api)
            if given.with_service:
                address = stack.enter_context(advice_service(Path(given.root).resolve()))
                print(f"advice for agents: {address} (docs/service.md)")
            print(f"serving {', '.join(given.only)} of {given.root}")
            print(f"Prefect: {api.removesuffix('/api')} (a browser shows runs, pages and schedules there)")
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
    """Return what to serve and when; `only` and `cron` are always set."""
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
    parser.add_argument("--with-service", action="store_true", help="run `parammem up` beside the schedules")
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
    """Watch the inbox once the server has the trigger for it; an event sent before that would start no run."""
    from flows.watch import EVERY, watch

    while not stop.is_set() and not has_trigger("improve/improve-scheduled"):
        stop.wait(1)
    watch(root, EVERY, stop)


def has_trigger(deployment: str) -> bool:
    """Return whether the server has this deployment and an automation that starts it."""
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
    """Return one deployment for each flow that is served."""
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

    def said(name: str) -> dict[str, Any]:
        return {"description": DESCRIPTIONS[name], "concurrency_limit": one}

    made = {
        "rebuild": lambda: rebuild.to_deployment(
            "rebuild-nightly", cron=given.cron, parameters={**both, "track": given.track}, **said("rebuild")
        ),
        "improve": lambda: flows.improve.to_deployment(
            "improve-scheduled", parameters=both, triggers=[arrived], **when, **said("improve")
        ),
        "evaluate-champion": lambda: flows.evaluate_champion.to_deployment(
            "evaluate-champion-nightly", cron=given.check_cron, parameters={"root": root}, **said("evaluate-champion")
        ),
        "rollback": lambda: flows.rollback.to_deployment(
            "rollback-by-hand", parameters={"root": root}, **said("rollback")
        ),
    }
    return [made[name]() for name in given.only]


if __name__ == "__main__":
    sys.exit(main())
