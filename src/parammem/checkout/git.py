"""git, called by one way. A question that git cannot answer is None; an order that it refuses is a DataError.

The repository is the one that holds `root`, whatever GIT_DIR says. A question takes no lock, which a kill would leave
behind, and every git that we start holds the run's lock until it ends.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from parammem.checkout.held_files import held
from parammem.core.jsonl import text_lines
from parammem.core.record import Record
from parammem.errors import DataError, LedgerError

QUIET = {"GIT_OPTIONAL_LOCKS": "0"}
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
"""Variables that point git at another repository than the one it is asked about; git sets them for hooks."""
UNATTENDED = ("-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "commit.gpgsign=false")
"""Settings of a git that changes something for us: no person is there to answer a hook or to type a passphrase."""
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


class Worktree(NamedTuple):
    """A worktree that git lists, the main one included."""

    path: Path
    head: str
    """The commit that it has checked out; empty in a bare repository."""
    branch: str
    """Full name of the branch that it has checked out; empty: none."""


def run(
    root: Path, *words: str, env: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[bytes] | None:
    """Run git to its end. Returns its exit code and what it printed; None where git is not installed.

    Args:
        env: variables beside this process's own.
        text: its stdin.
    """
    try:
        return subprocess.run(
            ["git", "-C", str(root), *words],
            input=text.encode(),
            capture_output=True,
            env=environment(env),
            pass_fds=held(),
        )
    except FileNotFoundError:
        return None


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of a git that we start."""
    found = {**os.environ, **QUIET, **(more or {})}
    return {name: value for name, value in found.items() if name not in ELSEWHERE}


def git(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Return what git printed, without the last newline. Raises DataError with git's own words when it failed."""
    done = run(root, *words, env=env)
    if done is None:
        raise DataError("git is not installed; install it, the ledger's tags live in it")
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:].decode(errors="replace")
        if git_folder(root) is None:
            raise DataError(
                f"{str(root.absolute())!r} is in no git repository; change to your clone, or run `git init` there"
            )
        raise DataError(f"`git {_shown(words)}` failed in {root}: {said or done.returncode}")
    return _text(done.stdout)


