"""Environments with the real frameworks, a scripted model server and a stub of the service.

The frameworks do not belong into the project's own environment, and one does not fit into it. Each set is installed
once from the package index that pip is set to, into `.cache/integrations/`; where that fails, its tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from parammem.core import digest_of
from tests.client.stub_service import StubService, serve
from tests.integrations.model_server import ModelServer, serve_model

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "integrations"
AGENTS = ("langchain>=1.4,<1.5", "langgraph>=1.2,<1.3", "langchain-openai>=1.7,<1.8", "openai-agents>=0.24,<0.25",
          "openai>=3.57,<4")  # fmt: skip
INSPECT = ("inspect-ai>=0.3.285,<0.4", "openai>=3.57,<4")
QUIET = {"LANGSMITH_TRACING": "false", "INSPECT_DISPLAY": "none", "OPENAI_API_KEY": "none", "DO_NOT_TRACK": "1"}


def bare_requirements() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def environment_with(requirements: tuple[str, ...]) -> Path:
    """Return the Python of an environment with the bare package's requirements and these. Skips where there is none."""
    wanted = [*requirements, *bare_requirements()]
    place = CACHE / digest_of([*wanted, sys.version])[:16]
    python = place / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not (place / "made").is_file():
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{requirements[0]} could not be installed: {done.stderr.strip().splitlines()[-1]}")
            (place / "made").touch()
    return python


@pytest.fixture(scope="session")
def agents_python() -> Path:
    return environment_with(AGENTS)


@pytest.fixture(scope="session")
def inspect_python() -> Path:
    return environment_with(INSPECT)


@pytest.fixture
def service() -> Iterator[StubService]:
    with serve(StubService()) as found:
        yield found


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with serve_model() as found:
        yield found


@pytest.fixture
def drive(service: StubService, model: ModelServer, tmp_path: Path) -> Callable[..., Any]:
    """Runs a script with an environment's Python; returns the JSON of its last line, or else what it printed."""

    def run(
        python: Path, script: str, *arguments: str, url: str | None = None, as_json: bool = True, **more: str
    ) -> Any:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LANG")}
        here = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PARAMMEM_URL": service.url if url is None else url}
        spool = {"PARAMMEM_SPOOL": str(tmp_path / "spool"), "OPENAI_BASE_URL": model.url}
        command = [python, ROOT / script, *arguments]
        done = subprocess.run(
            command, env=kept | here | spool | QUIET | more, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1]) if as_json else done.stdout

    return run
