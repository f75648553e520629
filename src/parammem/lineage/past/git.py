"""Git as lineage reads it: commits that changed a file, blobs by the thousand, tags. Never writes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parammem.checkout.lock import held
from parammem.core.jsonl import text_lines
from parammem.core.record import Record

TIMEOUT = 120
HISTORY = ("--branches", "--tags", "--remotes", "HEAD")
"""What counts as history: not DVC's experiments, the stash, notes, or what another worktree has checked out."""
FIELD, END = "\x1f", "\x1e"


class GitCommit(Record):
    """One commit."""

    sha: str
    date: str
    """Author date, ISO 8601."""
    subject: str


class GitTag(Record):
    """One annotated or light tag."""

    name: str
    commit: str
    """What it points to in the end."""
    annotated: bool
    message: str


def git(repo: Path, *words: str) -> str | None:
    """What git prints, stripped; None when it fails or there is no git."""
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "-C", str(repo), *words]
    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a question takes no lock, which a kill would leave behind
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=env, pass_fds=held())
    return done.stdout.strip("\n") if done.returncode == 0 else None


def commits_of(repo: Path, path: str, revisions: tuple[str, ...] = HISTORY) -> list[GitCommit]:
    """Commits on any branch or tag that changed `path`, oldest first; empty outside git."""
    layout = FIELD.join(("%H", "%aI", "%s")) + END
    text = git(repo, "log", "--topo-order", "--reverse", f"--format={layout}", *revisions, "--", path)
    found = []
    for part in (text or "").split(END):
        if part.strip():
            sha, date, subject = part.strip("\n").split(FIELD)
            found.append(GitCommit(sha=sha, date=date, subject=subject))
    return found


def branches(repo: Path) -> list[str]:
    """Full names of the branches, local ones before those that were fetched from remotes."""
    return (git(repo, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes") or "").split()


def tags(repo: Path) -> list[GitTag]:
    """Every tag, by name."""
    layout = FIELD.join(("%(refname:short)", "%(objecttype)", "%(objectname)", "%(*objectname)", "%(contents)")) + END
    text = git(repo, "for-each-ref", "refs/tags", f"--format={layout}")
    found = []
    for part in (text or "").split(END):
        if part.strip():
            name, kind, own, target, message = part.strip("\n").split(FIELD)
            annotated = kind == "tag"
            found.append(GitTag(name=name, commit=target if annotated else own, annotated=annotated, message=message))
    return sorted(found, key=lambda tag: tag.name)


def blob(repo: Path, commit: str, path: str) -> bytes | None:
    """A file as it was in a commit."""
    with Blobs.open(repo) as blobs:
        return blobs.read(f"{commit}:{path}")


class Blobs:
    """Many blobs through one `git cat-file --batch`."""

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def open(cls, repo: Path) -> Iterator[Blobs]:
        program = shutil.which("git")
        if program is None or git(repo, "rev-parse", "--git-dir") is None:
            yield cls(None)
            return
        command = [program, "-C", str(repo), "cat-file", "--batch"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            yield cls(process)
        finally:
            process.communicate()

    def read(self, name: str) -> bytes | None:
        """`<commit>:<path>` or an object id; None if there is no such object."""
        if self._process is None or "\n" in name:
            return None
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        try:
            sink.write(f"{name}\n".encode())
            sink.flush()
            head = source.readline().split()
            if len(head) != 3 or not head[2].isdigit():  # "<name> missing", "<name> ambiguous"
                return None
            data = source.read(int(head[2]))
            source.read(1)
            return data
        except BaseException:  # an interrupt: what git still has to say must not be taken for the next object
            self._process.kill()
            source.close()
            raise


def blob_ids(repo: Path, commits: Iterable[str], path: str) -> dict[str, str]:
    """Commit → id of the blob at `path`, in one call."""
    program = shutil.which("git")
    wanted = list(commits)
    if program is None or not wanted:
        return {}
    text = "".join(f"{commit}:{path}\n" for commit in wanted)
    command = [program, "-C", str(repo), "cat-file", "--batch-check"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    lines = text_lines(done.stdout)
    found = {}
    for commit, line in zip(wanted, lines, strict=False):
        parts = line.split()
        if len(parts) == 3 and parts[1] == "blob":
            found[commit] = parts[0]
    return found
