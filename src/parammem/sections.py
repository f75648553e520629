"""Sections of params.yaml that have a page of their own: what config.py reads, a part of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from parammem.core.words import count


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LaunchParams(Section):
    """Processes that train one adapter together; the stage starts them with `accelerate launch`."""

    processes: int = Field(ge=1, default=1)
    """One for each GPU. 1: the stage trains by itself."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """ddp: every process has the whole model. fsdp: each has its share of every layer, for models that fit no card."""


class TrainParams(Section):
    """LoRA fine-tuning of the reflector."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    target_modules: tuple[str, ...]
    learning_rate: float = Field(gt=0)
    warmup: float = Field(ge=0, lt=1)
    """Share of the steps."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    epochs: float = Field(gt=0)
    """Passes over the rows, where max_steps is 0."""
    max_steps: int = Field(ge=0)
    """Optimiser steps in all; `epochs` is not used then. 0: epochs decide."""
    batch: int = Field(ge=1)
    """Rows of an optimiser step, of all processes together."""
    micro_batch: int = Field(ge=0, default=0)
    """Rows that a process takes at once, at most; gradients add up until the batch is done. 0: its whole share."""
    group_by_length: bool = True
    """Batches of rows of like length, which saves padding. Rows never share a sequence, so nothing leaks."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16: the frozen weights and the arithmetic. The adapter's own weights and their optimiser stay in float32."""
    gradient_checkpointing: bool = False
    """Compute a layer's activations again in the backward pass: a third more arithmetic, much less memory."""
    max_grad_norm: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    held_out: float = Field(ge=0, lt=1)
    """Share of tasks whose rows are kept for the held-out loss."""
    select: int = Field(ge=0)
    """K-means selection of this many diverse rows (the paper's sample-efficiency setting: 500); 0 keeps all."""
    checkpoint_every: int = Field(ge=1)
    seed: int
    threads: int = Field(ge=1, default=2)
    """CPU threads: part of the recipe, because sums are split by thread and the last bits follow from that."""
    launch: LaunchParams = LaunchParams()
    controls: tuple[Literal["shuffled", "other_world"], ...]
    """Further adapters trained by the same recipe on rows that should teach nothing."""

    @model_validator(mode="after")
    def _batch_divides(self) -> TrainParams:
        share, left = divmod(self.batch, self.launch.processes)
        if left:
            raise ValueError(
                f"a batch of {count(self.batch, 'row')} cannot be shared by "
                f"{count(self.launch.processes, 'process', 'processes')}; "
                "make train.batch a multiple of train.launch.processes"
            )
        if 0 < self.micro_batch < share and share % self.micro_batch:
            raise ValueError(
                f"each process has {share} rows of a batch, which is no multiple of micro_batch ({self.micro_batch}); "
                f"make train.micro_batch a divisor of {share}"
            )
        return self


class PriceParams(Section):
    """US dollars per million tokens of one model."""

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)


UNSHOWN = "not shown here"
"""Stands in messages about values that may be secret."""


