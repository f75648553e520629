"""`parammem up` as a process of its own: what it says, what it refuses, and a real reflector behind it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from parammem.core.advice import without_advice
from tests.engines.conftest import write_card
from tests.service.proxies import ledger_with, until
from tests.service.scripted_upstream import completion, upstream_server
from tests.tiny import make_tiny_adapter

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "parammem.cli", "up"]
TASK = "take n crates at p each . a rise of r . a cut of c . a trip of t . what is due ."


@pytest.fixture
def repository(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def refused(root, *words, **environment):
    done = subprocess.run(
        [*COMMAND, *words], cwd=root, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_what_it_refuses(repository, tmp_path_factory):
    code, said = refused(repository, "--host", "0.0.0.0", PARAMMEM_TOKEN="")
    assert (code, "need a token" in said) == (3, True)
    code, said = refused(repository, "--upstream", "nonsense")
    assert (code, "no URL" in said) == (3, True)
    code, said = refused(repository, "--domain", "nonsense")
    assert (code, "no domain 'nonsense'" in said) == (3, True)
    bare = tmp_path_factory.mktemp("bare")
    shutil.copy(ROOT / "params.yaml", bare)
    code, said = refused(bare)
    assert (code, "is no repository" in said) == (4, True)
    with running(repository, "http://127.0.0.1:9/v1") as (process, url):
        code, said = refused(repository, "--port", "0")
        assert (code, str(process.pid) in said) == (4, True)
        other = tmp_path_factory.mktemp("other")
        subprocess.run(["git", "init", "-q", str(other)], check=True)
        shutil.copy(ROOT / "params.yaml", other)
        code, said = refused(other, "--port", url.rpartition(":")[2])
        assert (code, "cannot listen" in said) == (13, True)


@contextmanager
def running(root: Path, upstream: str, around: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service, until it is stopped as Ctrl-C does it.

    Args:
        around: a command that runs the rest of its words, such as one that sets a limit before.
    """
    log = (root / "up.log").open("a")
    command = [*around, *COMMAND, "--port", "0", "--upstream", upstream, "--domain", "math", "--log-calls"]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line + (root / "up.log").read_text()
        yield process, found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        log.close()


@pytest.fixture
def reflector(repository):
    """A repository whose champion is a real adapter of a real pocket model; returns the adapter's digest."""
    from parammem.engines.digests import adapter_digest, model_digest

    base = repository / "models/pocket-250k"
    shutil.copytree(ROOT / "models/pocket-250k", base)
    folder = make_tiny_adapter(base, repository / "models/reflectors/math", rank=2, alpha=1)
    digest = adapter_digest(folder)
    write_card(folder, model_digest(base), digest)
    card = (folder / "adapter.json").read_text()
    card = re.sub(r'"base_model": "[^"]*"', '"base_model": "models/pocket-250k"', card)
    (folder / "adapter.json").write_text(re.sub(r'"domain": "[^"]*"', '"domain": "math"', card))
    ledger_with(repository, digest, domain="math")
    return digest


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_a_real_reflector_advises_an_unchanged_client(repository, reflector):
    with upstream_server(lambda _: completion()) as upstream, running(repository, upstream.url) as (process, url):
        client = httpx.Client(base_url=url, timeout=30)
        ready = f'adapter="{reflector}",arm="champion",domain="math"}} 1.0'
        until(lambda: client.get("/metrics").text, lambda text: ready in text or "load_faults 1" in text, 120)
        assert ready in client.get("/metrics").text, (repository / "up.log").read_text()
        given = []
        for _ in range(8):
            answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": TASK}]})
            assert answer.content == bytes(completion().body)
            given += without_advice(upstream.received[-1].body["messages"][0]["content"]).advice
        assert len(given) >= 4  # a tenth of all runs is held out
        assert {one.adapter for one in given} == {reflector}
        assert len({one.draw for one in given}) == len(given)
        assert len({one.text for one in given}) > 1
        run = answer.headers["x-parammem-run"]
        token = answer.headers["x-parammem-run-token"]
        said = {"passed": True, "source": "test"}
        told = client.post(f"/v1/runs/{run}/outcome", json=said, headers={"x-parammem-token": token})
        assert told.json()["counts"] is True
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with running(repository, "http://127.0.0.1:9/v1") as (process, url):
        kept = httpx.get(f"{url}/v1/runs/{run}", headers={"x-parammem-token": token}, timeout=30)
        assert kept.json()["outcome"]["passed"] is True
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.wait(30)
    log = (repository / "up.log").read_text()
    assert "Traceback" not in log
    assert TASK not in log
