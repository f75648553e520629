"""Each attack succeeds at level none: so each test that it is stopped proves something."""

# the lines quote programs
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.sandbox.hostile import ATTACKS

# A process, mount, IPC and network namespace of its own (loopback up), gone with all in it when the script ends.
THROWAWAY = [
    "unshare",
    "--user",
    "--map-root-user",
    "--pid",
    "--mount",
    "--ipc",
    "--net",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


def throwaway_or_skip() -> list[str]:
    wrapper = THROWAWAY if os.geteuid() else [part for part in THROWAWAY if part not in ("--user", "--map-root-user")]
    try:
        subprocess.run([*wrapper, "true"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no throwaway namespace to run attacks in: {error}")
    return wrapper


@pytest.mark.integration
def test_every_attack_succeeds_without_protection(repo_root):
    wrapper = throwaway_or_skip()
    script = (
        "import fcntl, socket, struct, runpy\n"
        "s = socket.socket()\n"
        "fcntl.ioctl(s, 0x8914, struct.pack('16sh22x', b'lo', 0x49))\n"  # SIOCSIFFLAGS: loopback up
        "s.close()\n"
        "runpy.run_module('tests.sandbox.unprotected', run_name='__main__')\n"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{repo_root}/src:{repo_root}"}
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", script], cwd=repo_root, env=environment, capture_output=True, text=True,
        timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout)
    assert set(results) == {attack.name for attack in ATTACKS}
    assert [name for name, how in results.items() if not how] == []
