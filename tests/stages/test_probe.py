"""parammem probe: figures from a few train tasks, a forecast that follows from them, and warnings in words."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from parammem.cli import app
from parammem.config import Params
from parammem.errors import ConfigError, DataError
from parammem.evaluation.forecast import Attempted, Pace, smallest_gain, stages_of, total, warnings_of
from parammem.stages import probe, uptake
from parammem.stages.sample import sample_train
from tests.stages.arena import Knowing, parsed, small_params, write_params

PACE = Pace(tokens_per_second=100, attempt_seconds=1.0, advice_seconds=0.5, step_seconds=2.0, dollars=0.001)
PARAMS = parsed(
    tasks={"train": 40, "eval": 100, "unseen": 0}, agent={"iterations": 3}, collect={"trajectories": 2},
    train={"max_steps": 6, "controls": ["shuffled"]},
    evaluate={"methods": ["base", "resample", "reflexion", "paramagent"], "curve_tasks": 0, "advice_draws": 2},
)  # fmt: skip


def attempted(solved: int, cut: int = 0, temperature: float = 0.2, tasks: int = 20) -> Attempted:
    return Attempted(
        temperature=temperature, tasks=tasks, visible=solved, solved=solved, cut=cut, tokens=10, prompt_tokens=50
    )


def engine_of(monkeypatch, right: float) -> Knowing:
    engine = Knowing(PARAMS, "math", right)
    monkeypatch.setattr("parammem.stages.common.Engines.open", lambda self, model="", adapter=None: engine)
    return engine


def test_it_tries_train_tasks_at_every_temperature_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = engine_of(monkeypatch, 0.5)
    found = probe.run(PARAMS, "math", 16, [0.7], seed=0)
    assert [one.temperature for one in found.attempted] == [0.2, 1.0, 0.7]
    assert all(one.tasks == 16 for one in found.attempted)
    assert (found.train, found.evaluation) == (40, 100)
    train = [one.task.text for one in engine.tasks.values() if "-train-" in one.task.task_id]
    assert all(any(text in request.messages[-1].content for text in train) for request in engine.requests)
    assert found.pace.step_seconds is None, "there is no model folder to train"
    assert not list(tmp_path.iterdir())


def test_a_model_that_solves_nothing_or_everything_is_warned_of(monkeypatch):
    engine_of(monkeypatch, 0.0)
    none = probe.run(PARAMS, "math", 12, [], seed=0)
    assert "none of 12 tasks is solved (95% interval 0 to 24%)" in none.warnings[0]
    engine_of(monkeypatch, 1.0)
    every = probe.run(PARAMS, "math", 12, [], seed=0)
    assert "all 12 tasks are solved" in every.warnings[0]


def test_warnings_follow_from_the_figures():
    assert warnings_of(PARAMS, [attempted(10)], 0.0, 1000) == ()
    assert "engine.max_new_tokens" in warnings_of(PARAMS, [attempted(10, cut=12)], 0.0, 1000)[0]
    assert "engine.max_advice_tokens" in warnings_of(PARAMS, [attempted(10)], 0.9, 1000)[0]
    assert "80% power" in warnings_of(PARAMS, [attempted(10)], 0.0, 30)[0]
    hot = warnings_of(PARAMS, [attempted(10), attempted(0, temperature=1.0)], 0.0, 1000)
    assert "lower agent.later_temperature" in hot[0]


def test_a_larger_evaluation_finds_smaller_gains_and_none_finds_what_cannot_be_significant():
    gains = [smallest_gain(0.2, tasks) for tasks in (10, 50, 100, 400, 1600)]
    assert gains == sorted(gains, reverse=True)
    assert smallest_gain(0.0, 20) >= 6 / 20
    assert 0.02 < smallest_gain(0.2, 1600) < 0.08


def test_the_forecast_counts_what_the_stages_ask_for():
    collect, train, evaluate = stages_of(PARAMS, 40, 100, 0.0, PACE)
    assert (collect.attempts, collect.minutes) == (240, pytest.approx((240 + 160 * 0.5) / 60))
    assert train.minutes == pytest.approx(2 * 6 * 2.0 / 60)
    # base 100, resample and reflexion 300 each of which 100 are base's, four advised arms 300 each
    assert evaluate.attempts == 100 + 200 + 200 + 4 * 300
    solved = stages_of(PARAMS, 40, 100, 1.0, PACE)[2]
    assert solved.attempts == 100 + 4 * 100
    assert stages_of(PARAMS, 40, 100, 0.0, PACE.model_copy(update={"step_seconds": None}))[1].minutes is None


def test_the_forecast_counts_labels_of_failures():
    lessons = PARAMS.collect.model_copy(update={"parts": ("hindsight", "failure", "contrast", "task")})
    params = PARAMS.model_copy(update={"collect": lessons})
    advice = [stages_of(params, 40, 100, solved, PACE)[0].advice for solved in (0.0, 1.0)]
    assert advice == [160 + 2 * 80 + 40, 80 + 40]


def test_the_command_says_it_all_and_writes_the_figures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tasks={"train": 12})
    engine_of(monkeypatch, 0.5)
    done = CliRunner().invoke(app, ["probe", "-d", "math", "--tasks", "8", "--temperature", "0.6", "--out", "p.json"])
    assert done.exit_code == 0, done.output
    assert "8 of 12 train tasks" in done.output
    assert "it costs no money" in done.output
    found = probe.Probe.model_validate_json((tmp_path / "p.json").read_text())
    assert total(found) in done.output
    assert json.loads((tmp_path / "p.json").read_text())["attempted"][2]["temperature"] == 0.6


def test_the_training_s_own_steps_are_timed(trained, monkeypatch):
    monkeypatch.chdir(trained)
    from parammem.config import load_params

    params = load_params("params.yaml")
    engine_of(monkeypatch, 0.5)
    found = probe.run(params, "math", 6, [], seed=0)
    assert found.pace.step_seconds is not None
    assert found.pace.step_seconds > 0


def with_domains(domains) -> Params:
    return PARAMS.model_copy(update={"domains": PARAMS.model_validate(small_params() | {"domains": domains}).domains})


@pytest.mark.parametrize("measure", [lambda p, d: probe.run(p, d, 4, [], 0), lambda p, d: uptake.run(p, d, 4, 0)])
def test_a_domain_without_keys_and_one_that_params_do_not_have_are_refused(measure):
    with pytest.raises(DataError, match="support is of kind open"):
        measure(with_domains({"support": {"kind": "open"}}), "support")
    with pytest.raises(ConfigError, match=r"no domain 'code' in params\.yaml; there are math"):
        measure(with_domains({"math": {"kind": "math"}}), "code")


def test_a_domain_with_a_name_of_its_own_is_sampled_by_its_kind(tmp_path):
    params = with_domains({"math": {"kind": "math"}, "shop": {"kind": "math"}})
    usual, named = (sample_train(params, name, tmp_path, 3, 0) for name in ("math", "shop"))
    assert [task.text for task, _ in usual.pairs] == [task.text for task, _ in named.pairs]


def test_the_command_takes_the_first_domain_of_params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params() | {"domains": ["qa", "code"]}))
    asked = []
    monkeypatch.setattr(probe, "run", lambda params, domain, *rest: asked.append(domain) or 1 / 0)
    monkeypatch.setattr(uptake, "run", lambda params, domain, *rest: asked.append(domain) or 1 / 0)
    for command in ("probe", "uptake"):
        CliRunner().invoke(app, [command])
    assert asked == ["qa", "qa"]
