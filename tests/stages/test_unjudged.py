"""Facts about items that cannot be judged: each is one task, and the others go on."""

from __future__ import annotations

import logging
import shutil

import pytest

from parammem.checkout.places import Places
from parammem.config import Params
from parammem.core import AnswerKey, Attempt, Feedback, Task, Trajectory, read_jsonl, write_jsonl
from parammem.domains import get_domain
from parammem.engines.base import Completion, Request
from parammem.errors import DataError, TooManyFailures
from parammem.evaluation.runs import Run
from parammem.stages import collect, contest, evaluate, tasks
from parammem.stages.collect import final_verdicts
from parammem.stages.common import Engines
from tests.stages.arena import Knowing, clone, knowing_everywhere, parsed

RIGHT = "def f(x):\n    return 1"
HOSTILE = [
    "-" * 3000 + "1",
    "(" * 100_000,
    "def f(xs, k):\n    return 1\0",
    "x = " + "9" * 10_000,
    "not " * 50_000 + "1",
    "x = [y " + "for y in z " * 20_000 + "]",
]
CALL = {"name": "a", "call": "f(1)", "expected": "1"}
PARAMS = parsed(gate={"fresh_tasks": 20, "max_token_ratio": 50.0}, evaluate={"advice_draws": 2})
STUB = 'def f(x):\n    """One."""\n'
BROKEN = [
    {"entry": "", "checks": [CALL]},
    {"entry": "f", "checks": "f(1)"},
    {"entry": "f", "checks": [{"name": "a", "args": "[...]", "expected": "1"}]},
    {"entry": "f", "checks": [CALL | {"call": "f(" + "-" * 3000 + "1)"}]},
    {"entry": "f", "checks": [CALL | {"expected": "9" * 10_000}]},
    {"entry": "f", "checks": [{"name": "a", "stdin": 5, "expected": "1"}]},
    {},
]


def lived(number: int, candidate: str) -> Trajectory:
    said = Feedback(passed=None, text="")
    attempt = Attempt(number=1, text=candidate, candidate=candidate, temperature=0.0, feedback=said)
    return Trajectory(
        task_id=str(number), domain="code", method="base", protocol="strict", seed=0, attempts=(attempt,),
        reflections=(), stop="iterations", submission=1,
    )  # fmt: skip


def judged(specs: list[dict], candidates: list[str], allowed: float = 1.0, real: bool = True) -> list[bool]:
    named = {str(n): Task(task_id=str(n), domain="code", text=f"task {n}") for n in range(len(specs))}
    keys = {str(n): AnswerKey(task_id=str(n), domain="code", hidden=s, gold="") for n, s in enumerate(specs)}
    runs = [lived(n, candidate) for n, candidate in enumerate(candidates)]
    found = final_verdicts(get_domain("code", real=real).judge, named, keys, runs, allowed).passed
    return [found[run.trajectory_id] for run in runs]


@pytest.mark.parametrize("stub", [{}, {"stub": STUB}])
def test_hostile_candidates_fail_alone(stub):
    spec = {"entry": "f", "checks": [CALL]} | stub
    candidates = [*HOSTILE, RIGHT]
    assert judged([spec] * len(candidates), candidates) == [False] * len(HOSTILE) + [True]


def test_keys_that_judge_nothing_fail_alone_and_are_named(caplog):
    caplog.set_level(logging.WARNING)
    specs = [*BROKEN, {"entry": "f", "checks": [CALL]}]
    assert judged(specs, [RIGHT] * len(specs)) == [False] * len(BROKEN) + [True]
    assert "task '0' cannot be judged" in caplog.text


@pytest.mark.parametrize("spec", [{"entry": "", "checks": [{"name": "a", "args": [1], "expected": 1}]}, {"checks": 5}])
def test_broken_keys_of_pocket_tasks_fail_alone_too(spec):
    sound = {"entry": "f", "checks": [{"name": "a", "args": [1], "expected": 1}]}
    assert judged([spec, sound], [RIGHT] * 2, real=False) == [False, True]


def test_too_many_keys_that_judge_nothing_end_the_stage():
    with pytest.raises(DataError, match="7 tasks cannot be judged, more than the 50%"):
        judged(BROKEN, [RIGHT] * len(BROKEN), allowed=0.5)


