"""Facts about evaluate: equal budgets, banks from the right tasks under each protocol, verdicts asked at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parammem.agents.bank import TrajectoryBank
from parammem.agents.loop import submission
from parammem.agents.methods import METHODS
from parammem.checkout.places import Places
from parammem.core import AnswerKey, Attempt, Feedback, Task, Trajectory, read_jsonl, write_jsonl
from parammem.domains import Judge, get_domain
from parammem.evaluation.runs import AdviceDraws, OpenTask, Run
from parammem.reflectors.retrieved import Constant
from parammem.stages import evaluate, tasks
from parammem.stages.evaluate import SLICES, EvaluationBench
from parammem.stages.protocols import joined
from parammem.stages.ray.executor import LOCAL
from tests.stages.arena import Knowing, clone, knowing_everywhere, parsed, snapshot

BANKED = ("dot_bank", "paramagent_plus")


def counted(texts: Sequence[str]) -> np.ndarray:
    """A cheap stand-in for sentence embeddings: letters counted."""
    rows = np.array([[text.count(chr(97 + i)) + 0.01 for i in range(26)] for text in texts]).reshape(-1, 26)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def bench_of(folder: Path, right: float = 0.25, **sections) -> EvaluationBench:
    """A bench whose reflectors all give one piece of advice; only the actor is to be watched."""
    params = parsed(**{"tasks": {"eval": 10, "bank": 10}, **sections})
    places = Places(folder, "math")
    tasks.run(params, "math", folder)
    advice = Constant("money ; cut flat")
    names = ("trained", "untrained", "majority", "retrieved", *params.train.controls)
    splits = {part: [one.task for one in _split(params, part)] for part in SLICES}
    actor = Knowing(params, "math", right)
    return EvaluationBench(params, get_domain("math"), actor, splits, LOCAL, places, dict.fromkeys(names, advice))


def _split(params, part: str):
    return [one for one in Knowing(params, "math").tasks.values() if f"-{part}-" in one.task.task_id]


@pytest.fixture(autouse=True)
def _cheap_embeddings(monkeypatch, request):
    if "integration" not in request.keywords:
        monkeypatch.setattr(evaluate, "embed", counted)


@pytest.fixture
def banks(monkeypatch) -> list[TrajectoryBank]:
    """Every bank that is made."""
    made: list[TrajectoryBank] = []

    def make(*parts):
        made.append(TrajectoryBank(*parts))
        return made[-1]

    monkeypatch.setattr(evaluate, "TrajectoryBank", make)
    return made


class Silent:
    """The judge of tasks without visible checks, as APPS', MATH's and QA's; it counts what it is asked to judge."""

    def __init__(self, judge: Judge) -> None:
        self._judge, self.judged = judge, []

    def check(self, items):
        return [Feedback(passed=None, text="") for _ in items]

    def score(self, items):
        self.judged += [task.task_id for task, _, _ in items]
        scores = self._judge.score(items)
        return [ValueError("no hidden check") if task.task_id.endswith("-0000") else s
                for (task, _, _), s in zip(items, scores, strict=True)]  # fmt: skip


def silent_bench(folder: Path, **sections) -> EvaluationBench:
    """A bench as real benchmarks make it: without visible checks, with keys of the bank split, and for the loops and
    the bank without keys of evaluation tasks."""
    bench = bench_of(folder, **sections)
    drawn = [one for one in bench.actor.tasks.values() if "-bank-" in one.task.task_id]  # pyright: ignore
    write_jsonl(bench.places.keys("bank"), [one.key for one in drawn])
    for part in SLICES:
        bench.places.keys(part).unlink()
    return replace(bench, domain=replace(bench.domain, judge=Silent(bench.domain.judge)))


