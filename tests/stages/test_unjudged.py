"""Facts about items that cannot be judged: each is one task, and the others go on."""

from __future__ import annotations

import logging

import pytest

from parammem.checkout.places import Places
from parammem.core import AnswerKey, Attempt, Feedback, Task, Trajectory, read_jsonl
from parammem.domains import get_domain
from parammem.errors import DataError
from parammem.stages import collect, tasks
from parammem.stages.collect import final_verdicts
from tests.stages.arena import Knowing, parsed

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
    found = final_verdicts(get_domain("code", real=real), named, keys, runs, allowed)
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


def test_collect_goes_on_with_hostile_candidates(tmp_path, monkeypatch):
    from parammem.stages.common import Engines

    class Hostile(Knowing):
        def _draw(self, request, draw):
            said = super()._draw(request, draw)
            solves = request.messages[-1].content.endswith("solve") and request.seed % 3 == 0
            return said.model_copy(update={"text": HOSTILE[request.seed % len(HOSTILE)]}) if solves else said

    monkeypatch.chdir(tmp_path)
    params = parsed(collect={"outcome": "final"})
    tasks.run(params, "code")
    engine = Hostile(params, "code")
    monkeypatch.setattr(Engines, "open", lambda self, model="", adapter=None: engine)
    collect.run(params, "code")
    ended = read_jsonl(Places(tmp_path, "code").trajectories, Trajectory)
    assert any(attempt.text in HOSTILE for run in ended for attempt in run.attempts)
    assert not any(run.failure for run in ended)
