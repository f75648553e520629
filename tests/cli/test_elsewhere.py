"""Every command in a folder that is no project, and in a clone without data, models and ledger: it says what is missing
and what to do, leaves nothing behind, and never calls it a bug or lineage that does not hold."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from parammem import cli
from parammem.cli import exceptions
from parammem.config import kinds_in

GIVEN: dict[str, list[str]] = {
    "reflect": ["task.txt"],
    "grade": ["rows.jsonl", "--domain", "code"],
    "rollback": ["--to", "before"],
    "synthesise": ["--count", "3"],
    "audit row": ["0123456789abcdef"],
    "audit recall": ["--row", "0123456789abcdef"],
    "audit answer": ["abc"],
    "audit export": ["champion", "out"],
    "audit check": ["bundle"],
    "registry merge-driver": ["base", "ours", "theirs"],
    "registry import": ["adapter"],
    "registry fetch": ["champion", "--to", "out"],
    "sandbox check": ["solution.py", "--calls", "calls.json"],
    "sandbox bench": ["problems.jsonl"],
    "pocket train": ["no-recipe"],
    "pocket score": ["models/no-model"],
    "pocket show": ["code"],
    "model from-gguf": ["model.gguf", "out"],
    "profile show": ["no-profile"],
    "profile apply": ["no-profile"],
    "profile pin": ["no-owner/no-model"],
    "serve reflector": ["models/reflectors/code"],
    **{f"stage {name}": ["--domain", "code"] for name in ("tasks", "collect", "validate", "train", "evaluate")},
}
"""What a command is given, where it needs something; none of these files is there."""
ANYWHERE = {"schema", "pocket show", "profile list", "registry setup"}
"""What works without a project. (`sandbox doctor` does too and is tried below, `init` makes one.)"""
ELSEWHERE_TESTED = {"init", "sandbox doctor"}
WORKS_IN_A_CLONE = {
    "probe",
    "uptake",
    "stage tasks",
    "stage collect",
    "up",
    "mcp",
    "check-champion",
    "doctor",
    "stage code",
}
"""What does its work in a clone without data: it takes long, goes on for ever, or writes what it is asked for."""
SAYS_THERE_IS_NOTHING = {
    "improve": "Nothing to do", "generations": "no challenger was judged yet", "sync": "0 made", "track": "nothing new",
    "registry history": "champion: none", "registry verify": "0 events", "registry gc": "No unused",
    "serve spent": "nothing was spent", "audit verify": "unknown: ",
}  # fmt: skip
FOUND_WITHOUT_DATA = {0, 1, 2, 3, 4, 5, 6, 11}
"""Exit codes: something is missing, a wrong usage, params, data, a model, an adapter, a version."""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Names of all commands."""
    if not hasattr(command, "commands"):
        yield " ".join(path)
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


COMMANDS = sorted(leaves(get_command(cli.app)))


def ended(command: str) -> exceptions.End:
    """What a command prints, standard error too, and its exit code."""
    done = CliRunner().invoke(cli.app, [*command.split(), *GIVEN.get(command, [])])
    if done.exception is None or isinstance(done.exception, SystemExit):
        return exceptions.End(done.output, done.exit_code)
    assert isinstance(done.exception, Exception)
    return exceptions.ending(done.exception)


def left(folder: Path) -> list[str]:
    """Files, but for those of git and DVC."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] not in (".git", ".dvc"))


def test_the_lists_above_name_commands():
    assert {*GIVEN, *ANYWHERE, *ELSEWHERE_TESTED, *WORKS_IN_A_CLONE, *SAYS_THERE_IS_NOTHING} <= set(COMMANDS)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - ELSEWHERE_TESTED))
def test_outside_of_a_project_a_command_says_so_and_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    end = ended(command)
    assert left(tmp_path) == []
    assert "bug of parammem" not in end.message
    if command in ANYWHERE:
        assert end.code == 0, end
        return
    assert end.code in FOUND_WITHOUT_DATA - {0}, end
    assert "; " in end.message or "run from the project's folder" in end.message, f"what to do? {end}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory, repo_root) -> Path:
    """The files of the last commit under git, and no more."""
    folder = tmp_path_factory.mktemp("clone") / "repo"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{repo_root}", str(folder)], check=True)
    return folder


@pytest.mark.integration
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - ELSEWHERE_TESTED - WORKS_IN_A_CLONE))
def test_in_a_clone_without_data_a_command_says_what_is_missing(command, clone, monkeypatch):
    monkeypatch.chdir(clone)
    assert next(iter(kinds_in("params.yaml"))) == "code"
    before = [name for name in left(clone) if not name.startswith(".cache")]
    end = ended(command)
    assert [name for name in left(clone) if not name.startswith(".cache")] == before
    assert "bug of parammem" not in end.message
    assert end.code in FOUND_WITHOUT_DATA, end
    if end.code == 0:
        said = SAYS_THERE_IS_NOTHING.get(command, "")
        assert command in ANYWHERE or (said and said in end.message), end


def test_the_sandbox_looks_at_this_machine_and_needs_no_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ended("sandbox doctor").code in (0, 7)
    assert os.listdir(tmp_path) == []
