"""Run DVC commands in a tree, so that they end with the process that started them, and read DVC's settings.

This is the one module that calls DVC. dvc.lock is read in dvc_lock.py, which needs no process.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parammem.checkout.held_files import held
from parammem.checkout.places import BATCHES, FRESH, FRESH_KEYS, LIVE, QUARANTINE
from parammem.checkout.processes import environment, run_guarded
from parammem.core.words import count
from parammem.errors import DataError

DVC = (sys.executable, "-m", "dvc")
Say = Callable[[str], None]
TRACKED = tuple(folder.as_posix() for folder in (BATCHES, FRESH, FRESH_KEYS, QUARANTINE, LIVE))
"""Folders whose files have a .dvc file each."""
HINTS = (
    "To track the changes with git",
    "git add ",
    "To enable auto staging",
    "dvc config core.autostage",
    "Use `dvc push`",
)
"""How lines begin in which DVC says what to do by hand; whoever runs a stage here commits and pushes what it made."""


def run(
    root: Path, *words: str, say: Say = lambda _: None, python: Path | None = None, env: Mapping[str, str] | None = None
) -> tuple[int, list[str]]:
    """Run DVC in a tree; it ends when this process does. Returns its exit code and its last lines.

    Args:
        say: gets each line.
        python: of the virtual environment to run in; None: this one.
        env: by default `processes.environment(root)`.
    """
    command = [str(python), *DVC[1:]] if python else [*DVC]
    return run_guarded([*command, *words], root, say, env)


def ask(root: Path, *words: str) -> str:
    """Return what a quick DVC command printed, its errors left out. Raises DataError with DVC's own words when it
    failed."""
    done = subprocess.run(
        [*DVC, *words], cwd=root, env=environment(root), capture_output=True, text=True, pass_fds=held()
    )
    if done.returncode:
        raise DataError(f"`dvc {' '.join(words)}` failed in {root}:\n{done.stderr.strip()}")
    return done.stdout


def repro(tree: Path, targets: Sequence[str], say: Say) -> None:
    """Bring stages up to date, waiting while a person runs DVC there. Raises DataError with the last lines."""

    def say_facts(line: str) -> None:
        if not line.strip().startswith(HINTS):
            say(line)

    code, tail = run(tree, "--wait-for-lock", "repro", *targets, say=say_facts)
    if code:
        raise DataError(f"`dvc repro {' '.join(targets)}` failed. Its last lines:\n{last_lines(tail, 20)}")


def last_lines(tail: Sequence[str], most: int) -> str:
    """Return the last lines of a command, indented, for a message."""
    return "\n".join(f"    {line}" for line in tail[-most:] if line)


def settings(tree: Path) -> Any:
    """Return DVC's own reading of all its config files that hold for this tree. Raises DataError when one cannot be
    read."""
    from dvc.config import Config, ConfigError

    try:
        return Config(str(tree / ".dvc"))
    except ConfigError as error:
        raise DataError(f"{tree / '.dvc'} cannot be read: {error}; restore it with git") from error


def has_remote(tree: Path) -> bool:
    """Return whether DVC has a remote to push to by default."""
    return bool(settings(tree)["core"].get("remote"))


def cache_folder(tree: Path) -> Path:
    """Return where DVC keeps the data of this tree."""
    place = settings(tree)["cache"].get("dir")
    return Path(place) if place else (tree / ".dvc" / "cache").resolve()


def cached(folder: Path, md5: str) -> Path:
    """Return where DVC's cache keeps the contents with this hash."""
    return folder / "files" / "md5" / md5[:2] / md5[2:]


def fetch(tree: Path, say: Say) -> None:
    """Bring the committed data into the worktree: from the shared cache, and what is missing from the remote.

    Outputs of stages that are nowhere are left out: a rebuild makes them again. Batches cannot be made again.

    Raises:
        DataError: a batch of experience is neither in the cache nor in the remote.
    """
    run(tree, "checkout", "--quiet", "--force", "--allow-missing", say=say)
    if missing_batches(tree) and has_remote(tree):
        run(tree, "pull", "--quiet", *(f"{name}.dvc" for name in missing_batches(tree)), say=say)
    missing = missing_batches(tree)
    if missing:
        raise DataError(
            f"{count(len(missing), 'batch', 'batches')} of experience found neither in DVC's cache nor in a "
            f"remote that can be reached, the first: {missing[0]}; bring them back (`dvc pull`), "
            "or take their .dvc files out of git"
        )


def check_out(tree: Path, folder: str, say: Say) -> None:
    """Bring what dvc.lock names below a folder out of the shared cache."""
    run(tree, "checkout", "--quiet", "--force", "--recursive", folder, say=say)


def missing_batches(tree: Path) -> list[str]:
    """Return batch files that git tracks and that are not here."""
    files = sorted(file for folder in TRACKED for file in (tree / folder).glob("**/*.dvc"))
    return [str(file.relative_to(tree).with_suffix("")) for file in files if not file.with_suffix("").is_file()]


def push(tree: Path) -> str:
    """Bring everything the worktree refers to into the remote. Returns what was done, in words.

    Raises:
        DataError: the remote cannot be reached or refused; nothing refers to the data yet.
    """
    if not has_remote(tree):
        return "no DVC remote: the data is in the local cache only"
    code, tail = run(tree, "push")
    if code:
        raise DataError(
            f"`dvc push` failed, so nothing was committed; mend the remote and run again, the work is kept. "
            f"Its last lines:\n{last_lines(tail, 10)}"
        )
    return f"DVC remote: {tail[-1] if tail else 'pushed'}"


def track(root: Path, files: Iterable[str]) -> list[str]:
    """Put batch files under DVC, each with a `.dvc` file of its own that git keeps; those that have one are left alone.

    Returns:
        The `.dvc` files of all of them, to be committed.

    Raises:
        DataError: DVC refused.
    """
    files = list(files)
    new = [file for file in files if not (root / f"{file}.dvc").is_file()]
    if new:
        code, tail = run(root, "--wait-for-lock", "add", *new)  # --quiet hides the reason
        if code:
            said = [line for line in tail if line.startswith("ERROR:")] or tail[-1:]
            raise DataError(f"`dvc add` failed: {'; '.join(said)}; the batch is whole, run the same again")
    return [f"{file}.dvc" for file in files]
