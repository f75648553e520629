"""Profiles hold only what differs from params.yaml, are valid and documented; one command lays one over it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem.agents.methods import get_method
from parammem.benchmarks.table import BENCHMARKS
from parammem.cli import app
from parammem.config import load_params
from parammem.core.plain_yaml import plain_yaml
from parammem.engines.folders import hub_parts, named_model
from parammem.errors import ConfigError
from parammem.overlays import changes_of, laid_over
from tests.test_overlays import differences

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
MADE_HERE = "models/smollm2"
"""A folder that `make real` makes of a wheel, by a pinned digest."""
WANTED = {
    "smollm2",
    "smollm2-english",
    "paper-code",
    "paper-math",
    "paper-qa",
    "paper-self-teaching",
    "paper-weak-to-strong",
    "laptop",
}


def test_the_profiles_that_the_paper_and_a_laptop_need_are_there():
    assert {path.stem for path in PROFILES} >= WANTED


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_is_an_overlay_valid_and_says_what_it_is(path):
    params = load_params(path)
    base, said = plain_yaml((ROOT / "params.yaml").read_text(encoding="utf-8")), changes_of(path)
    assert differences(base, laid_over(base, said)) == said, "a profile says nothing that params.yaml says"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"parammem profile apply {path.stem}" in text
    for source in params.benchmarks.sources:
        assert BENCHMARKS[source.benchmark].domain == source.domain
        assert source.path or re.fullmatch("[0-9a-f]{40}", source.revision), "a source of the hub names its commit"
    for model in filter(None, (params.engine.model, params.reflector.base)):
        assert hub_parts(named_model(model, ROOT))[1] or model == MADE_HERE, (
            "a model of the hub is pinned to a commit, in a file DVC can watch"
        )
    if params.engine.server and params.engine.server.budget_usd:
        assert hub_parts(named_model(params.engine.model, ROOT))[0] in params.engine.server.prices
    for domain in params.domains if params.benchmarks.sources else ():
        assert {s.split for s in params.benchmarks.sources if s.domain == domain} >= {"train", "eval"}
    for method in (params.collect.method, *params.evaluate.methods):
        get_method(method)
    if params.benchmarks.sources:
        assert "other_world" not in params.train.controls, "there is no other world of a benchmark"


@pytest.mark.parametrize("path", [p for p in PROFILES if p.stem.startswith("paper")], ids=lambda path: path.stem)
def test_the_paper_s_profiles_have_the_paper_s_numbers(path):
    params = load_params(path)
    recipe = params.train
    assert (recipe.rank, recipe.alpha, recipe.learning_rate, recipe.epochs) == (128, 32, 2e-5, 3)
    assert params.agent.iterations == 5
    assert (params.agent.first_temperature, params.agent.later_temperature) == (0.2, 1.0)
    learner = named_model(params.reflector.base or params.engine.model, ROOT)
    assert hub_parts(learner)[0] == "meta-llama/Llama-3.1-8B-Instruct"
    assert "task" in params.collect.parts, "the paper's rows, from the task alone"
    sizes = {(s.benchmark, s.take) for s in params.benchmarks.sources if s.split == "eval"}
    assert sizes in ({("humaneval", 0)}, {("math", 278)}, {("hotpotqa", 300)}, {("livecodebench", 150)})


@pytest.mark.parametrize("path", [p for p in PROFILES if not p.stem.startswith("smollm2")], ids=lambda path: path.stem)
def test_profiles_of_real_models_learn_from_outcomes(path):
    collect = load_params(path).collect
    assert (collect.label, collect.outcome) == ("experience", "final")
    assert {"hindsight", "failure", "contrast"} <= set(collect.parts)


def test_each_special_profile_differs_in_what_it_is_about():
    found = {path.stem: load_params(path) for path in PROFILES}
    assert found["paper-self-teaching"].reflector.rounds == 3
    assert found["paper-sample-efficiency"].train.select == 500
    strong = found["paper-weak-to-strong"]
    assert strong.reflector.base != strong.engine.model
    assert found["laptop"].engine.kind == "hf"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, ["profile", *arguments])


def test_apply_shows_the_change_makes_it_and_keeps_the_file_before(project):
    before = (project / "params.yaml").read_text(encoding="utf-8")
    shown = run("show", "laptop")
    assert "+  model: profiles/models/qwen2.5-0.5b-instruct.json" in shown.output
    assert (project / "params.yaml").read_text(encoding="utf-8") == before
    applied = run("apply", "laptop")
    assert applied.exit_code == 0
    assert "+  model: profiles/models/qwen2.5-0.5b-instruct.json" in applied.output
    after = (project / "params.yaml").read_text(encoding="utf-8")
    assert after.startswith("# Profile laptop: ")
    assert load_params(project / "params.yaml") == load_params(ROOT / "profiles" / "laptop.yaml")
    assert "# pocket tasks (docs/pocket-world.md)" in after, "comments stay"
    assert (project / ".cache/params.before.yaml").read_text(encoding="utf-8") == before
    again = run("apply", "laptop")
    assert "already" in again.output
    assert (project / ".cache/params.before.yaml").read_text(encoding="utf-8") == before


def test_a_broken_or_unknown_profile_changes_nothing(project):
    before = (project / "params.yaml").read_bytes()
    (project / "profiles" / "broken.yaml").write_text("# broken\ndomains: [codes]\n", encoding="utf-8")
    (project / "profiles" / "odd.yaml").write_text("# odd\nengine: {batches: 3}\n", encoding="utf-8")
    (project / "profiles" / "empty.yaml").write_text("# nothing\n", encoding="utf-8")
    cases = {
        "broken": "mistake",
        "odd": "engine.batches: unknown key; did you mean 'batch'?",
        "empty": "holds no settings",
        "papers": "known: broken, empty, laptop",
    }
    for name, words in cases.items():
        result = run("apply", name)
        assert isinstance(result.exception, ConfigError)
        assert words in str(result.exception)
    assert (project / "params.yaml").read_bytes() == before


def test_another_profile_is_laid_over_what_the_first_was_laid_over(project):
    mine = (project / "params.yaml").read_text(encoding="utf-8").replace("rank: 32", "rank: 33")
    (project / "params.yaml").write_text(mine, encoding="utf-8")
    run("apply", "paper-code")
    edited = (project / "params.yaml").read_text(encoding="utf-8") + "# by hand\n"
    (project / "params.yaml").write_text(edited, encoding="utf-8")
    applied = run("apply", "laptop")
    assert applied.exit_code == 0
    found = load_params(project / "params.yaml")
    assert found.engine.kind == "hf", "nothing of the first profile is left"
    assert found == load_params(project / "profiles" / "laptop.yaml"), "a profile that is read is laid over it too"
    assert (project / ".cache/params.before.yaml").read_text(encoding="utf-8") == edited
    assert (project / ".cache/params.base.yaml").read_text(encoding="utf-8") == mine
    (project / ".cache/params.base.yaml").unlink()
    lost = run("apply", "paper-code")
    assert isinstance(lost.exception, ConfigError)
    assert "git checkout params.yaml" in str(lost.exception)


def test_list_names_each_with_the_first_sentence_about_it(project):
    (project / "profiles" / "own.yaml").write_text("# One that takes\n# two lines, e.g. so. Another.\nengine: {}\n")
    lines = run("list").output.splitlines()
    assert [line.split()[0] for line in lines] == sorted(["own", *(path.stem for path in PROFILES)])
    assert "own                        One that takes two lines, e.g. so." in lines
    assert all(line.endswith(".") for line in lines), "whole sentences"


def test_pin_writes_the_file_that_params_may_name(project):
    commit = "0123456789" * 4
    pinned = run("pin", "Some/Small-Model", "--revision", commit)
    assert pinned.exit_code == 0
    assert named_model("profiles/models/small-model.json", project) == f"Some/Small-Model@{commit}"
    assert run("pin", "gpt-4o-mini", "--served").exit_code == 0
    assert named_model("profiles/models/gpt-4o-mini.json", project) == "gpt-4o-mini"
    wrong = run("pin", "no-owner", "--revision", commit)
    assert isinstance(wrong.exception, ConfigError)
    assert not (project / "profiles/models/no-owner.json").exists()


def test_pin_without_the_hub_says_what_to_give(project):
    unreached = run("pin", "Some/Small-Model")
    assert isinstance(unreached.exception, ConfigError)
    assert "--revision" in str(unreached.exception)
