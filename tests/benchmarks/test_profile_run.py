"""A profile of the paper, run by `dvc repro` in a clone against a server on this machine: real rows where they are at
hand and rows of our own elsewhere, a model pinned to a commit of the hub, from the file to the report."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from parammem.benchmarks.draw import draw_source
from parammem.benchmarks.item import Item
from parammem.core import Adapter
from parammem.domain_params import SourceParams
from parammem.evaluation.benchmarks import NAMES
from parammem.overlays import written_over
from tests.benchmarks import rows
from tests.benchmarks.server import knowing
from tests.engines.local_server import LocalServer
from tests.stages.arena import ROOT
from tests.tiny import make_tiny_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2700)]
PATIENCE = 2400
"""Seconds for one command; a quiet machine takes minutes."""
HUB, COMMIT, TEACHER = "someone/tiny", "0123456789abcdef0123456789abcdef01234567", "a-teacher"
EVAL, TRAIN = 20, 30
REAL = {
    "code": ("humaneval", "humaneval/HumanEval.jsonl.gz", "mbpp", "mbpp/mbpp.jsonl"),
    "math": ("math", "math/test.jsonl", "gsm8k", "gsm8k/test.jsonl"),
    "qa": ("hotpotqa", "hotpotqa/hotpot-qa-distractor-sample.json", "2wiki", "2wiki/2wiki_500.jsonl"),
}
"""Domain → (benchmark, file) of the evaluation tasks, and of the training tasks."""


def load_small_repro() -> Any:
    """.ci/small_repro.py: how the working tree is copied into a repository of its own."""
    spec = importlib.util.spec_from_file_location("small_repro", ROOT / ".ci" / "small_repro.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_rows(folder: Path) -> None:
    """Files with the names of the real ones and rows of our own in the same formats."""
    for name in ("humaneval", "mbpp", "math", "gsm8k", "hotpotqa", "2wiki"):
        (folder / name).mkdir(parents=True)
    numbers = range(EVAL + TRAIN)
    code = [
        rows.HUMANEVAL
        | {"task_id": f"HumanEval/{n}", "prompt": rows.HUMANEVAL["prompt"].replace("Double", f"Double{n}")}
        for n in numbers
    ]
    with gzip.open(folder / "humaneval/HumanEval.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in code)
    rows.write_jsonl(
        folder / "mbpp/mbpp.jsonl",
        [
            rows.MBPP | {"task_id": n, "text": f"Write a function number {n} to join two tuples named {n}."}
            for n in numbers
        ],
    )
    rows.write_jsonl(folder / "math/test.jsonl", [rows.math_row(n, rows.SUBJECTS[n % 7]) for n in numbers])
    rows.write_jsonl(
        folder / "gsm8k/test.jsonl",
        [
            {"question": f"Ana{n} has {n} stamps and buys {2 * n}. How many?", "answer": f"#### {3 * n}"}
            for n in numbers
        ],
    )
    (folder / "hotpotqa/hotpot-qa-distractor-sample.json").write_text(
        json.dumps(
            [rows.HOTPOT | {"_id": f"h{n}", "question": f"Which painter {n} taught sculptor {n}?"} for n in numbers]
        )
    )
    rows.write_jsonl(
        folder / "2wiki/2wiki_500.jsonl",
        [
            {"id": f"w{n}", "question": f"Who is the parent of person {n}?", "answer": f"Person {n + 1}"}
            for n in numbers
        ],
    )


def place_rows(kind: str, folder: Path) -> None:
    if kind == "own rows":
        own_rows(folder)
        return
    shared = rows.real_data()
    for files in REAL.values():
        for name in files[1::2]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shared / name, folder / name)


def sources(domains: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for domain in domains:
        evaluated, file, trained, other = REAL[domain]
        found.append({"domain": domain, "split": "eval", "benchmark": evaluated, "path": file, "take": EVAL})
        found.append({"domain": domain, "split": "train", "benchmark": trained, "path": other, "take": TRAIN})
    return found


def items(folder: Path, domains: Sequence[str]) -> list[Item]:
    named = [SourceParams.model_validate(one | {"take": 0}) for one in sources(domains)]
    return [item for source in named for item in draw_source(source, folder, 0)]


def override(url: str, domains: Sequence[str]) -> dict[str, Any]:
    """What a small model and a small machine change in the profile `paper-code`."""
    server = {"base_url": url, "other_urls": {}, "prices": {}, "budget_usd": 0, "concurrency": 16}
    return {
        "domains": list(domains),
        "benchmarks": {"sources": sources(domains), "ngram": 24},
        "engine": {"model": "profiles/models/tiny.json", "dtype": "float32", "device": "cpu", "server": server},
        "sandbox": {"workers": 1},
        "agent": {"iterations": 3},
        "collect": {"teacher": TEACHER},
        "validate": {"min_rows": 5, "max_quarantined": 0.8, "near_duplicate": 0.99, "max_copied": 200},
        "train": {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"], "max_steps": 3, "batch": 4,
                  "micro_batch": 0, "precision": "float32", "gradient_checkpointing": False, "held_out": 0.1},
        "evaluate": {"methods": ["base", "reflexion", "paramagent"], "advice_draws": 2, "temperatures": [1.0],
                     "bootstrap": 100},
        "tracking": {"mode": "off"},
    }  # fmt: skip


class Clone:
    """A repository with the working tree's files, and commands run in it."""

    def __init__(self, folder: Path, hub: Path) -> None:
        self.folder, self.small = folder, load_small_repro()
        self.small.copy_tree(folder)
        self.settings = {
            **os.environ,
            "PYTHONPATH": str(folder / "src"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_SITE_CACHE_DIR": str(folder / ".cache/dvc-site"),
            "HF_HUB_CACHE": str(hub),
            "OPENAI_API_KEY": "none",
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Stages of a `dvc` that was given up go with it."""
        whole = [sys.executable, "-m", *command]
        streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        process = subprocess.Popen(whole, cwd=self.folder, env=self.settings, **streams)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(whole, process.returncode, out, err)

    def apply(self, profile: str, changes: dict[str, Any] | None = None) -> None:
        applied = self.run("parammem.cli", "profile", "apply", profile)
        assert applied.returncode == 0, applied.stderr
        if changes:
            file = self.folder / "params.yaml"
            file.write_text(written_over(file.read_text(encoding="utf-8"), changes), encoding="utf-8")


@pytest.fixture
def clone(tmp_path) -> Clone:
    """With the hub's local cache as it is after a download of the pinned model, and no network."""
    snapshot = tmp_path / "hub" / f"models--{HUB.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.parent.mkdir(parents=True)
    make_tiny_model(snapshot, hidden=16, layers=1, max_positions=4096)
    made = Clone(tmp_path / "clone", tmp_path / "hub")
    (made.folder / "profiles/models/tiny.json").write_text(json.dumps({"hub": HUB, "revision": COMMIT}))
    made.small.make_repository(made.folder)
    return made


@pytest.fixture(params=["own rows", "real rows"])
def finished(request, clone) -> Iterator[tuple[Clone, LocalServer, list[str]]]:
    """The clone after `dvc repro` of the profile, in one domain with our own rows and in all of them with real ones."""
    domains = list(REAL) if request.param == "real rows" else ["code"]
    folder = clone.folder / "data" / "benchmarks"
    place_rows(request.param, folder)
    with LocalServer(models=[HUB, TEACHER], write=knowing(items(folder, domains))) as server:
        clone.apply("paper-code", override(server.url, domains))
        done = clone.run("dvc", "repro")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        yield clone, server, domains


def test_a_profile_of_the_paper_runs_from_file_to_report(finished):
    clone, server, domains = finished
    again = clone.run("dvc", "repro")
    assert "Data and pipelines are up to date." in again.stdout, "a pinned model is a dep that does not change"
    reports = clone.folder / "reports"
    page, table = (reports / "report.html").read_text("utf-8"), (reports / "table.txt").read_text("utf-8")
    metrics = json.loads((reports / "metrics.json").read_text("utf-8"))
    for domain in domains:
        benchmark, file, *_ = REAL[domain]
        facts = json.loads((clone.folder / f"data/tasks/{domain}/sources.json").read_text("utf-8"))["read"][0]
        named = f"{NAMES[benchmark]}: {EVAL} of {facts['rows']} tasks, seed 0, sha256 {facts['digest'][:12]}"
        assert named in page
        assert named in table
        assert file in page
        assert facts["digest"] in page
        assert metrics[domain]["paramagent"]["tasks"] == EVAL
        assert set(metrics[domain]["protocol"]) == {"strict", "two-phase", "oracle", "released-code"}
        assert 0 < metrics[domain]["base"]["pass_rate"] < 1
        card = Adapter.model_validate_json((clone.folder / f"models/reflectors/{domain}/adapter.json").read_text())
        assert card.base_model == f"{HUB}@{COMMIT}"
    assert f"{HUB}@{COMMIT}" in page
    said = re.sub(r"<svg.*?</svg>|<style.*?</style>", "", page, flags=re.S)
    for pocket in ("world", "ρ", "kinds of quantity", "regularit"):
        assert pocket not in said, "words of the pocket world have no business here"
    assert "How varied is the advice?" in said
    assert "protocol strict · sandbox strict" in table
    assert "world" not in table
    asked = {one.body["model"] for one in server.chats}
    assert {HUB, TEACHER} < asked
    assert len({name for name in asked if re.fullmatch("(code|math|qa)-[0-9a-f]{64}", name)}) == 2 * len(domains)


def test_nothing_that_a_profile_needs_from_dvc_is_missing(clone):
    """`dvc repro --dry` stops at files inside outs that are not there yet; `dvc status` names whatever is missing."""
    outs = ("data/tasks", "data/keys", "data/trajectories", "data/reflections", "data/validated", "reports/evaluation")
    outs += ("reports/validation", "models/")
    for path in sorted((ROOT / "profiles").glob("*.yaml")):
        clone.apply(path.stem)
        status = json.loads(clone.run("dvc", "status", "--json").stdout)
        for domain in yaml.safe_load(path.read_text(encoding="utf-8"))["domains"]:
            for stage in ("tasks", "collect", "validate", "train", "evaluate"):
                changes = {
                    k: v for part in status[f"{stage}@{domain}"] for k, v in part.get("changed deps", {}).items()
                }
                assert f"reports/code/{stage}.json" in changes
                missing = [name for name, what in changes.items() if what == "deleted" and not name.startswith(outs)]
                assert missing == [], f"{path.stem}: {stage} has no {missing}"
