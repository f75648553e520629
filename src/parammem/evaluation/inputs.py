"""All that a report is built from, and how arms and reflectors are called and ordered in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from parammem.core.record import Record
from parammem.evaluation.benchmarks import Benchmarks
from parammem.evaluation.diversity import Clusters, TaskDiversity
from parammem.evaluation.methods import OverMethods
from parammem.evaluation.runs import AdviceDraws, OpenTask, Point, Run
from parammem.evaluation.uptake import Uptake

ARMS: dict[str, str] = {
    "base": "Base, one attempt",
    "resample": "Resample",
    "reflexion": "Reflexion",
    "dot": "DoT",
    "dot_bank": "DoT-bank",
    "retrieved": "Retrieved advice",
    "paramagent": "ParamAgent",
    "paramagent_plus": "ParamAgent-plus",
    "paramagent.untrained": "ParamAgent, untrained",
    "paramagent.shuffled": "ParamAgent, shuffled rows",
    "paramagent.other_world": "ParamAgent, other world",
    "paramagent.majority": "ParamAgent, majority advice",
}
"""Arm → name for people, in the order of every table and picture. An arm not listed goes last under its own name."""

REFLECTORS: dict[str, str] = {
    "trained": "Trained",
    "untrained": "Untrained",
    "shuffled": "Shuffled rows",
    "other_world": "Other world",
    "majority": "Majority advice",
}

DOMAIN_NAMES = {"code": "Code", "math": "Math", "qa": "Multi-hop QA", "all": "All domains"}

PAIRS: tuple[tuple[str, str], ...] = (
    ("paramagent", "reflexion"),
    ("paramagent", "resample"),
    ("paramagent", "retrieved"),
    ("paramagent", "paramagent.untrained"),
    ("paramagent", "paramagent.shuffled"),
    ("paramagent", "paramagent.other_world"),
    ("paramagent", "paramagent.majority"),
    ("paramagent_plus", "dot_bank"),
)
"""The comparisons fixed before any result: (left, right)."""


class LossPoint(Record):
    """One point of a training curve."""

    domain: str
    adapter: str
    """trained, shuffled or other_world."""
    step: int
    loss: float
    """Nats per token."""
    held_out: bool = False


class Work(Record):
    """What a stage cost the last time it ran."""

    stage: str
    generated_tokens: int
    """Written by a model then; nothing that came out of the completion cache."""
    made: int
    """Completions that a model wrote."""
    cache_hits: int
    """Completions that were in the cache."""


class Made(Record):
    """What a reflector was made of, as its card and the validation report say."""

    domain: str
    adapter: str
    """Digest of its weights."""
    data_digest: str
    rows: int
    base_model: str
    base_digest: str
    suite_digest: str
    passed: bool
    """The suite passed on the rows."""
    kept: int
    quarantined: int


class ReportInputs(Record):
    """Records and facts of one run of the pipeline. Empty parts are left out of the report, never invented."""

    protocol: str
    """Name of the evaluation protocol, e.g. strict."""
    sandbox_level: str
    """strict or none."""
    model: str
    """The base model, in words."""
    world: int
    rho: float
    iterations: int
    seeds: dict[str, int] = Field(default_factory=dict)
    reflector_temperature: float = 1.0
    """The temperature at which advice accuracy and diversity are reported."""
    runs: tuple[Run, ...]
    curve_runs: tuple[Run, ...] = ()
    """Runs of paramagent at several reflector temperatures, each with its `reflector_temperature`."""
    protocol_runs: tuple[Run, ...] = ()
    """Runs of the same arms on the same tasks under other protocols; each names its own."""
    draws: tuple[AdviceDraws, ...] = ()
    open_tasks: tuple[OpenTask, ...] = ()
    diversity: tuple[TaskDiversity, ...] = ()
    """From `diversity.measure`, with embeddings; computed from `draws` without embeddings if empty."""
    clusters: tuple[Clusters, ...] = ()
    over_methods: tuple[OverMethods, ...] = ()
    """From `methods.over_methods`: the paper's correlation of diversity with score."""
    losses: tuple[LossPoint, ...] = ()
    work: tuple[Work, ...] = ()
    sizes: dict[str, int] = Field(default_factory=dict)
    """Counts to show, e.g. {"code: reflection rows": 812}."""
    overlaps: dict[str, int] = Field(default_factory=dict)
    """The proof of disjointness: pairs of splits → tasks they share by content, e.g. {"code: train and eval": 0}."""
    benchmarks: tuple[Benchmarks, ...] = ()
    """Where real tasks came from, by domain. Empty: pocket tasks, of `world` and `rho`."""
    uptake: tuple[Uptake, ...] = ()
    """What `parammem uptake` found, by domain, where it was run."""
    made: tuple[Made, ...] = ()
    """What each domain's reflector was made of."""
    mutation: dict[str, Any] | None = None
    """reports/validation/mutation.json, when there is one: which injected defects the data rules catch."""
    notes: tuple[str, ...] = ()
    study: dict[str, Any] | None = None
    """study.json, when there is one."""
    variants: tuple[Point, ...] = ()
    """variants.json, when there is one."""
    bootstrap: int = 2000
    seed: int = 0
    """Of the bootstraps alone."""


def in_order(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return names once each: the known ones in their order, then the others by alphabet."""
    found = set(names)
    listed = [name for name in known if name in found]
    return listed + sorted(found - set(listed))


def arm_name(arm: str) -> str:
    return ARMS.get(arm, arm)


def pair_name(left: str, right: str) -> str:
    """Return a comparison in words; a control goes by its reflector alone: "ParamAgent − untrained"."""
    control = right.removeprefix(f"{left}.")
    other = arm_name(right) if control == right else REFLECTORS.get(control, control).lower()
    return f"{arm_name(left)} − {other}"


def pair_key(left: str, right: str) -> str:
    """Return key of a comparison in metrics.json: paramagent_vs_untrained, paramagent_plus_vs_dot_bank."""
    return f"{left}_vs_{right.removeprefix(left + '.')}".replace(".", "_")


def domains_of(inputs: ReportInputs) -> list[str]:
    return in_order((run.domain for run in inputs.runs), DOMAIN_NAMES)


def arms_of(runs: Iterable[Run]) -> list[str]:
    return in_order((run.arm for run in runs), ARMS)


def runs_of(inputs: ReportInputs, domain: str, arm: str | None = None, part: str = "eval") -> list[Run]:
    """Return the runs of a domain (and arm) on one slice."""
    return [r for r in inputs.runs if r.domain == domain and r.slice == part and arm in (None, r.arm)]
