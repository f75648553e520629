"""The whole pipeline on benchmark rows with a tiny model, from the file to the report."""

from __future__ import annotations

import json
import re

import pytest

from parammem.checkout.places import Places
from parammem.core import Adapter, ReflectionExample, Task, Trajectory, read_jsonl
from parammem.domains import get_domain
from parammem.engines.base import Completion, Request
from parammem.evaluation.runs import AdviceDraws, Run
from parammem.reflectors.parametric import ParamMem
from parammem.stages import collect, evaluate, report, tasks, train, validate
from parammem.stages.common import Engines
from tests.benchmarks import rows
from tests.stages.arena import MODEL, parsed
from tests.tiny import make_tiny_model

SOURCES = [
    {"domain": "math", "split": "eval", "benchmark": "math", "path": "test.jsonl", "take": 4, "balance": "type"},
    {"domain": "math", "split": "train", "benchmark": "math", "path": "train.jsonl"},
]
LABEL = "<pitfalls>\n1. Counting the crates in place of what is in them, so that the number per crate is lost in "


class Solver:
    """Solves two problems of three at the first attempt; writes labels, advice and notes when asked for them."""

    digest = "f" * 64

    def complete(self, requests):
        return [[self._draw(r, d) for d in range(r.first_draw, r.first_draw + r.n)] for r in requests]

    def _draw(self, request: Request, draw: int) -> Completion:
        prompt = request.messages[-1].content
        number = int(re.findall(r"Number (\d+) of", prompt)[-1])
        if "final answer alone" in prompt:
            right = number % 3 or (draw >= 1 and number % 2)
            text = f"I think so. $\\boxed{{{3 * number + 3 if right else 1}}}$"
        else:
            text = f"{LABEL}problem {number}, draw {draw}.\n</pitfalls></s>"
        return Completion(text=text, finish="stop", prompt_tokens=len(prompt.split()), completion_tokens=9)


def labels_task(row: ReflectionExample) -> Task:
    return Task(task_id=row.task_id, domain=row.domain, text=row.task_text)


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_pipeline_runs_on_a_benchmark_from_file_to_report(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "benchmarks"
    folder.mkdir(parents=True)
    every = [rows.math_row(n, s) for s in rows.SUBJECTS[:2] for n in range(12)]
    rows.write_jsonl(folder / "test.jsonl", every[4:9] + every[16:21])
    rows.write_jsonl(folder / "train.jsonl", every)
    make_tiny_model(
        tmp_path / MODEL, vocab_texts=[row["problem"] for row in every], hidden=16, layers=1, max_positions=2048
    )
    params = parsed(
        benchmarks={"sources": SOURCES, "ngram": 24, "near_duplicate": 0.99},
        collect={"label": "task-only"},
        validate={"min_words": 5, "max_words": 80, "max_copied": 40, "near_duplicate": 0.99, "max_quarantined": 0.5},
        train={"controls": ["shuffled"]},
        evaluate={"also": ["two-phase", "oracle", "released-code"], "curve_tasks": 0, "temperatures": [1.0]},
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Engines, "open", lambda self, model="", adapter=None: Solver())
    for stage in (tasks, collect, validate, train, evaluate):
        stage.run(params, "math")
    places = Places(tmp_path, "math")

    labels = read_jsonl(places.validated, ReflectionExample)
    assert len(labels) >= params.validate_.min_rows
    assert all(row.reflection.startswith("1. ") and "<" not in row.reflection for row in labels)
    assert read_jsonl(places.trajectories, Trajectory) == [], "labels from the task alone need no attempts"
    card = Adapter.model_validate_json((places.reflector / "adapter.json").read_text(encoding="utf-8"))
    assert card.rows == len(labels) or card.held_out_loss is not None
    loaded = ParamMem.load(places.reflector)
    assert loaded.messages(labels_task(labels[0])) == get_domain("math", real=True).prompts.advise(labels[0].task_text)
    assert json.loads((places.reflector / "contamination.json").read_text(encoding="utf-8"))["passed"] is True

    runs = read_jsonl(places.evaluation / "runs.jsonl", Run)
    arms = {run.arm for run in runs}
    assert {"base", "resample", "paramagent", "paramagent.untrained", "paramagent.shuffled"} <= arms
    assert not any("majority" in arm or "other_world" in arm for arm in arms)
    assert {run.visible_passed for run in runs} == {None}
    full = {run.iterations for run in runs if run.arm == "resample"}
    assert full == {params.agent.iterations}, "without a visible verdict all iterations run"
    others = read_jsonl(places.evaluation / "other_protocols.jsonl", Run)
    assert {run.protocol for run in others} == {"two-phase", "oracle", "released-code"}
    assert any(run.stop == "oracle-pass" for run in others)
    assert {d.reflector for d in read_jsonl(places.evaluation / "draws.jsonl", AdviceDraws)} == {
        "trained", "untrained", "shuffled",
    }  # fmt: skip

    report.run(params.model_copy(update={"domains": ("math",)}))
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["math"]["paramagent"]["tasks"] == 4
    assert set(metrics["math"]["protocol"]) == {"strict", "two-phase", "oracle", "released-code"}
    assert "ceiling" not in metrics["math"]
    page = (tmp_path / "reports/report.html").read_text(encoding="utf-8")
    assert "What the protocol is worth" in page
    assert "pocket world" not in page
    assert "MATH: 4 of 10 tasks, seed 0, balanced over type, sha256" in page
    assert "protocol <b>strict</b>" in page
