"""Facts about docs/operate.md: its tested blocks run, and what it names exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import yaml

from parammem.config import load_params

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


def test_the_tested_blocks_run(page, repository):
    blocks = BLOCK.findall(page)
    assert len(blocks) == 2
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    for block in blocks:
        script = "set -e\n" + block.replace("/tmp/", f"{repository}/")
        done = subprocess.run(
            ["bash", "-c", script], cwd=repository, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, (block, done.stderr)
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
