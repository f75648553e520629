"""Facts about the commands that look at what the pipeline made: reflect, audit show, track."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parammem.core import Adapter, digest_of
from parammem.engines.digests import adapter_digest, model_digest
from tests.tiny import make_tiny_adapter, make_tiny_model

ADAPTER = Path("models/reflectors/code")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with a tiny base model, a real adapter with its card, a task and the params."""
    root = tmp_path_factory.mktemp("project")
    make_tiny_model(root / "models/tiny")
    make_tiny_adapter(root / "models/tiny", root / ADAPTER)
    rows = [digest_of(["row", number]) for number in range(3)]
    (root / ADAPTER / "rows.txt").write_text("".join(f"{row}\n" for row in rows))
    card = Adapter(
        domain="code",
        digest=adapter_digest(root / ADAPTER),
        base_model="models/tiny",
        base_digest=model_digest(root / "models/tiny"),
        recipe={"rank": 4},
        data_digest=digest_of(rows),
        rows=3,
        steps=1,
        held_out_loss=1.0,
    )
    (root / ADAPTER / "adapter.json").write_text(card.line())
    (root / "task.txt").write_text("keep prices up to the limit")
    (root / "params.yaml").write_bytes((Path(__file__).parents[2] / "params.yaml").read_bytes())
    return root


def parammem(project: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "parammem.cli", *arguments]
    return subprocess.run(command, cwd=project, input=stdin, capture_output=True, text=True)


@pytest.mark.integration
def test_reflect_gives_the_same_advice_for_the_same_seed_from_file_and_stdin(project):
    wanted = ["--n", "2", "--seed", "3", "--json"]
    first = parammem(project, "reflect", "task.txt", *wanted)
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    assert answer["task"] == "keep prices up to the limit"
    assert [row["source"] for row in answer["reflections"]] == ["parametric"] * 2
    again = parammem(project, "reflect", "-", *wanted, stdin="keep prices up to the limit\n")
    assert json.loads(again.stdout) == answer


@pytest.mark.integration
def test_reflect_without_an_adapter_ends_with_code_6_and_says_how_to_get_one(project):
    done = parammem(project, "reflect", "task.txt", "--adapter", "models/none")
    assert done.returncode == 6
    assert done.stderr.startswith("error: no adapter in 'models/none': no adapter.json")
    assert "dvc repro" in done.stderr


def test_audit_show_names_rows_and_base(project):
    done = parammem(project, "audit", "show", "--json")
    assert done.returncode == 0, done.stderr
    facts = {one["number"]: one["facts"] for one in json.loads(done.stdout)["answers"]}
    assert facts[1]["rows"] == 3
    assert facts[7]["base"]["name"] == "models/tiny"


def test_audit_shows_the_page_and_ends_with_code_10_when_a_link_does_not_hold(project):
    rows = project / ADAPTER / "rows.txt"
    kept = rows.read_text()
    rows.write_text(kept.replace(kept[0], "0" if kept[0] != "0" else "1", 1))
    try:
        done = parammem(project, "audit", "show")
    finally:
        rows.write_text(kept)
    assert done.returncode == 10
    assert "[FAILED]" in done.stdout
    assert "does not hold" in done.stderr


@pytest.mark.integration
def test_track_logs_once(project):
    first = parammem(project, "track")
    assert first.returncode == 0, first.stderr
    assert "1 new run in .cache/tracking" in first.stdout
    assert "nothing new" in parammem(project, "track").stdout
