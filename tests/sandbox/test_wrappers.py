"""An outer wrapper goes around each worker, never around each run, and takes nothing away from the inner guards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parammem.sandbox import Call, CandidateJob, Pool, equal, selftest
from tests.sandbox.arena import SECRET, Arena, descendants
from tests.sandbox.hostile import ATTACKS, ENDINGS, FORGERIES

ADD = CandidateJob(source="def add(a, b): return a + b", entry="add", calls=[Call(args=[1, 2])])
BUBBLEWRAP = [
    "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent", "--",
]  # fmt: skip


@pytest.fixture
def bubblewrap() -> list[str]:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)")
    tried = subprocess.run([*BUBBLEWRAP, "true"], capture_output=True, text=True, timeout=60, check=False)
    if tried.returncode != 0:
        pytest.skip(f"bubblewrap may not make namespaces here: {tried.stderr.strip()}")
    return BUBBLEWRAP


def test_every_forbidden_act_is_denied_inside_bubblewrap(bubblewrap: list[str]):
    with Pool(1, wrapper=bubblewrap) as pool:
        report = selftest.self_test(pool=pool)
        assert report.safe, report.missing
        assert equal(pool.run([ADD])[0][0], 3)


def test_one_bubblewrap_serves_many_runs_and_none_outlives_its_pool(bubblewrap: list[str]):
    with Pool(1, wrapper=bubblewrap) as pool:
        assert all(equal(rows[0], 3) for rows in pool.run([ADD] * 20))
        (worker,) = pool.members()
        assert Path(f"/proc/{worker}/comm").read_text() == "bwrap\n"
        inside = descendants(worker)
        assert len(inside) >= 3  # bubblewrap's own first process, the worker, its zygote
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in inside) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in inside if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_bubblewrap_that_dies_is_replaced(bubblewrap: list[str]):
    with Pool(1, wrapper=bubblewrap) as pool:
        assert equal(pool.run([ADD])[0][0], 3)
        first = pool.members()
        os.kill(first[0], signal.SIGKILL)
        assert equal(pool.run([ADD])[0][0], 3)
        assert pool.members() != first


def test_attacks_are_stopped_inside_bubblewrap(bubblewrap: list[str]):
    wanted = {"reads a file", "overwrites a file", "fork", "TCP", "kills all", "subprocess"}
    chosen = [attack for attack in ATTACKS if attack.name in wanted]
    assert len(chosen) == len(wanted)
    with Arena() as arena, Pool(1, wrapper=bubblewrap) as pool:
        for attack in chosen:
            job = CandidateJob(source=attack.source, entry="attack", calls=[Call(args=[arena.context()])])
            outcome = pool.run([job])[0][0]
            assert outcome.kind in attack.kinds, (attack.name, outcome)
            assert arena.effects(outcome) == [], attack.name
            assert SECRET not in f"{outcome.value}{outcome.stdout}{outcome.error}"
        source, kind = ENDINGS["segfault"]
        assert pool.run([CandidateJob(source=source, entry="attack", calls=[Call(args=[{}])])])[0][0].kind == kind
        forged = pool.run([CandidateJob(source=FORGERIES["always-equal object"], entry="add", calls=ADD.calls)])[0][0]
        assert not equal(forged, 3)


@pytest.mark.integration
def test_gvisor_goes_around_a_worker():
    """gVisor has no Landlock: the level without files is what can be had inside."""
    if shutil.which("runsc") is None:
        pytest.skip("gVisor's runsc is not installed (gvisor.dev/docs/user_guide/install)")
    with Pool(1, "nofiles", wrapper=["runsc", "--rootless", "--network=none", "do", "--"]) as pool:
        assert equal(pool.run([ADD])[0][0], 3)


@pytest.mark.integration
def test_docker_goes_around_a_worker(repo_root: Path):
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    known = subprocess.run(["docker", "image", "inspect", "debian:stable-slim"], capture_output=True, check=False)
    if known.returncode != 0:
        pytest.skip("no docker daemon, or it has no image debian:stable-slim")
    shown = [part for path in (sys.base_prefix, sys.prefix, str(repo_root)) for part in ("-v", f"{path}:{path}:ro")]
    with Pool(1, wrapper=["docker", "run", "--rm", "-i", "--network=none", *shown, "debian:stable-slim"]) as pool:
        assert equal(pool.run([ADD])[0][0], 3)
