"""Facts about `parammem init`: what the new repository holds, what is refused, and that it trains what is audited."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from parammem.checkout import dvc
from parammem.cli import app
from parammem.config import load_params
from parammem.errors import ConfigError, DataError
from parammem.lineage.rebuilds.environment import package_differences, pins_of
from parammem.overlays import written_over
from parammem.templates import MadeRepository, make_repository, repository
from parammem.templates.repository import DEFAULT_MODEL, FILES, PIN
from tests.stages.desk import log

ROOT = Path(__file__).resolve().parents[2]
POCKET = ROOT / "models" / "pocket-250k"
SMALL = {
    "engine": {"batch": 16, "max_advice_tokens": 16},
    "validate": {"min_rows": 1, "min_words": 1, "max_quarantined": 1.0},
    "train": {"max_steps": 4, "rank": 4, "alpha": 8},
    "evaluate": {"advice_draws": 2, "bootstrap": 100},
}


IDENTITY = {f"GIT_{who}_{what}": f"ada@{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
"""git knows a person, whatever this machine has set."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> MadeRepository:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in IDENTITY.items():
            patched.setenv(name, value)
        return make_repository(tmp_path_factory.mktemp("made") / "support", "support", "open")


@pytest.fixture
def files_only(monkeypatch):
    """Neither git nor DVC, which take a second."""
    monkeypatch.setattr(repository, "_under_git", lambda folder, domain: "")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def stages_of(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))["stages"]


def test_the_repository_is_whole_and_committed(made):
    folder = made.folder
    assert git(folder, "rev-parse", "HEAD") == made.committed
    assert git(folder, "status", "--porcelain") == ""
    listed = git(folder, "ls-files").splitlines()
    assert {*FILES, PIN, ".dvc/config", "data/tasks-in/.gitkeep", "data/inbox/.gitkeep"} <= set(listed)
    assert "merge-driver" in git(folder, "config", "merge.parammem-ledger.driver")
    assert git(folder, "check-attr", "merge", "ledger/events.jsonl").endswith("parammem-ledger")
    assert len((folder / "README.md").read_text().splitlines()) <= 10
    stages = dvc.ask(folder, "stage", "list", "--name-only").split()
    each = [f"{name}@support" for name in ("tasks", "collect", "validate", "train", "evaluate")]
    assert stages == ["code", *each, "report"]


def test_its_params_are_valid_and_say_the_domain(made):
    folder = made.folder
    params = load_params(folder / "params.yaml")
    assert params.kinds()["support"] == "open"
    assert list(params.domains) == ["support"]
    assert (params.experience.domain, params.engine.model) == ("support", PIN)
    assert json.loads((folder / PIN).read_text()) == DEFAULT_MODEL
    own = json.loads((ROOT / "profiles" / PIN).read_text())
    assert own == DEFAULT_MODEL


def test_its_pipeline_is_this_project_s_but_for_what_only_this_project_has(made):
    folder = made.folder
    theirs, ours = stages_of(folder / "dvc.yaml"), stages_of(ROOT / "dvc.yaml")
    assert theirs["code"].pop("always_changed")
    assert ours["code"].pop("deps") == ["src/parammem"]
    assert set(theirs["tasks"].pop("deps")) >= {*ours["tasks"].pop("deps"), "data/tasks-in", "data/fresh"}
    own = {"reports/study.json", "reports/variants.json"}
    assert set(theirs["report"].pop("deps")) == set(ours["report"].pop("deps")) - own
    assert ours.pop("mutation")
    assert theirs == ours


def test_its_params_have_every_key_of_this_project_s(made):
    folder = made.folder
    theirs, ours = (yaml.safe_load((at / "params.yaml").read_text()) for at in (folder, ROOT))
    del theirs["domains"], ours["domains"]
    assert {name: list(section) for name, section in theirs.items()} == {
        name: list(section) for name, section in ours.items()
    }


@pytest.mark.parametrize("kind", ["code", "math", "qa"])
def test_other_kinds_are_made_the_same_way(tmp_path, files_only, kind):
    folder = make_repository(tmp_path / "shop", "shop", kind).folder
    assert load_params(folder / "params.yaml").kind("shop") == kind
    assert "tasks-in" not in (folder / "README.md").read_text()


def test_its_schedules_name_flows_that_are_there(made):
    folder = made.folder
    named = {one["entrypoint"] for one in yaml.safe_load((folder / "prefect.yaml").read_text())["deployments"]}
    compile((folder / "flows.py").read_text(), "flows.py", "exec")
    flows = (folder / "flows.py").read_text().split("@flow\ndef ")[1:]
    assert named == {f"flows.py:{text.partition('(')[0]}" for text in flows}


def test_a_wheel_holds_the_templates():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["parammem"]
    for template in FILES.values():
        assert (ROOT / "src/parammem/templates" / template).is_file()
        assert any(fnmatch(f"templates/{template}", pattern) for pattern in patterns)


def test_a_model_folder_is_linked_and_a_pin_is_copied(tmp_path, files_only):
    linked = make_repository(tmp_path / "one", "support", "open", POCKET).folder
    assert load_params(linked / "params.yaml").engine.model == "models/pocket-250k"
    assert (linked / "models/pocket-250k/config.json").is_file()
    pin = ROOT / "profiles/models/llama-3.1-8b-instruct.json"
    copied = make_repository(tmp_path / "two", "support", "open", pin).folder
    assert (copied / "models" / pin.name).read_text() == pin.read_text()


