"""Facts about `parammem pocket`: training that goes on, models that are left alone, tasks for people to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parammem import cli
from parammem.cli import pocket
from parammem.errors import ConfigError, DataError, ModelMissingError
from parammem.pocket.recipe import POCKET_TINY, recipe_digest


def run(*arguments: str):
    return CliRunner().invoke(cli.app, ["pocket", *arguments])


@pytest.mark.parametrize("domain", ["code", "math", "qa"])
def test_show_prints_tasks_with_what_is_seen_and_what_is_hidden(domain):
    result = run("show", domain, "--world", "3", "--n", "2")
    assert result.exit_code == 0, result.output
    assert result.output.count("visible checks:") == 2
    assert result.output.count("hidden from the agent") == 2
    assert f"{domain}-eval-0001" in result.output
    assert result.output == run("show", domain, "--world", "3", "-n", "2").output
    assert result.output != run("show", domain, "--world", "4", "-n", "2").output


def test_shown_truth_is_that_of_the_key():
    from parammem.pocket.world import World, draw_splits

    drawn = draw_splits("code", World(3, 0.9), {"eval": 1})["eval"][0]
    text = pocket.as_text(drawn)
    for name, value in drawn.key.facts.items():
        told = "   (a visible check tells)" if name in drawn.key.tags["revealed"].split() else ""
        assert f"  {name} {value}{told}\n" in text
    assert drawn.task.text in text


def test_an_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="known: pocket-1m, pocket-4m, pocket-250k, pocket-tiny"):
        pocket.find_recipe("pocket-9m")
    assert isinstance(run("train", "pocket-9m").exception, ConfigError)


def test_a_folder_with_something_else_in_it_is_never_written_over(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    result = run("train", "pocket-tiny", "--out", str(tmp_path), "--cache", str(tmp_path / "cache"))
    assert isinstance(result.exception, DataError)
    assert "holds files but no recipe.json" in str(result.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_broken_recipe_record_is_named(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(DataError, match=r"recipe\.json is not a recipe record"):
        pocket.of_recipe(tmp_path, POCKET_TINY)


def test_scoring_no_model_says_how_to_get_one(tmp_path):
    with pytest.raises(ModelMissingError, match="parammem pocket train"):
        pocket.write_scores(tmp_path / "none", "cpu", 1)


def test_a_model_of_the_current_recipe_is_left_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe_digest": recipe_digest(POCKET_TINY)}))
    (tmp_path / "scores.json").write_text("{}")
    monkeypatch.setattr("parammem.pocket.pretrain.pretrain", lambda *_: pytest.fail("it was trained again"))
    result = run("train", "pocket-tiny", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "trained by the recipe pocket-tiny as it is now" in result.output


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_training_stops_in_time_goes_on_and_ends_with_scores(tmp_path):
    out, cache = tmp_path / "model", tmp_path / "cache"
    places = ["--out", str(out), "--cache", str(cache), "--device", "cpu", "--tasks", "2"]
    stopped = run("train", "pocket-tiny", *places, "--seconds", "0")
    assert stopped.exit_code == pocket.NOT_FINISHED
    assert "nothing is lost. To go on, run: parammem pocket train pocket-tiny" in stopped.output
    assert not out.exists()
    assert len(list(cache.glob("*/checkpoint.pt"))) == 1
    done = run("train", "pocket-tiny", *places)
    assert done.exit_code == 0, done.output
    scores = json.loads((out / "scores.json").read_text())
    assert scores["tasks_per_domain"] == 2
    assert set(scores["domains"]) == {"code", "math", "qa"}
    weights, written = (out / "model.safetensors").read_bytes(), (out / "scores.json").read_bytes()
    assert run("train", "pocket-tiny", *places).exit_code == 0
    assert (out / "model.safetensors").read_bytes() == weights
    scored = run("score", str(out), "--device", "cpu", "--tasks", "2")
    assert scored.exit_code == 0, scored.output
    assert (out / "scores.json").read_bytes() == written
    assert Path(out / "chat_template.jinja").is_file()
