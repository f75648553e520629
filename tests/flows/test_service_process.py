"""Facts about the service beside the flows: it answers, ends with us, and says why it cannot start."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.request

import pytest
import yaml

from flows.prefect_server import free_port
from flows.serve import parse
from flows.service_process import service_process

pytestmark = pytest.mark.integration


@pytest.fixture
def root(tmp_path, repo_root):
    """A repository whose service has a free port."""
    params = yaml.safe_load((repo_root / "params.yaml").read_text())
    params["service"] = {"port": free_port()}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_it_answers_and_its_port_is_free_afterwards(root):
    with service_process(root) as address:
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            assert json.load(answer)["status"] == "ok"
        with urllib.request.urlopen(f"{address}/runs") as answer:
            assert b"There are no runs yet" in answer.read()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", int(address.rpartition(":")[2])))


def test_what_it_cannot_do_is_said(root, capfd):
    port = yaml.safe_load((root / "params.yaml").read_text())["service"]["port"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(RuntimeError, match="ended at once"), service_process(root):
            pass
    assert f"cannot listen on 127.0.0.1:{port}" in capfd.readouterr().err


def test_it_is_started_where_it_is_asked_for():
    assert parse(["--with-service"]).with_service
    assert not parse([]).with_service
