"""One request to the service, within a deadline that holds whatever the other side does.

The standard library's HTTP follows no redirect and no proxy setting, so that a token goes nowhere else. Its time-outs
are of single reads; a request is therefore made in a thread that is left behind when its time is over.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from parammem.core.escape import shown

URL, TOKEN = "PARAMMEM_URL", "PARAMMEM_TOKEN"
"""Environment variables. An empty PARAMMEM_URL switches the client off."""
DEFAULT_URL = "http://127.0.0.1:8010"
DEADLINE = 2.0
"""Seconds; the service itself stops waiting for advice after one, by default."""
REST = 30.0
"""Seconds for which a service that did not answer in time is not asked again."""
LONGEST_ANSWER = 4 << 20
FINAL = range(400, 500)
UNSURE = (401, 403, 408, 425, 429)
"""Statuses of these that another try may change."""

log = logging.getLogger("parammem.client")
_resting: dict[str, float] = {}
_warned: set[str] = set()


class ServiceAddress(NamedTuple):
    """Where the service is, and how long it is waited for."""

    url: str
    token: str = ""
    deadline: float = DEADLINE

    @classmethod
    def found(cls, url: str | None = None, deadline: float = DEADLINE) -> ServiceAddress:
        """Return the service of this URL, else of the environment, else the usual one; with the environment's token."""
        named = os.environ.get(URL, DEFAULT_URL) if url is None else url
        return cls(named.strip().rstrip("/"), os.environ.get(TOKEN, "").strip(), deadline)


class ServiceFailure(Exception):
    """The service did not do what it was asked for."""

    def __init__(self, said: str, status: int = 0, sent: bool = False) -> None:
        super().__init__(said)
        self.status = status
        """HTTP status of its answer; 0: there was none."""
        self.sent = sent or status >= 500
        """Whether it may have done it all the same."""

    @property
    def is_final(self) -> bool:
        """Return whether another try would get the same answer."""
        return self.status in FINAL and self.status not in UNSURE


def post(service: ServiceAddress, path: str, body: dict[str, Any], run_token: str = "") -> dict[str, Any]:
    """Send a JSON object and return the one that is answered. Raises ServiceFailure, by the deadline at the latest.

    Args:
        run_token: the run's own, which is enough for what is below the run; else the service's is sent.
    """
    if not service.url:
        raise ServiceFailure(f"{URL} is empty")
    if time.monotonic() < _resting.get(service.url, 0.0):
        raise ServiceFailure("it did not answer in time a moment ago")
    box: queue.SimpleQueue[tuple[int, bytes] | Exception] = queue.SimpleQueue()
    sent = threading.Event()

    def exchange() -> None:
        try:
            box.put(_exchange(service, path, body, run_token, sent))
        except Exception as error:  # told to the caller, who decides
            box.put(error)

    try:
        threading.Thread(target=exchange, name="parammem-client", daemon=True).start()
        found = box.get(timeout=service.deadline)
    except (queue.Empty, RuntimeError):  # RuntimeError: the process can start no more threads
        found = TimeoutError()
    if isinstance(found, Exception):
        raise _failure(service, found, sent.is_set()) from None
    return _answer(*found)


def _exchange(
    service: ServiceAddress, path: str, body: dict[str, Any], run_token: str, sent: threading.Event
) -> tuple[int, bytes]:
    data = json.dumps(body).encode("ascii")
    parts = urlsplit(service.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{URL} is no address such as {DEFAULT_URL}")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=service.deadline)
    try:
        connection.connect()
        sent.set()
        connection.request("POST", parts.path + path, data, _headers(run_token or service.token))
        answer = connection.getresponse()
        return answer.status, answer.read(LONGEST_ANSWER + 1)
    finally:
        connection.close()


def _headers(token: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": "parammem-client"}
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})


def _failure(service: ServiceAddress, error: Exception, sent: bool) -> ServiceFailure:
    if isinstance(error, TimeoutError):
        _resting[service.url] = time.monotonic() + REST
        return ServiceFailure(f"it did not answer within {service.deadline:g} s", sent=sent)
    if isinstance(error, OSError | HTTPException | ValueError):
        return ServiceFailure(shown(str(error) or type(error).__name__), sent=sent)
    return ServiceFailure(type(error).__name__, sent=sent)


def _answer(status: int, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data) if len(data) <= LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        found = None
    if status == 200 and isinstance(found, dict):
        return found
    error = found.get("error") if isinstance(found, dict) else None
    said = error.get("message") if isinstance(error, dict) else ""
    raise ServiceFailure(
        f"it answered {status}{f': {shown(str(said))}' if said else ''}", status if status != 200 else 502
    )


def warn_once(about: str, text: str) -> None:
    """Log a warning, once in the life of this process for each subject. A log cannot stop an agent; a warning can."""
    if about not in _warned:
        _warned.add(about)
        log.warning("%s (said once)", text)
