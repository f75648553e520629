"""Facts about reading runs in a browser where the service has a token."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from parammem.service.app import Service
from parammem.service.page_sign_in import COOKIE, SIGN_IN, TOKEN, PageSignIn
from parammem.service.run_pages import STYLE
from tests.service.proxies import params_with

SECRET = "a-long-token-of-the-service"


@pytest.fixture
def client():
    """A browser; the application behind the sign-in answers with the token that it was brought."""

    def told(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"token={request.headers.get(TOKEN, '')} cookie={request.headers.get('cookie', '')}")

    routes = [Route("/{path:path}", told, methods=["GET", "POST"])]
    app = Starlette(routes=routes, middleware=[Middleware(PageSignIn, token=SECRET)])
    return TestClient(app, follow_redirects=False)


def test_the_form_signs_in_and_leads_to_the_page_that_was_asked_for(client):
    asked = client.get("/runs/a%3Fb?step=3")
    assert asked.status_code == 401
    assert 'name="next" value="/runs/a%3Fb?step=3"' in asked.text
    assert "token=" not in asked.text.replace('name="token"', "")
    answer = client.post(SIGN_IN, data={"token": f" {SECRET} ", "next": "/runs/a%3Fb?step=3"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/a%3Fb?step=3")
    assert client.get("/runs").text.startswith(f"token={SECRET} ")


def test_the_token_in_the_address_is_taken_once_and_leaves_the_address(client):
    answer = client.get(f"/runs?arm=holdout&token={SECRET}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?arm=holdout")
    assert client.get("/runs?arm=holdout").text.startswith(f"token={SECRET} ")


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_does_not_hold_the_token(client):
    said = client.get(f"/runs?token={SECRET}").headers["set-cookie"]
    assert {part.strip().lower() for part in said.split(";")} >= {"httponly", "samesite=strict", "path=/runs"}
    assert SECRET not in said
    assert "secure" not in said.lower()


def test_over_https_the_cookie_goes_over_https_alone(client):
    client.base_url = "https://testserver"
    assert "secure" in client.get(f"/runs?token={SECRET}").headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "given", ["", "wrong", SECRET[:-1], SECRET + "x", "\udc80".encode("utf-8", "replace").decode()]
)
def test_a_wrong_token_or_cookie_opens_nothing(client, given):
    answers = [
        client.post(SIGN_IN, data={"token": given}),
        client.get("/runs", params={"token": given}),
        client.get("/runs", headers={"cookie": f"{COOKIE}={given}"}),
        client.get("/runs/x", headers={"cookie": f"{COOKIE}={SECRET}"}),
        client.post(SIGN_IN, content=b"token=" + b"x" * 100_000),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert not any("set-cookie" in answer.headers for answer in answers)
    assert not any(SECRET in answer.text for answer in answers)


def test_the_cookie_only_reads_and_only_pages(client):
    client.get(f"/runs?token={SECRET}")
    kept = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    assert client.post("/runs/x", headers=kept).status_code == 401
    for path in ("/v1/runs/x", "/metrics", "/runsx"):
        assert client.get(path, headers=kept).text.startswith("token= ")


@pytest.mark.parametrize(
    "elsewhere",
    ["https://example.org/", "//example.org", "/runs/../v1", "/runs//example.org", "/\\x", "/runs\r\nx: y", "x"],
)
def test_a_sign_in_leads_to_no_other_site(client, elsewhere):
    answer = client.post(SIGN_IN, data={"token": SECRET, "next": elsewhere})
    assert answer.headers["location"] == "/runs"


def test_who_brings_a_header_needs_no_cookie_and_is_judged_by_it(client):
    assert client.get("/runs", headers={TOKEN: "x"}).text.startswith("token=x ")
    assert client.get("/runs", headers={"authorization": "Bearer x"}).text.startswith("token= ")


def test_the_sign_in_page_gets_its_style(client):
    assert client.get(STYLE).status_code == 200


def test_without_a_token_nothing_is_asked():
    async def app(scope, receive, send):
        await PlainTextResponse("reached")(scope, receive, send)

    assert TestClient(PageSignIn(app, "")).get("/runs").text == "reached"


def test_the_service_opens_its_pages_to_the_cookie_and_nothing_else(tmp_path):
    service = Service(tmp_path, params_with(), token=SECRET)
    try:
        service.book.start("code", "find me", run_id="r1")
        browser = TestClient(service.app)
        asked = browser.get("/runs/r1")
        assert (asked.status_code, "www-authenticate" in asked.headers, "find me" in asked.text) == (401, False, False)
        assert "find me" in browser.get(f"/runs/r1?token={SECRET}").text
        assert "find me" in browser.get("/runs").text
        assert browser.get(STYLE).headers["content-type"].startswith("text/css")
        assert browser.get("/metrics").status_code == 401
        assert "find me" in TestClient(service.app, headers={TOKEN: SECRET}).get("/runs").text
        assert TestClient(service.app, headers={TOKEN: "wrong"}).get("/runs").status_code == 401
    finally:
        service.book.close()
        service.advisor.close()
