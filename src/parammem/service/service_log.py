"""The service's log: one JSON object a line, on stderr. It names runs by their ids and never holds a text of theirs."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

log = logging.getLogger("parammem.service")


def say_event(event: str, message: str, **fields: Any) -> None:
    """Log what happened to the service: event is one word, fields are plain values."""
    log.info("%s", _line(event, {"message": message, **fields}))


def say_call(**fields: Any) -> None:
    """Log one call: its run, arm, status and times."""
    if log.isEnabledFor(logging.DEBUG):
        log.debug("%s", _line("call", fields))


def log_to_stderr(calls: bool) -> None:
    """Write the log to stderr from now on.

    Args:
        calls: one line for each call, too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if calls else logging.INFO)


def _line(event: str, fields: dict[str, Any]) -> str:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    return json.dumps({"time": stamp, "event": event, **fields}, default=str)  # ASCII: nothing steers a terminal
