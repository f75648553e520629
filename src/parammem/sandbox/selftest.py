"""Detection by effect: forbidden acts tried in a real child. A flag in /proc proves nothing; a refused act does.

Every act must be harmless where it is allowed: doctor runs them at level none too, on a person's own machine.
"""

# the lines quote programs
# ruff: noqa: E501
from __future__ import annotations

import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parammem.core.record import Record
from parammem.errors import SandboxError
from parammem.sandbox.jobs import Call, CandidateJob, ExecutionOutcome, Level, Limits
from parammem.sandbox.pool import Pool


class ForbiddenAct(Record):
    """One forbidden act and what came of it."""

    act: str
    denied: bool
    guard: str
    """Which layer is there to deny it."""
    detail: str
    """What the child said."""


class ProtectionReport(Record):
    """What protection is here, by effect."""

    level: Level
    safe: bool
    """Every act was denied."""
    missing: str = ""
    """What is missing and what to do, when not safe."""
    findings: list[ForbiddenAct] = []
    layers: dict[str, Any] = {}
    """What a worker could set up: namespaces, hidden folders, Landlock version, the user of its children."""


@dataclass(frozen=True)
class _Act:
    """A function body `act(path, port, pid)` that returns normally only if the forbidden act worked."""

    name: str
    guard: str
    body: str


ACTS = (
    _Act("read a file outside", "landlock", "return open(path + '/secret').read()"),
    _Act("list a folder outside", "landlock", "import os; return os.listdir(path)"),
    _Act("read /etc/passwd", "landlock", "return open('/etc/passwd').read(10)"),
    _Act("read another process's environment", "landlock", "return open(f'/proc/{pid}/environ', 'rb').read()"),
    _Act("write a file outside", "landlock + seccomp", "open(path + '/new', 'w').write('x')"),
    _Act("append to a file outside", "landlock + seccomp", "open(path + '/secret', 'a').write('x')"),
    _Act("write in /tmp", "landlock + seccomp", "import os; os.open(f'/tmp/sandbox-act-{pid}', os.O_CREAT | os.O_WRONLY)"),
    _Act("write in /dev/shm", "landlock + seccomp", "import os; os.open(f'/dev/shm/sandbox-act-{pid}', 65 | os.O_CREAT)"),
    _Act("delete a file", "seccomp", "import os; os.unlink(path + '/secret')"),
    _Act("rename a file", "seccomp", "import os; os.rename(path + '/secret', path + '/other')"),
    _Act("make a folder", "seccomp", "import os; os.mkdir(path + '/folder')"),
    _Act("change a file's mode", "seccomp", "import os; os.chmod(path + '/secret', 0o777)"),
    _Act("make a link", "seccomp", "import os; os.symlink('/', path + '/link')"),
    _Act("TCP to this machine", "seccomp", "import socket; socket.create_connection(('127.0.0.1', port), 2)"),
    _Act("UDP socket", "seccomp", "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"),
    _Act("local socket", "seccomp", "import socket; socket.socket(socket.AF_UNIX)"),
    _Act("local datagram pair", "seccomp", "import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"),
    _Act("netlink socket", "seccomp", "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"),
    _Act("fork", "seccomp", "import os\n    if os.fork() == 0: os._exit(0)"),
    _Act("run a program", "seccomp", "import subprocess; subprocess.run(['/bin/true'], check=True)"),
    _Act("replace itself by a program", "seccomp", "import os; os.execv('/bin/true', ['true'])"),
    _Act("signal its parent", "seccomp", "import os; os.kill(os.getppid(), 0)"),
    _Act("signal its group", "seccomp", "import os; os.killpg(0, 0)"),
    _Act("signal all it can", "seccomp", "import os; os.kill(-1, 0)"),
    _Act("leave its session", "seccomp", "import os; os.setsid()"),
    _Act("become root", "seccomp", "import os; os.setuid(0)"),
    _Act("a user namespace", "seccomp", "import ctypes\n    if ctypes.CDLL(None).unshare(0x10000000): raise PermissionError"),
    _Act("ptrace", "seccomp", "import ctypes\n    if ctypes.CDLL(None).ptrace(0, 0, 0, 0): raise PermissionError"),
    _Act("raise its own limits", "rlimits", "import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1)); bytearray(10**9)"),
    _Act("io_uring", "seccomp", "import ctypes\n    if ctypes.CDLL(None).syscall(425, 1, 0) < 0: raise PermissionError"),
    _Act("shared memory of System V", "seccomp",
         "import ctypes\n    if ctypes.CDLL(None).shmget(0, 4096, 0o1600) < 0: raise PermissionError"),
    _Act("set a limit of its parent", "seccomp", "import os, resource as r; r.prlimit(os.getppid(), r.RLIMIT_CORE, (0, 0))"),
    _Act("use more memory than it may", "rlimits", "bytearray(10**9)"),
    _Act("see this process's environment", "clean environment",
         "import os\n    if 'SANDBOX_SELFTEST' not in os.environ: raise PermissionError"),
)  # fmt: skip


def self_test(level: Level = "strict", pool: Pool | None = None) -> ProtectionReport:
    """Try every forbidden act in a child of its own.

    A worker that cannot be set up at all gives a report that is not safe and says what is missing.
    """
    own = pool is None
    pool = pool or Pool(1, level)
    try:
        return _report(level, pool)
    except SandboxError as error:
        return ProtectionReport(level=level, safe=False, missing=str(error))
    finally:
        if own:
            pool.close()


def _report(level: Level, pool: Pool) -> ProtectionReport:
    layers = {k: v for k, v in pool.layers().items() if k not in ("ready", "why")}
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        Path(folder, "secret").write_text("secret")
        Path(folder).chmod(0o777)
        args = [folder, server.getsockname()[1], os.getpid()]
        jobs = [_job(act, args) for act in ACTS]
        try:
            outcomes = pool.run(jobs, Limits(wall_seconds=5, cpu_seconds=5, memory_mb=256))
        finally:
            for place in ("/tmp", "/dev/shm"):  # where they were not denied
                Path(f"{place}/sandbox-act-{os.getpid()}").unlink(missing_ok=True)
    findings = [_finding(act, rows[0]) for act, rows in zip(ACTS, outcomes, strict=True)]
    worked = [finding.act for finding in findings if not finding.denied]
    missing = f"these acts were not denied: {', '.join(worked)}" if worked else ""
    return ProtectionReport(level=level, safe=not worked, missing=missing, findings=findings, layers=layers)


def _job(act: _Act, args: list[Any]) -> CandidateJob:
    return CandidateJob(source=f"def act(path, port, pid):\n    {act.body}\n", entry="act", calls=[Call(args=args)])


def _finding(act: _Act, outcome: ExecutionOutcome) -> ForbiddenAct:
    """Return a finding. Denied is what ended in a refusal; an act that failed for another reason proves nothing and
    counts as worked."""
    refused = (
        "PermissionError",
        "BlockingIOError",
        "ValueError: not allowed to raise",
        "FileNotFoundError",
        "OSError: [Errno 30]",
    )
    denied = outcome.kind in ("denied", "memory") or outcome.error.startswith(refused)
    return ForbiddenAct(act=act.name, denied=denied, guard=act.guard, detail=outcome.error or outcome.kind)


def interpreter() -> str:
    """Return which interpreter children run, for reports."""
    return f"{sys.implementation.name} {sys.version.split()[0]}"
