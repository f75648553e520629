"""When the tests run as root, the sandbox's own tests run once more as an ordinary user."""

# the lines quote programs
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

NOBODY = 65534


def closed_folder() -> Path | None:
    """The first folder on the way to the interpreter that others may not enter, such as /root."""
    for place in (Path(sys.base_prefix), Path(sys.prefix), Path(sysconfig.get_path("stdlib"))):
        for folder in reversed([place, *place.parents]):
            if not folder.stat().st_mode & 0o001:
                return folder
    return None


def opened(folder: Path, keep: Path) -> str:
    """Shell lines that, in a mount namespace of their own, show `keep` below a folder that anyone may enter."""
    inside = keep.relative_to(folder).parts[0]
    there, moved = shlex.quote(str(folder / inside)), "/mnt"
    return (
        f"mount --bind {there} {moved} && mount -t tmpfs -o mode=755 none {shlex.quote(str(folder))} && "
        f"mkdir {there} && mount --move {moved} {there} && "
    )


SUITES = {
    "namespaces": ["-m", "not integration", *(f"tests/sandbox/test_{name}.py" for name in ("hostile", "run", "cli"))],
    "alone": ["-k", "alone or forgery_fools or large_enough", "tests/sandbox/test_hostile.py"],
}
"""With all layers, and the hostile suite with Landlock, seccomp and limits alone: no namespaces, no user to become."""


@pytest.mark.integration
@pytest.mark.timeout(600)
@pytest.mark.parametrize("layers", SUITES)
@pytest.mark.skipif(os.geteuid() != 0, reason="the tests already run as an ordinary user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_the_hostile_suite_is_stopped_as_an_ordinary_user_too(layers: str, repo_root: Path):
    closed = closed_folder()
    pytest_line = [sys.executable, "-m", "pytest", "-q", "-x", "-o", "cache_dir=/tmp/.pytest-nobody", *SUITES[layers]]
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
    line = "exec " + shlex.join([*drop, *pytest_line])
    wrapper = ["sh", "-c", line]
    if closed is not None:
        if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
            pytest.skip(f"an ordinary user cannot enter {closed}, and no mount namespace may be made to open it")
        wrapper = ["unshare", "--mount", "sh", "-c", opened(closed, Path(sys.base_prefix)) + line]
    environment = {**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        wrapper, cwd=repo_root, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = done.stdout.strip().splitlines()[-1]
    assert "passed" in summary
    assert "skipped" not in summary
    assert int(summary.split(" passed")[0].split()[-1]) > 100
