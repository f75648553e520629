"""Reports of runs: sent, or kept in a small folder until the service can be reached again.

The folder is the environment's PARAMMEM_SPOOL, else `parammem/unsent` in the user's cache folder. What is there is
sent after the next run that reaches the service, of any process of this user. A file goes when the service has said
that it has what is in it.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from parammem.client.connection import ServiceAddress, ServiceFailure, log, post, warn_once
from parammem.core import Record, Step
from parammem.core.escape import shown
from parammem.core.jsonl import write_text

SPOOL = "PARAMMEM_SPOOL"
MOST_FILES = 1000
"""Beyond it the oldest goes: its run is the likeliest to be over for the service."""
OLDEST = 7 * 86400.0
"""Seconds after which a report is thrown away; the service waits a day for an outcome, by default."""
ABANDONED = 600.0
"""Seconds after which a file that a process was sending is another one's to send."""
SENDING = ".sending"
MOST_STEPS, MOST_BYTES = 500, 2 << 20
"""Of one request; the service takes twice as much."""
_one_sender = threading.Lock()


class UnsentReport(Record):
    """What the service has not been told of a run."""

    url: str
    run_id: str
    token: str = ""
    """The run's own."""
    start: dict[str, Any] = {}
    """What starts the run, if the service may not have heard of it; the same run is not started twice."""
    steps: tuple[Step, ...] = ()
    tokens: int = 0
    outcome: dict[str, Any] | None = None


def deliver(service: ServiceAddress, report: UnsentReport) -> None:
    """Send a report, or keep it for later."""
    left = send(service, report)
    if left is not None:
        _keep(left)


def send(service: ServiceAddress, report: UnsentReport) -> UnsentReport | None:
    """Send a report. Returns what is left to send later; None: it has arrived, or was refused for good."""
    path = f"/v1/runs/{quote(report.run_id, safe='')}"
    try:
        if report.start:
            answer = _told(service, "/v1/runs", report.start, report)
            if answer is None:
                return None
            report = report.model_copy(update={"start": {}, "token": str(answer.get("token") or "")})
        while report.steps or report.tokens:
            part = _part(report.steps)
            body = {"steps": [step.model_dump(mode="json") for step in part], "tokens": report.tokens}
            _told(service, f"{path}/steps", body, report)
            report = report.model_copy(update={"steps": report.steps[len(part) :], "tokens": 0})
        if report.outcome is not None:
            _told(service, f"{path}/outcome", report.outcome, report)
    except ServiceFailure as failure:
        said = f"ParamMem's service at {service.url} could not be told of a run: {failure}; it is kept for later"
        warn_once("unsent", said)
        return report
    return None


def _part(steps: Sequence[Step]) -> Sequence[Step]:
    """Return the first steps, as many as one request may have, and at least one."""
    size = 0
    for number, step in enumerate(steps[:MOST_STEPS]):
        size += len(json.dumps(step.model_dump(mode="json")))
        if size > MOST_BYTES and number:
            return steps[:number]
    return steps[:MOST_STEPS]


def _told(service: ServiceAddress, path: str, body: dict[str, Any], report: UnsentReport) -> dict[str, Any] | None:
    """Send one part. Returns the answer; None: it is refused for good, which is said, and given up.

    Raises:
        ServiceFailure: another try may help.
    """
    try:
        return post(service, path, body, report.token)
    except ServiceFailure as failure:
        if not failure.is_final:
            raise
        what = path.rpartition("/")[2]
        log.warning(
            "ParamMem's service refused the %s of run %s, which are dropped: %s", what, shown(report.run_id), failure
        )
        return None


def send_unsent(service: ServiceAddress | None = None, most: int = 100) -> int:
    """Send what is in the spool for a service; returns how many reports are left there for it."""
    service = service or ServiceAddress.found()
    with _one_sender:
        left = 0
        for file in _waiting():
            report = _claimed(file, service)
            if report is None:
                continue
            if most <= 0:
                left += 1
                _put_back(file)
                continue
            rest = send(service, report)
            most = most - 1 if rest is None else 0  # the service is away again
            left += rest is not None
            _replace(file, rest)
        return left


def send_unsent_aside(service: ServiceAddress) -> None:
    """Do the same in a thread, if anything is there, so that no run waits for it."""
    if not _waiting() or _one_sender.locked():
        return
    with suppress(RuntimeError):
        threading.Thread(target=send_unsent, args=(service,), name="parammem-unsent", daemon=True).start()


def _folder() -> Path:
    named = os.environ.get(SPOOL)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "parammem" / "unsent"


def _keep(report: UnsentReport) -> None:
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        waiting = _waiting()
        for file in waiting[: max(0, len(waiting) - MOST_FILES + 1)]:
            log.warning("%s is full: its oldest report is thrown away", folder)
            file.unlink(missing_ok=True)
        write_text(folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json", report.line() + "\n", mode=0o600)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: this user has no home
        warn_once("spool", f"a report of a run for ParamMem could neither be sent nor kept: {error}")


def _waiting() -> list[Path]:
    """Return the files in the spool, oldest first. Old ones are thrown away, abandoned ones are taken back."""
    found, now = [], time.time()
    try:
        listed = sorted(_folder().iterdir())
    except (OSError, RuntimeError):
        return []
    for file in listed:
        with suppress(OSError):
            age = now - file.stat().st_mtime
            if age > OLDEST:
                file.unlink()
            elif file.suffix == SENDING and age > ABANDONED:
                os.replace(file, file.with_suffix(""))
                found.append(file.with_suffix(""))
            elif file.suffix == ".json":
                found.append(file)
    return found


def _claimed(file: Path, service: ServiceAddress) -> UnsentReport | None:
    """Return the report of a file that no other process sends now; None: it is another service's, or unreadable."""
    try:
        if UnsentReport.model_validate_json(file.read_bytes()).url != service.url:
            return None
        claim = _claim(file)
        os.replace(file, claim)
        os.utime(claim)
        return UnsentReport.model_validate_json(claim.read_bytes())  # another process may have sent a part meanwhile
    except ValidationError:
        file.unlink(missing_ok=True)
    except OSError:
        pass
    return None


def _claim(file: Path) -> Path:
    return file.with_name(file.name + SENDING)


def _put_back(file: Path) -> None:
    with suppress(OSError):
        os.replace(_claim(file), file)


def _replace(file: Path, rest: UnsentReport | None) -> None:
    """Remove a file that was sent, or write what is left of it."""
    with suppress(OSError):
        if rest is not None:
            write_text(file, rest.line() + "\n", mode=0o600)
        _claim(file).unlink()
