"""A deployment as people make it: commands of Prefect, a process worker, the watcher of the inbox, and its API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PATIENCE = 600


@contextlib.contextmanager
def worker(root: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log = (root.parent / "worker.log").open("wb")
    command = [
        sys.executable,
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        "parammem",
        "--type",
        "process",
        "--limit",
        "1",
    ]
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            log.close()


def prefect(root: Path, environment: dict[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def post(api: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{api}/{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@contextlib.contextmanager
def watcher(root: Path, environment: dict[str, str]) -> Iterator[None]:
    """`python -m flows.watch`, which tells the server of what comes into the inbox."""
    command = [sys.executable, "-m", "flows.watch", "--root", str(root), "--every", "1"]
    with (root.parent / "watch.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0


def wait_for(what: Callable[[], Any], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):  # a busy machine: the server answers late
            if what():
                return
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-5000:]
        time.sleep(2)
