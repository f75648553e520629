"""The event on new data: python -m flows.watch looks into the inbox and tells Prefect when something has come.

`prefect.yaml` and `flows.serve` have a trigger that answers with a run of `improve`. A run that was told too early, or
twice, finds nothing to do and ends.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from pathlib import Path

from flows import ROOT
from parammem.errors import ParamMemError

ARRIVED = "parammem.inbox.arrived"
RESOURCE = "parammem.inbox"
EVERY = 10.0
AGAIN = 600.0
"""Seconds after which a file that still lies there is told of once more: an event can be lost, with a server that is
restarted for one."""


def main() -> int:
    """Until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.watch", description="Tells Prefect of new files in the inbox"
    )
    parser.add_argument("--root", default=str(ROOT), help="the repository (default: this one)")
    parser.add_argument("--every", type=float, default=EVERY, help=f"seconds between two looks (default: {EVERY:g})")
    given = parser.parse_args()
    try:
        watch(Path(given.root), given.every, threading.Event())
    except KeyboardInterrupt:
        print("stopped")
    return 0


def watch(root: Path, every: float, stop: threading.Event) -> None:
    """Look again and again; tell of each file that has come and is whole, and of what has been there for long."""
    told: dict[str, float] = {}
    while not stop.is_set():
        try:
            here = names(root)
        except (ParamMemError, OSError) as error:  # a params file that is being written, say: the next look will tell
            print(f"the inbox cannot be looked into: {error}", file=sys.stderr, flush=True)
            here = set(told)
        now = time.monotonic()
        new = {name for name in here if now - told.get(name, -AGAIN) >= AGAIN}
        if new:
            tell(root, sorted(new))
        told = {name: now if name in new else told[name] for name in here}
        stop.wait(every)


def names(root: Path) -> set[str]:
    """What waits in the inbox: names with sizes, so that a file of the same name that comes later is another one."""
    from parammem.config import load_params
    from parammem.experience.inbox import waiting

    inbox = root / load_params(root / "params.yaml").experience.inbox
    return {f"{file.name} {file.stat().st_size}" for source in waiting(inbox) for file in source.files}


def tell(root: Path, new: list[str]) -> None:
    """The event, with how many files have come."""
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"{RESOURCE}.{root.resolve().name}", "prefect.resource.name": str(root)}
    emit_event(event=ARRIVED, resource=resource, payload={"files": len(new)})
    print(f"{len(new)} new file(s) in the inbox", flush=True)


if __name__ == "__main__":
    sys.exit(main())