@pytest.mark.parametrize("name", ["m\nsandbox: {level: none}", "x: y #z", "{{ 7 * 7 }}", "a'b\"c", "é\u2028m", "..."])
def test_a_model_folder_of_any_name_is_one_value_of_the_params(tmp_path, files_only, name):
    model = tmp_path / name
    model.mkdir()
    (model / "config.json").write_text("{}")
    made = make_repository(tmp_path / "one", "support", "open", model).folder
    params = load_params(made / "params.yaml")
    assert (made / params.engine.model).resolve() == model
    assert re.fullmatch(r"models/[A-Za-z0-9._-]+", params.engine.model)
    assert params.sandbox.level == "strict"


@pytest.mark.parametrize("name", ["Support", "support/refunds", "", "all", "-x", "a" * 32])
def test_a_name_that_no_domain_can_have_is_refused_and_nothing_is_made(tmp_path, name):
    with pytest.raises(ConfigError, match="--domain"):
        make_repository(tmp_path / "new", name, "open")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / ".hidden").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not empty: it has \.hidden, notes\.txt; name a folder"):
        make_repository(tmp_path, "support", "open")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "notes.txt"]
    with pytest.raises(DataError, match="is a file"):
        make_repository(tmp_path / "notes.txt", "support", "open")


@pytest.mark.parametrize("model", ["nowhere", "folder", "page.json"])
def test_what_is_no_model_is_refused_and_nothing_is_made(tmp_path, model):
    (tmp_path / "folder").mkdir()
    (tmp_path / "page.json").write_text('{"no": "pin"}')
    with pytest.raises(ConfigError, match=model):
        make_repository(tmp_path / "new", "support", "open", tmp_path / model)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_failure_takes_away_what_was_written(tmp_path, monkeypatch, there):
    folder = tmp_path / "new"
    if there:
        folder.mkdir()
    monkeypatch.setattr(dvc, "run", lambda *a, **k: (1, ["the disk is full"]))
    with pytest.raises(DataError, match="the disk is full"):
        make_repository(folder, "support", "open")
    assert folder.exists() == there
    assert not there or list(folder.iterdir()) == []


def test_without_an_identity_nothing_is_committed_and_it_is_said(tmp_path, monkeypatch):
    def nobody(root):
        raise repository.LedgerError("git does not know who you are")

    monkeypatch.setattr(repository, "require_identity", nobody)
    done = CliRunner().invoke(app, ["init", str(tmp_path / "support")])
    assert done.exit_code == 0, done.output
    assert "nothing is committed" in done.output
    assert (tmp_path / "support/dvc.yaml").is_file()


def command(folder: Path, *words: str) -> str:
    """Run a program as its user would, in the new repository: the package is found, this project's root is not."""
    settings: Mapping[str, str] = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT / "src"),
        "DVC_SITE_CACHE_DIR": str(folder / ".cache/dvc-site"),
    }
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.integration
def test_from_init_to_an_adapter_that_answers_the_ten_questions(tmp_path, monkeypatch):
    """Reported outcomes only, on a pocket model: a random one writes rows that no rule would let pass."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    command(tmp_path, "parammem.cli", "init", "support", "--model", str(POCKET))
    folder = tmp_path / "support"
    params = folder / "params.yaml"
    params.write_text(written_over(params.read_text(), SMALL))
    (tmp_path / "week.jsonl").write_text(log(20))
    assert "13 to learn from, 7 kept for judging" in command(folder, "parammem.cli", "ingest", "../week.jsonl")
    command(folder, "dvc", "repro")
    card = json.loads((folder / "models/reflectors/support/adapter.json").read_text())
    assert (card["domain"], card["base_model"]) == ("support", "models/pocket-250k")
    assert "No outcome was measured" in (folder / "reports/report.html").read_text()
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "First reflector")
    page = command(folder, "parammem.cli", "audit", "show")
    assert all(f"\n{number:2}. " in page for number in range(1, 11))
    assert "everything that it needs is here" in page
    assert "from week.jsonl" in page
    assert "no: 0 of 7 evaluation questions" in page, "they are in data/tasks and in data/fresh"
    assert "environment: not recorded" not in page
    assert "nothing was changed" in command(folder, "parammem.cli", "audit", "verify")
    (folder / "TASK.txt").write_text("Ticket 90 of Adler: wants the money back for a kettle that leaks")
    assert command(folder, "parammem.cli", "reflect", "TASK.txt", "-n", "1").startswith("1. ")
    command(folder, "dvc", "repro")
    assert git(folder, "status", "--porcelain") == "?? TASK.txt"


def test_the_versions_that_are_installed_here_are_pinned(made):
    pins = pins_of(made.folder, "HEAD")
    assert {name: version(name).partition("+")[0] for name in ("torch", "peft", "dvc", "pydantic-core")}.items() <= (
        pins.items()
    )
    assert "parammem" not in pins, "requirements.txt has it"
    assert not package_differences(pins)


def test_the_next_commands_can_be_pasted_whatever_the_folder_is_called(tmp_path, files_only):
    done = CliRunner().invoke(app, ["init", str(tmp_path / "my desk"), "--domain", "support"])
    assert f"cd '{tmp_path}/my desk'; parammem ingest" in done.output
