"""Runs over HTTP: what agents send and get, bad input of every kind, and who may see and judge which run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from parammem.core import Step
from parammem.service.access import Access
from parammem.service.run_book import LARGEST_RUN
from parammem.service.run_routes import LARGEST_BODY, routes
from tests.service.books import OneAdvice, book, evidence, handed, settings, steps

TOKEN = "the service's token"
URL = "http://127.0.0.1:8010"


@pytest.fixture
def kept(tmp_path):
    one = book(tmp_path)
    yield one
    one.close()


def served(kept, token: str = "", advisor: OneAdvice | None = None) -> TestClient:
    app = Starlette(routes=routes(kept, advisor or OneAdvice(), settings(domain="desk")))
    return TestClient(Access(app, token), base_url=URL, raise_server_exceptions=True)


@pytest.fixture
def client(kept):
    return served(kept)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_run_from_start_to_outcome(client, kept, tmp_path):
    begun = client.post("/v1/runs", json={"task": "Refund order 12", "metadata": {"stratum": "refunds"}}).json()
    assert begun["domain"] == "desk"
    assert begun["arm"] in ("holdout", "champion")
    at = f"/v1/runs/{begun['run_id']}"
    plain = [step.model_dump(mode="json") for step in steps(12)]
    assert client.post(f"{at}/steps", json={"steps": plain, "tokens": 40}).json() == {"recorded": True}
    said = client.post(f"{at}/outcome", json={"passed": None, "value": 0.7, "source": "reward"}).json()
    assert (said["counts"], said["late"]) == (True, False)
    assert said["outcome"] | {"at": ""} == {"passed": True, "value": 0.7, "source": "reward", "at": ""}
    shown = client.get(at).json()
    assert (shown["text"], shown["state"], shown["tokens"], len(shown["steps"])) == ("Refund order 12", "open", 40, 4)
    kept.sweep(all=True)
    assert evidence(tmp_path)[0].stratum == "refunds"
    assert handed(tmp_path)[0].outcome.value == 0.7


def test_holdout_gets_no_advice_and_the_others_do(client):
    begun = [client.post("/v1/runs", json={"task": f"task {n}"}).json() for n in range(60)]
    for one in begun:
        held = one["arm"] == "holdout"
        assert (one["advice"] is None) == held
        assert one["no_advice"] == ("the arm holdout gives none" if held else "")
    assert {"holdout", "champion"} == {one["arm"] for one in begun}
    given = next(one["advice"] for one in begun if one["advice"])
    assert set(given) == {"text", "digest", "draw", "adapter"}


def test_the_same_id_gets_the_same_run_and_no_second_draw(kept):
    advisor = OneAdvice()
    client = served(kept, advisor=advisor)
    first = client.post("/v1/runs", json={"task": "Refund order 12", "run_id": "mine"}).json()
    asked = advisor.asked
    assert client.post("/v1/runs", json={"task": "Refund order 12", "run_id": "mine"}).json() == first
    assert advisor.asked == asked
    other = client.post("/v1/runs", json={"task": "Refund order 13", "run_id": "mine"})
    assert (other.status_code, other.json()["error"]["type"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/runs", "{", 400),
        ("/v1/runs", "[]", 400),
        ("/v1/runs", "\ufeff{}", 400),
        ("/v1/runs", '{"task": 7}', 400),
        ("/v1/runs", '{"task": ""}', 400),
        ("/v1/runs", '{"task": "a", "domain": "nowhere"}', 400),
        ("/v1/runs", '{"task": "a", "run_id": "../x"}', 400),
        ("/v1/runs", '{"task": "a", "more": 1}', 400),
        ("/v1/runs", '{"task": "a", "metadata": {"stratum": 3}}', 400),
        ("/v1/runs", "[" * 100_000, 400),
        ("/v1/runs", '{"task": "a", "metadata": ' + '{"a": ' * 200 + "1" + "}" * 200 + "}", 400),
        ("/v1/runs/R/outcome", "{}", 400),
        ("/v1/runs/R/outcome", '{"passed": 7}', 400),
        ("/v1/runs/R/outcome", '{"passed": "yes"}', 400),
        ("/v1/runs/R/outcome", '{"passed": true, "value": NaN}', 400),
        ("/v1/runs/R/outcome", '{"passed": true, "value": 7}', 400),
        ("/v1/runs/R/outcome", '{"passed": true, "value": 1e999}', 400),
        ("/v1/runs/R/outcome", '{"passed": true, "value": ' + "9" * 5000 + "}", 400),
        ("/v1/runs/R/outcome", '{"passed": true, "source": "me"}', 400),
        ("/v1/runs/R/outcome", '{"passed": true, "at": "2020-01-01"}', 400),
        ("/v1/runs/nobody/outcome", '{"passed": true}', 404),
        ("/v1/runs/nobody/steps", '{"steps": []}', 404),
        ("/v1/runs/R/steps", '{"steps": [{"role": "boss", "text": "x"}]}', 400),
        ("/v1/runs/R/steps", '{"steps": [], "tokens": -1}', 400),
        ("/v1/runs/R/steps", '{"steps": ' + json.dumps([{"role": "user"}] * 1001) + "}", 400),
        ("/v1/runs/R/steps", '{"steps": [{"role": "user", "text": "' + "x" * LARGEST_BODY + '"}]}', 413),
        ("/v1/runs/R/steps", '{"steps": [{"role": "user", "text": "' + "x" * LARGEST_RUN + '"}]}', 413),
    ],
)
def test_bad_input_is_refused_in_words(client, path, body, status):
    run = client.post("/v1/runs", json={"task": "Refund order 12"}).json()["run_id"]
    headers = {"content-type": "application/json"}
    answer = client.post(path.replace("/R/", f"/{run}/"), content=body.encode(), headers=headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type"}
    assert "Traceback" not in error["message"]
    assert len(error["message"]) < 500
    assert client.get(f"/v1/runs/{run}").json()["outcome"] is None


def test_a_form_of_a_web_page_is_refused(client):
    answer = client.post("/v1/runs", content='{"task": "a"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 415


def test_a_refused_value_is_not_repeated(client):
    answer = client.post("/v1/runs", json={"task": "a", "metadata": {}, "domain": "s3cret-domain", "run_id": "p w"})
    assert "s3cret" not in answer.text


def test_hostile_text_and_half_characters_are_kept_as_text(client):
    body = '{"task": "<script>alert(1)</script>\\u0000 \\ud800 \\u001b[2J", "run_id": "h"}'
    assert client.post("/v1/runs", content=body, headers={"content-type": "application/json"}).status_code == 200
    assert client.get("/v1/runs/h").json()["text"].startswith("<script>")


def test_contradictory_outcomes_are_all_shown(client):
    run = client.post("/v1/runs", json={"task": "a"}).json()["run_id"]
    for passed, source, counts in [(True, "model", True), (False, "test", True), (True, "person", False)]:
        said = client.post(f"/v1/runs/{run}/outcome", json={"passed": passed, "source": source}).json()
        assert said["counts"] is counts
    shown = client.get(f"/v1/runs/{run}").json()
    assert (shown["outcome"]["passed"], len(shown["outcomes"])) == (False, 3)


def test_a_run_is_for_its_own_token_and_the_services(kept):
    client = served(kept, TOKEN)
    assert client.post("/v1/runs", json={"task": "a"}).status_code == 401
    mine = client.post("/v1/runs", json={"task": "a"}, headers=bearer(TOKEN)).json()
    other = client.post("/v1/runs", json={"task": "b"}, headers=bearer(TOKEN)).json()
    at, judge = f"/v1/runs/{mine['run_id']}", {"passed": True}
    unknown = client.get("/v1/runs/nobody", headers=bearer(other["token"]))
    strangers: list[Any] = [
        {},
        bearer(other["token"]),
        bearer("x"),
        bearer(mine["token"][:-1]),
        {"x-parammem-token": b"\xe9"},
    ]
    for headers in strangers:
        for answer in (
            client.get(at, headers=headers),
            client.post(f"{at}/outcome", json=judge, headers=headers),
            client.post(f"{at}/steps", json={"steps": []}, headers=headers),
        ):
            assert (answer.status_code, answer.content) == (404, unknown.content)
    assert client.get(at, headers=bearer(TOKEN)).json()["outcome"] is None
    assert client.post(f"{at}/outcome", json=judge, headers={"x-parammem-run-token": mine["token"]}).json()["counts"]
    shown = client.get(at, headers=bearer(mine["token"])).json()
    assert (shown["outcome"]["passed"], shown["outcomes"][0]["by"]) == (True, "the run's token")


def test_a_full_spool_refuses_outcomes_aloud_and_runs_go_on(tmp_path):
    kept = book(tmp_path, spool_mb=1)
    client = served(kept)
    first = client.post("/v1/runs", json={"task": "first"}).json()["run_id"]
    while (begun := client.post("/v1/runs", json={"task": "x" * 50_000}).json())["recorded"]:
        pass
    assert begun["advice"] or begun["arm"] == "holdout"
    assert client.get(f"/v1/runs/{begun['run_id']}").status_code == 404
    large = Step(role="tool", text="x" * 500_000).model_dump(mode="json")
    answer = client.post(f"/v1/runs/{first}/steps", json={"steps": [large]})
    assert (answer.status_code, answer.json()["error"]["type"]) == (507, "not_recorded")
    refused = client.post(f"/v1/runs/{first}/outcome", json={"passed": True, "answer": "y" * 300_000})
    assert (refused.status_code, refused.json()["error"]["type"]) == (507, "not_recorded")
    assert client.post(f"/v1/runs/{first}/outcome", json={"passed": True}).status_code == 200
    kept.close()
