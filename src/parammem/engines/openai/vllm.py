"""What only vLLM does: adapters on a base model, loaded while the server runs; and the command that starts it.

vLLM's prefix cache tells adapters apart by name, and other weights under a known name are answered from the old ones'.
So an adapter's name here contains the digest of its weights, and nothing is ever loaded again under a name that exists.
Before an adapter is used, the server must list it under the base it was trained on, and a few canary prompts must show
that it does not answer as the base does: a server that ignored the adapter would give a score to the wrong model.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from parammem.core.record import digest_of
from parammem.engines.adapters import check_adapter, read_lora_settings
from parammem.engines.openai.account import bound
from parammem.engines.openai.capabilities import FieldRefused
from parammem.engines.openai.engine import PROTOCOL, OpenAIEngine, models
from parammem.engines.openai.server import Server, ServerCall, Unusable
from parammem.engines.vetting import refuse_pointers, vet_model
from parammem.errors import AdapterError, AdapterMismatchError, ConfigError, EngineError, ModelMissingError

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank may be."""
LONGEST = 8192
CANARIES = (
    "What should be considered before this is solved?",
    "Give one piece of advice.",
    "Return the sum of the list.",
    "Who is the mentor of Anna?",
    "An apple costs 3 and a pear costs 5.",
    "reflect",
)
CANARY_TOKENS = 8
CLEARLY = 10.0
"""The adapter must move a log probability by so many times what the base differs from itself."""
LEAST = 1e-4
"""And by at least this much."""
RIVALS = 5
"""Tokens that a canary asks for in each place, with their log probabilities."""
FLIP = 1.0
"""What another token counts where a server does not say how near it was."""


class CanaryToken(NamedTuple):
    """One token of a canary's answer."""

    token: str
    logprob: float
    rivals: Mapping[str, float] = {}
    """Log probabilities of the likeliest tokens in its place. Empty: the server does not say."""


Line = list[CanaryToken]
"""A canary's answer."""


def adapter_name(domain: str, digest: str) -> str:
    """Return the name under which an adapter is served: it contains the whole digest of its weights."""
    return f"{domain}-{digest}"


def open_adapter(
    server: Server, base: str, folder: Path, base_folder: Path | None = None, revision: str = ""
) -> OpenAIEngine:
    """Return the engine for an adapter on a vLLM server: loaded if it is not yet there, checked, and seen to have an
    effect.

    Args:
        base: the name under which the server has the base model.
        folder: the adapter; the server must see it under the same absolute path.
        base_folder: the base model's folder, if it is on this machine too.
        revision: the commit that the server is said to have the base at, where it is pinned and not here.

    Raises:
        AdapterMissingError, AdapterMismatchError: the folder holds no adapter for this base.
        AdapterError: the server cannot load it, has it on another base, or answers as if it were not there.
        EngineError: the server does not answer.
    """
    vetted = vet_model(base_folder, served=True) if base_folder else None
    trained = check_adapter(folder, vetted.digest if vetted else None, base, vetted, served=True)
    card = trained.card
    if revision and card.base_model != f"{base}@{revision}":
        raise AdapterMismatchError(
            f"the adapter in {str(folder)!r} was trained on {card.base_model!r}, and the base is "
            f"'{base}@{revision}'; point engine.model at its base, or train it again"
        )
    rank_for(read_lora_settings(folder), folder)
    name = adapter_name(card.domain, trained.digest)
    server.start(_ready(server, base, name, folder.resolve())).result()
    of_base = [vetted.digest, *vetted.named] if vetted else [revision]
    made_of = ["openai", PROTOCOL, base, *of_base, trained.digest, trained.settings]
    return OpenAIEngine(server, name, digest_of(made_of), base)


async def _ready(server: Server, base: str, name: str, folder: Path) -> None:
    parent = await _parent(server, name)
    if parent is None:
        await _load(server, name, folder)
        parent = await _parent(server, name)
    if parent != base:
        raise AdapterError(
            f"the server {server.base_url} has the adapter {name!r} on {parent!r}, and its base is {base!r}; serve the "
            "base under that name (--served-model-name), then start the server again"
        )
    await _check_adapter_is_applied(server, base, name)


