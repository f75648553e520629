"""The servers of one run: which model is where, and one account for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from parammem.engines.completion_store import Keeper, Spent, Store
from parammem.engines.folders import hub_parts
from parammem.engines.openai.account import Account, Terms
from parammem.engines.openai.embedder import Embedder
from parammem.engines.openai.engine import OpenAIEngine, open_model
from parammem.engines.openai.server import Server, ServerSettings
from parammem.engines.openai.vllm import open_adapter
from parammem.errors import ConfigError


class Servers:
    """Opens engines for models and adapters that servers have."""

    def __init__(
        self,
        settings: ServerSettings,
        terms: Terms,
        cache: Keeper | Path | None,
        elsewhere: Mapping[str, str] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            cache: store of the account and of embeddings, or its folder. None: neither is kept.
            elsewhere: base URLs of models that are not at `settings.base_url`.
            keys: names of the environment variables with the keys of those.

        Raises:
            EngineError: the cache cannot be used.
        """
        self._settings, self._elsewhere, self._keys = settings, dict(elsewhere or {}), dict(keys or {})
        self._store: Keeper | None = Store(cache) if isinstance(cache, Path) else cache
        self.account = Account(terms, self._store)
        self._servers: dict[ServerSettings, Server] = {}

    def open(self, model: str, folder: Path | None = None, adapter: Path | None = None) -> OpenAIEngine:
        """Return the engine for a model by the name that its server has it under, or for an adapter on it.

        Args:
            model: that name; of a pinned model `owner/name@commit`, which its server has as `owner/name`.
            folder: where the model is on this machine, if it is there.

        Raises:
            ConfigError: the key is missing, or the URL is none.
            ModelMissingError, AdapterError, EngineError: as `open_model` and `open_adapter`.
        """
        name, revision = hub_parts(model)
        server = self._server(name)
        self._check_price(name)
        if adapter is None:
            return open_model(server, name, folder, revision)
        return open_adapter(server, name, adapter, folder, revision)

    def embedder(self, model: str) -> Embedder:
        """Return an embedder for a model. Raises ConfigError as `open` does."""
        self._check_price(model)
        return Embedder(self._server(model), model, self._store)

    def spent(self) -> list[Spent]:
        """Return what was spent by role and model, since the cache was begun."""
        return self.account.total()

    def _check_price(self, model: str) -> None:
        if self.account.terms.budget_usd and model not in self.account.terms.prices:
            raise ConfigError(
                f"engine.server.budget_usd needs the price of {model!r}; add it to engine.server.prices "
                "(prompt and completion, US dollars per million tokens; 0 where it is free)"
            )

    def _server(self, model: str) -> Server:
        settings = settings_of(model, self._settings, self._elsewhere, self._keys)
        if settings not in self._servers:
            self._servers[settings] = Server(settings, self.account)
        return self._servers[settings]


def settings_of(
    model: str, here: ServerSettings, elsewhere: Mapping[str, str], keys: Mapping[str, str]
) -> ServerSettings:
    """Return how the server that has this model is spoken to: a key goes to the URL that it was given for, and to no
    other.

    Args:
        here: of models that are not elsewhere; all but URL and key holds for those too.
        elsewhere, keys: base URL, and environment variable of the key, by the model's name.
    """
    url = elsewhere.get(model, here.base_url)
    if model not in keys and url.rstrip("/") == here.base_url.rstrip("/"):
        return here
    return replace(here, base_url=url, api_key_env=keys.get(model, ""), key_param="engine.server.other_keys")


def spent_table(spent: Sequence[Spent]) -> str:
    """Return what was spent, a line for each role and model, and their sum."""
    if not spent:
        return "nothing was spent"
    rows = [("role", "model", "answers", "prompt tokens", "completion tokens", "US$")]
    rows += [_row(one) for one in spent]
    rows += [_row(reduce(lambda total, one: total.plus(one), spent, Spent("all", "", 0, 0, 0, 0.0)))]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [[f"{cell:{'<' if n < 2 else '>'}{widths[n]}}" for n, cell in enumerate(row)] for row in rows]
    return "\n".join("  ".join(line) for line in lines)


def _row(one: Spent) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in one[2:5])
    return (one.role, one.model, *counts, f"{one.usd:.4f}")
