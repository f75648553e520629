"""Tests of the stages' own files are trusted; those of strangers run where the candidate runs, whatever they say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from parammem.checkout.hashes import dvc_hash
from parammem.checkout.places import Places
from parammem.core import AnswerKey, Task, Trajectory, write_jsonl
from parammem.core.experience import Experience
from parammem.domains import get_domain
from parammem.domains.real_code import RealCodeJudge
from parammem.errors import UntrustedTests
from parammem.sandbox import TrustedTests, trust_spec, trust_tests
from parammem.stages import contest, tasks
from parammem.stages.trusted import note_written, stage_keys, stage_tasks
from tests.stages.arena import parsed

SPEC = {"entry": "f", "stub": "def f():\n", "checks": [{"name": "t", "tests": "assert f() == 1"}]}
KEY = AnswerKey(task_id="t", domain="code", hidden=SPEC, gold="")
TASK = Task(task_id="t", domain="code", text="?", visible=SPEC)
RIGHT = "def f(): return 1"


def harming(folder: Path) -> dict[str, object]:
    """What a stranger may send: each part of it that is a program writes a file, if it can."""
    act = f"import os\nos.close(os.open({str(folder)!r} + '/MARK', os.O_CREAT | os.O_WRONLY))\n"
    quiet = f"try:\n    {act.splitlines()[1]}\nexcept BaseException:\n    pass\n"
    stub = f"import os\n{quiet}def f():\n"
    tests = f"import os\n{quiet}assert f() == 1\n"
    return {"entry": "f", "stub": stub, "checks": [{"name": "t", "tests": tests, "trusted": True, "origin": "x"}]}


def test_tests_of_stage_files_are_trusted_and_name_their_file(tmp_path: Path):
    places = Places(tmp_path, "code")
    write_jsonl(places.tasks("eval"), [TASK])
    write_jsonl(places.keys("eval"), [KEY])
    note_written(places)
    (task,), (key,) = stage_tasks(places, "eval"), stage_keys(places, "eval")
    for spec, origin in ((task.visible, "data/tasks/code/eval.jsonl"), (key.hidden, "data/keys/code/eval.jsonl")):
        assert spec["checks"][0]["tests"] == trust_tests("assert f() == 1", origin=origin)
    found = RealCodeJudge().score([(task, key, candidate) for candidate in (RIGHT, "def f(): return 2")])
    assert [getattr(score, "passed", score) for score in found] == [True, False]


def written(root: Path) -> Places:
    """A domain whose stage `tasks` has left one task with tests and its key, and no record of them."""
    places = Places(root, "code")
    write_jsonl(places.tasks("eval"), [TASK])
    write_jsonl(places.keys("eval"), [KEY])
    return places


def lock(places: Places, **md5: str) -> None:
    """dvc.lock as DVC writes it when the stage `tasks` has ended."""
    outs = [
        {
            "path": f"data/{name}/code",
            "hash": "md5",
            "md5": md5.get(name) or dvc_hash(places.root / f"data/{name}/code"),
        }
        for name in ("keys", "tasks")
    ]
    text = yaml.safe_dump({"schema": "2.0", "stages": {"tasks@code": {"cmd": "x", "outs": outs}}})
    (places.root / "dvc.lock").write_text(text)


def tampered(places: Places) -> None:
    wrong = SPEC | {"checks": [{"name": "t", "tests": "import os\nassert True"}]}
    write_jsonl(places.keys("eval"), [KEY.model_copy(update={"hidden": wrong})])


def loads(places: Places) -> bool:
    return isinstance(stage_keys(places, "eval")[0].hidden["checks"][0]["tests"], TrustedTests)


def test_what_dvc_lock_or_the_stage_itself_vouches_for_is_trusted(tmp_path: Path):
    by_lock, by_note = written(tmp_path / "lock"), written(tmp_path / "note")
    lock(by_lock)
    note_written(by_note)
    assert loads(by_lock)
    assert loads(by_note)
    lock(by_note, keys="0" * 32 + ".dir")  # run by hand after another run of DVC
    assert loads(by_note)
    tampered(by_lock)  # as another run of DVC may write it: the note is older than dvc.lock
    lock(by_lock)
    assert loads(by_lock)


@pytest.mark.parametrize("record", ["nothing", "dvc.lock", "the note", "both", "a broken dvc.lock", "a broken note"])
def test_tests_in_a_folder_that_nobody_vouches_for_are_refused_by_name(record: str, tmp_path: Path):
    places = written(tmp_path)
    if record in ("dvc.lock", "both", "a broken note"):
        lock(places)
    if record in ("the note", "both"):
        note_written(places)
    if record == "a broken dvc.lock":
        (tmp_path / "dvc.lock").write_text("stages: {a: 1, a: 2}")
    if record == "a broken note":
        places.written.parent.mkdir(parents=True)
        places.written.write_text("[" * 100_000)
    tampered(places)
    with pytest.raises(
        UntrustedTests, match=r"data/keys/code is not what the stage `tasks` wrote.*dvc repro"
    ) as caught:
        stage_keys(places, "eval")
    assert ("eval.jsonl" in str(caught.value)) == (record in ("the note", "both"))
    if record in ("dvc.lock", "the note", "both", "a broken note"):
        assert stage_tasks(places, "eval"), "the other folder is as it was"


def test_a_file_that_is_added_is_refused_too(tmp_path: Path):
    places = written(tmp_path)
    note_written(places)
    write_jsonl(places.keys("bank"), [KEY])
    for split in ("bank", "eval"):
        with pytest.raises(UntrustedTests, match=r"bank\.jsonl"):
            stage_keys(places, split)


def test_rows_without_programs_need_no_record(tmp_path: Path):
    places = Places(tmp_path, "code")
    plain = KEY.model_copy(update={"hidden": {"entry": "f", "checks": [{"name": "c", "call": "f()", "expected": "1"}]}})
    write_jsonl(places.keys("eval"), [plain])
    assert stage_keys(places, "eval") == [plain]


def test_the_stage_vouches_for_what_it_wrote_and_for_nothing_that_lay_there(tmp_path: Path):
    places = Places(tmp_path, "code")
    write_jsonl(places.keys("bank"), [KEY])  # the stage writes no keys of pocket bank tasks
    tasks.run(parsed(), "code", tmp_path)
    assert not places.keys("bank").exists()
    write_jsonl(places.keys("bank"), [KEY])
    with pytest.raises(UntrustedTests):
        stage_keys(places, "bank")


def test_fresh_tasks_and_keys_are_never_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ran = Trajectory.model_construct(task_id="t")
    row = Experience.model_construct(task=TASK, trajectory=ran, outcome=True)
    monkeypatch.setattr(contest, "ingested", lambda events: [SimpleNamespace(fresh="b")])
    monkeypatch.setattr(contest, "read_jsonl", lambda file, kind: [KEY] if kind is AnswerKey else [row])
    for folder in (contest.FRESH, contest.FRESH_KEYS):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "b.jsonl").write_text("{}")
    found, keys = contest.fresh_tasks(tmp_path, "code", 5, real=True)
    for spec in (found[0].visible, *(key.hidden for key in keys.values())):
        assert not isinstance(spec["checks"][0]["tests"], TrustedTests)
        assert not isinstance(spec["stub"], TrustedTests)


@pytest.mark.parametrize("asked", ["check", "score"])
def test_tests_of_a_stranger_change_nothing_outside_the_child(asked: str, tmp_path: Path):
    tmp_path.chmod(0o777)
    domain, spec = get_domain("code", real=True), harming(tmp_path)
    task, key = TASK.model_copy(update={"visible": spec}), KEY.model_copy(update={"hidden": spec})
    candidates = [RIGHT, "def f(): return 2"]
    if asked == "check":
        found = domain.judge.check([(task, candidate) for candidate in candidates])
    else:
        found = domain.judge.score([(task, key, candidate) for candidate in candidates])
    assert [getattr(one, "passed", one) for one in found] == [True, False]
    assert not (tmp_path / "MARK").exists()


def test_the_same_tests_would_act_if_they_were_trusted(tmp_path: Path):
    """So that the test above cannot pass for want of an act."""
    key = KEY.model_copy(update={"hidden": trust_spec(harming(tmp_path), origin="a test")})
    RealCodeJudge().score([(TASK, key, RIGHT)])
    assert (tmp_path / "MARK").exists()


@pytest.mark.parametrize("entry", ["f'); import os; ('", "", "no such name", "__import__('os')"])
def test_an_entry_that_is_no_name_judges_one_task_alone(entry: str):
    odd = TASK.model_copy(update={"visible": SPEC | {"entry": entry}})
    found = RealCodeJudge().check([(odd, RIGHT), (TASK, RIGHT)])
    assert getattr(found[0], "passed", None) is not True
    assert getattr(found[1], "passed", None) is True


def test_a_stub_that_python_cannot_parse_is_one_task():
    deep = {"entry": "f", "stub": "x = " + "-" * 5000 + "1\n", "checks": SPEC["checks"]}
    found = RealCodeJudge().check([(TASK.model_copy(update={"visible": deep}), RIGHT), (TASK, RIGHT)])
    assert getattr(found[1], "passed", None) is True
