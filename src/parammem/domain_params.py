"""Which domains there are (`domains` of params.yaml), of which kind, with which options; and where tasks of the kinds
code, math and qa come from.

A list names domains whose kind is their name. A mapping gives each name a kind: `support: {kind: open, agent: {…}}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from parammem.core.domain_names import KINDS, check_distinct, checked_name, kind_of_name
from parammem.sections import Section, checked_url

DomainName = Annotated[str, AfterValidator(checked_name)]
Kind = Literal["code", "math", "qa", "english", "open"]
_ENTRY = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


class ProgramParams(Section):
    """A program of the user's, by exactly one of `command`, `url` and `entry`. It is trusted: it runs with this
    account's rights, outside the sandbox."""

    command: tuple[str, ...] = ()
    """Program and arguments. One JSON object on its standard input, one on its standard output."""
    url: str = ""
    """Address that one JSON object is posted to; the body of the response is one."""
    entry: str = ""
    """Python function as `package.module:function`, called with one dictionary; it returns one."""
    timeout_seconds: float = Field(gt=0, default=300, allow_inf_nan=False)
    """For one call."""
    retries: int = Field(ge=0, default=1)
    """Further calls after one that ended without an answer."""
    concurrency: int = Field(ge=1, default=4)
    """Calls at the same time."""
    budget_calls: int = Field(ge=0, default=0)
    """Calls of one stage, retries included; 0: no limit. What is left over is recorded as not run."""
    output_mb: int = Field(ge=1, le=256, default=16)
    """The longest answer."""

    @field_validator("command", mode="before")
    @classmethod
    def _is_a_list(cls, command: Any) -> Any:
        if isinstance(command, str):
            raise ValueError("give a list of program and arguments, such as [python, agent.py]")
        return command

    @model_validator(mode="after")
    def _is_one_program(self) -> ProgramParams:
        given = [name for name in ("command", "url", "entry") if getattr(self, name)]
        if len(given) != 1:
            said = f"it has {' and '.join(given)}" if given else "it has none"
            raise ValueError(f"give exactly one of command, url and entry; {said}")
        if self.entry and not _ENTRY.fullmatch(self.entry):
            raise ValueError("entry: give `package.module:function`")
        if self.url:
            checked_url(self.url)
        return self


class DomainParams(Section):
    """One domain."""

    kind: Kind
    agent: ProgramParams | None = None
    """open: the user's own agent. Takes {task, advice, seed}, returns {task_id, steps, answer, outcome}."""
    judge: ProgramParams | None = None
    """open: decides how an answer turned out. Takes {task, answer}, returns {outcome}."""
    passes_at: float = Field(gt=0, le=1, default=1.0)
    """open: the least value of an outcome that counts as passed, where the outcome does not say it itself."""
    held_out: float = Field(ge=0, lt=1, default=0.2)
    """open: share of the tasks in data/tasks-in that is kept for evaluation, by a hash of the task."""

    @model_validator(mode="after")
    def _has_options_of_its_kind(self) -> DomainParams:
        plain = DomainParams.model_construct(kind=self.kind)
        changed = [name for name in DomainParams.model_fields if getattr(self, name) != getattr(plain, name)]
        strange = changed if self.kind != "open" else []
        if strange:
            raise ValueError(f"{' and '.join(strange)}: only a domain of kind open has this; take it out")
        if self.judge and self.judge.url:
            raise ValueError("judge: give a command or an entry; an address is for agents")
        return self


def _as_mapping(given: Any) -> Any:
    """Return a mapping from names to sections, also where a list of names was given. Raises ValueError: it is neither,
    is empty, or has two names that are one."""
    if isinstance(given, list | tuple):
        if not all(isinstance(name, str) for name in given):
            raise ValueError("give a list of names, or a mapping from names to {kind: …}")
        doubled = sorted({name for name in given if given.count(name) > 1})
        if doubled:
            raise ValueError(f"the domain {doubled[0]!r} is there twice; take one out")
        check_distinct(given)
        given = {name: {"kind": kind_of_name(checked_name(name))} for name in given}
    if not isinstance(given, Mapping) or not given:
        raise ValueError("give a list of names, or a mapping from names to {kind: …}, with at least one domain")
    for name, said in given.items():
        if not isinstance(name, str):
            raise ValueError(f"the name {name!r} is no text in YAML; put it in quotation marks, or choose another")
        if not isinstance(said, Mapping | DomainParams):
            raise ValueError(f"{name}: a domain is a mapping; write `{name}: {{kind: …}}` (kinds: {', '.join(KINDS)})")
    check_distinct(given)
    return given


Domains = Annotated[
    dict[DomainName, DomainParams],
    BeforeValidator(_as_mapping, json_schema_input_type=dict[DomainName, DomainParams] | list[DomainName]),
]


class TasksParams(Section):
    """Pocket tasks of one world."""

    world: int = Field(ge=0)
    """Seed of the world: which convention holds for which kind of quantity, and every random draw of its tasks."""
    rho: float = Field(ge=0, le=1)
    """Strength of the regularities: a task's convention follows its kind with this probability, else it is drawn."""
    train: int = Field(ge=1)
    bank: int = Field(ge=0)
    eval: int = Field(ge=1)
    unseen: int = Field(ge=0)
    """Further evaluation tasks about a kind of quantity that no train or bank task is about."""


class SourceParams(Section):
    """Where real tasks of one split come from (docs/benchmarks.md)."""

    domain: DomainName
    split: Literal["train", "bank", "eval"]
    benchmark: str
    """humaneval, mbpp, livecodebench, apps, problems, math, gsm8k, hotpotqa or 2wiki."""
    path: str = ""
    """File or folder in the original format, seen from data/benchmarks. Empty: the hub."""
    hub: str = ""
    """Data set of the hub; empty: the benchmark's usual one."""
    config: str = ""
    hub_split: str = ""
    revision: str = ""
    """Commit of the data set. A branch is taken too; then the commit found is written beside the tasks."""
    files: str = ""
    """Data files to read, for data sets that are not in the hub's own format."""
    where: dict[str, str] = {}
    """Tag → value that a task must have, e.g. {part: test} or {level: introductory}."""
    take: int = Field(ge=0, default=0)
    """How many; 0 takes all."""
    balance: str = ""
    """Tag over whose values these are spread evenly, e.g. type or level."""


class BenchmarksParams(Section):
    """Real benchmarks in place of pocket tasks."""

    sources: tuple[SourceParams, ...] = ()
    """Empty: pocket tasks."""
    seed: int = 0
    """Of the sampling."""
    ngram: int = Field(ge=2, default=13)
    """A training text that shares so many consecutive words with an evaluation question is contaminated."""
    near_duplicate: float = Field(gt=0, le=1, default=0.8)
    """So is one that shares this much of its word 3-shingles."""
    contaminated_rows: int = Field(ge=0, default=0)
    """Training is refused when more reflection rows than this are contaminated."""
