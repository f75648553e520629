"""A real vLLM, started by our own command, for the tests of engine and service."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stages.arena import ROOT
from tests.stages.commands import environment

START_SECONDS = 900
"""A busy machine takes long; a quiet one 48-99 s."""


def vllm_python() -> Path:
    named = os.environ.get("PARAMMEM_VLLM_PYTHON")
    python = Path(named) if named else ROOT / ".cache" / "vllm-env" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no vLLM: {python} is not there; `make vllm-env` makes it, or set PARAMMEM_VLLM_PYTHON")
    return python


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def serving(root: Path, reflector: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a reflector's folder and its base with vLLM from `root` while the block lasts; skip without a vLLM.

    Args:
        reflector: folder, relative to `root`.
    """
    environment_of_vllm = root / ".cache" / "vllm-env"
    environment_of_vllm.parent.mkdir(exist_ok=True)
    environment_of_vllm.symlink_to(vllm_python().parent.parent)
    url, log = f"http://127.0.0.1:{port}/v1", root / "vllm.log"
    command = [sys.executable, "-m", "parammem.cli", "serve", "reflector", reflector, "--run"]
    command += ["--base-url", url, "--max-model-len", "1024", "--dtype", "float32"]
    command += ["--", "--enforce-eager"]  # compiling for a model this small takes longer than all that it is asked
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=root, env={**environment(), **settings}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _wait_until_ready(process, url, log)
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and its workers; it may have been killed before."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(60)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"vLLM ended:\n{log.read_text()[-3000:]}"
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise AssertionError(f"vLLM was not ready after {START_SECONDS} s:\n{log.read_text()[-3000:]}")