class Hostile(Knowing):
    """Writes programs that end or block a parser, every third time."""

    def _draw(self, request: Request, draw: int) -> Completion:
        said = super()._draw(request, draw)
        solves = request.messages[-1].content.endswith("solve") and (request.seed + draw) % 3 == 0
        return said.model_copy(update={"text": HOSTILE[request.seed % len(HOSTILE)]}) if solves else said


def hostile_everywhere(monkeypatch: pytest.MonkeyPatch, params: Params, domain: str) -> None:
    engine = Hostile(params, domain)
    monkeypatch.setattr(Engines, "open", lambda self, model="", adapter=None: engine)


def test_collect_goes_on_with_hostile_candidates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = parsed(collect={"outcome": "final"})
    tasks.run(params, "code")
    hostile_everywhere(monkeypatch, params, "code")
    collect.run(params, "code")
    ended = read_jsonl(Places(tmp_path, "code").trajectories, Trajectory)
    assert any(attempt.text in HOSTILE for run in ended for attempt in run.attempts)
    assert not any(run.failure for run in ended)


def test_evaluate_goes_on_where_keys_are_broken_or_missing_and_says_which_runs_have_no_verdict(
    trained, tmp_path, monkeypatch
):
    project, params = clone(trained, tmp_path / "project"), parsed()
    monkeypatch.chdir(project)
    knowing_everywhere(monkeypatch, params, "math")
    evaluate.run(params, "math")
    places = Places(project, "math")
    before = read_jsonl(places.evaluation / "runs.jsonl", Run)
    broken, missing, *sound = read_jsonl(places.keys("eval"), AnswerKey)
    write_jsonl(places.keys("eval"), [broken.model_copy(update={"hidden": {"checks": 5}}), *sound])
    evaluate.run(params, "math")
    runs = read_jsonl(places.evaluation / "runs.jsonl", Run)
    unjudged = {broken.task_id, missing.task_id}
    assert {run.task_id for run in runs if run.failed} == unjudged
    assert not any(run.passed for run in runs if run.failed)
    assert [run for run in runs if run.task_id not in unjudged] == [r for r in before if r.task_id not in unjudged]


def test_evaluate_goes_on_with_hostile_candidates(trained, tmp_path, monkeypatch):
    project, params = clone(trained, tmp_path / "project"), parsed()
    monkeypatch.chdir(project)
    hostile_everywhere(monkeypatch, params, "math")
    evaluate.run(params, "math")
    found = read_jsonl(Places(project, "math").evaluation / "trajectories.jsonl", Trajectory)
    assert any(attempt.text in HOSTILE for one in found for attempt in one.attempts)
    assert not any(run.failed for run in read_jsonl(Places(project, "math").evaluation / "runs.jsonl", Run))


def test_the_gate_goes_on_where_fresh_tasks_of_strangers_have_checks_that_break(trained, tmp_path, monkeypatch):
    """However many they are: each run of theirs counts as not solved. Failures with our own tasks still end it."""
    project = clone(trained, tmp_path / "project")
    for name in ("champion", "challenger"):
        shutil.copytree(Places(project, "math").reflector, project / name)
    hostile_everywhere(monkeypatch, PARAMS, "math")
    check = {"instance": {"n": "1"}, "expected": {}}
    strangers = [
        Task(task_id=f"fresh-{n}", domain="math", text=f"odd {n}", visible={"checks": [check]}) for n in range(20)
    ]
    monkeypatch.setattr(contest, "fresh_tasks", lambda *_, **__: (strangers, {}))
    evidence = contest.compare(PARAMS, project, "math", project / "champion", project / "challenger")
    anchor, fresh = evidence.slices
    assert len(anchor.tasks) == PARAMS.tasks.eval + PARAMS.tasks.unseen
    assert set(fresh.none) == set(fresh.challenger) == {0}
    monkeypatch.setattr(contest, "stage_tasks", lambda places, split: strangers if split == "eval" else [])
    monkeypatch.setattr(contest, "fresh_tasks", lambda *_, **__: ([], {}))
    with pytest.raises(TooManyFailures):
        contest.compare(PARAMS, project, "math", project / "champion", project / "challenger")
