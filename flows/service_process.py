"""`parammem up` beside the flows, for one box: it ends with this process, however this process ends."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from parammem.checkout.processes import GUARD
from parammem.config import load_params

START_SECONDS = 300
"""Far more than it needs, for machines that are busy with something else."""


@contextlib.contextmanager
def service_process(root: Path) -> Iterator[str]:
    """Run the service of a repository by its params.yaml; yield its address once it listens, "" for a port of 0.

    Raises:
        ConfigError: params.yaml has mistakes.
        RuntimeError: it ended at once, having said why, or did not answer within START_SECONDS.
    """
    settings = load_params(root / "params.yaml").service
    command = [sys.executable, "-m", "parammem.cli", "up", "--params", str(root / "params.yaml")]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), *command], stdin=subprocess.PIPE, cwd=root, start_new_session=True
    )
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    address = f"http://{host}:{settings.port}" if settings.port else ""
    try:
        _wait_until_ready(process, address)
        yield address
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while address and time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the service ended at once; what it said is above")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    if address:
        raise RuntimeError(f"the service did not answer at {address} within {START_SECONDS} s")
