"""Facts about runs that meet: two turns at once, and a person at work in the main tree meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from parammem.checkout.places import SET_ASIDE
from parammem.core.event import Published, RolledBack
from parammem.improve.champion import evaluate_champion, rollback
from parammem.improve.run import improve
from parammem.registry.branch import ledger_at
from parammem.registry.state import champion
from tests.improve.lab import ROOT, drop_batch, fake_meeting, git, lab_tools, make_lab
from tests.improve.settled import (
    BRANCH,
    assert_data_is_in_the_remote,
    assert_ledger_and_tags,
    assert_person_undisturbed,
    assert_rows_kept,
    champion_versions,
)


def turned_meeting(turn, domain, champion, challenger):
    """The lab's meeting in a world in which every reflector does harm."""
    found = fake_meeting(turn, domain, champion, challenger)
    harmed = found.slices[0].model_copy(update={"challenger": (1,) * 5 + (0,) * 195})
    return found.model_copy(update={"slices": (harmed,)})


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def test_two_turns_and_a_person_all_end_well(tmp_path):
    root = make_lab(tmp_path)
    drop_batch(root, "one")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    commands = [[sys.executable, "-m", "tests.improve.lab", str(root)]] * 2
    turns = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    person = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=root, capture_output=True, text=True)
    said = [turn.communicate(timeout=600)[0] for turn in turns]
    assert person.returncode == 0, person.stderr
    assert [turn.returncode for turn in turns] == [0, 0], said
    assert sorted("promote" in text for text in said) == [False, True], said
    assert any("Nothing to do" in text for text in said)
    assert any("waiting for flow improve" in text for text in said)
    assert champion_versions(root) == [1]
    assert (root / "models/reflectors/code/adapter.json").is_file(), "the person's own, from no experience at all"
    assert_ledger_and_tags(root, tmp_path / "ledger")
    assert_rows_kept(root, {"one.jsonl": 40})
    assert_data_is_in_the_remote(root)


def test_a_poisoned_batch_is_refused_set_aside_and_the_next_challenger_is_not_held_back_by_it(tmp_path):
    root = make_lab(tmp_path)
    head = git(root, "rev-parse", "HEAD")
    answers = []
    for name, word in (("one", "honest"), ("two", "poison"), ("three", "honest")):
        drop_batch(root, name, word=word)
        answers.append(improve(root, lab_tools()).headline)
    assert answers == ["code: promote", "code: refuse", "code: promote"]
    assert champion_versions(root) == [1, 3]
    aside = git(root, "ls-tree", "-r", "--name-only", BRANCH, "--", str(SET_ASIDE)).splitlines()
    assert [name.split("/")[3] for name in aside] == ["experience", "fresh"]
    learned = git(root, "ls-tree", "--name-only", BRANCH, "--", "data/experience/").splitlines()
    assert len([name for name in learned if name.endswith(".dvc")]) == 2
    assert_person_undisturbed(root, head)
    assert_ledger_and_tags(root, tmp_path / "ledger")
    assert_data_is_in_the_remote(root)


def test_a_champion_that_fails_twice_is_rolled_back_by_itself_and_one_by_hand(tmp_path):
    root = make_lab(tmp_path)
    for name in ("one", "two"):
        drop_batch(root, name)
        improve(root, lab_tools())
    assert champion_versions(root) == [1, 2]
    back = rollback(root, lab_tools("person Ada"), "code", "before", "it was rude")
    assert "rolled back to v1: it was rude" in back.headline
    again = rollback(root, lab_tools("person Ada"), "code", "v1")
    assert "champion already" in again.headline
    # The world has turned: v1 now solves fewer tasks than no reflector.
    worse = replace(lab_tools(), compare=turned_meeting)
    first = evaluate_champion(root, worse, "2026-11-23")
    assert "does not hold" in first.headline
    assert "was checked for 2026-11-23 already" in evaluate_champion(root, worse, "2026-11-23").headline
    second = evaluate_champion(root, worse, "2026-11-24")
    assert "rolled back to no reflector: the nightly check failed 2 times in a row" in second.headline
    found = ledger_at(root, BRANCH)
    assert champion(found, "code") is None
    assert [e.fact.version for e in found if isinstance(e.fact, RolledBack)] == [1, 0]
    assert [e.fact.version for e in found if isinstance(e.fact, Published) and e.fact.stage == "champion"] == [1, 2]
    assert_ledger_and_tags(root, tmp_path / "ledger")
