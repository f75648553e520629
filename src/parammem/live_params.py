"""Sections of params.yaml for agents in use: the service, and the live gate's shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from parammem.sections import Section

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class LiveGateParams(Section):
    """Which share of the runs of agents in use gets which advice (docs/continual.md)."""

    holdout: float = Field(ge=0.01, le=0.5, default=0.1)
    """Share of runs that get no advice, so that the champion's worth stays known."""
    challenger: float = Field(ge=0.05, le=0.9, default=0.45)
    """Share of runs that a challenger on trial advises; the champion advises the rest."""


class ServiceParams(Section):
    """`parammem up`: advice for agents that are running, and their runs as experience (docs/service.md)."""

    host: str = "127.0.0.1"
    """Where it listens. Anything but this machine itself needs a token."""
    port: int = Field(ge=0, le=65535, default=8010)
    token_env: EnvironmentName = "PARAMMEM_TOKEN"
    """Environment variable that holds the token that requests must bring; none is needed on this machine alone."""
    upstream: str = ""
    """Base URL of the OpenAI-compatible server that calls are passed on to, with /v1; empty: no proxy."""
    upstream_key_env: str = ""
    """Environment variable with the server's API key, sent in place of the client's; empty: the client's goes on."""
    domain: str = ""
    """Of runs that name none; empty: the first of `domains`."""
    engine: Literal["hf", "vllm"] = "hf"
    """Who writes the advice: the model in this process, or a vLLM server."""
    vllm_url: str = "http://127.0.0.1:8000/v1"
    """Base URL of that server; it must let adapters be loaded while it runs (`parammem serve reflector`)."""
    device: str = "auto"
    advice_deadline_ms: int = Field(ge=1, default=1000)
    """A call waits no longer than this for advice, then goes on without."""
    temperature: float = Field(gt=0, le=2, default=1.0, allow_inf_nan=False)
    """Of advice."""
    run_minutes: float = Field(gt=0, default=60, allow_inf_nan=False)
    """A run of which nothing was heard for so long has ended."""
    outcome_minutes: float = Field(ge=0, default=1440, allow_inf_nan=False)
    """How long after a run's end an outcome is waited for."""
    match_minutes: float = Field(ge=0, default=10, allow_inf_nan=False)
    """Calls that name no run belong to the run that began with the same messages, if it was active so recently."""
    spool_mb: int = Field(ge=1, default=1024)
    """Most that runs that have not been handed over may take on disk; beyond it calls go on and are not recorded."""
    settle_seconds: float = Field(ge=0, default=60, allow_inf_nan=False)
    """How long after an outcome a run stays open for a better one."""
    batch_seconds: float = Field(ge=0, default=300, allow_inf_nan=False)
    """Runs that are settled wait no longer than this for others to be handed over with."""
    follow_seconds: float = Field(gt=0, default=10, allow_inf_nan=False)
    """How often the ledger is looked at for another champion."""
