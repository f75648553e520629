"""`parammem up` as a process that is killed, or whose disk is full, while agents call through it and report."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from parammem.config import load_params
from parammem.service.run_book import RunBook
from parammem.service.run_records import ArmsNow
from tests.service.books import evidence, handed
from tests.service.proxies import until
from tests.service.scripted_upstream import completion, upstream_server
from tests.service.test_up import repository, running  # noqa: F401

LIMITED = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)); " \
          "os.execv(sys.argv[1], sys.argv[1:])"  # fmt: skip
SMALL_DISK = 'mkdir -p data/live/spool && mount -t tmpfs -o size=2m tmpfs data/live/spool && exec "$@"'
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


class Agents:
    """Agents that call through the service, and others that begin runs and report, until they are told to stop."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.passed: dict[str, bool] = {}
        """Run → the outcome that was acknowledged."""
        self.statuses: list[int] = []
        """Of the calls through the proxy that were answered."""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(lane,), daemon=True) for lane in range(4)]
        for thread in self._threads:
            thread.start()

    def _work(self, lane: int) -> None:
        number = 0
        with httpx.Client(base_url=self.url, timeout=20, trust_env=False) as client:
            while not self._stop.is_set():
                number += 1
                run_id = f"{self.name}-{lane}-{number}"
                try:
                    self._one(client, run_id, number)
                except httpx.HTTPError:  # it was killed
                    return

    def _one(self, client: httpx.Client, run_id: str, number: int) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": f"Refund order {run_id}"}]}
        if number % 2:
            self.statuses.append(
                client.post("/v1/chat/completions", json=body, headers={"x-parammem-run": run_id}).status_code
            )
        else:
            begun = client.post("/v1/runs", json={"task": f"Refund order {run_id}", "run_id": run_id})
            assert begun.status_code == 200, begun.text
            client.post(f"/v1/runs/{run_id}/steps", json={"steps": [{"role": "assistant", "text": "done"}]})
        told = client.post(f"/v1/runs/{run_id}/outcome", json={"passed": number % 3 > 0, "source": "test"})
        if told.status_code == 200:
            self.passed[run_id] = number % 3 > 0

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)


def told_of(root: Path, runs: Iterable[str]) -> dict[str, bool | None]:
    """How the evidence says that runs ended, when a week has gone by: runs that nobody reported hold back what began
    after them for as long as an outcome is waited for."""
    later = time.time() + 7 * 86400
    kept = RunBook(root, load_params(root / "params.yaml"), lambda _: ArmsNow({"holdout": 1.0}, {}), lambda: later)
    kept.sweep(all=True)
    kept.close()
    lines = evidence(root)
    assert len({line.run_id for line in lines}) == len(lines), "each run once"
    told = {line.run_id: line.outcome.passed if line.outcome else None for line in lines}
    return {run_id: told.get(run_id) for run_id in runs}


def test_a_service_that_is_killed_again_and_again(repository):  # noqa: F811
    """No call is answered wrongly, every outcome that was acknowledged is handed over once, and no run twice."""
    passed: dict[str, bool] = {}
    with upstream_server(lambda _: completion()) as upstream:
        for trial in range(3):
            with running(repository, upstream.url) as (process, url):
                agents = Agents(url, f"try{trial}")
                until(lambda agents=agents, least=60 * (trial + 1): len(agents.passed) > least, seconds=60)
                if trial < 2:
                    process.send_signal(signal.SIGKILL)
                agents.stop()
            assert set(agents.statuses) == {200}
            passed |= agents.passed
    assert told_of(repository, passed) == passed
    lines, rows = evidence(repository), handed(repository)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1)), "no gap, none twice"
    assert len({line.run_id for line in lines}) == len(lines)
    assert len({row.run_id for row in rows}) == len(rows)
    assert "Traceback" not in (repository / "up.log").read_text()


def test_files_that_may_not_grow(repository):  # noqa: F811
    """As on a full disk or with a used-up quota: calls go on, what is acknowledged is there after a restart."""
    around = [sys.executable, "-c", LIMITED]
    with upstream_server(lambda _: completion()) as upstream:
        with running(repository, upstream.url, around) as (process, url):
            agents = Agents(url, "small")
            recorded = f"{url}/v1/runs"
            asked = {"task": "is there room?"}
            until(lambda: httpx.post(recorded, json=asked).json(), lambda run: run["recorded"] is False, 120)
            calls = len(agents.statuses)
            until(lambda: len(agents.statuses) > calls + 20, seconds=30)
            agents.stop()
            assert set(agents.statuses) == {200}
            assert httpx.get(f"{url}/healthz").status_code == 200
            process.send_signal(signal.SIGKILL)
        assert agents.passed
        with running(repository, upstream.url):
            pass
    assert told_of(repository, agents.passed) == agents.passed
    assert "Traceback" not in (repository / "up.log").read_text()


def small_disk() -> list[str]:
    """A command around another, in which the spool lies on a disk of 2 MiB; skips where that needs rights."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare")
    return ["unshare", "-rm", "sh", "-c", SMALL_DISK, "sh"]


def test_a_full_disk_and_room_again(repository, tmp_path_factory):  # noqa: F811
    around = small_disk()
    probe = tmp_path_factory.mktemp("probe")
    if subprocess.run([*around, "true"], cwd=probe, capture_output=True).returncode:
        pytest.skip("mounting a file system of one's own needs rights that this machine does not give")
    with (
        upstream_server(lambda _: completion()) as upstream,
        running(repository, upstream.url, around) as (process, url),
    ):
        agents = Agents(url, "disk")
        until(lambda: len(agents.passed) > 10, seconds=30)
        spool = Path(f"/proc/{process.pid}/root{repository}/data/live/spool")
        with pytest.raises(OSError, match="No space left"):
            fill(spool / "filler")
        asked = {"task": "is there room?"}
        until(lambda: httpx.post(f"{url}/v1/runs", json=asked).json(), lambda run: run["recorded"] is False, 60)
        calls = len(agents.statuses)
        until(lambda: len(agents.statuses) > calls + 20, seconds=30)
        agents.stop()
        assert set(agents.statuses) == {200}
        (spool / "filler").unlink()
        until(lambda: httpx.post(f"{url}/v1/runs", json=asked).json(), lambda run: run["recorded"], 60)
        for run_id, passed in agents.passed.items():
            assert httpx.get(f"{url}/v1/runs/{run_id}").json()["outcome"]["passed"] is passed
    assert "Traceback" not in (repository / "up.log").read_text()


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as handle:
        while True:
            handle.write(b"x" * 4096)
