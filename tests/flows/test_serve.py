"""Facts about the schedule."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from flows import ROOT
from flows.serve import NIGHTLY, free_port, local_server, parse


def test_default_schedule_is_nightly_and_tracks():
    given = parse([])
    assert given.cron == NIGHTLY == "0 3 * * *"
    assert given.track
    assert parse(["--cron", "*/5 * * * *", "--no-track"]).cron == "*/5 * * * *"


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
