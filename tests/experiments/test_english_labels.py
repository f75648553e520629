"""What labels in plain English say, counted beside the answer keys."""

from __future__ import annotations

from experiments import english_labels
from parammem.checkout.places import Places
from parammem.core import Attempt, Feedback, ReflectionExample, Trajectory, write_jsonl
from parammem.domains.house_rules import VALUES, rules_text
from parammem.errors import DataError
from parammem.pocket.world import World, WorldTask, draw_splits


def _trajectory(one: WorldTask, entry: str, passed: bool) -> Trajectory:
    attempt = Attempt(
        number=1, text=entry, candidate=entry, temperature=0.2, feedback=Feedback(passed=passed, text="")
    )  # fmt: skip
    return Trajectory(
        task_id=one.task.task_id, domain="english", method="base", protocol="strict", seed=1, attempts=(attempt,),
        reflections=(), examples=(), stop="visible-pass" if passed else "iterations", submission=1, usage={},
    )  # fmt: skip


def _row(one: WorldTask, text: str) -> ReflectionExample:
    return ReflectionExample(
        domain="english", task_id=one.task.task_id, task_text=one.task.text, reflection=text, label_source="self",
        part="feedback", author="0" * 64, trajectory_id="0" * 16, outcome="none",
    )  # fmt: skip


def test_labels_are_counted_by_what_a_check_shows(tmp_path, capsys):
    places = Places(tmp_path, "english")
    drawn = draw_splits("english", World(3, 0.9), {"train": 3})["train"]
    write_jsonl(places.tasks("train"), [one.task for one in drawn])
    write_jsonl(places.keys("train"), [one.key for one in drawn])
    solved, missed, silent = drawn
    write_jsonl(
        places.trajectories,
        [_trajectory(solved, solved.key.gold, True), *(_trajectory(one, "paid; late", False) for one in drawn[1:])],
    )
    shown = missed.key.tags["revealed"]
    hidden = next(name for name in missed.key.facts if name != shown)
    other = next(value for value in VALUES[hidden] if value != missed.key.facts[hidden])
    half = rules_text({shown: missed.key.facts[shown], hidden: other})
    rows = [_row(solved, rules_text(solved.key.facts)), _row(missed, half), _row(silent, "write late as late")]
    write_jsonl(places.reflections, rows)
    found = english_labels.counted(places)
    assert (found.tasks, found.visible, found.solved) == (3, 1, 1)
    assert (found.rows, found.claimless) == (3, 1)
    assert (found.shown, found.shown_right, found.hidden, found.hidden_right) == (2, 2, 2, 1)
    assert english_labels.main(["--folder", str(tmp_path)]) == 0
    assert "of rules that no check shows, 2 named, 1 of them rightly" in capsys.readouterr().out


def test_without_a_collection_it_says_what_to_run(tmp_path, capsys):
    assert english_labels.main(["--folder", str(tmp_path)]) == DataError.exit_code
    assert "dvc repro collect@english" in capsys.readouterr().err
