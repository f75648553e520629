"""Facts about the pages of runs in a real browser: hostile text stays text, and a person can sign in and find a run."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from flows.prefect_server import free_port
from parammem.config import load_params
from parammem.core.outcome import Outcome
from parammem.core.step import Step
from parammem.service import run_pages
from parammem.service.page_sign_in import PageSignIn
from parammem.service.run_book import RunBook
from tests.browser import CHROMIUM, browser
from tests.service.test_run_pages import HOSTILE, advised_run, arms_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on PATH"),
    pytest.mark.timeout(300),
]
SIGN = "document.querySelector('[name=token]').value = '{token}'; document.forms[0].submit(); true"


@contextmanager
def served(app):
    """The address of an application on a free port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def book(tmp_path, repo_root):
    made = RunBook(tmp_path, load_params(repo_root / "params.yaml"), arms_of)
    yield made
    made.close()


def test_a_person_signs_in_finds_a_run_and_its_hostile_text_does_nothing(book, tmp_path):
    advised_run(book, text=HOSTILE, run_id="a%2Fb", advice=HOSTILE)
    book.add_steps("a%2Fb", [Step(role="tool", text=HOSTILE * 2000, error=HOSTILE)], error=HOSTILE)
    book.report("a%2Fb", Outcome(passed=True), by=HOSTILE)
    for number in range(60):
        book.start("code", f"task {number}", run_id=f"r{number}")
    routes = run_pages.routes(book, ("code", "math", "qa"))
    app = Starlette(routes=routes, middleware=[Middleware(PageSignIn, token="s3cret-token")])
    with served(app) as address, browser(tmp_path / "browser") as page:
        page.text(f"{address}/runs?outcome=passed", ["Sign in"])
        page.value(SIGN.format(token="wrong"))
        assert "That is not the token" in page.shown(["not the token"])
        page.value(SIGN.format(token="s3cret-token"))
        assert "<script>document.title='owned'</script>" in page.shown(["failed", "<script>"])
        assert page.value("location.search") == "?outcome=passed"
        assert page.value("document.querySelectorAll('.runs tbody tr').length") == 1
        page.value("document.querySelector('.runs tbody a').click()")
        text = page.shown(["More about it"])
        assert "parammem audit answer a%2Fb" in text
        assert text.count("<img src=x onerror=alert(1)>") > 5
        assert page.value("document.title").startswith("Run a%2Fb")
        assert page.value("document.images.length + document.scripts.length") == 0
        assert page.value("getComputedStyle(document.querySelector('pre')).whiteSpaceCollapse") == "preserve"
        assert page.value("document.documentElement.scrollWidth <= innerWidth")
        assert page.value("document.cookie") == ""