async def _parent(server: Server, name: str) -> str | None:
    """Return the base model on which the server has the adapter; None if it does not have it, "" if it does not say."""
    cards = await models(server)
    return next((card.get("parent") or "" for card in cards if card["id"] == name), None)


async def _load(server: Server, name: str, folder: Path) -> None:
    try:
        await server.load_adapter(name, str(folder))
    except ModelMissingError as error:
        raise AdapterError(
            f"the server {server.base_url} loads no adapters while it runs: start it with "
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora, or with this adapter from the start: "
            f"`parammem serve reflector {folder}` has the command"
        ) from error
    except EngineError as error:
        if await _parent(server, name) is not None:  # another process was quicker
            return
        raise AdapterError(
            f"the server could not load the adapter in {str(folder)!r}: {error}; it must see the folder under this "
            "path, and --max-lora-rank must be at least the adapter's rank (`parammem serve reflector` says it)"
        ) from error


async def _check_adapter_is_applied(server: Server, base: str, name: str) -> None:
    """Check on a few prompts that the adapter is applied.

    Its answers must differ from those of the base by clearly more than the base from itself.

    Only prompts that the base answers twice alike say anything: on a GPU, requests that share a batch change each
    other's last bits, and where two tokens are almost equally likely that is another token.

    Raises:
        AdapterError: it does not, or no prompt says anything.
    """
    asked = [_canary(server, base, model, prompt) for model in (base, name, base) for prompt in CANARIES]
    lines = await asyncio.gather(*asked)
    first, tuned, again = (lines[place : place + len(CANARIES)] for place in range(0, len(lines), len(CANARIES)))
    steady = [place for place, line in enumerate(first) if _tokens(line) == _tokens(again[place])]
    if not steady:
        raise AdapterError(
            f"the base {base!r} at the server {server.base_url} answers none of {len(CANARIES)} prompts twice alike, "
            f"so it cannot be seen whether the adapter {name!r} is applied; run again when the server has nothing else "
            "to do, or start it with --dtype float32"
        )
    effect = max(distance(first[place], tuned[place]) for place in steady)
    noise = max(distance(first[place], again[place]) for place in steady)
    if effect <= max(LEAST, CLEARLY * noise):
        raise AdapterError(
            f"the server {server.base_url} answers for the adapter {name!r} as for its base {base!r} (log "
            f"probabilities differ by {effect:.2g}, those of the base alone by {noise:.2g}): the adapter is not "
            "applied, or it learned nothing; look at the server's log, and train it again if it is empty"
        )


async def _canary(server: Server, base: str, model: str, prompt: str) -> Line:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0.0,
        "max_tokens": CANARY_TOKENS,
        "logprobs": True,
        "top_logprobs": RIVALS,
    }

    def read(payload: Any) -> Line:
        if wrong := server.capabilities(model).check_name(payload.get("model"), exact=model != base):
            raise Unusable(wrong, "another model")
        try:
            return [_said(token) for token in payload["choices"][0]["logprobs"]["content"]]
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, OverflowError):
            raise Unusable("the answer to a canary has no log probabilities", "no log probabilities") from None

    price = server.account.terms.price(base)
    most = bound([prompt], CANARY_TOKENS, price)
    call = ServerCall(
        "/chat/completions", body, "canary", model, most, price, needs=frozenset({"logprobs", "top_logprobs"})
    )
    try:
        return await server.post(call, read)
    except FieldRefused as error:
        raise AdapterError(
            f"{error}: without log probabilities it cannot be seen whether an adapter is applied; serve adapters with "
            "vLLM (docs/serving.md)"
        ) from error


def _said(token: Any) -> CanaryToken:
    rivals = {str(one["token"]): float(one["logprob"]) for one in token.get("top_logprobs") or []}
    return CanaryToken(str(token["token"]), float(token["logprob"]), rivals)


def _tokens(line: Line) -> list[str]:
    return [said.token for said in line]


