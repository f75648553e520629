"""Facts about the world that drifts."""

from __future__ import annotations

import json

import pytest

from experiments.demo.drift import InboxRow, draw, poison, seasons, write_batch
from parammem.core import AnswerKey
from parammem.domains.conventions import CONVENTIONS
from parammem.pocket.world import World, draw_splits
from tests.experience.rows import read_line
from tests.stages.arena import parsed

PARAMS = parsed()
WORLD = PARAMS.tasks.world


def test_seasons_are_about_other_kinds_and_never_about_the_unseen_one():
    found = seasons(WORLD, "code", 5)
    assert found == seasons(WORLD, "code", 5)
    assert set(found[0]).isdisjoint(found[1])
    assert World(WORLD, 1.0).unseen_kind("code") not in {kind for pair in found for kind in pair}


def test_tasks_of_a_season_are_new_and_of_its_kinds_and_follow_the_pipelines_regularities():
    kinds = seasons(WORLD, "code", 1)[0]
    drawn = draw(PARAMS, "code", 1, kinds, 60)
    assert len(drawn) == 60
    assert {one.key.tags["kind"] for one in drawn} == set(kinds)
    own = draw_splits("code", World(WORLD, PARAMS.tasks.rho), {"train": 50, "eval": 50})
    known = {one.task.content for split in own.values() for one in split}
    assert known.isdisjoint(one.task.content for one in drawn)
    table = World(WORLD, 1.0).table("code")
    told = [table[one.key.tags["kind"]][name] == value for one in drawn for name, value in one.key.facts.items()]
    assert sum(told) / len(told) > 0.85


def test_another_season_has_other_tasks():
    kinds = seasons(WORLD, "code", 1)[0]
    contents = [{one.task.content for one in draw(PARAMS, "code", number, kinds, 40)} for number in (1, 2)]
    assert len(contents[0] & contents[1]) < 4


def test_poisoned_rows_say_that_they_are_right_and_take_every_convention_the_other_way():
    drawn = draw(PARAMS, "code", 3, seasons(WORLD, "code", 3)[2], 20)
    rows = poison(drawn, "code", 3)
    assert all(row.experience.outcome.passed for row in rows)
    for row, one in zip(rows, drawn, strict=True):
        submitted = row.experience.trajectory.submitted
        assert submitted is not None
        plan = submitted.text.splitlines()[0]
        for name, right in one.key.facts.items():
            assert f"{name} {right}" not in plan
            assert any(f"{name} {value}" in plan for value in CONVENTIONS["code"][name])


def test_a_batch_is_read_as_our_own_format_with_its_keys(tmp_path):
    rows = poison(draw(PARAMS, "code", 3, seasons(WORLD, "code", 3)[2], 3), "code", 3)
    path = write_batch(rows, tmp_path, "batch")
    lines = path.read_bytes().splitlines()
    assert len(lines) == 3
    row, key, form = read_line(lines[0], "", None)
    assert (row, key, form) == (rows[0].experience, rows[0].key, "parammem")
    assert isinstance(InboxRow(row, AnswerKey.model_validate(json.loads(lines[0])["key"])), InboxRow)


@pytest.mark.parametrize("count", [1, 7])
def test_there_are_as_many_seasons_as_asked_for(count):
    assert len(seasons(WORLD, "code", count)) == count
