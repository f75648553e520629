"""The ten questions about a life with real trainings, judged by a witness that shares no code with lineage.

A short `python -m experiments.demo.run` runs (three seasons); or PARAMMEM_DEMO names the folder of a demo that ran, as
`make demo` leaves it in .cache/demo. Its repository is copied, never touched.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from parammem.lineage import answered_by, export, rebuild, trace_rows, verify
from tests.lineage.test_verify import broken, flip, git

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "tasks": {"train": 24, "bank": 0, "eval": 60, "unseen": 6},
    # So few tasks show little: here it matters that somebody is promoted, and not whether rightly.
    "gate": {"fresh_tasks": 60, "min_power": 0.0, "min_diversity_ratio": 0.0, "min_distinct": 1.0, "alpha": 0.5,
             "max_token_ratio": 3.0, "anchor_margin": 0.3, "fresh_margin": 0.3},
}  # fmt: skip
WEIGHTS = "models/reflectors/code/adapter_model.safetensors"


@dataclass(frozen=True)
class Seen:
    """What the witness wrote down, and the repository that it is about."""

    repo: Path
    start: dict[str, Any]
    batches: dict[int, dict[str, Any]]
    turns: list[dict[str, Any]]
    end: dict[str, Any]

    def page(self, version: int) -> dict[str, Any]:
        """What the command line says of a generation."""
        command = [sys.executable, "-m", "parammem.cli", "audit", "show", f"v{version}", "--json"]
        done = subprocess.run(command, cwd=self.repo, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        page = json.loads(done.stdout)
        return page | {"facts": {one["number"]: one["facts"] for one in page["answers"]},
                       "holds": {one["number"]: one["holds"] for one in page["answers"]}}  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Seen:
    folder = tmp_path_factory.mktemp("demo")
    given = os.environ.get("PARAMMEM_DEMO")
    if given:
        shutil.copytree(Path(given) / "repo", folder / "repo", symlinks=True)
        shutil.copy(Path(given) / "witness.jsonl", folder)
    else:
        settings = tmp_path_factory.mktemp("settings") / "small.yaml"  # elsewhere: the demo makes its folder anew
        settings.write_text(yaml.safe_dump(SMALL))
        command = [sys.executable, "-m", "experiments.demo.run", "--folder", str(folder), "--batches", "3",
                   "--tasks", "120", "--settings", str(settings)]  # fmt: skip
        env = os.environ | {"HF_HUB_OFFLINE": "1", "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    lines = [json.loads(line) for line in (folder / "witness.jsonl").read_text().splitlines()]
    by = {saw: [line for line in lines if line["saw"] == saw] for saw in ("start", "batch", "turn", "rollback")}
    batches = {line["number"]: line for line in by["batch"]}
    return Seen(folder / "repo", by["start"][0], batches, by["turn"], by["rollback"][0])


def test_the_witness_shares_no_code_with_anything_here():
    tree = ast.parse((ROOT / "experiments/demo/witness.py").read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_the_demo_had_a_promotion_a_lie_and_a_rollback(seen):
    """Else the comparison below would be about little."""
    assert len(seen.turns) >= 3
    assert "promote" in [turn["answer"] for turn in seen.turns]
    assert any(batch["pieces"] > 0 for batch in seen.batches.values())
    assert seen.batches[3]["right"] == seen.batches[3]["rows"], "the third batch calls all right"
    assert seen.end["champion"] != seen.turns[-1]["champion"]


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_every_generation_is_as_the_witness_saw_it(seen):
    for version, turn in enumerate(seen.turns, 1):
        page = seen.page(version)
        facts, holds = page["facts"], page["holds"]
        assert (page["digest"], page["version"], page["commit"]) == (turn["adapter"], version, turn["commit"])
        assert page["broken"] == []
        _data(seen, turn, facts[1])
        _rules(turn, facts[2], holds[2])
        _sharing(seen, turn, facts[3])
        assert facts[4]["missing"] == []
        _promotion(seen, turn, facts[5])
        told = [batch["pieces"] for batch in seen.batches.values() if batch["advisor"] == turn["adapter"]]
        assert facts[6]["pieces"] == sum(told)
        _code(seen, turn, facts[7])
        _leakage(turn, facts[8], holds[8])
        assert (holds[9], facts[9]["broken"]) == (True, [])
        sharers = {other["adapter"] for other in seen.turns if set(other["rows"]) & set(turn["rows"])}
        assert set(facts[10]["sharing"]) == sharers
        assert facts[10]["recalled"] == []


def _data(seen, turn, facts):
    assert sorted(facts["row_hashes"]) == sorted(turn["rows"])
    assert facts["rows"] == len(turn["rows"])
    named = {int(one["source"][6:-6]) if one["source"] else 0: one["rows"] for one in facts["batches"]}
    assert named == {int(season): rows for season, rows in turn["seasons"].items()}
    assert {seen.batches[int(n)]["file"] for n in named if n} == {one["source"] for one in facts["batches"]} - {None}
    assert set(facts["ledger_batches"]) == set(turn["experience"])


def _rules(turn, facts, holds):
    report = turn["report"]
    assert (holds, facts["passed"]) == (True, report["passed"])
    assert facts["suite_digest"] == report["suite_digest"]
    assert facts["kept"] == len(turn["rows"])
    assert facts["quarantined"] == turn["quarantined"]
    assert set(facts["rules"]) == {rule["rule"] for rule in report["rules"]}
    assert (facts["vouches"], facts["holds_every_row"]) == (True, True)
    if "PARAMMEM_DEMO" not in os.environ or turn["bound"]:  # an old demo's adapters name no suite
        assert (turn["bound"], facts["named_in_folder"]) == (report["suite_digest"], True)


def _sharing(seen, turn, facts):
    shared = {other["adapter"]: len(set(other["rows"]) & set(turn["rows"])) for other in seen.turns}
    del shared[turn["adapter"]]
    assert {one["adapter"]: one["rows"] for one in facts["adapters"]} == {a: n for a, n in shared.items() if n}


def _promotion(seen, turn, facts):
    [decision] = facts["decisions"]
    assert (decision["answer"], decision["actor"]) == (turn["answer"], "flow improve")
    [judged] = [one["solved"] for one in facts["evaluations"] if one["as"] == "challenger"]
    assert judged == pytest.approx(turn["judged"])
    promoted = turn["answer"] == "promote"
    championships = [one["by"] for one in facts["championships"]]
    assert championships[:1] == ["promotion"] * promoted
    assert facts["champion_now"] == (seen.end["champion"] == turn["adapter"])


def _code(seen, turn, facts):
    assert facts["commit"] == turn["commit"]
    assert facts["environment"] == seen.start["pins"]
    assert facts["base"]["name"] == seen.start["base"]
    settings = seen.start["params"]["train"]
    assert {key: facts["recipe"][key] for key in settings if key in facts["recipe"]} == {
        key: value for key, value in settings.items() if key in facts["recipe"]
    }
    assert {"max_steps", "rank", "learning_rate", "seed", "threads"} <= facts["recipe"].keys()


def _leakage(turn, facts, holds):
    assert facts["leaked"] == turn["leaked"] == 0
    assert holds is True
    asked = {"eval": 0, "unseen": 0, "fresh": 0}
    for path, count in facts["looked_at"].items():
        asked["fresh" if path.startswith("data/fresh/") else Path(path).stem] += count
    assert asked == turn["asked"]


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_an_answer_given_in_a_season_names_the_champion_that_advised(seen):
    adapters = {turn["adapter"]: (n, turn["commit"]) for n, turn in enumerate(seen.turns, 1)}
    asked = 0
    for batch in seen.batches.values():
        for task, pieces in list(batch["advised"].items())[:3]:
            if pieces:
                [one] = answered_by(seen.repo, task)
                [said] = one.advised
                assert (said.author, said.pieces) == (batch["advisor"], pieces)
                assert (said.version, said.commit) == adapters[batch["advisor"]]
                asked += 1
    assert asked


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_a_row_of_each_season_is_traced_to_exactly_the_adapters_that_saw_it(seen):
    newest: dict[str, int] = {}
    for number, turn in enumerate(seen.turns):
        for row in turn["rows"]:
            newest.setdefault(row, number)
    for number in range(len(seen.turns)):
        row = next((row for row, first in newest.items() if first == number), None)
        if row is None:
            continue
        [trace] = trace_rows(seen.repo, row)
        expected = [turn["adapter"] for turn in seen.turns if row in turn["rows"]]
        assert [one.digest for one in trace.adapters] == expected


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_a_generation_of_the_demo_is_rebuilt_bit_for_bit(seen):
    done = rebuild(seen.repo, "v2")
    assert done.identical, done.verdict
    assert done.commit == seen.turns[1]["commit"]
    assert done.adapter == seen.turns[1]["adapter"]


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_a_bundle_about_the_champion_holds_what_only_automations_branch_has(seen, tmp_path):
    """The person's tree has neither its data, nor its ledger, nor its decision."""
    number = next(n for n, turn in enumerate(seen.turns, 1) if turn["answer"] == "promote")
    done = export(seen.repo, f"v{number}", tmp_path / "bundle")
    assert {"ledger/events.jsonl", "adapter/rows.txt", "validation/report.json"} <= set(done.files)
    assert any(name.startswith("decision/") for name in done.files)
    weights = (tmp_path / "bundle/adapter/adapter_model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == seen.turns[number - 1]["adapter"]
    check = [sys.executable, "-I", "verify.py", "--key", done.key]
    assert subprocess.run(check, cwd=tmp_path / "bundle", capture_output=True).returncode == 0
    flip(tmp_path / "bundle/validation/report.json", 100)
    tampered = subprocess.run(check, cwd=tmp_path / "bundle", capture_output=True, text=True)
    assert tampered.returncode != 0
    assert "validation/report.json" in tampered.stdout + tampered.stderr


@pytest.fixture
def checked_out(seen, tmp_path) -> Path:
    """A copy whose working tree is that of automation's branch, data and all."""
    root = tmp_path / "repo"
    shutil.copytree(seen.repo, root, symlinks=True)
    git(root, "checkout", "-q", "improve")
    command = [sys.executable, "-m", "dvc", "checkout", "-q", "--allow-missing"]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return root


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_one_flipped_byte_anywhere_in_the_demos_life_is_named(checked_out):
    root = checked_out
    assert broken(root) == set(), [one for one in verify(root).findings if one.holds is False]
    batch = next((root / "data/experience").glob("*.jsonl")).relative_to(root).as_posix()
    decision = next((root / "ledger/decisions").glob("*.json")).relative_to(root).as_posix()
    report = "reports/validation/code.json"
    files = {batch: "ingest", "data/validated/code.jsonl": "validate@code", WEIGHTS: "train@code",
             report: "validate@code", decision: "decide", "ledger/events.jsonl": "ledger"}  # fmt: skip
    for path, stage in files.items():
        whole = (root / path).read_bytes()
        mode = (root / path).stat().st_mode
        (root / path).unlink()  # a link into DVC's cache would be flipped there too
        (root / path).write_bytes(whole)
        flip(root / path)
        assert (path, stage) in broken(root), path
        (root / path).write_bytes(whole)
        (root / path).chmod(mode)
        assert broken(root) == set(), path
    whole = (root / "dvc.lock").read_text()
    flip(root / "dvc.lock", whole.rindex("md5: ") + 9)
    assert "dvc.lock" in {path for path, _ in broken(root)}
    (root / "dvc.lock").write_text(whole)
    tag = git(root, "tag", "--list", "*@v1.0.0")
    git(root, "tag", "-f", "-a", "-m", "moved", tag, "HEAD")
    assert (f"tag {tag}", "publish") in broken(root)
