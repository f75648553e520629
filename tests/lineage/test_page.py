"""Each of the ten questions is answered for each generation, as a truth says that was written down independently."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from parammem import cli
from parammem.checkout.hashes import dvc_hash
from parammem.checkout.snapshot import Snapshot
from parammem.core import Outcome, Reflection, Task, Trajectory
from parammem.core.advice import GivenAdvice
from parammem.core.event import RolledBack
from parammem.core.experience import Experience
from parammem.core.jsonl import write_jsonl
from parammem.errors import AdapterMissingError, LineageError
from parammem.lineage import answered_by, audit_page, graph_svg, render_page
from parammem.lineage.pages.adapter_code import recipe_in_words
from parammem.registry import Ledger
from tests.lineage.life import FOLDER, Truth
from tests.lineage.test_verify import flip, git


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ten_answers_of_each_generation_are_the_truth(lived, number):
    root, truth = lived
    page = audit_page(root, f"v{number}")
    facts = {one.number: one.facts for one in page.answers}
    assert [one.number for one in page.answers] == list(range(1, 11))
    assert (page.digest, page.commit) == (truth.adapters[number - 1], truth.commits[number - 1])
    rows = truth.rows[number - 1]
    assert sorted(facts[1]["row_hashes"]) == sorted(rows)
    assert {one["batch"] for one in facts[1]["batches"]} == set(truth.batches[:number])
    assert (facts[2]["passed"], facts[2]["vouches"], facts[2]["holds_every_row"]) == (True, True, True)
    shared = {one["adapter"]: one["rows"] for one in facts[3]["adapters"]}
    others = {a: len(set(rows) & set(r)) for a, r in zip(truth.adapters, truth.rows, strict=True) if a != page.digest}
    assert shared == others
    assert facts[4]["missing"] == []
    assert [one["decision"] for one in facts[5]["decisions"]] == [truth.decisions[number - 1]]
    assert facts[5]["decisions"][0]["answer"] == truth.answers[number - 1]
    assert bool(facts[5]["championships"]) == (truth.answers[number - 1] == "promote")
    assert facts[5]["champion_now"] == (number == 3)
    assert facts[7]["commit"] == truth.commits[number - 1]
    assert facts[7]["base"]["name"] == "models/base"
    assert page.answers[8].holds is True
    assert set(facts[10]["sharing"]) == set(truth.adapters)


def test_champion_head_digest_version_and_folder_name_one_adapter(lived):
    root, truth = lived
    pages = [audit_page(root, name) for name in ("champion", "HEAD", truth.adapters[2][:12], "3", str(FOLDER), None)]
    assert {page.digest for page in pages} == {truth.adapters[2]}
    with pytest.raises(AdapterMissingError, match="v1, v2, v3"):
        audit_page(root, "v7")
    with pytest.raises(AdapterMissingError, match="neither here"):
        audit_page(root, "0" * 64)


def test_the_page_is_words_for_people(lived):
    text = render_page(audit_page(lived[0], "v2"))
    for part in ("10. What must be redone", "batch-1.jsonl", "refuse: so it was", "nothing: ", "models/base"):
        assert part in text


def test_a_flipped_byte_is_on_the_page(lived):
    root, _ = lived
    flip(root / "data/validated/code.jsonl", 30)
    page = audit_page(root)
    assert page.answers[8].holds is False
    assert "data/validated/code.jsonl" in page.answers[8].says


def test_an_evaluation_question_among_the_rows_is_a_leak(lived):
    root, _ = lived
    tasks = root / "data/tasks/code/eval.jsonl"
    tasks.parent.mkdir(parents=True)
    clean = Task(task_id="e1", domain="code", text="something else .")
    leaked = Task(task_id="e2", domain="code", text="Keep the 2 times  1 largest .")
    tasks.write_text(clean.line() + "\n")
    assert audit_page(root).answers[7].holds is True
    tasks.write_text(clean.line() + "\n" + leaked.line() + "\n")
    answer = audit_page(root).answers[7]
    assert (answer.holds, answer.facts["leaked"]) == (False, 1)
    assert "e2" in answer.says


def test_a_question_that_is_in_two_files_is_counted_once(lived):
    """So it is where the kept experience of a domain of kind open is its evaluation split."""
    root, _ = lived
    asked = [Task(task_id=f"e{n}", domain="code", text=f"something else {n}").model_dump(mode="json") for n in (1, 2)]
    tasks, fresh = root / "data/tasks/code/eval.jsonl", root / "data/fresh/one.jsonl"
    for file, rows in ((tasks, asked), (fresh, [{"task": task} for task in asked])):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = audit_page(root).answers[7]
    assert "no: 0 of 2 evaluation questions" in answer.says
    assert answer.facts["looked_at"] == {"data/tasks/code/eval.jsonl": 2, "data/fresh/one.jsonl": 2}


def advised_by(root, author):
    said = Reflection(text="limit inside", source="parametric", author=author, iteration=1, temperature=1.0)
    path = Trajectory(task_id="t", domain="code", method="paramagent", protocol="strict", seed=1, reflections=(said,),
                      stop="failed", submission=None)  # fmt: skip
    one = Experience(task=Task(task_id="t", domain="code", text="x"), trajectory=path, outcome=Outcome(passed=False))
    (root / "answer.jsonl").write_text(one.line() + "\n")
    return path.trajectory_id


def test_the_adapter_behind_an_answer_is_resolved_by_digest_and_by_served_name(lived):
    root, truth = lived
    for author in (truth.adapters[1], f"code-{truth.adapters[1]}"):
        advised_by(root, author)
        [one] = answered_by(root, "answer.jsonl")
        assert one.advised[0].version == 2
        assert one.advised[0].commit == truth.commits[1]
        assert one.advised[0].champion_since is None
    advised_by(root, "e" * 64)
    assert answered_by(root, "answer.jsonl")[0].advised[0].version is None


def test_a_trajectory_is_found_by_its_id_and_counted_on_the_page(lived):
    root, truth = lived
    name = advised_by(root, truth.adapters[2])
    with pytest.raises(LineageError, match="no trajectory"):
        answered_by(root, name)
    (root / "data/trajectories").mkdir()
    shutil.move(root / "answer.jsonl", root / "data/trajectories/code.jsonl")
    assert answered_by(root, name)[0].advised[0].version == 3
    assert audit_page(root).answers[5].facts["pieces"] == 1


def test_a_run_in_use_is_found_by_its_id_with_who_advised_it(lived):
    root, truth = lived
    path = Trajectory(task_id="t", domain="code", method="service", protocol="foreign", seed=0, stop="iterations",
                      submission=None)  # fmt: skip
    given = GivenAdvice(text="limit inside", digest="d" * 64, draw=0, adapter=truth.adapters[2])
    task = Task(task_id="t", domain="code", text="x")
    told = Experience(task=task, trajectory=path, outcome=Outcome(passed=True), advice=(given,), run_id="run-7")
    other = told.model_copy(update={"advice": (), "run_id": "run-8"})
    folder = root / "data/experience"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "use.jsonl").write_text(told.line() + "\n" + other.line() + "\n" + '{"task_id": 1, "advice": [3]}\n')
    [one] = answered_by(root, "run-7")
    assert (one.run_id, one.advised[0].version, one.advised[0].pieces) == ("run-7", 3, 1)
    assert answered_by(root, "run-8")[0].advised == ()
    assert audit_page(root, "v3").answers[5].facts["pieces"] == 1


def test_a_trajectory_of_the_evaluation_is_found_here_and_where_only_the_cache_has_it(lived):
    root, truth = lived
    folder = root / "reports/evaluation/code"
    name = advised_by(root, truth.adapters[2])
    shutil.move(root / "answer.jsonl", folder / "trajectories.jsonl")
    assert answered_by(root, name)[0].advised[0].version == 3
    for path in folder.iterdir():  # as `dvc commit` would leave them: in the cache, named by a committed dvc.lock
        cached = root / ".dvc/cache/files/md5" / dvc_hash(path)[:2] / dvc_hash(path)[2:]  # pyright: ignore
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, cached)
    listing = [{"md5": dvc_hash(path), "relpath": path.name} for path in sorted(folder.iterdir())]
    whole = str(dvc_hash(folder))
    (root / ".dvc/cache/files/md5" / whole[:2]).mkdir(exist_ok=True)
    (root / ".dvc/cache/files/md5" / whole[:2] / whole[2:]).write_text(json.dumps(listing, sort_keys=True))
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    lock["stages"]["evaluate@code"]["outs"][0]["md5"] = whole
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    git(root, "commit", "-qam", "evaluated")
    shutil.rmtree(folder)
    [one] = answered_by(root, "t")
    assert (one.file, one.trajectory_id) == ("reports/evaluation/code/trajectories.jsonl", name)


def test_without_a_ledger_the_rest_is_answered(lived):
    root, truth = lived
    shutil.rmtree(root / "ledger")
    git(root, "commit", "-qam", "no ledger")
    page = audit_page(root, truth.adapters[0])
    assert page.version is None
    assert "nobody" in page.answers[4].says
    assert sorted(page.answers[0].facts["row_hashes"]) == sorted(truth.rows[0])
    assert json.loads(page.model_dump_json())["digest"] == truth.adapters[0]


def test_the_graph_is_an_svg_that_marks_what_is_broken(lived):
    root, truth = lived
    svg = graph_svg(root, "champion")
    tree = ElementTree.fromstring(svg)
    said = " ".join(tree.itertext())
    for part in ("batch-1.jsonl", "validated rows", truth.adapters[2][:16], "decided: promote", "champion v3"):
        assert part in said
    assert "BROKEN" not in said
    assert "#c22" not in svg
    flip(root / FOLDER / "rows.txt")
    assert "BROKEN" in graph_svg(root, "champion")


@pytest.fixture
def rolled_back(lived) -> tuple[Path, Truth]:
    """v3 was champion, and was rolled back to v1 by Ada."""
    root, truth = lived
    fact = RolledBack(domain="code", version=1, adapter=truth.adapters[0], left=3, reason="worse at night")
    Ledger(root, clock=lambda: "2026-11-24T00:00:00Z").append(fact, "person Ada")
    git(root, "commit", "-qam", "back")
    return root, truth


def test_who_rolled_a_version_back_and_why_is_said_under_promotion(rolled_back):
    root, _ = rolled_back
    says = audit_page(root, "v3").answers[4].says
    assert "person Ada: rolled back to v1: worse at night" in says
    assert "it is not champion now" in says
    assert "rolled back" not in audit_page(root, "v1").answers[4].says.replace("by rollback", "")


def test_the_picture_tells_who_was_champion_from_who_is_and_the_suite_from_its_report(rolled_back):
    root, _ = rolled_back
    picture = graph_svg(root, "v3")
    assert "was champion v3" in picture
    assert "rolled back to v1" in picture
    assert ">champion v1" in graph_svg(root, "v1")
    assert "was champion v1" in graph_svg(root, "v1"), "it was, until v3 was promoted"
    assert "5" * 16 in picture, "the suite's own digest, and not that of its report"
    assert "by the gate, event" not in picture


def test_evaluations_that_only_the_ledger_has_are_in_the_picture(rolled_back, monkeypatch):
    root, _ = rolled_back
    real = Snapshot.hash
    monkeypatch.setattr(Snapshot, "hash", lambda self, path: None if "evaluation" in path else real(self, path))
    assert "by the gate, event" in graph_svg(root, "v3")


def test_the_trajectories_that_an_adapter_advised_are_named_and_can_be_listed(lived, monkeypatch):
    root, truth = lived
    monkeypatch.chdir(root)
    path = root / "data/trajectories/code.jsonl"
    path.parent.mkdir(parents=True)
    said = Reflection(text="x", source="parametric", author=truth.adapters[0], iteration=1, temperature=1.0)
    made = [
        Trajectory(task_id=f"t{n}", domain="code", method="dot", protocol="strict", seed=1, reflections=(said,) * 2,
                   stop="visible-pass", submission=None)
        for n in range(7)
    ]  # fmt: skip
    write_jsonl(path, made)
    answer = audit_page(root, "v1").answers[5]
    assert "14 pieces of advice with its digest in 7 trajectories" in answer.says
    assert made[0].trajectory_id in answer.says
    assert "parammem audit answer --by v1" in answer.says
    assert answer.facts["trajectories"] == {one.trajectory_id: 2 for one in made}
    listed = CliRunner().invoke(cli.app, ["audit", "answer", "--by", "v1"]).output.splitlines()
    assert [line.split()[0] for line in listed] == [one.trajectory_id for one in made]
    assert "no trajectory" in CliRunner().invoke(cli.app, ["audit", "answer", "--by", "v2"]).output
    assert CliRunner().invoke(cli.app, ["audit", "answer"]).exit_code == 2


def test_a_recipe_is_read_as_people_write_it():
    found = recipe_in_words({"rank": 4, "controls": ["shuffled", "other_world"], "alpha": 16})
    assert found == "alpha 16; controls shuffled, other_world; rank 4"
