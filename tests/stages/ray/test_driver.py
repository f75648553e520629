"""Facts about a local Ray cluster of two worker processes: stages write what they write alone, also when a worker is
killed in the middle, and nothing that was recorded is made again."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from parammem.checkout.places import Places
from parammem.core import Trajectory, read_jsonl
from parammem.engines.completion_store import Store
from parammem.evaluation.runs import Run
from parammem.stages import collect, tasks, train, validate
from tests.engines.local_server import LocalServer
from tests.stages.arena import MODEL, ROOT, clone, knowing_everywhere, parsed, snapshot, write_params
from tests.stages.commands import PATIENCE, command, environment, parammem, recorded
from tests.stages.test_server_runs import CONCURRENCY, knowing

DOMAIN = "code"
OUTS = {"collect": ("data/trajectories", "data/reflections"), "evaluate": ("reports/evaluation",)}
LOCAL = {"address": "local", "shards": 2}
SMALL: dict[str, dict[str, Any]] = {
    "tasks": {"train": 12, "bank": 4, "eval": 6, "unseen": 2},
    "engine": {"batch": 8, "max_new_tokens": 48, "max_advice_tokens": 12},
    "validate": {"min_rows": 1, "max_quarantined": 1.0},
    "train": {"max_steps": 2},
    "evaluate": {"methods": ["reflexion", "dot_bank", "paramagent"], "temperatures": [1.0]},
}
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The pocket model's small world up to its adapters. Its verdicts go both ways, which a random model's do not."""
    root = tmp_path_factory.mktemp("prepared")
    shutil.copytree(ROOT / "models/pocket-1m", root / MODEL)
    params = write_params(root, **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        knowing_everywhere(patch, params, DOMAIN)
        for stage in (tasks, collect, validate, train):
            stage.run(params, DOMAIN)
    return root


def fresh(prepared: Path, folder: Path, stage: str, **engine: Any) -> Path:
    project = clone(prepared, folder)
    for out in OUTS[stage]:
        shutil.rmtree(project / out, ignore_errors=True)
    shutil.rmtree(project / ".cache", ignore_errors=True)
    write_params(project, **SMALL | {"engine": SMALL["engine"] | engine})
    return project


def cost(project: Path, stage: str) -> dict[str, Any]:
    return json.loads(Places(project, DOMAIN).work(stage).read_text())


class Spread:
    """A stage on a local cluster in a process of its own; `kill_when` kills one worker that has a shard."""

    def __init__(self, project: Path, stage: str, **variables: str) -> None:
        # Ray gives workers the lowest priority; beside other work on a small machine they would hardly move.
        self._process = subprocess.Popen(
            command("stage", stage, "--domain", DOMAIN),
            cwd=project,
            env={**environment(), "RAY_worker_niceness": "0", **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._seen: set[psutil.Process] = set()

    def workers(self) -> list[psutil.Process]:
        """Processes that work on a shard now: Ray writes the name of the task into the process title."""
        self._seen |= set(psutil.Process(self._process.pid).children(recursive=True))
        return [one for one in self._seen if _title(one).startswith("ray::parammem shard")]

    def reached(self, point: Callable[[], bool]) -> bool:
        """Wait for it. False: the stage was over first."""
        end = time.monotonic() + PATIENCE
        while self._process.poll() is None and not point():
            assert time.monotonic() < end, "the stage neither ended nor got to the point to kill something at"
            time.sleep(0.005)
        return self._process.poll() is None

    def kill_when(self, point: Callable[[], bool]) -> int:
        assert self.reached(lambda: point() and bool(self.workers())), self._process.communicate()[1]
        victim = min(self.workers(), key=lambda one: one.pid).pid
        os.kill(victim, signal.SIGKILL)
        return victim

    def ended(self) -> str:
        """stderr, when the stage is over; none of its processes is left."""
        _, err = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0, err
        _, left = psutil.wait_procs([one for one in self._seen if _title(one)], timeout=20)
        assert not [_title(one) for one in left if _title(one)]
        return err


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@dataclass(frozen=True)
class Unbroken:
    """What a stage does in one process."""

    stage: str
    files: dict[str, bytes]
    made: list[str]
    cost: dict[str, Any]


@pytest.fixture(scope="module", params=["collect", "evaluate"])
def alone(request, prepared, tmp_path_factory) -> Unbroken:
    stage = request.param
    project = fresh(prepared, tmp_path_factory.mktemp("alone") / "project", stage)
    done = parammem(project, "stage", stage, "--domain", DOMAIN)
    assert done.returncode == 0, done.stderr
    _assert_not_trivial(project, stage)
    return Unbroken(stage, snapshot(project, *OUTS[stage]), recorded(project), cost(project, stage))


def test_a_stage_on_two_workers_writes_the_same_bytes(alone, prepared, tmp_path):
    project = fresh(prepared, tmp_path / "project", alone.stage, ray=LOCAL)
    err = Spread(project, alone.stage).ended()
    assert "was lost" not in err
    assert snapshot(project, *OUTS[alone.stage]) == alone.files
    assert sorted(recorded(project)) == sorted(alone.made), "the same completions, each made once"
    assert cost(project, alone.stage) == alone.cost


def test_a_worker_killed_in_the_middle_changes_no_byte_and_nothing_recorded_is_made_again(alone, prepared, tmp_path):
    project = fresh(prepared, tmp_path / "project", alone.stage, ray=LOCAL)
    run = Spread(project, alone.stage)
    victim = run.kill_when(lambda: len(recorded(project)) >= len(alone.made) // 4)
    before = len(recorded(project))
    err = run.ended()
    assert before < len(alone.made), "not killed in the middle"
    assert re.search(rf"shard \d of 2 \(round \d+\): the worker {victim} on \S+ was lost; \d+ on \S+ goes on", err), err
    assert snapshot(project, *OUTS[alone.stage]) == alone.files
    assert sorted(recorded(project)) == sorted(alone.made)
    assert cost(project, alone.stage)["made"] == len(alone.made)


def _assert_not_trivial(project: Path, stage: str) -> None:
    if stage == "collect":
        found = read_jsonl(Places(project, DOMAIN).trajectories, Trajectory)
        assert len(found) == 24
        assert 0 < sum(one.stop == "visible-pass" for one in found) < len(found)
    else:
        runs = read_jsonl(Places(project, DOMAIN).evaluation / "runs.jsonl", Run)
        assert {one.passed for one in runs} == {True, False}
        assert {one.failed for one in runs} == {False}


def test_two_workers_ask_a_server_nothing_twice_but_what_was_in_flight_when_one_was_killed(prepared, tmp_path):
    project = fresh(prepared, tmp_path / "project", "collect")
    with LocalServer(models=[MODEL], write=knowing(params=parsed(**SMALL), domain=DOMAIN), latency=0.1) as local:
        server = {"base_url": local.url, "concurrency": CONCURRENCY, "timeout_seconds": 60}
        engine = {"kind": "openai", "max_new_tokens": 120, "max_advice_tokens": 60, "server": server, "ray": LOCAL}
        write_params(project, **SMALL | {"engine": engine})
        run = Spread(project, "collect")
        run.kill_when(lambda: len(recorded(project)) >= 12)
        assert "was lost" in run.ended()
        again = [asked for asked in local.chats if asked.repeats]
        assert len(again) <= CONCURRENCY
        usage = [asked.usage for asked in local.chats if asked.answered]
    made = recorded(project)
    assert len(made) == len(set(made)) == len(local.chats) - len(again)
    found = read_jsonl(Places(project, DOMAIN).trajectories, Trajectory)
    assert 0 < sum(one.stop == "visible-pass" for one in found) < len(found) == 24
    spent = sum(one.completion_tokens for one in Store(project / ".cache/completions").spent())
    total = sum(one["completion_tokens"] for one in usage)
    assert 0 <= total - spent <= CONCURRENCY * 120, "of what was in flight with the killed worker there is no account"


def test_a_worker_that_is_lost_again_and_again_ends_the_stage_with_what_to_do(prepared, tmp_path):
    project = fresh(prepared, tmp_path / "project", "collect", ray=LOCAL | {"retries": 0})
    run = Spread(project, "collect")
    run.kill_when(lambda: len(recorded(project)) >= 4)
    with pytest.raises(AssertionError, match=r"shard \d of 2 \(round 1\) could not be finished.*begin it 1 time"):
        run.ended()
    kept = recorded(project)
    again = parammem(fresh_params(project), "stage", "collect", "--domain", DOMAIN)
    assert again.returncode == 0, again.stderr
    assert recorded(project)[: len(kept)] == kept
    assert len(recorded(project)) == len(set(recorded(project))), "a run without a cluster goes on from there"


def fresh_params(project: Path) -> Path:
    write_params(project, **SMALL)
    return project


class Machines:
    """A cluster of two machines, as far as Ray can tell: each has a raylet and one processor."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
        self.secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._seen: set[psutil.Process] = set()

    def __enter__(self) -> Self:
        head = ["--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.folder}"]
        try:
            self.address = self._start(*head)
            self._start(f"--address={self.address}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        mine = self._mine()
        for one in mine:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(mine, timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def lose_the_second(self) -> None:
        """Without a word to anybody, as when the power fails."""
        second = max(self._raylets(), key=lambda one: one.create_time())
        for one in [second, *second.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):  # it may have died with its raylet
                one.kill()

    def _mine(self) -> set[psutil.Process]:
        """Ray's processes have the folder among their arguments; workers are children of such a process."""
        named = {one for one in psutil.process_iter() if str(self.folder) in _title(one)} | self._seen
        found = set(named)
        for one in named:
            with suppress(psutil.NoSuchProcess):
                found |= set(one.children(recursive=True))
        return found

    def _raylets(self) -> set[psutil.Process]:
        return {one for one in self._seen if "raylet/raylet" in _title(one)}

    def _start(self, *arguments: str) -> str:
        """The address that Ray gives the head."""
        done = subprocess.run(
            [Path(sys.executable).with_name("ray"), "start", *arguments, "--num-cpus=1", "--disable-usage-stats"],
            env={**environment(), "RAY_worker_niceness": "0", **self.secret},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self._seen |= self._mine()
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"Local node IP: (\S+)", done.stdout + done.stderr)
        assert found
        return f"{found[1]}:{self.port}"


def test_a_machine_lost_in_the_middle_changes_no_byte_either(alone, prepared, tmp_path):
    if alone.stage != "collect":
        pytest.skip("one stage is enough: the others differ in what a shard holds")
    with Machines() as machines:
        project = fresh(prepared, tmp_path / "project", "collect", ray=LOCAL | {"address": machines.address})
        run = Spread(project, "collect", **machines.secret)
        assert run.reached(lambda: len(recorded(project)) >= len(alone.made) // 4)
        machines.lose_the_second()
        err = run.ended()
    assert re.search(r"the worker \d+ on \S+ was lost", err), err
    assert snapshot(project, *OUTS["collect"]) == alone.files
    assert sorted(recorded(project)) == sorted(alone.made)


def test_a_bad_address_ends_the_command_with_the_clusters_exit_code(prepared, tmp_path):
    project = fresh(prepared, tmp_path / "project", "collect", ray={"address": "127.0.0.1:9"})
    done = parammem(project, "stage", "collect", "--domain", DOMAIN)
    assert done.returncode == 12
    assert "no Ray cluster at engine.ray.address '127.0.0.1:9'" in done.stderr
    assert "Traceback" not in done.stderr
