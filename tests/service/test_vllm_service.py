"""`parammem up` with its reflector on a real vLLM server: advice, the next champion without a restart, and a server
that is killed. Without the environment of `make vllm-env` this is skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from parammem.checkout.places import Places
from parammem.core.advice import without_advice
from parammem.engines.digests import adapter_digest, model_digest
from tests.engines.conftest import write_card
from tests.engines.vllm_process import free_port, serving, vllm_python
from tests.service.proxies import ROOT, ledger_with, until
from tests.service.scripted_upstream import ScriptedUpstream, completion, upstream_server
from tests.service.test_up import TASK, running
from tests.tiny import make_tiny_adapter

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
BASE = "models/pocket-250k"


class Served(NamedTuple):
    """A repository whose champion a vLLM server has, the next adapter, and the server's process."""

    root: Path
    first: str
    second: str
    vllm: subprocess.Popen[bytes]


def adapter(root: Path, seed: int) -> str:
    """Make an adapter in the folder in which the service looks for it. Returns its digest."""
    folder = make_tiny_adapter(root / BASE, root / "made" / str(seed), rank=2, alpha=1, seed=seed)
    digest = adapter_digest(folder)
    write_card(folder, model_digest(root / BASE), digest)
    card = (folder / "adapter.json").read_text()
    card = re.sub(r'"base_model": "[^"]*"', f'"base_model": "{BASE}"', card)
    (folder / "adapter.json").write_text(re.sub(r'"domain": "[^"]*"', '"domain": "math"', card))
    place = Places(root, "math").start(digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, place)
    return digest


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    vllm_python()
    root = tmp_path_factory.mktemp("repo")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    shutil.copytree(ROOT / BASE, root / BASE)
    first, second = adapter(root, 1), adapter(root, 2)
    ledger_with(root, first, domain="math")
    port = free_port()
    params = (ROOT / "params.yaml").read_text()
    params = re.sub(r"(?m)^  engine: hf\b", "  engine: vllm", params)
    params = re.sub(r"(?m)^  vllm_url: \S+", f"  vllm_url: http://127.0.0.1:{port}/v1", params)
    params = re.sub(r"(?m)^  advice_deadline_ms: \d+", "  advice_deadline_ms: 60000", params)
    params = re.sub(r"(?m)^  follow_seconds: \S+", "  follow_seconds: 1", params)
    (root / "params.yaml").write_text(params)
    folder = Places(root, "math").start(first).relative_to(root)
    with serving(root, str(folder), port) as process:
        yield Served(root, first, second, process)


def advised(client: httpx.Client, upstream: ScriptedUpstream, many: int) -> list[str]:
    """Adapters whose advice came with so many calls of new runs."""
    given = []
    for _ in range(many):
        answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": TASK}]})
        assert answer.content == bytes(completion().body)
        given += without_advice(upstream.received[-1].body["messages"][0]["content"]).advice
    assert all(one.text for one in given)
    return [one.adapter for one in given]


def test_advice_from_vllm_follows_the_champion_and_never_fails_a_call(served):
    with upstream_server(lambda _: completion()) as upstream, running(served.root, upstream.url) as (_, url):
        client = httpx.Client(base_url=url, timeout=120, trust_env=False)

        def ready(digest: str) -> None:
            wanted = f'adapter="{digest}",arm="champion",domain="math"}} 1.0'
            until(lambda: client.get("/metrics").text, lambda text: wanted in text or "load_faults 1" in text, 300)
            assert wanted in client.get("/metrics").text, (served.root / "up.log").read_text()

        ready(served.first)
        assert set(advised(client, upstream, 8)) == {served.first}
        ledger_with(served.root, served.second, domain="math")
        ready(served.second)
        assert set(advised(client, upstream, 8)) == {served.second}
        third = adapter(served.root, 3)
        (Places(served.root, "math").start(third) / "adapter_model.safetensors").write_bytes(b"no weights")
        ledger_with(served.root, third, domain="math")
        until(lambda: client.get("/metrics").text, lambda text: "parammem_load_faults 1" in text, 300)
        assert set(advised(client, upstream, 8)) == {served.second}, "weights that do not load change nothing"
        os.killpg(served.vllm.pid, signal.SIGKILL)
        assert advised(client, upstream, 8) == []
        runs = [client.get(f"/v1/runs/{name}").json() for name in ids(client)]
        said = {run["why_not"] for run in runs if run["arm"] == "champion" and not run["advice"]}
        assert said
        assert all(why.startswith("failed: ") for why in said), said
    assert "Traceback" not in (served.root / "up.log").read_text()


def ids(client: httpx.Client) -> list[str]:
    """Runs of the last eight calls."""
    page = client.get("/runs").text
    return list(dict.fromkeys(re.findall(r'href="/runs/([0-9a-f]{32})"', page)))[:8]
