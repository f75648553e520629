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

from flows import ROOT, configured_server
from flows.prefect_server import answers
from parammem.core.words import count
from parammem.errors import ParamMemError

ARRIVED = "parammem.inbox.arrived"
RESOURCE = "parammem.inbox"
EVERY = 10.0
AGAIN = 600.0
"""Seconds after which the event of a file that is still there is sent again: it can be lost, say when the server is
restarted."""


def main() -> int:
    """Watch the inbox until Ctrl-C."""
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
    once = Once()
    while not stop.is_set():
        try:
            here = names(root)
            once.say("left", left_in_words(root))
        except (ParamMemError, OSError) as error:  # a params file that is being written, say: the next look will tell
            once.say("inbox", f"the inbox cannot be looked into: {error}")
            here = set(told)
        now = time.monotonic()
        new = {name for name in here if now - told.get(name, -AGAIN) >= AGAIN}
        if new and not reachable(len(new), once):
            here -= new  # told of when the server is back
            new = set()
        if new:
            warn_of_old(len(new & told.keys()))
            tell(root, sorted(new))
        told = {name: now if name in new else told[name] for name in here}
        stop.wait(every)


class Once:
    """Says what is wrong once, and again when it has changed or has lasted for AGAIN seconds: an outage of a night is
    no log of thousands of lines."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[str, float]] = {}

    def say(self, about: str, text: str) -> None:
        """Print a text about something, unless it was the last that was said of it. Empty: nothing is wrong with it."""
        before, when = self.said.get(about, ("", 0.0))
        now = time.monotonic()
        if text and (text != before or now - when >= AGAIN):
            print(text, file=sys.stderr, flush=True)
            self.said[about] = (text, now)
        elif not text:
            self.said.pop(about, None)


def reachable(files: int, once: Once) -> bool:
    """Return whether the configured Prefect server answers; say so, with what to do, where it does not."""
    api = configured_server()
    if not api or answers(f"{api.rstrip('/')}/health"):
        once.say("server", "")
        return True
    once.say(
        "server",
        f"the Prefect server at {api} does not answer, so no run can start; Prefect is told of "
        f"{count(files, 'file')} in the inbox when it is back",
    )
    return False


def warn_of_old(files: int) -> None:
    """Log that files are still in the inbox after their event was sent: no worker runs what the event starts."""
    if files:
        print(
            f"{count(files, 'file')} still in the inbox {AGAIN / 60:.0f} minutes after Prefect was told: no run took "
            f"{'it' if files == 1 else 'them'}. Does a worker run (`prefect worker start --pool parammem`, or "
            "`python -m flows.serve`), and what does the last run of `improve` say?",
            file=sys.stderr,
            flush=True,
        )


def left_in_words(root: Path) -> str:
    """Return what is in the inbox and is never taken, with the reason of each; empty: nothing does."""
    from parammem.config import load_params
    from parammem.experience.inbox import look

    left = look(root / load_params(root / "params.yaml").experience.inbox, restore=False).left
    return "left in the inbox: " + "; ".join(f"{name}: {why}" for name, why in left.items()) if left else ""


def names(root: Path) -> set[str]:
    """Return what waits in the inbox: names with sizes, so that a file of the same name that comes later is another
    one."""
    from parammem.config import load_params
    from parammem.experience.inbox import waiting

    inbox = root / load_params(root / "params.yaml").experience.inbox
    return {f"{file.name} {file.stat().st_size}" for source in waiting(inbox) for file in source.files}


def tell(root: Path, new: list[str]) -> None:
    """Send Prefect the event, with how many files have come."""
    from prefect.events import emit_event

    resource = {"prefect.resource.id": f"{RESOURCE}.{root.resolve().name}", "prefect.resource.name": str(root)}
    emit_event(event=ARRIVED, resource=resource, payload={"files": len(new)})
    print(f"{count(len(new), 'new file')} in the inbox", flush=True)


if __name__ == "__main__":
    sys.exit(main())
