"""What has to hold when a turn has ended well, whatever was killed before it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import yaml

from parammem.checkout.worktree import TREES
from parammem.core.event import Event, Ingested, Published
from parammem.registry.branch import ledger_at
from parammem.registry.ledger import PLACE, Ledger
from parammem.registry.tags import existing_tags, wanted_tags
from tests.improve.lab import dvc, git

BRANCH = "refs/heads/improve"


def events(root: Path) -> list[Event]:
    return ledger_at(root, BRANCH)


def champion_versions(root: Path) -> list[int]:
    """Versions in the order in which they became champion."""
    return [e.fact.version for e in events(root) if isinstance(e.fact, Published) and e.fact.stage == "champion"]


def assert_settled(root: Path, folder: Path, head: str, rows: dict[str, int]) -> None:
    """Clean git and DVC, an unbroken ledger, tags as the ledger asks for, every row kept, nothing left running.

    Args:
        folder: an empty one to work in.
        head: the commit that the person's tree is at.
        rows: file name → rows that were dropped into the inbox.
    """
    assert_person_undisturbed(root, head)
    assert not list((root / TREES).glob("*"))
    assert len(git(root, "worktree", "list").splitlines()) == 1
    assert not list((root / ".git").glob("**/*.lock"))
    assert_ledger_and_tags(root, folder)
    assert_rows_kept(root, rows)
    assert_data_is_in_the_remote(root)


def assert_person_undisturbed(root: Path, head: str) -> None:
    assert git(root, "rev-parse", "HEAD") == head
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "branch", "--show-current") == "main"


def assert_ledger_and_tags(root: Path, folder: Path) -> None:
    copy = folder / PLACE
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(git(root, "show", f"{BRANCH}:{PLACE.as_posix()}") + "\n")
    assert Ledger(folder).verify() == []
    wanted = {tag.name: tag.event.digest for tag in wanted_tags(events(root))}
    assert {name: event for name, (event, _) in existing_tags(root).items()} == wanted


def assert_rows_kept(root: Path, rows: dict[str, int]) -> None:
    """Each file was ingested once, left the inbox, and its rows lie in batches that the remote has."""
    facts = [e.fact for e in events(root) if isinstance(e.fact, Ingested)]
    assert sorted(fact.name for fact in facts) == sorted(rows)
    inbox = root / "data" / "inbox"
    # Ingestion moves a file through .taken on its way to done/; the folder stays, and has to be empty.
    assert [path.name for path in inbox.iterdir() if path.name != ".taken" or any(path.iterdir())] == ["done"]
    assert sorted(path.name for path in (inbox / "done").iterdir()) == sorted(rows)
    for fact in facts:
        places = {"experience": fact.batch, "fresh": fact.fresh}
        pointers = [f"data/{kind}/{name}.jsonl.dvc" for kind, name in places.items() if name]
        found = sum(len(in_remote(root, pointer).splitlines()) for pointer in pointers)
        assert found == rows[fact.name]


def in_remote(root: Path, pointer: str) -> str:
    """The content of a tracked file, as the branch names it and the remote has it."""
    md5 = yaml.safe_load(git(root, "show", f"{BRANCH}:{pointer}"))["outs"][0]["md5"]
    return stored(root, md5).read_text()


def stored(root: Path, md5: str) -> Path:
    return root.parent / "remote" / "files" / "md5" / md5[:2] / md5[2:]


def assert_data_is_in_the_remote(root: Path) -> None:
    """Everything that the branch's dvc.lock names can be pulled."""
    lock = yaml.safe_load(git(root, "show", f"{BRANCH}:dvc.lock"))
    hashes = [out["md5"] for stage in lock["stages"].values() for out in stage["outs"]]
    assert hashes
    for md5 in hashes:
        assert stored(root, md5).is_file()
        if md5.endswith(".dir"):
            assert all(stored(root, one["md5"]).is_file() for one in json.loads(stored(root, md5).read_text()))


def assert_clone_is_up_to_date(root: Path, folder: Path) -> None:
    """Somebody who clones the branch and pulls has nothing to rebuild."""
    git(root, "clone", "-q", "-b", "improve", str(root), str(folder))
    git(folder, "config", "user.name", "lab")
    (folder / ".dvc" / "config.local").write_text(f"['remote \"store\"']\n    url = {root.parent / 'remote'}\n")
    dvc(folder, "pull", "-q")
    assert dvc(folder, "status", "--json") in ("", "{}")


def wait_for_orphans(mark: str, seconds: float = 20) -> list[str]:
    """Commands with this mark in their environment that are still running when the time is up."""
    deadline = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def marked(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("LAB_MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
