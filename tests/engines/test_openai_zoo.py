"""Facts about servers as they are: what the engine makes of each, and what it pays; and the page that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from parammem import errors
from parammem.engines.base import Request, chat
from parammem.engines.completion_store import Store
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.engine import OpenAIEngine, open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.errors import RequestFailed
from tests.engines.stub import Stub
from tests.engines.test_openai_server import short_waits  # noqa: F401
from tests.engines.zoo import ZOO, Specimen, table

PAGE = Path(__file__).resolve().parents[2] / "docs/serving.md"


def engine_at(stub: Stub, specimen: Specimen, account: Account) -> OpenAIEngine:
    settings = ServerSettings(stub.url, retries=6, aliases=tuple(specimen.aliases.items()))
    return open_model(Server(settings, account), specimen.model)


def question(specimen: Specimen, text: str) -> Request:
    how = {"temperature": 1.0, "max_tokens": 20, **specimen.ask}
    return Request(messages=chat(text, how.pop("system", None)), **how)


def answered(engine: OpenAIEngine, request: Request) -> tuple[str, str]:
    """("", message) or (name of the error, message) of one request."""
    try:
        (draws,) = engine.complete([request])
    except errors.EngineError as error:
        return type(error).__name__, str(error)
    return draws[0].text.split(" ")[0], ""


@pytest.mark.parametrize("specimen", ZOO, ids=lambda specimen: specimen.name)
def test_what_the_engine_does_at_a_server_and_what_it_pays(specimen):
    account = Account(Terms())
    with Stub(specimen.reply, specimen.models) as stub:
        engine = engine_at(stub, specimen, account)
        found, message = answered(engine, question(specimen, "who"))
        assert found == specimen.outcome
        assert specimen.says in message
        sent, paid = len(stub.posts), sum(one.requests for one in account.total())
        assert (sent, paid) == (specimen.sent, specimen.paid)
        again, _ = answered(engine, question(specimen, "who else"))
        assert again == specimen.outcome
        assert len(stub.posts) - sent == specimen.then
        assert len({asked.body.get("seed") for asked in stub.posts} - {None}) <= len(stub.posts)


@pytest.mark.parametrize("specimen", [s for s in ZOO if s.then == 0 and s.sent == 1], ids=lambda s: s.name)
def test_what_ends_the_run_is_sent_once_however_many_wait(specimen):
    with Stub(specimen.reply, specimen.models) as stub:
        engine = engine_at(stub, specimen, Account(Terms()))
        with pytest.raises(errors.EngineError) as caught:
            engine.complete([question(specimen, f"question {number}") for number in range(40)])
        assert not isinstance(caught.value, RequestFailed)
        assert len(stub.posts) == 1


LEARNT = [s for s in ZOO if s.outcome == "Anna" and s.sent > s.paid and s.answers.startswith("4") and s.then != 4]


@pytest.mark.parametrize("specimen", [s for s in LEARNT if not s.answers.startswith("429")], ids=lambda s: s.name)
def test_a_refused_field_is_sent_once_by_many_requests_and_never_by_the_next_run(specimen, tmp_path):
    with Stub(specimen.reply, specimen.models) as stub:
        engine = engine_at(stub, specimen, Account(Terms(), Store(tmp_path)))
        draws = engine.complete([question(specimen, f"question {number}") for number in range(20)])
        n = specimen.ask.get("n", 1)
        assert [len(answer) for answer in draws] == [n] * 20
        assert len(stub.posts) == 1 + 20 * n
        before = len(stub.posts)
        later = engine_at(stub, specimen, Account(Terms(), Store(tmp_path)))
        later.complete([question(specimen, "who")])
        assert len(stub.posts) - before == n


def test_the_zoo_is_large_and_the_page_shows_it():
    assert len({specimen.name for specimen in ZOO}) == len(ZOO) >= 25
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- zoo -->\n")[2].partition("\n<!-- end of zoo -->")[0]
    assert shown == table(), "python -m tests.engines.zoo prints the table"