def ask(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str | None:
    """Return what git printed, without the last newline; None when it failed, or there is no git."""
    done = run(root, *words, env=env)
    return _text(done.stdout) if done and not done.returncode else None


def _text(data: bytes) -> str:
    return data.decode(errors="replace").rstrip("\n")  # not as text: a carriage return in a line is no end of it


def _shown(words: Sequence[str]) -> str:
    """Return a command as a person would type it: its first words, without settings."""
    settings = {place for place, word in enumerate(words) if word == "-c"}
    return " ".join([word for place, word in enumerate(words) if not {place, place - 1} & settings][:4])


def git_folder(root: Path) -> Path | None:
    """Return the folder in which all worktrees of the repository keep branches and tags; None outside of git."""
    found = ask(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(found) if found else None


def tip(root: Path, revision: str) -> str:
    """Return the commit that a revision names; empty if there is none."""
    return ask(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or ""


def has_commits(root: Path) -> bool:
    """Return whether the repository has a commit checked out."""
    return bool(tip(root, "HEAD"))


def is_ancestor(root: Path, one: str, other: str) -> bool:
    """Return whether a commit is the other or one of those that it follows."""
    return ask(root, "merge-base", "--is-ancestor", one, other) is not None


def branches(root: Path) -> list[str]:
    """Return full names of the branches, local ones before those that were fetched from remotes."""
    return (ask(root, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes") or "").split()


def tags(root: Path) -> list[GitTag]:
    """Return every tag, by name."""
    layout = FIELD.join(("%(refname:short)", "%(objecttype)", "%(objectname)", "%(*objectname)", "%(contents)")) + END
    text = ask(root, "for-each-ref", "refs/tags", f"--format={layout}")
    found = []
    for part in (text or "").split(END):
        if part.strip():
            name, kind, own, target, message = part.strip("\n").split(FIELD)
            annotated = kind == "tag"
            found.append(GitTag(name=name, commit=target if annotated else own, annotated=annotated, message=message))
    return sorted(found, key=lambda tag: tag.name)


def commits_of(root: Path, path: str, revisions: tuple[str, ...] = HISTORY) -> list[GitCommit]:
    """Return commits on any branch or tag that changed `path`, oldest first; empty outside git."""
    layout = FIELD.join(("%H", "%aI", "%s")) + END
    text = ask(root, "log", "--topo-order", "--reverse", f"--format={layout}", *revisions, "--", path)
    found = []
    for part in (text or "").split(END):
        if part.strip():
            sha, date, subject = part.strip("\n").split(FIELD)
            found.append(GitCommit(sha=sha, date=date, subject=subject))
    return found


def file_at(root: Path, revision: str, path: str) -> bytes | None:
    """Return a file's bytes as a revision has them; None if there is no such file, revision or repository."""
    done = run(root, "cat-file", "blob", f"{revision}:{path}")
    return done.stdout if done and not done.returncode else None


def blob_ids(root: Path, commits: Iterable[str], path: str) -> dict[str, str]:
    """Return commit → id of the blob at `path`, in one call."""
    wanted = list(commits)
    text = "".join(f"{commit}:{path}\n" for commit in wanted)
    done = run(root, "cat-file", "--batch-check", text=text) if wanted else None
    found = {}
    for commit, line in zip(wanted, text_lines(_text(done.stdout)) if done else (), strict=False):
        parts = line.split()
        if len(parts) == 3 and parts[1] == "blob":
            found[commit] = parts[0]
    return found


class Blobs:
    """Many of git's objects through one `git cat-file --batch`; what is not in this clone is not fetched."""

    def __init__(self, process: subprocess.Popen[bytes] | None) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def open(cls, root: Path) -> Iterator[Blobs]:
        """Open the repository's blobs for reading while the block lasts; outside of git there are none."""
        if git_folder(root) is None:
            yield cls(None)
            return
        command = ["git", "-C", str(root), "cat-file", "--batch"]
        env = environment({"GIT_NO_LAZY_FETCH": "1"})
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        try:
            yield cls(process)
        finally:
            process.communicate()

    def read(self, name: str) -> bytes | None:
        """Return `<commit>:<path>` or an object id; None if there is no such object."""
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


def commit(tree: Path, paths: Sequence[str], message: str) -> str:
    """Commit these paths of a worktree. Returns the commit's name, or an empty text if nothing of them changed."""
    there = [path for path in paths if (tree / path).exists() or git(tree, "ls-files", "--", path)]
    if there:
        git(tree, *UNATTENDED, "add", "--all", "--", *there)
    if ask(tree, "diff", "--cached", "--quiet") is not None:
        return ""
    git(tree, *UNATTENDED, "commit", "--quiet", "--no-verify", "-m", message)
    return tip(tree, "HEAD")


def move_branch(root: Path, branch: str, to: str, before: str) -> None:
    """Let a branch point to a commit.

    Args:
        before: the commit that it points to now; empty: it is not there.

    Raises:
        DataError: the branch was moved meanwhile by another process.
    """
    git(root, *UNATTENDED, "update-ref", "-m", "improve", f"refs/heads/{branch}", to, before or "0" * 40)


def worktrees(root: Path) -> list[Worktree]:
    """Return the worktrees of the repository; empty outside of git."""
    found: list[Worktree] = []
    for part in (ask(root, "worktree", "list", "--porcelain") or "").split("\n\n"):
        facts: dict[str, str] = {}
        for line in part.split("\n"):
            name, _, value = line.partition(" ")
            facts[name] = value
        if "worktree" in facts:
            found.append(Worktree(Path(facts["worktree"]), facts.get("HEAD", ""), facts.get("branch", "")))
    return found


def prune_worktrees(root: Path, names: Iterable[str]) -> None:
    """Let git forget worktrees whose folders are gone, those of these names also where a git that was killed while it
    made them left them locked."""
    folder = git_folder(root)
    for name in names:
        if folder:
            (folder / "worktrees" / name / "locked").unlink(missing_ok=True)
    git(root, "worktree", "prune", "--expire", "now")


def require_identity(root: Path) -> str:
    """Return the name and mail that git signs with. Raises LedgerError, with the fix, when there are none.

    Asked before a run begins, since the commit and the tags come last.
    """
    try:
        found = git(root, "var", "GIT_COMMITTER_IDENT")
    except DataError as error:
        raise LedgerError(
            "git does not know who you are, and commits and tags are signed off by name; run "
            "`git config user.name NAME` and `git config user.email MAIL`"
        ) from error
    return found.rsplit(" ", 2)[0]


def person(root: Path) -> str:
    """Return the actor of an event that a person caused: git's user name, else the account's."""
    name = (ask(root, "config", "user.name") or "").strip()
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = "unknown"
    return f"person {name}"
