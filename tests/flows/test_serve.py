"""Facts about the schedule."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import httpx
import pytest

from flows import ROOT
from flows.prefect_server import free_port, local_server
from flows.serve import NIGHTLY, parse
from flows.with_service import advice_service
from parammem.core.event import Ingested
from tests.improve.lab import drop_batch, make_lab, write_params
from tests.improve.lab import git as git_in
from tests.improve.settled import events


def test_what_is_served_by_default_leaves_the_persons_tree_alone():
    assert parse([]).only == ["improve", "evaluate-champion", "rollback"]


def test_a_rebuild_is_scheduled_when_it_is_asked_for():
    given = parse(["--cron", "*/5 * * * *"])
    assert given.only == ["rebuild", "improve", "evaluate-champion", "rollback"]
    assert (given.cron, given.track) == ("*/5 * * * *", True)
    assert parse(["--only", "rebuild"]).cron == NIGHTLY == "0 3 * * *"
    assert not parse(["--cron", "*/5 * * * *", "--no-track"]).track


def test_a_schedule_for_a_rebuild_that_is_not_served_is_wrong_usage(capsys):
    with pytest.raises(SystemExit):
        parse(["--only", "improve", "--cron", "*/5 * * * *"])
    assert "add rebuild to --only" in capsys.readouterr().err


def test_the_command_of_the_readme_serves_a_rebuild(repo_root):
    said = re.search(r"`python -m flows\.serve (.*?)`", (repo_root / "README.md").read_text())
    assert said
    assert "rebuild" in parse(shlex.split(said[1])).only


def test_the_service_is_run_when_it_is_asked_for():
    assert not parse([]).with_service
    assert parse(["--with-service"]).with_service


@pytest.mark.integration
def test_the_service_ends_with_the_schedules(tmp_path, repo_root):
    git_in(tmp_path, "init", "-q")
    (tmp_path / "params.yaml").write_text((repo_root / "params.yaml").read_text())
    with advice_service(tmp_path, ["--port", "0"]) as address:
        assert httpx.get(f"{address}/healthz", timeout=30).json()["status"] == "ok"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz", timeout=30)


@pytest.mark.integration
def test_a_service_that_cannot_start_is_said(tmp_path):
    with pytest.raises(RuntimeError, match="ended at once"), advice_service(tmp_path):
        pass


def test_free_port_can_be_bound():
    assert 1024 < free_port() < 65536


def test_server_that_cannot_start_is_an_error_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match=r"ended at once; its log is .*server\.log"), local_server(tmp_path):
        pass


@pytest.mark.integration
@pytest.mark.timeout(400)
def test_schedule_runs_the_pipeline_and_ctrl_c_leaves_nothing_behind(pipeline, tmp_path):
    import psutil

    command = [sys.executable, "-m", "flows.serve", "--root", str(pipeline), "--cron", "* * * * *", "--no-track"]
    home = {"PREFECT_HOME": str(tmp_path / "prefect")}
    log = (tmp_path / "serve.log").open("w+")
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **home}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 300
        while not (pipeline / "second.json").exists():
            assert server.poll() is None, (tmp_path / "serve.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "serve.log").read_text()
            time.sleep(0.5)
        family = psutil.Process(server.pid).children(recursive=True)
        assert family
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0, (tmp_path / "serve.log").read_text()
        _gone, left = psutil.wait_procs(family, timeout=20)
        assert left == []
    finally:
        server.kill()
        log.close()


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_one_box_takes_in_what_comes_into_the_inbox_and_ctrl_c_ends_all_of_it(tmp_path):
    """No schedule fires here: it is the event of new data that starts `improve`."""
    import psutil

    root = make_lab(tmp_path)
    write_params(root, min_new_rows=1000)
    git_in(root, "commit", "-q", "-a", "-m", "patient")
    command = [sys.executable, "-m", "flows.serve", "--root", str(root), "--improve-cron", "0 1 1 1 *", "--no-track"]
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect")}
    path = tmp_path / "serve.log"
    with path.open("w") as log:
        served = subprocess.Popen(
            [*command, "--cron", "0 1 1 1 *", "--check-cron", "0 1 1 1 *"],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            drop_batch(root, "one")
            deadline = time.monotonic() + 500
            while not (root / "data/inbox/done/one.jsonl").exists():
                assert served.poll() is None, path.read_text()
                assert time.monotonic() < deadline, path.read_text()
                time.sleep(0.5)
            family = psutil.Process(served.pid).children(recursive=True)
            served.send_signal(signal.SIGINT)
            assert served.wait(timeout=90) == 0, path.read_text()
            assert psutil.wait_procs(family, timeout=30)[1] == []
        finally:
            served.kill()
    assert [e.fact.name for e in events(root) if isinstance(e.fact, Ingested)] == ["one.jsonl"]
    assert git_in(root, "status", "--porcelain") == ""
