"""Facts about the messages that people get, with a real webhook on this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
import yaml

from flows.notify import send, tell_failure, tell_news
from flows.show import news
from parammem.core.event import RolledBack, make_event
from parammem.improve.turn import TurnReport
from tests.improve.test_generations import decision


@pytest.fixture
def webhook(monkeypatch):
    """What came to a webhook whose address is in HOOK."""
    got: list[dict] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HOOK", f"json://user:s3cretword@127.0.0.1:{server.server_port}/x")
    yield got
    server.shutdown()


@pytest.fixture
def root(tmp_path, repo_root):
    def make(*names):
        params = yaml.safe_load((repo_root / "params.yaml").read_text())
        params["improve"]["notify"] = list(names)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
        return tmp_path

    return make


def test_promotion_refusal_and_rollback_are_sent_with_their_reasons(webhook, root):
    back = RolledBack(domain="code", version=1, adapter="b", left=2, reason="too slow")
    refused = decision("c", "a").model_copy(update={"answer": "refuse", "reasons": ("worse on the anchor slice",)})
    report = TurnReport("code: promote", (), decisions=(decision("b", "a"), refused), commit="abc")
    tell_news(root("HOOK"), news(report, [make_event(1, "", "x", back, "")]), print)
    assert [one["title"] for one in webhook] == [
        "ParamMem, code: promoted", "ParamMem, code: refused", "ParamMem, code: rolled back",
    ]  # fmt: skip
    assert "worse on the anchor slice" in webhook[1]["message"]
    assert "too slow" in webhook[2]["message"]
    assert all("abc" in one["message"] for one in webhook)


def test_what_the_live_gate_decides_is_sent_once(webhook, root):
    """It decides in the same turns: a promotion and a refusal are decisions, a rollback is an event as well."""
    promoted = decision("b", "a").model_copy(update={"reasons": ("better by 8.1 points over 2,310 runs in use",)})
    refused = decision("c", "a").model_copy(update={"answer": "refuse", "reasons": ("worse in use",)})
    harm = {"challenger": "", "answer": "roll back", "reasons": ("worse than no advice in use",)}
    harmful = decision("b", "a").model_copy(update=harm)
    undecided = decision("b", "a").model_copy(update={"answer": "undecided"})
    back = RolledBack(domain="code", version=0, adapter="", left=2, reason="runs in use: worse than no advice in use")
    report = TurnReport("code: by runs in use", (), decisions=(promoted, refused, harmful, undecided), commit="abc")
    tell_news(root("HOOK"), news(report, [make_event(1, "", "x", back, "")]), print)
    told = {one["title"].removeprefix("ParamMem, code: "): one["message"] for one in webhook}
    assert len(webhook) == 3
    assert "8.1 points over 2,310 runs in use" in told["promoted"]
    assert "worse in use" in told["refused"]
    assert "runs in use: worse than no advice in use" in told["rolled back"]


def test_a_failure_is_sent(webhook, root):
    run = SimpleNamespace(parameters={"root": str(root("HOOK"))}, name="improve")
    tell_failure(
        SimpleNamespace(name="improve"), run, SimpleNamespace(message="step 'gate' failed:\x1b[2J no disk", name="")
    )
    (one,) = webhook
    assert one["title"] == "ParamMem, improve: the run failed"
    assert "step 'gate' failed:\\x1b[2J no disk" in one["message"]


def test_nothing_is_sent_by_default(webhook, root):
    assert send(root(), "t", "b", print) == 0
    assert webhook == []


@pytest.mark.parametrize(
    ("name", "address", "said"),
    [
        ("GONE", None, "environment does not hold"),
        ("ODD", "nothing-known://x", "no address that Apprise can use"),
        ("DEAD", "json://user:s3cretword@127.0.0.1:9/x", "could not be sent"),
    ],
)
def test_what_cannot_be_sent_is_said_without_the_address_and_stops_nothing(monkeypatch, root, name, address, said):
    if address:
        monkeypatch.setenv(name, address)
    lines: list[str] = []
    assert send(root(name), "t", "b", lines.append) == 0
    assert said in lines[0]
    assert name in lines[0]
    assert "s3cretword" not in lines[0]


def test_names_that_are_addresses_are_refused_by_params(root):
    from parammem.config import load_params
    from parammem.errors import ConfigError

    with pytest.raises(ConfigError, match="notify"):
        load_params(root("json://user:s3cretword@host/x") / "params.yaml")
