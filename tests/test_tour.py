"""What docs/tour.md names exists, and what it quotes is what the code writes."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from parammem.checkout.places import DECISIONS, LEDGER, Places
from parammem.cli import app
from parammem.config import load_params
from parammem.core import ReflectionExample
from parammem.core.adapter import Adapter
from parammem.pocket.world import World, WorldTask, draw_splits

STARTS = ("src", "data", "models", "reports", "ledger", "tests")


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs/tour.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def drawn(repo_root: Path) -> WorldTask:
    """The page's task, drawn anew as the stage `tasks` does."""
    tasks = load_params(repo_root / "params.yaml").tasks
    return draw_splits("math", World(tasks.world, tasks.rho), {"train": 2})["train"][1]


def quoted(page: str) -> list[str]:
    """Everything between single backquotes outside of code blocks."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.S | re.M)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]


def block(page: str, name: str) -> dict[str, Any]:
    """The fields of an excerpt; "…" stands for the fields that it leaves out."""
    found = re.search(rf"^```json {name}\n(.*?)^```", page, flags=re.S | re.M)
    assert found, f"docs/tour.md has no excerpt {name!r}"
    return json.loads(re.sub(r",\s*…", "", found[1]))


def as_json(record: Any) -> dict[str, Any]:
    return json.loads(record.model_dump_json())


def test_every_function_of_the_page_is_where_it_says(page, repo_root):
    named = re.findall(r"`(src/[\w/]+\.py):(\w+)`", page)
    assert len(named) > 15
    for path, name in named:
        tree = ast.parse((repo_root / path).read_text(encoding="utf-8"))
        there = {getattr(node, "name", "") for node in tree.body}
        assert name in there, f"{path} has no {name}"


def test_every_path_of_the_page_exists_or_is_an_output(page, repo_root):
    outputs = declared_outputs(repo_root)
    paths = [found.partition(":")[0] for found in quoted(page) if found.split("/")[0] in STARTS and " " not in found]
    assert len(paths) > 30
    for path in paths:
        made = any(Path(path).is_relative_to(out) for out in outputs) or path.startswith(f"{DECISIONS}/<digest>")
        assert made or (repo_root / path).exists(), f"{path} neither exists nor is an output"


def declared_outputs(root: Path) -> set[str]:
    """Outputs of dvc.yaml for math, the folders of the ledger, and the files that a trained adapter has."""
    outputs = {str(LEDGER), str(DECISIONS)}
    for stage in yaml.safe_load((root / "dvc.yaml").read_text())["stages"].values():
        for out in stage.get("do", stage).get("outs", []):
            outputs.add((out if isinstance(out, str) else next(iter(out))).replace("${item.domain}", "math"))
    return outputs


def test_every_command_of_the_page_is_a_command(page):
    commands = [found for found in quoted(page) if re.match(r"parammem [a-z]", found) and "NAME" not in found]
    assert len(commands) > 10
    for command in commands:
        parse(typer.main.get_command(app), shlex.split(command)[1:], command)


def parse(command: Any, words: list[str], whole: str) -> None:
    """Follow the words down to a command without subcommands, and check its options by parsing them."""
    if hasattr(command, "commands"):
        below = command.commands.get(words[0])
        assert below, f"`{whole}`: there is no command {words[0]!r}"
        parse(below, words[1:], whole)
        return
    command.make_context("parammem", words)


def test_make_targets_of_the_page_exist(page, repo_root):
    targets = set(re.findall(r"^([a-z0-9-]+):", (repo_root / "Makefile").read_text(), flags=re.M))
    asked = {found.split()[1] for found in quoted(page) if found.startswith("make ")}
    assert asked
    assert asked <= targets


def test_the_task_and_its_key_are_what_the_stage_draws(page, drawn):
    assert block(page, "task") == as_json(drawn.task)
    key = as_json(drawn.key)
    excerpt = block(page, "key")
    assert excerpt == {name: key[name] for name in excerpt}


def test_the_row_has_the_hash_that_the_page_names(page, drawn):
    row = ReflectionExample.model_validate(block(page, "row"))
    assert row.row_hash in page
    assert row.task_text == drawn.task.text
    assert f"`parammem audit row {row.row_hash[:8]}`" in page


def test_the_excerpts_of_committed_files_are_theirs(page, repo_root):
    headline = json.loads((repo_root / "reports/headline.json").read_text())
    assert block(page, "headline")["math"] == headline["math"]
    summary = json.loads((repo_root / "reports/validation/math.json").read_text())
    assert (summary["passed"], summary["rows"]) == (True, 313)


def test_the_card_has_fields_of_an_adapter(page, repo_root):
    card = block(page, "card")
    assert set(card) <= set(Adapter.model_fields)
    there = Places(repo_root, "math").reflector / "adapter.json"
    if there.is_file():  # an output of `train`: not in a clone that has not been built
        stored = json.loads(there.read_text())
        assert card == {name: stored[name] for name in card}
        row = ReflectionExample.model_validate(block(page, "row"))
        assert there.with_name("rows.txt").read_text().split()[260 - 1] == row.row_hash
