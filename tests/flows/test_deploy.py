"""Facts about a deployment as people make it: a server, `prefect deploy --all`, and a process worker."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.demo.run import DOMAIN, make_repository
from flows import ROOT
from flows.prefect_server import local_server
from parammem.core.event import Ingested
from parammem.registry.branch import ledger_at
from tests.flows.deployed import post, prefect, wait_for, watcher, worker
from tests.improve.lab import drop_batch, git, make_lab, write_params
from tests.improve.settled import BRANCH, assert_ledger_and_tags, champion_versions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lab with this repository's flows and deployments, in which improve is due every minute."""
    root = make_lab(tmp_path)
    write_params(root, min_new_rows=1000)
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    settings = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for one in settings["deployments"]:
        one["schedules"] = [{"interval": 60}] if one["entrypoint"].endswith(":improve") else []
    (root / "prefect.yaml").write_text(yaml.safe_dump(settings))
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "flows")
    return root


def completed(api: str) -> list[dict[str, Any]]:
    """Runs of improve that a schedule started and that ended well."""
    runs = post(api, "flow_runs/filter", {"flows": {"name": {"any_": ["improve"]}}})
    return [run for run in runs if run["state_type"] == "COMPLETED" and run["auto_scheduled"]]


def test_an_interval_fires_and_finishes_an_improve_run(root, tmp_path):
    drop_batch(root, "one")
    log = tmp_path / "worker.log"
    home = {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT / "src")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", home["PREFECT_HOME"])
        with local_server(tmp_path / "prefect") as api:
            environment = {**os.environ, **home, "PREFECT_API_URL": api}
            prefect(root, environment, "work-pool", "create", "parammem", "--type", "process")
            said = prefect(root, environment, "deploy", "--all")
            with worker(root, environment):
                wait_for(lambda: completed(api), log)
            assert said.count("successfully created") == 4, said
            found: list[Any] = []
            wait_for(lambda: found.extend(post(api, "artifacts/filter", {})) or found, log)
    facts = [event.fact for event in ledger_at(root, "refs/heads/improve")]
    assert [fact.name for fact in facts if isinstance(fact, Ingested)] == ["one.jsonl"]
    assert (root / "data/inbox/done/one.jsonl").is_file()
    assert git(root, "status", "--porcelain") == ""
    pages = {one["key"]: one["data"] for one in found if one["key"]}
    assert "needed" in pages["improve"]
    assert "improve-progress" in pages


SMALL = {
    "tasks": {"train": 16, "bank": 0, "eval": 80, "unseen": 0},
    "train": {"max_steps": 80, "controls": [], "checkpoint_every": 80, "held_out": 0.0},
    "evaluate": {"curve_tasks": 10},
    "gate": {"fresh_tasks": 40, "min_power": 0.0},
}
"""Laid over the demo's settings."""


def drop_lessons(root: Path) -> None:
    """A batch from an agent that solved 200 tasks about all kinds of quantity, in the inbox."""
    from experiments.demo.drift import InboxRow, draw, write_batch
    from parammem.config import load_params
    from parammem.domains.conventions import kinds_of
    from parammem.pocket.problems import solution
    from tests.improve.lab import experience

    params = load_params(root / "params.yaml")
    rows = []
    for one in draw(params, DOMAIN, 1, sorted(kinds_of(DOMAIN)), 200):
        text = solution(one.problem, one.key.facts)
        done = experience(one.task.task_id, one.task.text)
        attempt = done.trajectory.attempts[0].model_copy(update={"text": text, "candidate": text})
        course = done.trajectory.model_copy(update={"attempts": (attempt,)})
        rows.append(InboxRow(done.model_copy(update={"task": one.task, "trajectory": course}), one.key))
    file = write_batch(rows, root / params.experience.inbox, "lessons")
    os.utime(file, (0, 0))


def improved(api: str) -> list[dict[str, Any]]:
    """Runs of improve that have ended."""
    runs = post(api, "flow_runs/filter", {"flows": {"name": {"any_": ["improve"]}}})
    return [run for run in runs if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]


def test_new_data_makes_a_deployment_train_and_promote_a_champion(tmp_path):
    """This repository's own pipeline and prefect.yaml: the event of new data starts a run in a worker, which trains a
    reflector of the pocket model, lets it meet no reflector, and promotes it."""
    root = make_repository(tmp_path, SMALL)
    head = git(root, "rev-parse", "HEAD")
    home = {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(root / "src"), "HF_HUB_OFFLINE": "1"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", home["PREFECT_HOME"])
        with local_server(tmp_path / "prefect") as api:
            environment = {**os.environ, **home, "PREFECT_API_URL": api}
            prefect(root, environment, "work-pool", "create", "parammem", "--type", "process")
            prefect(root, environment, "deploy", "--all")
            with worker(root, environment), watcher(root, environment):
                drop_lessons(root)
                wait_for(lambda: improved(api), tmp_path / "worker.log")
            (run,) = improved(api)
    assert run["state_type"] == "COMPLETED", (tmp_path / "worker.log").read_text(errors="replace")[-5000:]
    assert run["created_by"]["type"] == "AUTOMATION", "no schedule and nobody's hand: the event"
    assert champion_versions(root) == [1]
    assert "code-reflector#champion#2" in git(root, "tag", "-l").splitlines()
    assert_ledger_and_tags(root, tmp_path / "ledger")
    assert git(root, "show", f"{BRANCH}:dvc.lock").count("train@code") == 1
    assert (root / "data/inbox/done/lessons.jsonl").is_file()
    assert git(root, "rev-parse", "HEAD") == head
    assert git(root, "status", "--porcelain") == ""
