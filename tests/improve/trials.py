"""Commands that are killed at a moment drawn by chance, or meet a full disk, and are then run again.

    python -m tests.improve.trials [--trials 200] [--seed 1] [--only append,sync,rollback,recall] [--disk]

Each trial takes a fresh copy of a repository, runs one command in a process group of its own, kills all of the group
with SIGKILL (or lets the disk be full: a real file system of a few megabytes, in a namespace), runs the same command
again as a person would, and looks: nothing lost, nothing doubled, nothing stuck. Prints a line for each command, and
ends with 1 if a trial failed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from parammem.checkout.leftovers import clear_leftovers
from parammem.checkout.lock import locked
from parammem.checkout.worktree import PAST_TREES as AUDIT_TREES
from parammem.core.event import Recalled, RolledBack
from parammem.improve.champion import rollback
from parammem.improve.recall import execute_recall
from parammem.improve.run import plain_tools
from parammem.lineage import plan_recall
from parammem.registry import Ledger
from parammem.registry.branch import known
from parammem.registry.growth import check_growth
from parammem.registry.ledger import CUT_SHORT, PLACE
from parammem.registry.ledger_text import check
from parammem.registry.state import champion
from parammem.registry.tags import existing_tags, sync_tags, wanted_tags
from tests.improve.lab import git, make_lab
from tests.lineage.life import Life
from tests.registry.repository import promoting

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
GRACE = {"PARAMMEM_STOP_GRACE": "0.2", "DVC_NO_ANALYTICS": "1"}
STUCK_SECONDS = 600
"""After which a command counts as stuck: on an idle machine all take less than ten."""
ADDED = [Recalled(domain="code", rows=(), adapters=(), reason=f"{n} " + "x" * 3000) for n in range(20)]


class Command(NamedTuple):
    """What is tried: how its repository is made, what is run, and what has to hold at the end."""

    make: Callable[[Path], Path]
    run: Callable[[Path], Any]
    holds: Callable[[Path], None]
    room: int
    """KB of disk that are enough for it, about: full disks are drawn from below that."""


def lab_with_two_champions(folder: Path) -> Path:
    """v1 was champion, v2 is; their tags are still to be made. As a turn leaves it, and merged."""
    root = make_lab(folder)
    ledger = Ledger(root, clock=lambda: "2026-01-02T03:04:05Z")
    for letter in "ab":
        _promote(root, ledger, letter)
    git(root, "branch", "improve")
    return root


def _promote(root: Path, ledger: Ledger, letter: str) -> None:
    from parammem.registry.state import add_version, make_champion

    version = add_version(ledger, "code", letter * 64, "", "flow improve")
    decision = promoting(letter * 64)
    ledger.save_decision(decision)
    make_champion(ledger, version, decision.digest, "flow improve")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", letter)


def append(root: Path) -> None:
    for fact in ADDED:
        Ledger(root).append(fact, "person Ada")


def appended(root: Path) -> None:
    facts = [event.fact for event in Ledger(root).read()]
    assert facts[-len(ADDED) :] == ADDED, "lost, doubled or in another order"
    assert Ledger(root).verify() == []
    assert len(list((root / CUT_SHORT).glob("*"))) <= 1


def synced(root: Path) -> None:
    wanted = {tag.name: tag.event.digest for tag in wanted_tags(Ledger(root).read())}
    assert {name: event for name, (event, _) in existing_tags(root).items()} == wanted


def roll_back(root: Path) -> None:
    rollback(root, plain_tools("person Ada", lambda _: None), "code", "before", "tried")


def rolled_back(root: Path) -> None:
    events = known(root)
    assert champion(events, "code").number == 1, "gone back once"  # pyright: ignore[reportOptionalMemberAccess]
    assert sum(isinstance(event.fact, RolledBack) for event in events) == 1
    wanted = {tag.name: tag.event.digest for tag in wanted_tags(events)}
    assert {name: event for name, (event, _) in existing_tags(root).items()} == wanted
    assert not list((root / ".cache/improve/trees").glob("*"))


def lived(folder: Path) -> Path:
    life = Life(folder / "repo")
    for answer in ("promote", "promote"):
        life.generation(3, answer)
    (folder / "row").write_text(life.truth.rows_of_batch[1][0])
    return life.root


def recall(root: Path) -> None:
    with locked(root, "person Ada", 60):  # as the command does: it waits until what a killed one started is gone
        execute_recall(root, plan_recall(root, (root.parent / "row").read_text()), "tried")


def recalled(root: Path) -> None:
    row = (root.parent / "row").read_text()
    facts = [event.fact for event in Ledger(root).read() if isinstance(event.fact, Recalled)]
    assert [fact.rows for fact in facts] == [(row,)]
    assert (root / "data/recalled.txt").read_text().split() == [row]
    assert champion(Ledger(root).read(), "code").number == 1  # pyright: ignore[reportOptionalMemberAccess]
    assert not [one for one in (root / AUDIT_TREES).iterdir() if one.is_dir()]
    synced(root)


COMMANDS = {
    "append": Command(lab_with_two_champions, append, appended, 80),
    "sync": Command(lab_with_two_champions, sync_tags, synced, 60),
    "rollback": Command(lab_with_two_champions, roll_back, rolled_back, 400),
    "recall": Command(lived, recall, recalled, 1500),
}


def whole(root: Path) -> None:
    """What has to hold whatever was run."""
    assert check_growth(root).losses == ()
    check(root)
    assert not list((root / ".git").glob("**/*.lock")), "a lock was left"
    assert len(git(root, "worktree", "list").splitlines()) == 1, "a worktree was left"
    clear_leftovers(root)  # a git that outlived the killed run may have held its note while the next one looked
    assert not list((root / ".cache/locks/at-work").glob("*")), "a note was left"
    changed = [line for line in git(root, "status", "--porcelain").splitlines() if PLACE.as_posix() not in line]
    assert changed == [], "the person's files were touched"


def forked(run: Callable[[Path], Any], root: Path, log: Path) -> int:
    """Start a command in a fork with a process group of its own. Returns its process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        os.chdir(root)
        run(root)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Its exit code. Raises AssertionError when it does not end."""
    until = time.monotonic() + STUCK_SECONDS
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("stuck")


def once_more(command: Command, root: Path, log: Path, code: int) -> None:
    """The same command again, as a person runs it who saw that it had not ended well; now it has to."""
    if code:
        assert ended(forked(command.run, root, log)) == 0, log.read_text()[-3000:]
    command.holds(root)
    whole(root)


def kill_trial(command: Command, template: Path, folder: Path, after: float) -> str:
    """Kill it after so many seconds. Returns how it had ended."""
    root = copy(template, folder)
    child = forked(command.run, root, folder / "first")
    time.sleep(after)
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        try:
            os.kill(child, signal.SIGKILL)  # it has not made its group yet
        except ProcessLookupError:
            pass
    code = ended(child)
    once_more(command, root, folder / "second", code)
    return "killed" if code == -signal.SIGKILL else "had ended" if code == 0 else "failed"


def disk_trial(command: Command, template: Path, folder: Path, left: int) -> str:
    """Let only so many KB be free while it runs."""
    root = copy(template, folder)
    filler = folder / "filler"
    free = shutil.disk_usage(folder).free // 1024
    with filler.open("wb") as out:
        for _ in range(max(0, free - left)):
            out.write(b"x" * 1024)
    code = ended(forked(command.run, root, folder / "first"))
    filler.unlink()
    once_more(command, root, folder / "second", code)
    return "had ended" if code == 0 else "failed"


def copy(template: Path, folder: Path) -> Path:
    shutil.copytree(template.parent, folder / "copy", symlinks=True)
    return folder / "copy" / template.name


def duration(command: Command, template: Path, folder: Path) -> float:
    """Seconds that the command takes when nobody disturbs it."""
    root = copy(template, folder)
    began = time.monotonic()
    assert ended(forked(command.run, root, folder / "log")) == 0, (folder / "log").read_text()[-3000:]
    took = time.monotonic() - began
    command.holds(root)
    whole(root)
    return took


def trials(name: str, count: int, seed: int, disk: bool, base: Path) -> tuple[Counter[str], list[str]]:
    """So many trials of one command. Returns how the first runs ended, and what did not hold."""
    os.environ.update(GRACE)
    command, draw = COMMANDS[name], random.Random(f"{name} {seed}")
    template = command.make(base / f"{name}-template")
    with tempfile.TemporaryDirectory(dir=base) as folder:
        longest = duration(command, template, Path(folder))
    seen: Counter[str] = Counter()
    faults = []
    for number in range(count):
        with tempfile.TemporaryDirectory(dir=base, ignore_cleanup_errors=True) as folder:
            how = draw.uniform(0, longest)
            try:
                if disk:
                    seen[disk_trial(command, template, Path(folder), int(how / longest * command.room))] += 1
                else:
                    seen[kill_trial(command, template, Path(folder), how)] += 1
            except Exception as error:
                seen["NOT WHOLE"] += 1
                faults.append(f"{name} {number} ({how:.3f} s of {longest:.3f}): {_told(error)}")
        if number % 20 == 19:
            print(f"{name}: {number + 1} of {count}, {dict(seen)}", *faults, sep="\n  ", file=sys.stderr, flush=True)
    return seen, faults


def _told(error: Exception) -> str:
    """An error with the line that raised it: a bare assertion has no words."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, `{last.line}`: {error}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(COMMANDS))
    parser.add_argument("--disk", action="store_true", help="a full disk instead of a kill")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.disk and not given.inside:
        with tempfile.TemporaryDirectory() as place:
            words = [sys.executable, "-m", "tests.improve.trials", *sys.argv[1:], "--inside", place]
            script = 'mount -t tmpfs -o size=64m tmpfs "$0" && mkdir "$0/tmp" && exec env TMPDIR="$0/tmp" "$@"'
            return subprocess.run([*NAMESPACE, "bash", "-c", script, place, *words]).returncode
    bad = 0
    with tempfile.TemporaryDirectory(dir=given.inside or None) as base:
        for name in given.only.split(","):
            seen, faults = trials(name, given.trials, given.seed, given.disk, Path(base))
            print(f"{name}: {dict(seen)}", flush=True)
            print("".join(f"  {fault}\n" for fault in faults), end="", flush=True)
            bad += len(faults)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
