"""Facts about docs/operate.md: its tested blocks run, and what it names exists."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from parammem.cli import app
from parammem.config import load_params
from parammem.core.event import Ingested
from parammem.improve.run import improve
from parammem.registry.ledger import Ledger
from parammem.registry.state import champion
from tests.improve.lab import drop_batch, dvc, git, lab_tools, make_lab
from tests.test_tour import parse, quoted

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"<!-- tested -->\n```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def page(repo_root):
    return (repo_root / "docs" / "operate.md").read_text(encoding="utf-8")


@pytest.fixture
def repository(tmp_path):
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "first"], cwd=tmp_path, check=True)
    return tmp_path


def shell(block: str, root: Path) -> str:
    """Run a block as it stands, with this environment's commands; it has to end well. Returns what it printed."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "GIT_EDITOR": "true"}
    done = subprocess.run(["bash", "-ec", block], cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, (block, done.stdout, done.stderr)
    return done.stdout


def block_with(page: str, word: str) -> str:
    """The block of commands with a word."""
    (found,) = [block for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if word in block]
    return found


def test_the_tested_blocks_run(page, repository):
    blocks = BLOCK.findall(page)
    assert len(blocks) == 2
    for block in blocks:
        shell(block.replace("/tmp/", f"{repository}/"), repository)
    config = (repository / ".dvc" / "config").read_text()
    assert "remote = store" in config
    assert "s3://bucket/parammem" in config


def test_deployments_and_their_descriptions_are_distinct_and_the_same_in_both_places(repo_root):
    from flows.serve import DESCRIPTIONS

    found = yaml.safe_load((repo_root / "prefect.yaml").read_text())["deployments"]
    names = [one["name"] for one in found]
    assert len(set(names)) == len(names)
    assert {one["description"] for one in found} == set(DESCRIPTIONS.values())


def test_the_params_that_it_shows_are_read(page, repo_root, tmp_path):
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    params = yaml.safe_load((repo_root / "params.yaml").read_text())
    params["improve"] |= yaml.safe_load(shown)["improve"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert load_params(tmp_path / "params.yaml").improve.notify == ("PARAMMEM_SLACK", "PARAMMEM_MAIL", "PARAMMEM_HOOK")


def test_every_command_of_ours_that_the_page_names_exists(page):
    lines = [line.partition("#")[0].strip() for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
             for whole in block.splitlines() for line in whole.split("&&")]  # fmt: skip
    named = [one for one in (*lines, *quoted(page)) if re.match(r"(parammem|python -m) [a-z]", one)]
    assert len(named) > 10
    for one in named:
        words = shlex.split(one)
        if words[0] == "python":
            assert importlib.util.find_spec(words[2]), one
            continue
        found, rest = command(words[1:])
        if rest:  # a name alone stands for the command with whatever it needs
            parse(found, rest, one)


def command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words lead to, and the words after its name."""
    found: Any = typer.main.get_command(app)
    while words and hasattr(found, "commands"):
        assert words[0] in found.commands, f"there is no command {words[0]!r}"
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_what_automation_did_is_taken_over_as_the_page_says(page, tmp_path):
    """A turn promotes on the server's clone; a person, who has taken a batch in meanwhile, merges and pushes."""
    root, mine, origin = make_lab(tmp_path), tmp_path / "mine", tmp_path / "origin.git"
    shutil.copy(ROOT / ".gitattributes", root / ".gitattributes")
    dvc(root, "repro", "-q", "tasks@code")
    dvc(root, "push", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "tasks")
    git(root, "init", "-q", "--bare", "-b", "main", str(origin))
    git(root, "remote", "add", "origin", str(origin))
    git(root, "push", "-q", "-u", "origin", "main")
    git(root, "clone", "-q", str(origin), str(mine))
    git(mine, "config", "user.name", "Ada")
    git(mine, "config", "user.email", "ada@example.org")
    drop_batch(root, "one")
    improve(root, lab_tools())
    git(root, "push", "-q", "--tags", "origin", "improve")
    file = drop_batch(tmp_path / "elsewhere", "two")
    shell(f"parammem registry setup; dvc pull -q --allow-missing; parammem ingest {file}; dvc push -q", mine)
    git(mine, "add", "-A")
    git(mine, "commit", "-q", "-m", "Batch two")
    said = shell(block_with(page, "git merge origin/improve"), mine)
    assert "nothing was changed since it was recorded" in said
    events = Ledger(mine).read()
    assert getattr(champion(events, "code"), "name", "") == "v1"
    assert {e.fact.name for e in events if isinstance(e.fact, Ingested)} == {"one.jsonl", "two.jsonl"}
    assert git(mine, "rev-parse", "HEAD") == git(origin, "rev-parse", "main")
    upgrade = [line for line in block_with(page, "dvc repro --dry").splitlines() if line.startswith("dvc ")]
    assert len(upgrade) == 2
    assert "train@code" in shell("\n".join(upgrade), mine), "the new batch is a reason to train again"