def by_arm(trajectories: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    arms: dict[str, list[Trajectory]] = {}
    for one in trajectories:
        arms.setdefault(one.method, []).append(one)
    return arms


def test_every_arm_meets_the_same_tasks_with_the_same_budget(tmp_path):
    bench = bench_of(tmp_path, right=0.0)
    found = by_arm(evaluate._one_phase(bench, evaluate._bank(bench)))
    assert set(found) == {
        *METHODS,
        *(f"paramagent.{name}" for name in ("untrained", "shuffled", "other_world", "majority")),
    }
    ids = [task.task_id for task in bench.everything()]
    for arm, trajectories in found.items():
        assert [t.task_id for t in trajectories] == ids
        attempts = {len(t.attempts) for t in trajectories}
        assert attempts == {1 if arm == "base" else bench.params.agent.iterations}, arm
        assert {t.usage["actor"].calls for t in trajectories} == attempts, arm


def test_strict_fills_the_bank_from_the_bank_split_alone(tmp_path, banks):
    bench = bench_of(tmp_path)
    found = by_arm(evaluate._one_phase(bench, evaluate._bank(bench)))
    assert len(banks) == 1
    assert len(banks[0]) > 0
    assert all("-bank-" in task.task_id for task, _ in banks[0]._entries)
    for arm, trajectories in found.items():
        shown = {seen for t in trajectories for seen in t.examples}
        assert bool(shown) == (arm in BANKED)
        assert all("-bank-" in seen for seen in shown)


def test_bank_tasks_without_visible_checks_get_in_by_their_verdict_asked_once_and_only_of_their_keys(tmp_path, banks):
    bench = silent_bench(tmp_path)
    found = by_arm(evaluate._one_phase(bench, evaluate._bank(bench)))
    judge, keys = bench.domain.judge, {key.task_id: key for key in read_jsonl(bench.places.keys("bank"), AnswerKey)}
    assert isinstance(judge, Silent)
    assert sorted(judge.judged) == sorted(keys), "each once, and no evaluation task"
    assert 0 < len(banks[0]) < len(keys)
    for task, attempt in banks[0]._entries:
        assert attempt.candidate == keys[task.task_id].gold
    assert all(bool(t.examples) == (arm in BANKED) for arm, trajectories in found.items() for t in trajectories)


def test_a_bank_task_that_cannot_be_judged_stays_out_and_harms_no_other(tmp_path, banks, caplog):
    bench = silent_bench(tmp_path, right=1.0)
    first, *others = [task.task_id for task in read_jsonl(bench.places.tasks("bank"), Task)]
    evaluate._bank(bench)
    assert [task.task_id for task, _ in banks[0]._entries] == others
    assert first in caplog.text


def test_where_bank_tasks_have_visible_checks_no_key_of_theirs_is_there_to_be_read(tmp_path):
    bench = bench_of(tmp_path)
    assert not bench.places.keys("bank").exists()
    assert len(evaluate._bank(bench)) > 0


def test_no_bank_is_filled_when_no_method_uses_one(tmp_path):
    bench = bench_of(tmp_path, evaluate={"methods": ["base", "reflexion"]})
    assert len(evaluate._bank(bench)) == 0
    assert bench.actor.requests == []  # pyright: ignore[reportAttributeAccessIssue]


def test_two_phase_gives_resample_as_many_attempts_as_the_methods_with_a_bank(tmp_path):
    bench = bench_of(tmp_path, right=0.0, evaluate={"protocol": "two-phase"})
    found = by_arm(evaluate._two_phases(bench))
    once = bench.params.agent.iterations
    most = {arm: max(len(t.attempts) for t in trajectories) for arm, trajectories in found.items()}
    assert most["resample"] == 2 * once
    assert {most[arm] for arm in BANKED} == {2 * once}
    assert most["base"] == 1
    assert {most[arm] for arm in ("reflexion", "dot", "paramagent", "retrieved")} == {once}
    assert all(t.protocol == "two-phase" for trajectories in found.values() for t in trajectories)


def test_two_phase_fills_each_bank_with_what_that_method_solved_in_its_first_phase(tmp_path, banks):
    bench = bench_of(tmp_path, right=0.1, evaluate={"protocol": "two-phase"}, agent={"iterations": 2})
    assert len(evaluate._bank(bench)) == 0, "the bank split is not used"
    del banks[:]
    found = by_arm(evaluate._two_phases(bench))
    ids = {task.task_id for task in bench.everything()}
    once = bench.params.agent.iterations
    assert len(banks) == len(BANKED)
    for arm, bank in zip(BANKED, banks, strict=True):
        first = {t.task_id for t in found[arm] if t.stop == "visible-pass" and len(t.attempts) <= once}
        assert {task.task_id for task, _ in bank._entries} == first
        assert 0 < len(first) < len(ids)
        for t in found[arm]:
            again = t.task_id not in first
            assert bool(t.examples) == again, "only the second phase shows examples"
            assert t.task_id not in t.examples
            assert set(t.examples) <= first


def test_first_phase_prompts_show_no_example(tmp_path):
    bench = bench_of(tmp_path, evaluate={"protocol": "two-phase", "methods": ["dot_bank"]})
    agent = next(agent for agent in evaluate.arms(bench) if agent.method.bank)
    evaluate._first_phase(bench, agent, bench.everything(), 1)
    prompts = [r.messages[-1].content for r in bench.actor.requests]  # pyright: ignore[reportAttributeAccessIssue]
    assert prompts
    assert not any(prompt.startswith("example ") for prompt in prompts)


def test_joined_keeps_all_attempts_reflections_and_costs_and_the_second_phase_submits(tmp_path):
    bench = bench_of(tmp_path, right=0.0, evaluate={"protocol": "two-phase", "methods": ["dot_bank"]})
    found = by_arm(evaluate._two_phases(bench))["dot_bank"]
    once = bench.params.agent.iterations
    for whole in found:
        assert [a.number for a in whole.attempts] == list(range(1, 2 * once + 1))
        assert whole.submission == 2 * once
        assert whole.submitted == whole.attempts[-1]
        assert whole.usage["actor"].calls == 2 * once
        assert len([r for r in whole.reflections if r.source == "self"]) == whole.usage["self-reflection"].calls
    first = found[0].model_copy(update={"attempts": found[0].attempts[:once]})
    second = replace_usage(found[0].model_copy(update={"attempts": found[0].attempts[once:]}))
    both = joined(first, second)
    assert both.attempts == found[0].attempts
    assert both.usage["actor"].completion_tokens == 2 * first.usage["actor"].completion_tokens
    assert both.usage["new-role"] == second.usage["new-role"], "a role that only the second phase has is kept"


def test_without_a_visible_verdict_the_most_frequent_answer_of_both_phases_is_submitted(tmp_path, banks):
    bench = silent_bench(tmp_path, evaluate={"protocol": "two-phase", "methods": ["resample", "dot_bank"]})
    found = by_arm(evaluate._two_phases(bench))
    once = bench.params.agent.iterations
    assert [len(bank) for bank in banks] == [0], "nobody knows which evaluation tasks were solved"
    for arm in ("resample", "dot_bank"):
        for whole in found[arm]:
            assert len(whole.attempts) == 2 * once
            assert whole.submission == submission(whole.attempts)
            assert whole.examples == ()
    votes = {n: Attempt(number=n, text="", candidate=c, temperature=1, feedback=Feedback(passed=None, text=""))
             for n, c in enumerate("aaabbc", 1)}  # fmt: skip
    one = found["dot_bank"][0]
    first, second = (one.model_copy(update={"attempts": tuple(votes[n] for n in numbers), "submission": numbers[-1]})
                     for numbers in ((1, 2, 3), (4, 5, 6)))  # fmt: skip
    submitted = joined(first, second).submitted
    assert submitted is not None
    assert submitted.candidate == "a"


def replace_usage(one: Trajectory) -> Trajectory:
    return one.model_copy(update={"usage": {**one.usage, "new-role": one.usage["actor"]}})


def test_budgets_of_the_first_phase_differ_for_resample_alone(tmp_path):
    bench = bench_of(tmp_path, right=0.0)
    agent = next(a for a in evaluate.arms(bench) if a.method.name == "reflexion")
    doubled = replace(agent, method=METHODS["resample"])
    one, two = (evaluate._first_phase(bench, a, bench.everything()[:2], 1) for a in (agent, doubled))
    assert [2 * len(t.attempts) for t in one] == [len(t.attempts) for t in two]


@pytest.mark.integration
def test_evaluate_writes_one_run_for_each_arm_and_task_and_proves_the_splits_disjoint(trained, tmp_path, monkeypatch):
    project, params = clone(trained, tmp_path / "project"), parsed()
    monkeypatch.chdir(project)
    knowing_everywhere(monkeypatch, params, "math")
    evaluate.run(params, "math")
    folder = project / "reports/evaluation/math"
    runs = read_jsonl(folder / "runs.jsonl", Run)
    tasks_each = params.tasks.eval + params.tasks.unseen
    arms = {run.arm for run in runs}
    assert len(runs) == len(arms) * tasks_each
    assert {run.slice for run in runs} == set(SLICES)
    keys = {k.task_id: k for part in SLICES for k in read_jsonl(Places(project, "math").keys(part), AnswerKey)}
    for one, run in zip(read_jsonl(folder / "trajectories.jsonl", Trajectory), runs, strict=True):
        assert one.submitted is not None
        assert run.passed == (one.submitted.candidate == keys[one.task_id].gold)
        assert run.trajectory_id == one.trajectory_id
    assert any(run.passed for run in runs)
    assert any(run.visible_passed and not run.passed for run in runs), "visible checks are not the verdict"
    assert len(read_jsonl(folder / "open_tasks.jsonl", OpenTask)) == tasks_each
    draws = read_jsonl(folder / "draws.jsonl", AdviceDraws)
    assert {len(d.texts) for d in draws} == {params.evaluate.advice_draws}
    facts = json.loads((folder / "facts.json").read_text())
    assert len(facts["overlaps"]) == 7
    assert set(facts["overlaps"].values()) == {0}
    before = snapshot(project, "reports/evaluation")
    evaluate.run(params, "math")
    assert snapshot(project, "reports/evaluation") == before
    few = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"draw_tasks": 1})})
    evaluate.run(few, "math")
    fewer = read_jsonl(folder / "draws.jsonl", AdviceDraws)
    assert len({d.task_id for d in fewer}) == 1
    assert {d.reflector for d in fewer} == {d.reflector for d in draws}
