"""Facts about domains of kind open: from a log to an evaluated adapter, by an agent, a judge or reported outcomes."""

from __future__ import annotations

import json

import pytest

from parammem.checkout.places import Places
from parammem.core import ReflectionExample, Task, read_jsonl
from parammem.core.decision import Guard
from parammem.errors import ConfigError, DataError
from parammem.evaluation.runs import Run
from parammem.experience.ingest import ingest
from parammem.experience.source_files import Source
from parammem.experience.store import open_store
from parammem.gate.decide import decide
from parammem.gate.rule import Rule
from parammem.stages import collect, contest, evaluate, report, tasks, train, validate
from tests.stages.arena import make_model
from tests.stages.desk import DOMAIN, agent, desk_params, judge, log, saying, tasks_in


def take_in(root, params, text: str):
    file = root / "week.jsonl"
    file.write_text(text, encoding="utf-8")
    near = params.validate_.near_duplicate
    store = open_store(
        root, params.domains, params.experience.fresh_share, near, params.experience.domain, kinds=params.kinds()
    )
    return ingest(Source.of(file), store, "person ada")


def test_tasks_come_from_experience_and_from_the_users_file_and_never_change_sides(tmp_path):
    params = desk_params(tmp_path, {"held_out": 0.5})
    event = take_in(tmp_path, params, log(40)).event
    assert event.rows == 40
    assert event.kept
    assert event.held
    assert not event.quarantined
    (tmp_path / "data/tasks-in").mkdir(parents=True)
    (tmp_path / "data/tasks-in/support.jsonl").write_text(tasks_in(100, 20), encoding="utf-8")
    tasks.run(params, DOMAIN, tmp_path)
    places = Places(tmp_path, DOMAIN)
    held, given = read_jsonl(places.tasks("eval"), Task), read_jsonl(places.tasks("train"), Task)
    assert len(given) + len(held) == 20 + event.held
    assert not {task.content for task in held} & {task.content for task in given}
    again = take_in(tmp_path, params, log(41)).event  # its own evaluation tasks are not refused at the door
    assert again.duplicates == 40
    assert not again.quarantined
    (tmp_path / "data/tasks-in/support.jsonl").write_text('{"text": "one"}\n{"txt": "two"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"support.jsonl:2: no text of a task"):
        tasks.run(params, DOMAIN, tmp_path)


def to_adapter(root, monkeypatch, options, given: bool = True):
    """Everything up to an evaluated adapter."""
    params = desk_params(root, options)
    make_model(root)
    take_in(root, params, log(40))
    if given:
        (root / "data/tasks-in").mkdir(parents=True)
        (root / "data/tasks-in/support.jsonl").write_text(tasks_in(100, 6), encoding="utf-8")
    tasks.run(params, DOMAIN, root)
    with monkeypatch.context() as patched:
        saying(patched)
        collect.run(params, DOMAIN, root)
    validate.run(params, DOMAIN, root)
    train.run(params, DOMAIN, root)
    with monkeypatch.context() as patched:
        saying(patched)
        patched.setattr(evaluate, "_adapted", lambda folder, engines, judge, base: _asked(engines, judge))
        evaluate.run(params, DOMAIN, root)
    return params, Places(root, DOMAIN)


def _asked(engines, judge):
    from parammem.reflectors.parametric import Untrained

    return Untrained(engines.open(), judge)


def decided(params, places, monkeypatch):
    saying(monkeypatch)
    found = contest.compare(params, places.root, DOMAIN, None, places.reflector)
    return found, decide(found.model_copy(update={"guards": (Guard(name="loads", passed=True, detail=""),)}), Rule())


@pytest.mark.integration
def test_with_an_agent_its_runs_are_what_is_collected_evaluated_and_gated(tmp_path, monkeypatch):
    params, places = to_adapter(tmp_path, monkeypatch, {"agent": agent(tmp_path)})
    runs = read_jsonl(places.evaluation / "runs.jsonl", Run)
    assert {run.arm for run in runs} == {"base", "paramagent", "paramagent.untrained", "paramagent.shuffled"}
    solved = {arm: [r.passed for r in runs if r.arm == arm] for arm in ("base", "paramagent")}
    assert all(solved["paramagent"])
    assert not all(solved["base"])
    assert "user's own agent" in json.loads((places.evaluation / "facts.json").read_text())["outcomes"]
    report.run(params, tmp_path)
    assert DOMAIN in json.loads((tmp_path / "reports/metrics.json").read_text())
    found, decision = decided(params, places, monkeypatch)
    assert found.slices[0].none != found.slices[0].challenger
    assert "measured" not in " ".join(decision.reasons)


@pytest.mark.integration
def test_with_a_judge_our_own_loop_is_judged_by_it(tmp_path, monkeypatch):
    _, places = to_adapter(tmp_path, monkeypatch, {"judge": judge(tmp_path)})
    runs = read_jsonl(places.evaluation / "runs.jsonl", Run)
    assert {"base", "reflexion", "paramagent"} <= {run.arm for run in runs}
    assert not any(run.passed or run.failed for run in runs)  # the words of the test engine close no ticket


@pytest.mark.integration
def test_with_reported_outcomes_only_it_is_said_in_words_that_none_was_measured(tmp_path, monkeypatch):
    params, places = to_adapter(tmp_path, monkeypatch, {}, given=False)
    rows = read_jsonl(places.validated, ReflectionExample)
    assert rows
    assert {row.domain for row in rows} == {DOMAIN}
    assert {row.part for row in rows} == {"hindsight"}
    facts = json.loads((places.evaluation / "facts.json").read_text())
    assert facts["outcomes"].startswith("No outcome was measured")
    assert facts["held_out_loss"]["trained"]
    assert not read_jsonl(places.evaluation / "runs.jsonl", Run)
    report.run(params, tmp_path)
    assert "No outcome was measured" in (tmp_path / "reports/report.html").read_text()
    _, decision = decided(params, places, monkeypatch)
    assert decision.answer == "undecided"
    assert "domains.support.agent" in decision.reasons[0]


def test_a_control_about_pocket_tasks_is_refused(tmp_path):
    params = desk_params(tmp_path, {}, train={"controls": ["other_world"]})
    with pytest.raises(ConfigError, match="'other_world' is about pocket tasks, and support has none"):
        train.control_rows("other_world", [], Places(tmp_path, DOMAIN), params)
