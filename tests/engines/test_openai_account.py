"""Facts about the budget: it is never exceeded, stops a run cleanly, and is counted over all runs."""

from __future__ import annotations

import pytest

from parammem.engines.cache import CachedEngine
from parammem.engines.completion_store import Spent, Store
from parammem.engines.openai.account import Account, Price, Terms, most_of
from parammem.engines.openai.server import ServerSettings
from parammem.engines.openai.servers import Servers, spent_table
from parammem.errors import BudgetExceeded, ConfigError
from tests.engines.local_server import LocalServer
from tests.engines.test_openai_server import ask, engine_of, short_waits  # noqa: F401
from tests.tiny import make_tiny_tokenizer

QUESTIONS = [ask(f"what is number {number}") for number in range(40)]
COST = 4 + 20
"""Tokens of each: words of the prompt and of the text."""


def tokens(spent: list[Spent]) -> int:
    return sum(one.prompt_tokens + one.completion_tokens for one in spent)


def cached(local: LocalServer, folder, terms: Terms, **settings) -> CachedEngine:
    return CachedEngine(engine_of(local, Account(terms, Store(folder)), **settings), folder)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_in_tokens_stops_in_time_and_the_next_run_goes_on_counting(tmp_path, concurrency):
    with LocalServer(latency=0.005) as local:
        for budget in (400, 700, 2000):
            engine = cached(local, tmp_path, Terms(budget_tokens=budget), concurrency=concurrency)
            if budget < 2000:
                with pytest.raises(BudgetExceeded, match=f"{budget:,} tokens"):
                    engine.complete(QUESTIONS)
            else:
                engine.complete(QUESTIONS)
            spent = tokens(Store(tmp_path).spent())
            assert spent <= budget
            assert spent == COST * len(Store(tmp_path).made()) == COST * len(local.chats)
            if budget < 2000:  # what is left would not have been enough for the worst case of one more
                assert spent + most_of(QUESTIONS[0], 1, Price()).tokens > budget
    assert len(local.chats) == 40


def test_a_budget_in_money_follows_the_prices(tmp_path):
    terms = Terms(budget_usd=0.01, prices={"base": Price(prompt=10.0, completion=50.0)})
    with LocalServer() as local:
        engine = cached(local, tmp_path, terms)
        with pytest.raises(BudgetExceeded, match=r"\$0\.01"):
            engine.complete(QUESTIONS)
        spent = Store(tmp_path).spent()
    assert sum(one.usd for one in spent) == pytest.approx(len(local.chats) * (4 * 10 + 20 * 50) / 1e6)
    assert 0 < sum(one.usd for one in spent) <= 0.01


def test_when_the_budget_is_used_up_nothing_more_is_sent(tmp_path):
    with LocalServer() as local:
        engine = cached(local, tmp_path, Terms(budget_tokens=400))
        for _ in range(2):
            with pytest.raises(BudgetExceeded):
                engine.complete(QUESTIONS)
        sent = len(local.chats)
        with pytest.raises(BudgetExceeded):
            engine.complete([ask("a", max_tokens=1)])
        assert len(local.chats) == sent


def test_answers_that_could_not_be_used_are_paid_too():
    account = Account(Terms())
    with LocalServer(trouble=lambda asked: "empty" if asked.repeats == 0 else "") as local:
        engine_of(local, account).complete([QUESTIONS[0]])
    assert account.total() == [Spent("actor", "base", 2, 8, 40, 0.0)]


def test_many_processes_share_one_account(tmp_path):
    stores = [Store(tmp_path) for _ in range(3)]
    for number, store in enumerate(stores):
        store.spend(Spent("actor", "base", 1, number, 10, 0.5))
    sums = stores[0].spend(Spent("teacher", "large", 2, 3, 4, 1.0))
    assert sums == [Spent("actor", "base", 3, 3, 30, 1.5), Spent("teacher", "large", 2, 3, 4, 1.0)]
    assert stores[1].spent() == sums


def test_a_prompt_never_has_more_tokens_than_it_is_admitted_with():
    tokenizer = make_tiny_tokenizer()
    for text in ("plain words", "ünïcödé 漢字 🙂" * 9, "\x00\x01", ""):
        request = ask(text)
        said = tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in request.messages],
            add_generation_prompt=True,
            tokenize=False,
        )
        ids = tokenizer.encode(str(said), add_special_tokens=False)
        assert len(ids) + request.max_tokens <= most_of(request, 1, Price()).tokens


def test_a_budget_in_money_needs_the_price_of_every_model(tmp_path):
    with LocalServer(models=["base", "other"]) as local:
        terms = Terms(budget_usd=1.0, prices={"base": Price(1, 1)})
        servers = Servers(ServerSettings(local.url), terms, tmp_path)
        assert servers.open("base")
        with pytest.raises(ConfigError, match="price of 'other'"):
            servers.open("other")
        with pytest.raises(ConfigError, match="price of 'vectors'"):
            servers.embedder("vectors")


def test_models_may_be_on_servers_of_their_own_and_pay_from_one_account(tmp_path):
    with LocalServer(models=["small"]) as one, LocalServer(models=["large"]) as two:
        servers = Servers(ServerSettings(one.url), Terms(), tmp_path, {"large": two.url})
        for name in ("small", "large"):
            servers.open(name).complete([ask("Anna")])
        assert (len(one.chats), len(two.chats)) == (1, 1)
    assert {spent.model for spent in servers.spent()} == {"small", "large"}


def test_the_table_of_what_was_spent_ends_with_the_sum():
    lines = spent_table([Spent("actor", "base", 3, 1200, 34, 0.5), Spent("teacher", "large", 1, 10, 4, 0.25)])
    assert lines.splitlines()[1].split() == ["actor", "base", "3", "1,200", "34", "0.5000"]
    assert lines.splitlines()[-1].split() == ["all", "4", "1,210", "38", "0.7500"]
    assert len({len(line) for line in lines.splitlines()}) == 1
    assert spent_table([]) == "nothing was spent"
