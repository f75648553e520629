"""What servers were paid for, and the one total budget in tokens and money.

A request is admitted only if it fits the budget even at its most expensive, beside everything in flight; so the
budget is never exceeded, as far as servers keep to `max_tokens` and a token is at least a byte of text. Near the end
requests wait for those in flight to say what they really cost. What was spent is kept in the completion store, summed
over all runs and processes that use it: a resumed run goes on counting.

An answer without a count is booked at its bound, and so is a request that was sent and whose answer got lost. A `kill
-9` loses the account of what was in flight, at most one request for each place of the server's concurrency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from parammem.core.words import count
from parammem.engines.base import Request
from parammem.engines.completion_store import Keeper, Spent
from parammem.errors import BudgetExceeded

FRAME = 64
"""Tokens that a chat template may add to a prompt, and to each message."""
MILLION = 1_000_000
LARGEST = 100_000_000
"""Tokens. A server that counts more for one request is not believed."""
OTHER_NAMES = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
"""What gateways to Anthropic's models call them."""


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / MILLION


@dataclass(frozen=True)
class Most:
    """The most that a request can cost."""

    prompt: int = 0
    completion: int = 0
    usd: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion


def bound(texts: Sequence[str], completion: int, price: Price) -> Most:
    """Return the most that a prompt of these texts and an answer of so many tokens can cost: a token is at least one
    byte."""
    prompt = FRAME + sum(FRAME + len(text.encode(errors="surrogatepass")) for text in texts)
    return Most(prompt, completion, price.of(prompt, completion))


def most_of(request: Request, draws: int, price: Price) -> Most:
    """Return the most that a request for so many draws can cost."""
    return bound([message.content for message in request.messages], request.max_tokens * draws, price)


@dataclass(frozen=True)
class Terms:
    """What may be spent, and what a model's tokens cost. 0 is no limit; a model without a price is free."""

    budget_tokens: int = 0
    budget_usd: float = 0.0
    prices: Mapping[str, Price] = field(default_factory=dict)

    def price(self, model: str) -> Price:
        return self.prices.get(model, Price())


class Account:
    """Counts what was spent, and admits what still fits. For the servers' event loop alone, `total` for all callers.

    `store` is where the sums are kept; without one they last as long as this process.
    """

    def __init__(self, terms: Terms, store: Keeper | None = None) -> None:
        self.terms = terms
        self._store = store
        self._spent: list[Spent] = store.spent() if store else []
        self._reserved: list[Most] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = ""
        # One thread: another process may hold the file for a moment, and the loop must not wait for it; and sums that
        # are read in order can only grow.
        self._writer = ThreadPoolExecutor(1, "parammem-account")

    def total(self) -> list[Spent]:
        """Return sums by role and model, those of earlier runs included."""
        return list(self._spent)

    async def admit(self, most: Most) -> None:
        """Wait until a request fits beside those in flight, and reserve it. Pair with `release`.

        Raises:
            BudgetExceeded: it does not fit, and nothing in flight could free budget. Every later request gets it too.
        """
        while not self._closed and not self._fits(most):
            if not self._reserved:
                self._closed = self._words()
                self._wake()
                break
            turn = asyncio.get_running_loop().create_future()
            self._waiting.add(turn)
            await turn
        if self._closed:
            raise BudgetExceeded(self._closed)
        self._reserved.append(most)

    def release(self, most: Most) -> None:
        """Note that a request is over, however it ended."""
        self._reserved.remove(most)
        self._wake()

    @contextmanager
    def reserved(self, most: Most) -> Iterator[None]:
        """Give an admitted request's place back at the end."""
        try:
            yield
        finally:
            self.release(most)

    async def charge(self, role: str, model: str, price: Price, usage: Any, most: Most) -> None:
        """Record the cost of what a server says it counted (the `usage` object of a response), whether its answer was
        usable or not.

        What it does not say, or not in a way that can be true, is booked at its bound: so the budget holds.

        Raises:
            EngineError: it could not be written down.
        """
        prompt, completion = counts(usage, most)
        one = Spent(role, model, 1, prompt, completion, price.of(prompt, completion))
        if self._store is None:
            self._spent = plus(self._spent, one)
            return
        self._spent = await asyncio.get_running_loop().run_in_executor(self._writer, self._store.spend, one)

    async def recall(self, server: str, model: str) -> str:
        """Return what earlier runs found out about a model of a server; "" if nothing. Raises EngineError."""
        if self._store is None:
            return ""
        store = self._store
        return await asyncio.get_running_loop().run_in_executor(self._writer, lambda: store.learnt(server, model))

    async def learn(self, server: str, model: str, line: str) -> None:
        """Keep what was found out. Raises EngineError."""
        if self._store is not None:
            store = self._store
            await asyncio.get_running_loop().run_in_executor(self._writer, lambda: store.learn(server, model, line))

    def _fits(self, most: Most) -> bool:
        tokens = sum(s.prompt_tokens + s.completion_tokens for s in self._spent) + sum(m.tokens for m in self._reserved)
        usd = sum(s.usd for s in self._spent) + sum(m.usd for m in self._reserved)
        terms = self.terms
        return not (terms.budget_tokens and tokens + most.tokens > terms.budget_tokens) and not (
            terms.budget_usd and usd + most.usd > terms.budget_usd
        )

    def _wake(self) -> None:
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()

    def _words(self) -> str:
        tokens = sum(s.prompt_tokens + s.completion_tokens for s in self._spent)
        usd = sum(s.usd for s in self._spent)
        limits = [count(self.terms.budget_tokens, "token", form=",")] if self.terms.budget_tokens else []
        limits += [f"${self.terms.budget_usd:g}"] if self.terms.budget_usd else []
        return (
            f"the budget of {' and '.join(limits)} is used up ({count(tokens, 'token', form=',')} and ${usd:.4f}), and "
            "the next request might need more than is left; what was answered is kept: raise "
            "engine.server.budget_tokens or budget_usd and run again"
        )


def counts(usage: Any, most: Most) -> tuple[int, int]:
    """Return prompt and completion tokens of a `usage` object; at their bound where it gives none that can be true."""
    prompt, completion = counted(usage, "prompt_tokens"), counted(usage, "completion_tokens")
    if not prompt and not completion:  # no prompt is empty: a server that counts nothing writes zeros, or no usage
        return most.prompt, most.completion
    return most.prompt if prompt is None else prompt, most.completion if completion is None else completion


def counted(usage: Any, key: str) -> int | None:
    """Return a count of a `usage` object; None where the server gives none, or none that can be true."""
    if not isinstance(usage, dict):
        return None
    value = usage.get(key) if usage.get(key) is not None else usage.get(OTHER_NAMES[key])
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else None


def plus(sums: list[Spent], one: Spent) -> list[Spent]:
    """Return the sums with one more expense."""
    others = [s for s in sums if (s.role, s.model) != (one.role, one.model)]
    same = next((s for s in sums if (s.role, s.model) == (one.role, one.model)), None)
    return sorted([*others, same.plus(one) if same else one])
