"""Self-teaching and weak-to-strong: what is trained on what, in the stages as they run."""

from __future__ import annotations

from typing import Literal

import pytest

from parammem.checkout.places import Places
from parammem.core import Adapter, ReflectionExample, read_jsonl
from parammem.domains import get_domain
from parammem.engines.base import Completion, Request
from parammem.evaluation.runs import Run
from parammem.stages import evaluate, rounds, train
from tests.stages.arena import MODEL, clone, knowing_everywhere, parsed
from tests.tiny import make_tiny_model


class Says:
    """An engine that says one thing, in as many tokens as it is told."""

    digest = "e" * 64

    def __init__(self, text: str, finish: Literal["stop", "length"] = "stop") -> None:
        self.finish: Literal["stop", "length"] = finish
        self.text, self.requests = text, list[Request]()

    def complete(self, requests):
        self.requests += requests
        return [
            [Completion(text=self.text, finish=self.finish, prompt_tokens=1, completion_tokens=1)] for _ in requests
        ]


def row(number: int) -> ReflectionExample:
    return ReflectionExample(
        domain="math", task_id=f"t{number}", task_text=f"Problem {number}?", reflection="as it was", part="hindsight",
        label_source="experience", author="a" * 64, trajectory_id="b" * 16, outcome="final",
    )  # fmt: skip


def taught_by(monkeypatch, engine, real: bool, tmp_path) -> list[ReflectionExample]:
    opened = []
    monkeypatch.setattr(
        "parammem.stages.common.Engines.open", lambda self, model="", adapter=None: opened.append(adapter) or engine
    )
    made = rounds.retaught(
        parsed(), [row(1), row(2)], tmp_path / "round-1", get_domain("math", real=real).prompts, "round-1", tmp_path
    )
    assert opened == [tmp_path / "round-1"]
    return made


def test_a_round_s_adapter_writes_the_next_rows_about_the_same_tasks(monkeypatch, tmp_path):
    engine = Says(" cut flat ")
    made = taught_by(monkeypatch, engine, False, tmp_path)
    assert [(r.task_id, r.reflection, r.author, r.label_source) for r in made] == [
        ("t1", "cut flat", "e" * 64, "self"),
        ("t2", "cut flat", "e" * 64, "self"),
    ]
    assert len({(r.seed, r.first_draw) for r in engine.requests}) == 2
    assert {r.temperature for r in engine.requests} == {parsed().agent.reflector_temperature}


def test_what_cannot_be_read_keeps_what_it_had(monkeypatch, tmp_path):
    assert [r.reflection for r in taught_by(monkeypatch, Says(""), False, tmp_path)] == ["as it was"] * 2
    assert [r.reflection for r in taught_by(monkeypatch, Says("I'm sorry."), True, tmp_path)] == ["as it was"] * 2


def test_what_the_token_limit_cut_keeps_what_it_had(monkeypatch, tmp_path):
    made = taught_by(monkeypatch, Says("cut flat", finish="length"), False, tmp_path)
    assert [r.reflection for r in made] == ["as it was"] * 2


def test_on_real_benchmarks_it_is_mended_as_labels_are(monkeypatch, tmp_path):
    text = "<pitfalls>\n- Taking the radius for the diameter, which gives four times the area that is asked for.\n</s>"
    (first, _) = taught_by(monkeypatch, Says(text), True, tmp_path)
    assert (
        first.reflection == "1. Taking the radius for the diameter, which gives four times the area that is asked for."
    )


@pytest.mark.integration
def test_earlier_rounds_lie_among_the_controls_and_are_evaluated(trained, tmp_path, monkeypatch):
    project = clone(trained, tmp_path / "project")
    params = parsed(reflector={"rounds": 3}, train={"controls": []})
    monkeypatch.chdir(project)
    said = {"round-1": "cut flat", "round-2": "cut share ; fee lump"}
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model, adapter: Says(said[adapter.name]))
    train.run(params, "math")
    knowing_everywhere(monkeypatch, params, "math")
    places = Places(project, "math")
    cards = [
        Adapter.model_validate_json((folder / "adapter.json").read_text(encoding="utf-8"))
        for folder in (places.control("round-1"), places.control("round-2"), places.reflector)
    ]
    assert len({card.digest for card in cards}) == 3
    assert len({card.data_digest for card in cards}) == 3, "each round has rows of its own"
    assert len({card.rows for card in cards}) == 1
    evaluate.run(params, "math")
    arms = {run.arm for run in read_jsonl(places.evaluation / "runs.jsonl", Run)}
    assert {"paramagent", "paramagent.round-1", "paramagent.round-2"} <= arms
    assert "paramagent.shuffled" not in arms


@pytest.mark.integration
def test_a_reflector_may_have_another_base_than_the_agent(trained, tmp_path, monkeypatch):
    project = clone(trained, tmp_path / "project")
    make_tiny_model(
        project / "models" / "weak", vocab_texts=["cut flat money"], hidden=8, layers=1, max_positions=2048, seed=3
    )
    params = parsed(reflector={"base": "models/weak"}, train={"controls": []})
    monkeypatch.chdir(project)
    train.run(params, "math")
    card = Adapter.model_validate_json((Places(project, "math").reflector / "adapter.json").read_text(encoding="utf-8"))
    assert card.base_model.endswith("models/weak")
    knowing_everywhere(monkeypatch, params, "math")
    opened = []
    kept = evaluate.Engines.open
    monkeypatch.setattr(
        evaluate.Engines,
        "open",
        lambda self, model="", adapter=None: opened.append((model, adapter)) or kept(self, model, adapter),
    )
    evaluate.run(params, "math")
    assert ("models/weak", Places(project, "math").reflector.relative_to(project)) in [
        (model, adapter.relative_to(project) if adapter and adapter.is_absolute() else adapter)
        for model, adapter in opened
    ]
    assert ("", None) in opened
    assert ("models/weak", None) in opened, "untrained is the reflector's base without its adapter"
    assert MODEL != "models/weak"
