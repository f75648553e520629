"""Facts about the protocols: what gates the loop, who is asked how often, and that each score names its rules."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from parammem.core import AnswerKey, Feedback, Score, Task
from parammem.evaluation.protocols import PROTOCOLS
from parammem.stages import evaluate, report
from parammem.stages.protocols import Oracle, under
from tests.stages.arena import clone, knowing_everywhere, parsed
from tests.stages.test_evaluate import bench_of, by_arm, counted

TASK = Task(task_id="t", domain="math", text="?")
KEYS = {"t": AnswerKey(task_id="t", domain="math", hidden={}, gold="")}


class Fixed:
    """A judge with one visible answer and one verdict."""

    def __init__(self, seen: bool | None, right: bool) -> None:
        self.seen, self.right = seen, right

    def check(self, items):
        return [Feedback(passed=self.seen, text="" if self.seen is None else "limit ok") for _ in items]

    def score(self, items):
        return [Score(task_id=task.task_id, passed=self.right, value=0.0) for task, _, _ in items]


@pytest.fixture(autouse=True)
def _cheap_embeddings(monkeypatch, request):
    if "integration" not in request.keywords:
        monkeypatch.setattr(evaluate, "embed", counted)


@pytest.mark.parametrize(
    ("seen", "right", "verdict", "both"),
    [
        (True, True, True, True),
        (True, False, False, False),
        (False, True, True, False),
        (False, False, False, False),
        (None, True, True, True),
        (None, False, False, False),
    ],
)
def test_the_verdict_gates_alone_or_after_the_visible_checks(seen, right, verdict, both):
    for gate, expected in (("verdict", verdict), ("both", both)):
        (feedback,) = Oracle(Fixed(seen, right), KEYS, gate).check([(TASK, "x")])  # type: ignore[arg-type]
        assert getattr(feedback, "passed", None) is expected


def test_an_oracle_says_one_bit_where_there_are_no_visible_checks_and_nothing_of_the_key():
    said = [Oracle(Fixed(None, right), KEYS, "verdict").check([(TASK, "x")])[0] for right in (True, False)]  # type: ignore[arg-type]
    assert [getattr(f, "text", "") for f in said] == ["The answer is right.", "The answer is wrong."]
    (shown,) = Oracle(Fixed(True, False), KEYS, "verdict").check([(TASK, "x")])  # type: ignore[arg-type]
    assert getattr(shown, "text", "") == "limit ok"


def test_what_cannot_be_judged_stays_an_error():
    class Broken(Fixed):
        def score(self, items):
            return [ValueError("no hidden check") for _ in items]

    assert isinstance(Oracle(Broken(True, True), KEYS, "verdict").check([(TASK, "x")])[0], ValueError)  # type: ignore[arg-type]


def test_under_strict_and_two_phase_no_agent_gets_an_oracle(tmp_path):
    bench = bench_of(tmp_path)
    for agent in evaluate.arms(bench):
        for protocol in ("strict", "two-phase"):
            assert under(protocol, agent, bench.domain.judge, {}) is agent


def test_the_published_budget_is_24_attempts_and_10_reflections_where_reflexion_has_5_and_4(tmp_path):
    bench = bench_of(tmp_path, right=0.0)
    found = by_arm(evaluate._two_phases(bench, "released-code"))
    iterations = bench.params.agent.iterations
    for arm, attempts, reflections in (
        ("base", 1, 0),
        ("resample", iterations, 0),
        ("reflexion", iterations, iterations - 1),
        ("paramagent", 24, 10),
        ("paramagent_plus", 24, 10),
        ("paramagent.untrained", 24, 10),
    ):
        for one in found[arm]:
            assert len(one.attempts) == attempts, arm
            assert sum(r.source == "self" for r in one.reflections) == reflections, arm
            assert one.protocol == "released-code"


def test_the_oracle_stops_at_the_first_right_answer_and_says_so(tmp_path):
    bench = bench_of(tmp_path, right=0.4)
    keys = evaluate._keys(bench.places)
    tasks = {task.task_id: task for task in bench.everything()}
    seen = Counter()
    for one in evaluate._two_phases(bench, "oracle"):
        judged = [(tasks[one.task_id], keys[one.task_id], a.candidate) for a in one.attempts]
        right = [getattr(score, "passed", None) for score in bench.domain.judge.score(judged)]
        assert [a.feedback.passed for a in one.attempts] == right
        assert (one.stop == "oracle-pass") == right[-1]
        assert not any(right[:-1])
        assert one.stop != "visible-pass"
        seen[one.stop] += 1
    assert seen["oracle-pass"]


def test_an_oracle_is_worth_something_and_strict_is_not_touched_by_it(tmp_path):
    """An attempt that passes the visible checks and is wrong ends a strict run; an oracle goes on."""
    bench = bench_of(tmp_path, right=0.3)
    tasks = {task.task_id: task for task in bench.everything()}
    keys = evaluate._keys(bench.places)

    def solved(trajectories) -> int:
        items = [(tasks[t.task_id], keys[t.task_id], t.submitted.candidate) for t in trajectories]
        return sum(score.passed for score in bench.domain.judge.score(items))  # pyright: ignore

    strict = by_arm(evaluate._one_phase(bench, evaluate._bank(bench)))["resample"]
    oracle = by_arm(evaluate._two_phases(bench, "oracle"))["resample"]
    assert {t.protocol for t in strict} == {"strict"}
    assert solved(oracle) > solved(strict)


@pytest.mark.integration
def test_a_pocket_domain_under_all_four_protocols_is_one_table_of_the_report(trained, tmp_path, monkeypatch):
    project = clone(trained, tmp_path / "project")
    params = parsed(
        evaluate={"also": ["two-phase", "oracle", "released-code"], "methods": ["base", "reflexion", "paramagent"]}
    )
    monkeypatch.chdir(project)
    knowing_everywhere(monkeypatch, params, "math", right=0.3)
    evaluate.run(params, "math")
    report.run(params.model_copy(update={"domains": ("math",)}))
    side_by_side = json.loads((project / "reports/metrics.json").read_text(encoding="utf-8"))["math"]["protocol"]
    assert set(side_by_side) == set(PROTOCOLS)
    for arms in side_by_side.values():
        assert {"base", "reflexion", "paramagent"} <= set(arms)
        assert {figures["tasks"] for figures in arms.values()} == {params.tasks.eval}
    calls = {name: arms["paramagent"]["actor_calls"] for name, arms in side_by_side.items()}
    assert calls["strict"] <= params.agent.iterations
    assert side_by_side["oracle"]["reflexion"]["pass_rate"] >= side_by_side["strict"]["reflexion"]["pass_rate"]
    table = (project / "reports/table.txt").read_text(encoding="utf-8")
    page = (project / "reports/report.html").read_text(encoding="utf-8")
    for name in PROTOCOLS:
        assert f"{name}: solved" in page
        assert f" {name}" in table.split("protocols side by side")[1]
