"""One day of an operator, played by a script: a Prefect server, a deployment, a worker, batches of three hands, merges,
an experiment of DVC, a rollback during a turn, a ledger whose end was cut off, and a remote that is away.

Stages and meeting are the lab's, so a turn takes seconds; git, DVC, Prefect and every command are the real ones. After
each step `registry verify` and `audit verify` have to say what is so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import ROOT
from flows.prefect_server import local_server
from parammem.core.event import Ingested, RolledBack
from parammem.registry.branch import known
from parammem.registry.ledger import PLACE
from parammem.registry.state import champion
from parammem.registry.tags import wanted_tags
from tests.flows.deployed import PATIENCE, post, prefect, wait_for, watcher, worker
from tests.improve.lab import drop_batch, dvc, git, make_lab
from tests.improve.settled import BRANCH, assert_data_is_in_the_remote, assert_ledger_and_tags, champion_versions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
MEETING = ("from parammem.improve.contest_process import", "contest_in_process")
HOLD = """\
hold = pathlib.Path({hold!r})
if hold.exists():
    hold.with_name("held").touch()
while hold.exists():
    time.sleep(0.1)
"""
"""What the lab's training does before its own work: it waits as long as a file is there."""
ENDED = ("COMPLETED", "FAILED", "CRASHED")


