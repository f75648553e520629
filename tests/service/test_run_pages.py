"""Facts about the pages of runs: what they show, what hostile text cannot do, who may read them."""

from __future__ import annotations

import html
import re
import shlex
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from parammem.config import load_params
from parammem.core.advice import GivenAdvice
from parammem.core.outcome import Outcome
from parammem.core.record import digest_of
from parammem.core.step import Step, ToolCall
from parammem.service import run_pages
from parammem.service.run_book import RunBook
from parammem.service.run_records import ArmsNow

ADAPTER = "a1" * 32
HOSTILE = (
    "<script>document.title='owned'</script>\"'><img src=x onerror=alert(1)> \x1b[2J \u202egnp.exe \u2066x {{7*7}} ]]>"
)


@pytest.fixture
def book(tmp_path, repo_root):
    made = RunBook(tmp_path, load_params(repo_root / "params.yaml"), arms_of)
    yield made
    made.close()


def arms_of(_domain: str) -> ArmsNow:
    return ArmsNow({"holdout": 0.5, "champion": 0.5}, {"champion": ADAPTER})


def client_of(book: RunBook) -> TestClient:
    return TestClient(Starlette(routes=run_pages.routes(book, ("code", "math", "qa"))))


def advised_run(book: RunBook, text: str = "Refund order 12", run_id: str = "run-1", advice: str = "look at the date"):
    given = GivenAdvice(text=advice, digest=digest_of(advice), draw=0, adapter=ADAPTER)
    book.start("code", text, run_id=run_id)
    book.advised(run_id, given)
    book.add_steps(
        run_id,
        [
            Step(role="assistant", text="I look it up", call=None),
            Step(role="assistant", call=ToolCall(name="orders", arguments={"id": 12}, id="c1")),
            Step(role="tool", text="order 12: paid", result_of="c1", error="slow"),
        ],
        tokens=1234,
    )
    return given


def test_a_run_shows_task_advice_steps_and_which_outcome_counts(book):
    given = advised_run(book)
    book.report("run-1", Outcome(passed=True, source="model"), by="the agent")
    book.report("run-1", Outcome(passed=False, value=0.25, source="test"), by="ci")
    text = client_of(book).get("/runs/run-1").text
    for wanted in ("Refund order 12", "look at the date", given.digest[:16], ADAPTER[:16], "draw 0", "I look it up",
                   "orders", "id: 12", "order 12: paid", "result of c1", "slow", "1,234", "by test",
                   "parammem audit answer run-1"):  # fmt: skip
        assert wanted in text, wanted
    (counting,) = re.findall(r'<tr class="counting"><td>(.*?)</td>', text)
    assert counting == "failed, value 0.25, by test"


def test_the_list_filters_and_pages_through_all_runs_once(book, monkeypatch):
    monkeypatch.setattr(run_pages, "RUNS", 4)
    for number in range(11):
        book.start("code" if number % 2 else "math", f"task {number}", run_id=f"r{number}")
    book.report("r3", Outcome(passed=True, source="test"))
    client = client_of(book)

    def ids(text: str) -> list[str]:
        return re.findall(r'href="/runs/(r\d+)">task', text)

    seen, address = [], "/runs"
    while address:
        text = client.get(address).text
        seen += ids(text)
        found = re.search(r'href="(/runs\?[^"]*before=[^"]*)"', text)
        address = found[1].replace("&amp;", "&") if found else ""
    assert seen == [f"r{number}" for number in reversed(range(11))]
    assert ids(client.get("/runs?domain=code&outcome=passed").text) == ["r3"]
    champion = [one.run_id for one in book.list(arm="champion")]
    assert 0 < len(champion) < 11
    monkeypatch.setattr(run_pages, "RUNS", 20)
    assert ids(client.get(f"/runs?reflector={ADAPTER[:6]}").text) == champion
    assert ids(client.get("/runs?arm=champion").text) == champion
    assert "No run is like that" in client.get("/runs?reflector=ffff").text


def test_counts_of_the_list_are_those_of_the_book(book):
    for number in range(6):
        book.start("code", f"task {number}", run_id=f"r{number}")
        book.report(f"r{number}", Outcome(passed=number < 2, source="test"))
    text = client_of(book).get("/runs?domain=code").text
    table = re.search(r'<table class="counts">.*?</table>', text, re.S)
    assert table
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr><td>.*?</tr>", table[0])]
    names = re.findall(r"<th>(.*?)</th>", table[0])
    passed = sum(int(row[names.index("passed")]) for row in rows)
    failed = sum(int(row[names.index("failed")]) for row in rows)
    assert (passed, failed) == (2, 4)


