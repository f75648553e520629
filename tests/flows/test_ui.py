"""Facts about what a person sees in Prefect's pages, in a real browser (`apt-get install chromium`)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flows import ROOT
from flows.prefect_server import local_server
from tests.browser import CHROMIUM, browser

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; install it to look at Prefect's pages"),
]

# In a process of its own: Prefect keeps the settings that it was imported with.
TURN = """
import json, sys
from flows import improve as flows
from prefect import flow
from prefect.artifacts import Artifact
from parammem.core.event import Published, make_event
from parammem.improve.turn import TurnReport
from tests.improve.test_generations import decision

made = decision("b", "a")
fact = Published(domain="code", version=4, adapter="b", stage="champion", decision=made.digest, dvc="")
flows.written = lambda root, commit: [make_event(1, "", "flow improve", fact, "")]

@flow(name="improve", persist_result=False)
def turn():
    from prefect.runtime import flow_run
    flows.publish("improve", TurnReport("code: promote", ("one.jsonl: 5 rows",), (), (made,), "abc123"), flows.ROOT)
    return str(flow_run.id)

run = turn()
made = {"page": Artifact.get("improve"), "table": Artifact.get("improve-decisions")}
print(json.dumps({"run": run, **{name: str(one.id) for name, one in made.items()}}))
"""


def test_a_browser_shows_the_run_its_table_and_its_decision(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with local_server(tmp_path / "prefect") as api, browser(tmp_path / "browser") as page:
        monkeypatch.setenv("PREFECT_API_URL", api)
        done = subprocess.run([sys.executable, "-c", TURN], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        made = json.loads(done.stdout.strip().splitlines()[-1])
        home = api.removesuffix("/api")
        seen = page.text(f"{home}/runs", ["improve code: v4 promoted"])
        assert "improve code: v4 promoted" in seen
        assert "Can't connect" not in seen
        run = ["improve code: v4 promoted", "Completed"]
        assert all(word in page.text(f"{home}/runs/flow-run/{made['run']}", run) for word in run)
        told = ["code: promote", "passed", "anchor", "Better on", "abc123"]
        seen = page.text(f"{home}/artifacts/artifact/{made['page']}", told)
        assert [word for word in told if word not in seen] == []
        page.picture(tmp_path / "decision.png")
        assert (tmp_path / "decision.png").stat().st_size > 10_000
        cells = ["challenger", "anchor", "fresh", "promote"]
        seen = page.text(f"{home}/artifacts/artifact/{made['table']}", cells)
        assert [word for word in cells if word not in seen] == []