class Day:
    """The repository of Ada, who operates it, and the Prefect server that its flows are deployed to."""

    def __init__(self, folder: Path, api: str, environment: dict[str, str]) -> None:
        self.folder, self.api, self.environment = folder, api, environment
        self.root, self.origin, self.hold = folder / "repo", folder / "origin.git", folder / "hold"
        self.log = folder / "worker.log"

    def run(self, root: Path, *words: str, code: int = 0) -> str:
        """A command of parammem; it has to end with this code. Returns what it said."""
        command = [sys.executable, "-m", "parammem.cli", *words]
        done = subprocess.run(command, cwd=root, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def holds(self, root: Path | None = None) -> None:
        """Nothing was changed, and no event was lost."""
        said = self.run(root or self.root, "registry", "verify")
        assert "none of them took an event away" in said
        assert "not certain" not in said
        assert "nothing was changed since it was recorded" in self.run(root or self.root, "audit", "verify")

    def is_broken(self) -> str:
        """Both commands raise the alarm. Returns what `registry verify` says."""
        self.run(self.root, "audit", "verify", code=10)
        return self.run(self.root, "registry", "verify", code=10)

    def start(self) -> str:
        """A run of `improve`, as its page's button starts one. Returns its id."""
        (found,) = post(self.api, "deployments/filter", {"deployments": {"name": {"any_": ["improve-scheduled"]}}})
        return str(post(self.api, f"deployments/{found['id']}/create_flow_run", {})["id"])

    def end(self, run: str) -> dict[str, Any]:
        """Wait until a run has ended. Returns it."""
        found: list[dict[str, Any]] = []
        wait_for(lambda: found.extend(one for one in self.ended() if one["id"] == run) or found, self.log)
        return found[0]

    def ended(self) -> list[dict[str, Any]]:
        runs = post(self.api, "flow_runs/filter", {"flows": {"name": {"any_": ["improve"]}}})
        return [run for run in runs if run["state_type"] in ENDED]

    def turn(self) -> dict[str, Any]:
        return self.end(self.start())


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    """Everything is deployed, and a worker waits for runs."""
    root = make_lab(tmp_path)
    prepare(root, tmp_path / "hold")
    git(root, "init", "-q", "--bare", "-b", "main", str(tmp_path / "origin.git"))
    git(root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(root, "push", "-q", "-u", "origin", "main")
    home = {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", home["PREFECT_HOME"])
        with local_server(tmp_path / "prefect") as api:
            environment = {**os.environ, **home, "PREFECT_API_URL": api}
            prefect(root, environment, "work-pool", "create", "parammem", "--type", "process")
            prefect(root, environment, "deploy", "--all")
            one = Day(tmp_path, api, environment)
            one.run(root, "registry", "setup")
            with worker(root, environment):
                yield one


def prepare(root: Path, hold: Path) -> None:
    """This repository's flows and deployments in the lab, with the lab's meeting and a training that can be held up."""
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prefect.yaml", ".gitattributes"):
        shutil.copy(ROOT / name, root / name)
    flow = root / "flows/improve.py"
    text, stood = flow.read_text(), " ".join(MEETING)
    assert text.count(stood) == 1
    flow.write_text(text.replace(stood, "from tests.improve.lab import fake_meeting as contest_in_process"))
    (root / "behave/train").write_text(HOLD.format(hold=str(hold)))
    dvc(root, "repro", "-q", "tasks@code")
    dvc(root, "push", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "flows")


def test_a_day_of_an_operator_ends_as_it_should(day):
    day.holds()
    automation_takes_a_batch_in(day)
    ada_and_ben_take_batches_in_by_hand(day)
    ada_merges_and_tries_something(day)
    a_turn_learns_from_what_people_brought(day)
    ada_rolls_back_during_a_turn(day)
    somebody_cuts_the_end_of_the_ledger_off(day)
    the_remote_is_away(day)
    assert_all_is_well(day)


def automation_takes_a_batch_in(day: Day) -> None:
    """The event of new data starts a run, which promotes a first champion."""
    with watcher(day.root, day.environment):
        drop_batch(day.root, "one")
        wait_for(day.ended, day.log)
    (run,) = day.ended()
    assert run["state_type"] == "COMPLETED", day.log.read_text(errors="replace")[-5000:]
    assert run["name"] == "improve code: v1 promoted"
    assert run["created_by"]["type"] == "AUTOMATION"
    assert champion_versions(day.root) == [1]
    assert (day.root / "data/inbox/done/one.jsonl").is_file()
    day.holds()


def ada_and_ben_take_batches_in_by_hand(day: Day) -> None:
    """Ada in her tree, and Ben in a clone of his own, from the same commit; Ada merges what Ben pushed."""
    ben = day.folder / "ben"
    git(day.root, "clone", "-q", str(day.origin), str(ben))
    for key, value in (("user.name", "Ben"), ("user.email", "ben@example.org")):
        git(ben, "config", key, value)
    day.run(ben, "registry", "setup")
    dvc(ben, "pull", "-q", "--allow-missing")
    said = take_in(day, day.root, "two")
    assert "note: the ledger of the branch improve has 6 events that yours lacks" in said
    take_in(day, ben, "three")
    day.holds(ben)
    dvc(ben, "push", "-q")
    git(ben, "push", "-q")
    git(day.root, "pull", "-q", "--no-rebase", "--no-edit")
    dvc(day.root, "pull", "-q", "--allow-missing")
    assert ingested(day) == {"one.jsonl", "two.jsonl", "three.jsonl"}
    day.holds()


def take_in(day: Day, root: Path, name: str) -> str:
    """A batch by `parammem ingest`, and the commit of it."""
    file = drop_batch(day.folder / name, name)
    said = day.run(root, "ingest", str(file))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", f"Batch {name}")
    return said


def ingested(day: Day) -> set[str]:
    """Names of the files that were taken in, each once."""
    names = [event.fact.name for event in known(day.root) if isinstance(event.fact, Ingested)]
    assert len(names) == len(set(names))
    return set(names)


def merge_automation(day: Day) -> None:
    """As docs/operate.md says it."""
    git(day.root, "merge", "-q", "--no-edit", "improve")
    dvc(day.root, "pull", "-q")


def ada_merges_and_tries_something(day: Day) -> None:
    """The refs that an experiment of DVC leaves are no generations."""
    merge_automation(day)
    day.holds()
    dvc(day.root, "exp", "run", "-q", "--set-param", "train.rank=4", "train@code")
    assert git(day.root, "for-each-ref", "refs/exps"), "the experiment has left refs"
    git(day.root, "checkout", "-q", "--", ".")
    dvc(day.root, "checkout", "-q")
    assert git(day.root, "status", "--porcelain") == ""
    day.holds()


def a_turn_learns_from_what_people_brought(day: Day) -> None:
    run = day.turn()
    assert run["name"] == "improve code: v2 promoted", run
    assert champion_versions(day.root) == [1, 2]
    day.holds()


def ada_rolls_back_during_a_turn(day: Day) -> None:
    """ "before" is settled when it is asked. The turn promotes somebody else meanwhile, so nothing is rolled back."""
    day.hold.touch()
    drop_batch(day.root, "four")
    run = day.start()
    wait_for((day.folder / "held").exists, day.log)
    with asked(day, "rollback", "--to", "before", "--reason", "it was rude") as (process, said):
        wait_for(lambda: "waiting for flow improve" in said.read_text(), day.log)
        assert "the champion before v2 is v1" in said.read_text()
        day.hold.unlink()
        assert day.end(run)["name"] == "improve code: v3 promoted"
        assert process.wait(timeout=PATIENCE) == 11, said.read_text()
        again = "parammem rollback --to v1 --domain code"
        assert "nothing was rolled back" in said.read_text()
        assert again in said.read_text()
    day.holds()
    assert "rolled back to v1" in day.run(day.root, *again.split()[1:], "--reason", "it was rude")
    assert [event.fact.version for event in known(day.root) if isinstance(event.fact, RolledBack)] == [1]
    day.holds()


@contextlib.contextmanager
def asked(day: Day, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A command of parammem that is at work. Yields it, and the file with what it says."""
    said = day.folder / "said"
    with said.open("wb") as log:
        command = [sys.executable, "-u", "-m", "parammem.cli", *words]
        process = subprocess.Popen(command, cwd=day.root, env=day.environment, stdout=log, stderr=log)
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()


def somebody_cuts_the_end_of_the_ledger_off(day: Day) -> None:
    """The last event, the rollback, goes in an ordinary commit, with its tag and automation's branch. It is noticed,
    no turn builds on it, and what the message says repairs it."""
    merge_automation(day)
    day.holds()
    last = known(day.root)[-1]
    assert isinstance(last.fact, RolledBack)
    tags = [one.name for one in wanted_tags(known(day.root)) if one.event.digest == last.digest]
    assert tags
    lines = (day.root / PLACE).read_bytes().splitlines(keepends=True)
    (day.root / PLACE).write_bytes(b"".join(lines[:-1]))
    git(day.root, "commit", "-q", "-a", "-m", "Tidy")
    cut = git(day.root, "rev-parse", "HEAD")[:12]
    git(day.root, "tag", "-d", *tags)
    git(day.root, "branch", "-D", "improve")
    said = day.is_broken()
    mend = f"git checkout {cut}^ -- {PLACE.as_posix()}"
    assert f"commit {cut} (Tidy) took 1 event" in said
    assert mend in said
    git(day.root, *mend.split()[1:])
    git(day.root, "commit", "-q", "-a", "-m", "Put the rollback back")
    day.run(day.root, "sync")
    assert set(tags) <= set(git(day.root, "tag", "-l").splitlines())
    incumbent = champion(known(day.root), "code")
    assert incumbent
    assert incumbent.number == 1
    day.holds()


def the_remote_is_away(day: Day) -> None:
    """The turn says so and commits nothing; the next one does it all."""
    remote, before = day.folder / "remote", champion_versions(day.root) if has_branch(day) else []
    remote.rename(day.folder / "away")
    remote.write_text("no folder")
    drop_batch(day.root, "five")
    run = day.turn()
    assert run["state_type"] == "FAILED"
    assert "`dvc push` failed, so nothing was committed; mend the remote and run again" in run["state"]["message"]
    assert (champion_versions(day.root) if has_branch(day) else []) == before
    assert (day.root / "data/inbox/five.jsonl").is_file()
    day.holds()
    remote.unlink()
    (day.folder / "away").rename(remote)
    assert day.turn()["name"] == "improve code: v4 promoted"
    day.holds()


def has_branch(day: Day) -> bool:
    return bool(git(day.root, "for-each-ref", BRANCH))


def assert_all_is_well(day: Day) -> None:
    """One chain with every batch once, tags as it asks for, all data in the remote, and a clone that says so too."""
    assert champion_versions(day.root) == [1, 2, 3, 4]
    assert ingested(day) == {f"{name}.jsonl" for name in ("one", "two", "three", "four", "five")}
    assert git(day.root, "status", "--porcelain") == ""
    assert_ledger_and_tags(day.root, day.folder / "ledger")
    assert_data_is_in_the_remote(day.root)
    merge_automation(day)
    git(day.root, "push", "-q", "--tags", "origin", "main", "improve")
    clone = day.folder / "clone"
    git(day.root, "clone", "-q", str(day.origin), str(clone))
    dvc(clone, "pull", "-q")
    day.holds()
    day.holds(clone)