def test_hostile_text_is_shown_and_is_no_markup(book):
    advised_run(book, text=HOSTILE, advice=HOSTILE)
    book.advised("run-1", None, HOSTILE)
    book.add_steps("run-1", [Step(role="tool", text=HOSTILE, error=HOSTILE, result_of=HOSTILE)], error=HOSTILE)
    book.add_steps("run-1", [Step(role="assistant", call=ToolCall(name=HOSTILE, arguments=HOSTILE, id=HOSTILE))])
    book.report("run-1", Outcome(passed=True), by=HOSTILE)
    client = client_of(book)
    asked = quote(HOSTILE.replace("/", ""))
    for address in ("/runs", "/runs/run-1", f"/runs?reflector={asked}", f"/runs/{asked}"):
        text = client.get(address).text
        assert "<script" not in text
        assert "<img" not in text
        assert "onerror=alert(1)&gt;" in text
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
        assert "{{7*7}}" in text


@pytest.mark.parametrize("run_id", ["a?b", "a#b", "a%b", "<b>", "\"'", "a&amp;b", "-", "..."])
def test_every_id_leads_to_its_run(book, run_id):
    book.start("code", "find me", run_id=run_id)
    client = client_of(book)
    (address,) = re.findall(r'href="(/runs/[^"]*)">find me', client.get("/runs").text)
    answer = client.get(address)
    assert answer.status_code == 200
    assert "find me" in answer.text


def test_a_megabyte_of_text_does_not_make_a_megabyte_of_page(book):
    advised_run(book, text="x" * 1_000_000)
    client = client_of(book)
    text = client.get("/runs/run-1").text
    assert len(text) < 60_000
    assert "980,000 more characters not shown; <code>parammem runs run-1</code> prints all" in text
    assert len(client.get("/runs").text) < 20_000


def test_long_runs_are_shown_in_parts(book):
    book.start("code", "t", run_id="long")
    book.add_steps("long", [Step(role="assistant", text=f"step-{number}.") for number in range(250)])
    client = client_of(book)
    seen, address = [], "/runs/long"
    while address:
        text = client.get(address).text
        seen += re.findall(r"step-(\d+)\.", text)
        later = re.search(r'href="(\?step=\d+)">later', text)
        address = f"/runs/long{later[1]}" if later else ""
    assert seen == [str(number) for number in range(250)]
    assert client.get("/runs/long?step=99999").status_code == 200
    assert client.get("/runs/long?step=²").status_code == 200


@pytest.mark.parametrize("address", ["/runs", "/runs/run-1", "/runs/none", run_pages.STYLE])
def test_every_answer_forbids_scripts_frames_and_guesses(book, address):
    advised_run(book)
    headers = client_of(book).get(address).headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules == {"default-src": "'none'", "style-src": "'self'", "form-action": "'self'", "base-uri": "'none'",
                     "frame-ancestors": "'none'"}  # fmt: skip
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_an_unknown_run_and_a_broken_spool_are_said(book, monkeypatch):
    from parammem.errors import NotRecorded

    client = client_of(book)
    gone = client.get("/runs/none")
    assert gone.status_code == 404
    assert "parammem audit answer none" in gone.text

    def broken(*_, **__):
        raise NotRecorded("the spool is damaged")

    monkeypatch.setattr(book, "list", broken)
    answer = client.get("/runs")
    assert answer.status_code == 503
    assert "the spool is damaged" in answer.text


def test_no_page_has_a_script_or_an_address_elsewhere():
    for file in run_pages.HERE.glob("*.j2"):
        text = file.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "http" not in text.replace("http-equiv", "")
        assert "| safe" not in text
        assert "style=" not in text


def test_a_command_that_is_copied_from_a_page_does_nothing_else(book):
    for run_id in ("$(touch${IFS}owned)", "a;b|c&d`e`", "-rf", "'" * 200):
        book.start("code", "t", run_id=run_id)
        text = client_of(book).get(f"/runs/{quote(run_id, safe='')}").text
        commands = [html.unescape(one) for one in re.findall(r"<code>(parammem .*?)</code>", text)]
        assert len(commands) >= 2
        for command in commands:
            words = shlex.split(command)
            assert run_id in words or words[:3] == ["parammem", "audit", "show"]
            assert not run_id.startswith("-") or run_id not in words or words[words.index(run_id) - 1] == "--"