def checked_url(url: str) -> str:
    """Return a server's base URL. Raises ValueError: it is none, or has what belongs elsewhere."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, whole = urlsplit(""), False
    if "@" in parts.netloc:
        raise ValueError(f"a URL with a password ({UNSHOWN}); take it out: keys come from environment variables")
    if not whole or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ValueError("this is no URL; give one like http://127.0.0.1:8000/v1")
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no '?' and no '#'; give what stands before /chat/completions")
    for path in ("/chat/completions", "/models"):
        if parts.path.rstrip("/").endswith(path):
            raise ValueError(f"leave out {path!r}: the base URL is what stands before it")
    return url


def _checked_variable(name: str) -> str:
    """Return the name of an environment variable. Raises ValueError: it is none, and perhaps the key itself."""
    if name and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(
            f"this is no name of an environment variable ({UNSHOWN}, since it may be a key); set a variable to the "
            "key, and give the variable's name"
        )
    return name


class ServerParams(Section):
    """An OpenAI-compatible server (`engine.kind: openai`). Nothing here changes what a stage writes, but the models'
    names and `embedder`; so defaults decide nothing that DVC would have to track."""

    base_url: str
    """Up to and including /v1."""
    other_urls: dict[str, str] = {}
    """Base URLs of models that another server has, by the model's name."""
    api_key_env: str = ""
    """Name of the environment variable that holds the key of `base_url`. Empty: no key is sent."""
    other_keys: dict[str, str] = {}
    """The same for `other_urls`, by the model's name. A model without one is sent no key."""
    aliases: dict[str, str] = {}
    """By the model's name: the name that the server answers under, where that is no dated form of it, as with a
    deployment of Azure's."""
    concurrency: int = Field(ge=1, default=64)
    """Requests in flight at each server."""
    timeout_seconds: float = Field(gt=0, default=300, allow_inf_nan=False)
    """For one attempt at one request."""
    retries: int = Field(ge=0, default=6)
    """Further attempts, with growing random waits."""
    budget_tokens: int = Field(ge=0, default=0)
    """Prompt and completion tokens of all roles and runs together that share a cache folder; 0: no limit."""
    budget_usd: float = Field(ge=0, default=0, allow_inf_nan=False)
    """The same in money, by `prices`; 0: no limit."""
    prices: dict[str, PriceParams] = Field(default={}, validate_default=True)
    """By the model's name; an adapter costs what its base does."""
    embedder: str = ""
    """Embedding model of the server for banks and retrieval. Empty: the built-in one."""

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("other_urls")
    @classmethod
    def _are_urls(cls, urls: dict[str, str]) -> dict[str, str]:
        return _all_checked(checked_url, urls)

    @field_validator("api_key_env")
    @classmethod
    def _is_a_variable(cls, name: str) -> str:
        return _checked_variable(name)

    @field_validator("prices")
    @classmethod
    def _has_what_a_budget_needs(cls, prices: dict[str, PriceParams], info: ValidationInfo) -> dict[str, PriceParams]:
        if info.data.get("budget_usd") and not prices:
            raise ValueError("budget_usd needs the prices of all models that are used; add them, or set it to 0")
        return prices

    @field_validator("other_keys")
    @classmethod
    def _are_of_other_urls(cls, keys: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        known = info.data.get("other_urls")  # not there when it is itself wrong
        strange = [] if known is None else sorted(set(keys) - set(known))
        if strange:
            raise ValueError(
                f"no URL in other_urls for {', '.join(map(repr, strange))}; add it there, or take the key out: that of "
                "base_url is api_key_env"
            )
        return _all_checked(_checked_variable, keys)


def _all_checked(check: Callable[[str], str], values: dict[str, str]) -> dict[str, str]:
    """Return the values, each checked. Raises ValueError: all that are wrong, each with the key that it stands
    under."""
    wrong = []
    for name, value in values.items():
        try:
            check(value)
        except ValueError as error:
            wrong.append(f"{name!r}: {error}")
    if wrong:
        raise ValueError("; and ".join(wrong))
    return values


class RayParams(Section):
    """A Ray cluster over which `collect` and `evaluate` spread their tasks (docs/serving.md)."""

    address: str
    """local: worker processes on this machine, one for each shard. auto: the cluster that this machine is part of.
    host:port: the head of a cluster that this machine is part of."""
    shards: int = Field(ge=1, default=2)
    """Parts that the tasks are split into, by a hash of the task."""
    cpus_per_shard: float = Field(ge=0, default=1)
    gpus_per_shard: float = Field(ge=0, default=0)
    """What Ray keeps free for one shard."""
    retries: int = Field(ge=0, default=3)
    """How often a shard whose worker was lost is begun again."""

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        host, colon, port = address.rpartition(":")
        if address not in ("local", "auto") and not (colon and host and "/" not in host and port.isdigit()):
            raise ValueError("give local, auto or host:port; this process must run on a machine of the cluster")
        return address
