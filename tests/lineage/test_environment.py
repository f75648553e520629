"""A rebuild says how this environment differs from the recorded one, and can run in the recorded one made anew."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from parammem.core.adapter import read_card
from parammem.errors import LineageError
from parammem.lineage import rebuild, render_rebuilt
from parammem.lineage.past.events import read_life, trained
from parammem.lineage.rebuilds import requirements
from parammem.lineage.rebuilds.environment import differences, package_differences, recreate, still_different
from parammem.lineage.rebuilds.requirements import asked_for
from tests.lineage.life import FOLDER
from tests.lineage.test_verify import git


def wheel(folder: Path, version: str) -> None:
    """A package `tinydep` that knows its version, made by hand: nothing is fetched."""
    info = f"tinydep-{version}.dist-info"
    files = {
        "tinydep.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinydep\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"tinydep-{version}-py3-none-any.whl", "w") as out:
        for name, text in files.items():
            out.writestr(name, text)


@pytest.fixture
def offline(tmp_path, monkeypatch) -> Path:
    """pip sees two wheels in a folder and no index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        wheel(folder, version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def project(tree: Path, pin: str = "1.0") -> None:
    (tree / "constraints.txt").write_text(f"tinydep=={pin}\nnumpy==0.0.1\n")
    (tree / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[project.optional-dependencies]\npipeline = ["tinydep"]\n'
        '[project.scripts]\ntiny = "tinycli:main"\n'
    )


def test_machine_and_packages_that_differ_are_named_and_others_are_not(lived):
    root, _ = lived
    adapter = read_card(root / FOLDER)
    event = trained(read_life(root), adapter.digest)
    assert event is not None
    (root / "constraints.txt").write_text("numpy==0.0.1\n")
    git(root, "add", "constraints.txt")
    git(root, "commit", "-qm", "pins")
    was = {"python": "CPython 2.7.18", "system": f"{platform.system()} {platform.machine()}", "cpu": "Zilog z80"}
    other = event.model_copy(update={"environment": was})
    found = differences(root, "HEAD", adapter, other)
    assert set(found) == {"numpy", "python", "cpu"}
    assert found["python"] == ("CPython 2.7.18", f"{platform.python_implementation()} {platform.python_version()}")
    gpu = adapter.model_copy(update={"recipe": {**adapter.recipe, "device": "cuda", "threads": 4096}})
    assert {"device", "threads"} <= set(differences(root, "HEAD", gpu, None))
    assert package_differences({"nobody-has-this": "1"}) == {}


def test_a_python_that_is_not_here_is_named(lived, tmp_path):
    root, _ = lived
    adapter = read_card(root / FOLDER)
    event = trained(read_life(root), adapter.digest)
    assert event is not None
    project(tmp_path)
    old = event.model_copy(update={"environment": {"python": "CPython 2.3.5"}})
    with pytest.raises(LineageError, match=r"python2\.3"):
        recreate(root, tmp_path, old, print)


@pytest.mark.integration
def test_the_recorded_packages_are_installed_and_used_again(tmp_path, offline):
    repo, tree = tmp_path / "repo", tmp_path / "tree"
    repo.mkdir()
    tree.mkdir()
    project(tree)
    said = []
    python = recreate(repo, tree, None, said.append)
    ask = [str(python), "-c", "import tinydep; print(tinydep.version)"]
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip() == "1.0"
    assert (python.parent / "tiny").read_text().startswith(f"#!{python}")
    again = []
    assert recreate(repo, tree, None, again.append) == python
    assert (len(said), again) == (2, [])
    before = {"tinydep": ("1.0", "2.0"), "cpu": ("a", "b"), "python": ("CPython 2.7.18", "x")}
    left = still_different(before, python, {"tinydep": "1.0"})
    assert set(left) == {"cpu", "python"}
    project(tree, pin="3.0")
    with pytest.raises(LineageError, match="tinydep"):
        recreate(repo, tree, None, said.append)


def test_a_repository_made_by_init_asks_for_what_this_package_needs(tmp_path):
    assert asked_for(tmp_path) is None
    here = importlib.metadata.version("parammem")
    (tmp_path / "requirements.txt").write_text(f"# made by init\n\nparammem[pipeline]=={here}\ntinydep>=1\n-e .\n")
    asked = asked_for(tmp_path)
    assert asked is not None
    assert asked.copied == here
    assert asked.wanted[-3:] == ["tinydep>=1", "-e", "."]
    names = [re.split(r"[^A-Za-z0-9_.-]", one)[0].lower() for one in asked.wanted]
    assert {"pydantic", "torch", "dvc"} <= set(names)
    assert "parammem" not in names
    assert "ruff" not in names, "an extra that nobody asked for"
    assert asked.scripts["parammem"].startswith("parammem.")
    (tmp_path / "requirements.txt").write_text("parammem[pipeline]==0.0.7\n")
    assert asked_for(tmp_path) == (["parammem[pipeline]==0.0.7"], {}, ""), "another version comes from pip's index"


@pytest.mark.integration
def test_the_environment_of_a_repository_made_by_init_has_this_package(tmp_path, offline, monkeypatch):
    repo, tree = tmp_path / "repo", tmp_path / "tree"
    repo.mkdir()
    tree.mkdir()
    (tree / "constraints.txt").write_text("tinydep==1.0\n")
    (tree / "requirements.txt").write_text(f"parammem=={importlib.metadata.version('parammem')}\ntinydep\n")
    monkeypatch.setattr(requirements, "_needs", lambda *_: [])  # no index here
    python = recreate(repo, tree, None, print)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    code = "import importlib.metadata as m, parammem, tinydep; print(m.version('parammem'), parammem.__file__)"
    said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == importlib.metadata.version("parammem")
    assert Path(said[1]).is_relative_to(repo)
    assert (python.parent / "parammem").read_text().startswith(f"#!{python}")


@pytest.mark.integration
def test_a_rebuild_runs_in_the_recorded_environment_and_says_so(lived, offline, monkeypatch):
    root, _ = lived
    project(root)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "pins")
    monkeypatch.setenv("PYTHONPATH", next(p for p in sys.path if p.endswith("site-packages")))  # for DVC alone
    before = rebuild(root, "v2")
    assert before.environment == {}, "the commit of v2 pinned nothing"
    from parammem.lineage.rebuilds import environment

    at_v2 = {"tinydep": ("1.0", "2.0"), "cpu": ("Zilog z80", "x")}
    monkeypatch.setattr(environment, "differences", lambda *_: at_v2)
    plain = rebuild(root, "v2", changes={"train.learning_rate": 0.75})
    assert "--recreate-environment" in plain.verdict
    with pytest.raises(LineageError, match="nothing to recreate from"):
        rebuild(root, "v2", recreate=True)
    monkeypatch.setattr(environment, "recreate", lambda repo, tree, *_: made(repo, tree))

    def made(repo, tree):
        project(tree)
        return recreate(repo, tree, None, print)

    done = rebuild(root, "v2", recreate=True)
    assert done.identical
    assert done.recreated.startswith(".cache/audit/environments/")
    assert set(done.environment) == {"cpu"}
    assert "although the environment differs in cpu" in done.verdict
    assert "cpu was Zilog z80" in render_rebuilt(done)
