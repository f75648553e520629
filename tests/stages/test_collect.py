"""Facts about collect: what it learns from, and that no answer key is at hand while agents work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from parammem.checkout.places import Places
from parammem.core import Outcome, ReflectionExample, Trajectory, read_jsonl, write_jsonl
from parammem.core.experience import Experience
from parammem.core.task import Task
from parammem.errors import ConfigError, TooManyFailures
from parammem.stages import collect, tasks
from tests.stages.arena import Knowing, knowing_everywhere, parsed, snapshot

OUTS = ("data/trajectories", "data/reflections")


@pytest.fixture
def world(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("domain", ["code", "math", "qa"])
def test_collect_without_answer_file_gives_identical_bytes(domain, world, monkeypatch):
    """`final` asks for verdicts on train tasks; the keys of evaluation tasks are never touched."""
    params = parsed()
    tasks.run(params, domain)
    knowing_everywhere(monkeypatch, params, domain)
    collect.run(params, domain)
    before = snapshot(world, *OUTS)
    for name in ("eval", "unseen"):
        Places(world, domain).keys(name).unlink()
    shutil.rmtree(world / "data/trajectories")
    collect.run(params, domain)
    assert snapshot(world, *OUTS) == before
    assert before[f"data/reflections/{domain}.jsonl"]


@pytest.mark.parametrize("label", ["experience", "self", "task-only"])
def test_collect_on_visible_outcomes_needs_no_answer_file_at_all(label, world, monkeypatch):
    params = parsed(collect={"outcome": "visible", "label": label, "parts": ["hindsight", "in_context"]})
    tasks.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    collect.run(params, "math")
    before = snapshot(world, *OUTS)
    shutil.rmtree(world / "data/keys")
    collect.run(params, "math")
    assert snapshot(world, *OUTS) == before
    assert before["data/reflections/math.jsonl"]


def test_the_final_verdict_changes_which_rows_there_are_and_never_the_trajectories(world, monkeypatch):
    found = {}
    for outcome in ("final", "visible"):
        params = parsed(collect={"outcome": outcome}, tasks={"train": 40})
        tasks.run(params, "math")
        knowing_everywhere(monkeypatch, params, "math")
        collect.run(params, "math")
        found[outcome] = snapshot(world, *OUTS)
    assert found["final"]["data/trajectories/math.jsonl"] == found["visible"]["data/trajectories/math.jsonl"]
    rows = {outcome: files["data/reflections/math.jsonl"].count(b"\n") for outcome, files in found.items()}
    assert 0 < rows["final"] < rows["visible"]


def test_no_prompt_of_collect_holds_anything_of_a_key(world, monkeypatch):
    """A right attempt may be shown again in hindsight; before an attempt was made its words are in no prompt."""
    params = parsed()
    tasks.run(params, "code")
    engine = knowing_everywhere(monkeypatch, params, "code", right=0.0)
    collect.run(params, "code")
    prompts = [request.messages[-1].content for request in engine.requests]
    assert len(prompts) > 50
    for one in engine.tasks.values():
        assert not any(one.key.gold in prompt for prompt in prompts)


def test_experience_batches_bring_rows_with_their_origin(world, monkeypatch):
    params = parsed()
    tasks.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    collect.run(params, "math")
    places = Places(world, "math")
    elsewhere = {t.task_id: t for t in read_jsonl(places.tasks("bank"), Task)}
    one = next(iter(elsewhere.values()))
    lived = read_jsonl(places.trajectories, Trajectory)[0].model_copy(update={"task_id": one.task_id, "seed": 999})
    for name, outcome in (("good", True), ("bad", False), ("unknown", None)):
        batch = [Experience(task=one, trajectory=lived, outcome=Outcome(passed=outcome))]
        write_jsonl(world / params.collect.experience_dir / f"{name}.jsonl", batch)
        collect.run(params, "math")
        rows = read_jsonl(places.reflections, ReflectionExample)
        brought = {row.task_id: row.origin for row in rows if row.task_id.endswith(one.task_id)}
        assert brought == ({f"good/{one.task_id}": "good"} if outcome else {})
        (world / params.collect.experience_dir / f"{name}.jsonl").unlink()


def test_collect_with_a_method_that_needs_a_reflector_is_refused(world, monkeypatch):
    params = parsed(collect={"method": "paramagent"})
    tasks.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    with pytest.raises(ConfigError, match=r"collect\.method: 'paramagent' needs a reflector"):
        collect.run(params, "math")


def test_teacher_labels_without_a_teacher_are_refused(world, monkeypatch):
    params = parsed(collect={"label": "teacher"})
    tasks.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    with pytest.raises(ConfigError, match=r"collect\.teacher: missing"):
        collect.run(params, "math")


def test_too_many_failed_tasks_end_the_stage_and_keep_every_trajectory(world, monkeypatch):
    params = parsed()
    tasks.run(params, "math")

    class Moody(Knowing):
        def complete(self, requests):
            if any("fee" in request.messages[-1].content for request in requests):
                raise RuntimeError("this prompt is too much for me")
            return super().complete(requests)

    engine = Moody(params, "math")
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    with pytest.raises(TooManyFailures, match=r"agent\.max_failed_share allows \(0\.05\).*RuntimeError"):
        collect.run(params, "math")
    kept = read_jsonl(Places(world, "math").trajectories, Trajectory)
    assert len(kept) == params.tasks.train * params.collect.trajectories
    assert 0 < sum(t.failure is not None for t in kept) < len(kept)
