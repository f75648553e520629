"""The few git commands that the registry needs, as functions. The repository is the one that holds `root`."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from parammem.checkout.lock import held
from parammem.errors import LedgerError

QUIET = {"GIT_OPTIONAL_LOCKS": "0"}
"""A question takes no lock, which a kill would leave behind."""


def git(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """What git printed. Raises LedgerError with git's own words when it failed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            env={**os.environ, **QUIET, **(env or {})},
            pass_fds=held(),
        )
    except FileNotFoundError:
        raise LedgerError("git is not installed; install it, the ledger's tags live in it") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or done.returncode
        raise LedgerError(f"`git {' '.join(words[:3])}` failed in {root}: {said}")
    return done.stdout.decode(errors="replace")  # not as text: a carriage return in a line is no end of it


def file_at(root: Path, revision: str, path: str) -> bytes | None:
    """A file's bytes as a revision has them; None if there is no such file, revision or repository."""
    command = ["git", "-C", str(root), "cat-file", "blob", f"{revision}:{path}"]
    try:
        done = subprocess.run(command, capture_output=True, env={**os.environ, **QUIET})
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout


class Objects:
    """Many of git's objects through one `git cat-file --batch`."""

    def __init__(self, root: Path) -> None:
        command = ["git", "-C", str(root), "cat-file", "--batch"]
        env = {**os.environ, **QUIET, "GIT_NO_LAZY_FETCH": "1"}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def read(self, name: str) -> bytes | None:
        """The bytes of an object; None if it is not here."""
        if "\n" in name:
            return None  # git would give two answers
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None
        assert sink is not None
        try:
            sink.write(f"{name}\n".encode())
            sink.flush()
            head = source.readline().split()
            if len(head) != 3 or not head[2].isdigit():
                return None
            data = source.read(int(head[2]))
            source.read(1)
            return data
        except BaseException:  # an interrupt: what git still has to say must not be taken for the next object
            self._process.kill()
            source.close()
            raise

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def has_commits(root: Path) -> bool:
    try:
        git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except LedgerError:
        return False
    return True


def prune_worktrees(root: Path, names: Iterable[str]) -> None:
    """Let git forget worktrees whose folders are gone, those of these names also where a git that was killed while it
    made them left them locked."""
    folder = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir").strip()) / "worktrees"
    for name in names:
        (folder / name / "locked").unlink(missing_ok=True)
    git(root, "worktree", "prune", "--expire", "now")


def require_identity(root: Path) -> str:
    """Name and mail that git signs with. Raises LedgerError, with the fix, when there are none.

    Asked before a run begins, since the commit and the tags come last.
    """
    try:
        found = git(root, "var", "GIT_COMMITTER_IDENT")
    except LedgerError as error:
        raise LedgerError(
            "git does not know who you are, and commits and tags are signed off by name; run "
            "`git config user.name NAME` and `git config user.email MAIL`"
        ) from error
    return found.rsplit(" ", 2)[0]


def person(root: Path) -> str:
    """The actor of an event that a person caused: git's user name, else the account's."""
    try:
        name = git(root, "config", "user.name").strip()
    except LedgerError:
        name = ""
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = "unknown"
    return f"person {name}"
