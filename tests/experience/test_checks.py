"""Facts about checks and keys of strangers: programs in them never run as trusted ones, and what is odd is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem.checkout.places import FRESH_KEYS
from parammem.core import AnswerKey, Task, write_jsonl
from parammem.domains import get_domain
from parammem.experience.checks import LONGEST, can_judge, fault_of
from parammem.experience.ingest import ingest
from parammem.experience.source_files import Source
from parammem.experience.store import open_store
from parammem.pocket.world import World, draw_splits
from parammem.stages.contest import fresh_tasks
from tests.experience.rows import line, row, store, task, write

CANDIDATE = "def f(xs):\n    return 1"


def with_checks(number: int, *checks: dict, **spec) -> Task:
    return task(number).model_copy(update={"visible": {"entry": "f", "checks": list(checks), **spec}})


def key_with(number: int, *checks: dict, **spec) -> AnswerKey:
    hidden = {"entry": "f", "checks": list(checks), **spec}
    return AnswerKey(task_id=f"t-{number}", domain="code", hidden=hidden, gold="")


def told(number: int, visible: Task | None = None, key: AnswerKey | None = None) -> str:
    """A line of a file that a stranger sends."""
    one = row(number)
    more = {"key": key.model_dump(mode="json")} if key else {}
    return line(one.model_copy(update={"task": visible}) if visible else one, **more)


def attacks(mark: Path) -> dict[str, str]:
    evil = f"open({str(mark)!r}, 'w').write('it ran')\n"
    plain = {"name": "a", "call": "f([1])", "expected": "1"}
    return {
        "visible tests": told(1, with_checks(1, {"name": "a", "tests": evil})),
        "hidden tests": told(2, key=key_with(2, {"name": "a", "tests": evil})),
        "a stub before hidden tests": told(3, key=key_with(3, {"name": "a", "tests": "pass\n"}, stub=evil)),
        "tests beside a call": told(4, with_checks(4, plain, plain | {"tests": evil})),
        "a call that is a program": told(5, with_checks(5, plain | {"call": f"f({evil.strip()})"})),
        "arguments that are a program": told(
            6, with_checks(6, {"name": "a", "args": f"[{evil.strip()}]", "expected": "1"})
        ),
        "a value that is a program": told(7, with_checks(7, plain | {"expected": evil.strip()})),
        "an entry that is a program": told(8, with_checks(8, plain, entry=f"f\n{evil}")),
    }


def judge_all(root: Path) -> list:
    tasks, keys = fresh_tasks(root, "code", 1000, real=True)
    domain = get_domain("code", real=True)
    keyed = [(one, keys[one.task_id], CANDIDATE) for one in tasks if one.task_id in keys]
    return [*domain.judge.check([(one, CANDIDATE) for one in tasks]), *domain.judge.score(keyed)]


@pytest.mark.parametrize("kind", attacks(Path("x")))
def test_a_program_in_a_strangers_row_is_refused_by_name_and_runs_nowhere(tmp_path, kind):
    mark = tmp_path / "mark"
    file = write(tmp_path / "in.jsonl", [attacks(mark)[kind], told(50)])
    outcome = ingest(Source.of(file), store(tmp_path, 1.0), "person eve")
    assert outcome.event.reasons == {"untrusted-tests": 1}
    assert outcome.event.held == 1
    judge_all(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("kind", attacks(Path("x")))
def test_a_program_that_an_older_batch_brought_does_not_run_with_our_rights(tmp_path, monkeypatch, kind):
    """Batches of versions that let programs in are still there: what is in them is advice, run in the child."""
    from parammem.experience import admission

    mark = tmp_path / "mark"
    file = write(tmp_path / "in.jsonl", [attacks(mark)[kind]])
    with monkeypatch.context() as patched:
        patched.setattr(admission, "fault_of", lambda *_: "")
        assert ingest(Source.of(file), store(tmp_path, 1.0), "person eve").event.held == 1
    judge_all(tmp_path)
    assert not mark.exists()


def test_rows_about_our_own_tasks_come_in_with_their_tests(tmp_path):
    own = with_checks(1, {"name": "a", "tests": "assert f([1]) == 1\n"})
    for split, tasks in {"eval": [task(90)], "unseen": [], "train": [own], "bank": []}.items():
        write_jsonl(tmp_path / f"data/tasks/code/{split}.jsonl", tasks)
    file = write(tmp_path / "in.jsonl", [told(1, own), told(2, with_checks(2, {"name": "a", "tests": "pass"}))])
    outcome = ingest(Source.of(file), open_store(tmp_path, ["code"], 0.0, 0.9), "person ada")
    assert (outcome.event.kept, outcome.event.reasons) == (1, {"untrusted-tests": 1})


@pytest.mark.parametrize("domain", ["code", "math", "qa"])
def test_pocket_tasks_are_plain_data(domain):
    drawn = [one for split in draw_splits(domain, World(3, 0.9), {"train": 20, "eval": 5}).values() for one in split]
    assert [fault_of(one.task, one.key) for one in drawn] == [""] * len(drawn)
    assert all(can_judge(one.task, one.key, real=False) for one in drawn)


CALL = {"name": "a", "call": "f(1)", "expected": "1"}
ODD = {
    "checks that are no list": ({"entry": "f", "checks": {"a": 1}}, "not a list"),
    "a check that is no object": ({"entry": "f", "checks": ["x"]}, "not an object"),
    "no entry": ({"checks": [CALL]}, "entry: missing"),
    "an entry of another type": ({"entry": ["f"], "checks": []}, "not the name"),
    "no value": ({"entry": "f", "checks": [{"name": "a", "call": "f(1)"}]}, "no call with its value"),
    "a call of a value": ({"entry": "f", "checks": [{"name": "a", "call": "1", "expected": "1"}]}, "no call"),
    "a call with names": ({"entry": "f", "checks": [{"name": "a", "call": "f(x)", "expected": "1"}]}, "no call"),
    "a deep value": (
        {"entry": "f", "checks": [CALL | {"expected": "-" * 9000 + "1"}]},
        "no call",
    ),
    "a long value": (
        {"entry": "f", "checks": [CALL | {"expected": "1" * LONGEST + "1"}]},
        "no call",
    ),
    "half a run": ({"checks": [{"name": "a", "stdin": "1\n"}]}, "no input with its output"),
    "too many": ({"entry": "f", "checks": [CALL] * 1001}, "at most 1000"),
}


@pytest.mark.parametrize(("visible", "said"), ODD.values(), ids=list(ODD))
def test_checks_that_nobody_can_judge_by_are_named(visible, said):
    assert said in fault_of(task(1).model_copy(update={"visible": visible}), None)
    assert not can_judge(task(1).model_copy(update={"visible": visible}), None, real=True)


@pytest.mark.parametrize(
    "check",
    [
        {"name": "a", "instance": {"x": 1}, "expected": "1e999999999"},
        {"name": "a", "instance": {"x": "1e999999999"}, "expected": 1},
        {"name": "a", "instance": [1], "expected": 1},
        {"name": "a", "instance": {"x": 1}, "expected": None},
    ],
)
def test_a_number_that_takes_for_ever_to_make_exact_is_refused(check):
    asked = Task(task_id="m", domain="math", text="?", visible={"checks": [check]})
    assert fault_of(asked, None).startswith("task.visible: checks: one has no ")


def test_plain_forms_of_benchmarks_are_let_in():
    forms = [
        {"name": "a", "call": "f(1, (2,), k=[3])", "expected": "{1: {2}}"},
        {"name": "b", "args": "[1, [2]]", "expected": "[3]", "json": True, "also": "3"},
        {"name": "c", "stdin": "1\n", "expected": "2\n"},
    ]
    assert fault_of(with_checks(1, *forms), key_with(1, *forms, stub="def f(x):\n")) == ""
    assert can_judge(with_checks(1, *forms), None, real=True)
    assert not can_judge(with_checks(1, *forms), None, real=False), "pocket tasks have another form"


def test_a_task_that_cannot_be_judged_costs_itself_alone(tmp_path, monkeypatch):
    from parammem.experience import admission

    monkeypatch.setattr(admission, "fault_of", lambda *_: "")  # as versions before this one
    plain = {"name": "a", "call": "f([1])", "expected": "1"}
    lines = [told(n, with_checks(n, plain | odd)) for n, odd in enumerate([{}, {"call": "("}, {"expected": "x"}])]
    lines += [
        told(7, with_checks(7, plain), key_with(7, plain | {"call": 3})),
        told(8, with_checks(8, plain, entry="")),
    ]
    ingest(Source.of(write(tmp_path / "in.jsonl", lines)), store(tmp_path, 1.0), "person eve")
    assert len(list((tmp_path / FRESH_KEYS).iterdir())) == 1
    assert [found.passed for found in judge_all(tmp_path)] == [True]
