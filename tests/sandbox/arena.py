"""What hostile programs find around them, and how an effect that got out is noticed."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from parammem.sandbox import Call, CandidateJob, ExecutionOutcome, Limits, Pool

SECRET = "SECRET-5f1e"


class Arena:
    """A folder with a secret and victims, listening ports, a mailbox and a bystander process. A context manager."""

    def __enter__(self) -> Arena:
        self.folder = Path(tempfile.mkdtemp(prefix="arena-"))
        self.folder.chmod(0o777)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.mail = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.mail.bind(str(self.folder / "mail"))
        (self.folder / "mail").chmod(0o777)
        for listener in (self.tcp, self.udp, self.mail):
            listener.setblocking(False)
        self.bystander: subprocess.Popen[bytes] | None = None
        self.lay_out()
        return self

    def lay_out(self) -> None:
        """Put everything (back) in its place."""
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "victim").write_text("untouched")
        (self.folder / "victim").chmod(0o666)
        os.utime(self.folder / "victim", (1_000_000, 1_000_000))
        (self.folder / "tree").mkdir(exist_ok=True)
        (self.folder / "tree").chmod(0o777)
        (self.folder / "tree" / "leaf").write_text("leaf")
        for name in ("won", "flood", "taken", "link", "pipe"):
            (self.folder / name).unlink(missing_ok=True)
        Path("/dev/shm/hostile-flood").unlink(missing_ok=True)
        self.before = self.picture()
        if self.bystander is None or self.bystander.poll() is not None:
            self.bystander = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], env={"KEY": SECRET}, cwd="/"
            )

    def context(self) -> dict[str, Any]:
        """What the attack is told."""
        assert self.bystander is not None
        ports = {"tcp": self.tcp.getsockname()[1], "udp": self.udp.getsockname()[1]}
        return {"path": str(self.folder), "pid": self.bystander.pid, **ports}

    def picture(self) -> list[tuple[Any, ...]]:
        """Names, contents, modes and times of all that lies in the folder."""
        rows = []
        for path in sorted(self.folder.rglob("*")):
            stat = path.stat()
            text = path.read_text() if path.is_file() and stat.st_size < 100 else str(stat.st_size)
            rows.append((path.name, text, stat.st_mode, stat.st_mtime if path.name == "victim" else 0, stat.st_nlink))
        return rows

    def effects(self, outcome: ExecutionOutcome | None) -> list[str]:
        """What of an attack can be seen outside."""
        seen = []
        if outcome is not None and "SECRET" in f"{outcome.value}{outcome.stdout}{outcome.error}":
            seen.append("a secret got out")
        if self.picture() != self.before:
            seen.append("files changed")
        if Path("/dev/shm/hostile-flood").exists():
            seen.append("a file in /dev/shm")
        seen += [f"{name} heard" for name in ("tcp", "udp", "mail") if self._heard(getattr(self, name))]
        assert self.bystander is not None
        time.sleep(0.01)
        if self.bystander.poll() is not None:
            seen.append("the bystander died")
        return seen

    def _heard(self, listener: socket.socket) -> bool:
        try:
            if listener is self.tcp:
                listener.accept()[0].close()
            else:
                listener.recv(100)
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self.bystander is not None:
            self.bystander.kill()
            self.bystander.wait()
        for listener in (self.tcp, self.udp, self.mail):
            listener.close()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)


def descendants(pid: int) -> list[int]:
    """All living processes below one."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


_odd_limits = itertools.count(1)


def left_over(pool: Pool) -> list[int]:
    """Processes below the pool's workers beyond each worker's own zygote (and its launcher)."""
    if pool.level != "none":  # a run with limits of its own, after which no child is forked ahead
        limits = Limits(wall_seconds=30 + next(_odd_limits) / 1000)
        pool.run([CandidateJob(source="def f(): return 1", entry="f", calls=[Call()])] * pool.workers, limits)
    extra = []
    for worker in pool.members():
        below = descendants(worker)
        kept = 2 if pool.layers()["namespaces"] else 1
        extra += below[kept:]
    return extra
