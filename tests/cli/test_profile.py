"""Profiles are whole, valid and documented; one command puts one in the place of params.yaml."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from parammem.agents.methods import get_method
from parammem.benchmarks.table import BENCHMARKS
from parammem.cli import app
from parammem.config import load_params
from parammem.engines.folders import hub_parts, named_model
from parammem.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
WANTED = {"paper-code", "paper-math", "paper-qa", "paper-self-teaching", "paper-weak-to-strong", "laptop"}


def names(path: Path) -> list[str]:
    """Every key of a params file, with its section."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [f"{section}.{key}" if isinstance(inner, dict) else section
            for section, inner in raw.items() for key in (inner if isinstance(inner, dict) else [""])]  # fmt: skip


def test_the_profiles_that_the_paper_and_a_laptop_need_are_there():
    assert {path.stem for path in PROFILES} >= WANTED


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_is_whole_valid_and_says_what_it_is(path):
    params = load_params(path)
    assert sorted(names(path)) == sorted(names(ROOT / "params.yaml")), "a profile leaves no key to a default"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"parammem profile apply {path.stem}" in text
    for source in params.benchmarks.sources:
        assert BENCHMARKS[source.benchmark].domain == source.domain
        assert source.path or re.fullmatch("[0-9a-f]{40}", source.revision), "a source of the hub names its commit"
    for model in filter(None, (params.engine.model, params.reflector.base)):
        assert hub_parts(named_model(model, ROOT))[1], (
            "a model of the hub is pinned to a commit, in a file DVC can watch"
        )
    if params.engine.server and params.engine.server.budget_usd:
        assert hub_parts(named_model(params.engine.model, ROOT))[0] in params.engine.server.prices
    for domain in params.domains:
        assert {s.split for s in params.benchmarks.sources if s.domain == domain} >= {"train", "eval"}
    for method in (params.collect.method, *params.evaluate.methods):
        get_method(method)
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
    assert params.collect.label == "task-only"
    sizes = {(s.benchmark, s.take) for s in params.benchmarks.sources if s.split == "eval"}
    assert sizes in ({("humaneval", 0)}, {("math", 278)}, {("hotpotqa", 300)}, {("livecodebench", 150)})


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
    assert (project / "params.yaml").read_bytes() == (project / "profiles" / "laptop.yaml").read_bytes()
    assert (project / ".cache/params.before.yaml").read_text(encoding="utf-8") == before
    again = run("apply", "laptop")
    assert "already" in again.output
    assert (project / ".cache/params.before.yaml").read_text(encoding="utf-8") == before


def test_a_broken_or_unknown_profile_changes_nothing(project):
    before = (project / "params.yaml").read_bytes()
    (project / "profiles" / "broken.yaml").write_text("# broken\ndomains: [codes]\n", encoding="utf-8")
    for name, words in (("broken", "mistake"), ("papers", "known: broken, laptop")):
        result = run("apply", name)
        assert isinstance(result.exception, ConfigError)
        assert words in str(result.exception)
    assert (project / "params.yaml").read_bytes() == before


def test_list_names_each_with_its_first_line(project):
    lines = run("list").output.splitlines()
    assert [line.split()[0] for line in lines] == [path.stem for path in PROFILES]
    assert all(len(line) > 40 for line in lines)


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