def distance(one: Line, other: Line) -> float:
    """Return the largest difference of log probabilities of the same tokens, up to and with the first place where the
    two answers have other tokens; there, how far the one answer's token was from being the other's."""
    furthest = 0.0
    for here, there in zip(one, other, strict=False):
        if here.token != there.token:
            return max(furthest, _lead(here, there.token), _lead(there, here.token))
        furthest = max(furthest, abs(here.logprob - there.logprob))
    return furthest if len(one) == len(other) else max(FLIP, furthest)


def _lead(said: CanaryToken, token: str) -> float:
    """Return how much likelier a token was than the one that another answer has in its place: near 0 where chance
    decides."""
    if not said.rivals:
        return FLIP
    return said.logprob - said.rivals.get(token, min(said.rivals.values()))


@dataclass(frozen=True)
class ServeCommand:
    """How vLLM is started for a base model and adapters on it."""

    environment: dict[str, str]
    arguments: tuple[str, ...]
    """After `vllm serve`, or after `python -m vllm.entrypoints.openai.api_server --model`."""

    def shell(self, program: Sequence[str] = ("vllm", "serve")) -> str:
        """Return the line to paste into a shell."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*settings, shlex.join([*program, *self.arguments])])


def serve_command(
    model: Path | str,
    name: str,
    folder: Path,
    max_model_len: int,
    base_url: str,
    dtype: str = "auto",
    further: Sequence[str] = (),
) -> ServeCommand:
    """Return the command for one adapter, to which others can be added while the server runs.

    Args:
        model: what vLLM reads: a folder, or a hub name.
        name: under which the base is served: engine.model of params.yaml.
        max_model_len: prompt and answer together, in tokens.
        base_url: where params.yaml expects the server.
        further: arguments of vLLM's own, put last.

    Raises:
        AdapterError: vLLM cannot serve this adapter.
        ModelMissingError: the base's folder holds git-lfs pointers in place of its files.
    """
    refuse_pointers(Path(model))
    card = check_adapter(folder, None, str(model), served=True).card
    rank = rank_for(read_lora_settings(folder), folder)
    url = urlsplit(base_url)
    adapter = {"name": adapter_name(card.domain, card.digest), "path": str(folder.resolve()), "base_model_name": name}
    arguments = [
        str(model), "--served-model-name", name, "--host", url.hostname or "127.0.0.1", "--port", str(url.port or 8000),
        "--enable-lora", "--max-lora-rank", str(rank), "--max-loras", "4", "--lora-modules", json.dumps(adapter),
        "--max-model-len", str(max_model_len), "--dtype", dtype,
        "--generation-config", "vllm",  # or the model's own defaults (top_p and the like) would be laid over requests
        *further,
    ]  # fmt: skip
    return ServeCommand({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}, tuple(arguments))


def rank_for(config: dict[str, Any], folder: Path) -> int:
    """Return the smallest --max-lora-rank that fits an adapter_config.json. Raises AdapterError: there is none."""
    patterns = (config.get("rank_pattern") or {}).values()
    rank = max([int(config.get("r") or 0), *(int(value) for value in patterns)])
    if config.get("use_dora") or config.get("modules_to_save"):
        raise AdapterError(
            f"the adapter in {str(folder)!r} has DoRA or modules_to_save, which vLLM cannot serve; train a plain LoRA"
        )
    found = next((bucket for bucket in RANKS if bucket >= rank), None)
    if not rank or found is None:
        raise AdapterError(f"the adapter in {str(folder)!r} has rank {rank}; vLLM serves ranks from 1 to {RANKS[-1]}")
    return found


def check_url(base_url: str) -> None:
    """Raise ConfigError if vLLM could not be started at this URL."""
    url = urlsplit(base_url)
    if url.scheme != "http" or not url.hostname or url.path.rstrip("/") != "/v1":
        raise ConfigError(f"--base-url: {base_url!r} should look like http://127.0.0.1:8000/v1")


def model_length(folder: Path) -> int:
    """Return how many tokens a model takes, at most LONGEST: more would only take memory from concurrency."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return min(int(config.get("max_position_embeddings") or LONGEST), LONGEST)
