"""params.yaml → Params: one section per stage, every mistake reported at once, with the key and the fix.

Packages below never see Params: stages hand them plain typed arguments.
"""

from __future__ import annotations

import difflib
import types
import typing
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator

from parammem.core.domain_names import BUILT_IN, USUAL_KINDS
from parammem.core.words import count
from parammem.domain_params import BenchmarksParams, DomainName, DomainParams, Domains, TasksParams
from parammem.errors import ConfigError
from parammem.live_params import EnvironmentName, LiveGateParams, ServiceParams
from parammem.overlays import read_raw
from parammem.sections import UNSHOWN, RayParams, Section, ServerParams, TrainParams

LONGEST_SHOWN = 200
"""Characters of a wrong value in a message."""


class ReflectorParams(Section):
    """What ParamMem is made from, where that is not the agent's own model and one round."""

    base: str = ""
    """Model that the adapters are trained on, e.g. a smaller one (weak-to-strong). Empty: `engine.model`."""
    rounds: int = Field(ge=1, default=1)
    """Rounds of self-teaching: in each after the first, the last round's adapter labels the train tasks anew."""


class EngineParams(Section):
    """The model behind actor, self-reflection and labels."""

    kind: Literal["hf", "openai"] = "hf"
    """hf: the model is run here; openai: a server has it under the name `model`."""
    model: str
    """A Hugging Face folder, or a pin: a file that names a model of the hub and its commit (engines/folders.py)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch: int = Field(ge=1)
    """Sequences that are decoded together, at most."""
    batch_tokens: int = Field(ge=0, default=0)
    """Tokens of their prompts and answers, at most: what bounds the memory. 0: no bound but `batch`."""
    max_new_tokens: int = Field(ge=1)
    max_advice_tokens: int = Field(ge=1)
    stop: tuple[str, ...] = ()
    """An attempt ends before the first of these. A small model explains its program at length after it."""
    cache: str = ".cache/completions"
    """Folder of the completion cache, outside every stage's outs. Empty: no cache."""
    server: ServerParams | None = None
    """For the kind openai."""
    ray: RayParams | None = None
    """Spread the tasks over a Ray cluster, whose shards each open engine and sandbox of their own. None: all here."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> EngineParams:
        if self.kind == "openai" and self.server is None:
            raise ValueError("kind is openai, so server is needed; give server.base_url at least")
        return self


class SandboxParams(Section):
    """How untrusted code is run."""

    workers: int = Field(ge=1)
    wall_seconds: float = Field(gt=0)
    cpu_seconds: float = Field(gt=0)
    memory_mb: int = Field(ge=64)
    output_mb: int = Field(default=16, ge=1, le=256)
    """What a candidate may print."""
    value_mb: int = Field(default=16, ge=1, le=256)
    """How large a value a call of it may return, as it is sent."""
    level: Literal["strict", "none"] = "strict"
    """none runs model output with this account's full rights; every report then says so."""


class AgentParams(Section):
    """The reflection loop. Temperatures: the paper's 0.2 in the first iteration and 1.0 after it."""

    iterations: int = Field(ge=1)
    first_temperature: float = Field(ge=0)
    later_temperature: float = Field(ge=0)
    reflector_temperature: float = Field(ge=0)
    examples: int = Field(ge=0)
    """Bank entries shown to the actor by the methods that use the bank."""
    max_failed_share: float = Field(ge=0, le=1)
    """A stage fails when a larger share of its tasks ended in an exception."""


class CollectParams(Section):
    """Experience on train tasks, and how reflections are labelled."""

    method: str
    trajectories: int = Field(ge=1)
    """Runs of the method per train task, with seeds of their own."""
    seed: int
    label: Literal["experience", "teacher", "self", "task-only"]
    outcome: Literal["final", "visible"]
    """What counts as success for `experience`: the final verdict on train tasks, or the visible checks alone."""
    parts: tuple[Literal["in_context", "hindsight", "failure", "contrast", "task"], ...] = ("hindsight",)
    """Which texts become rows for `experience`: of a success the advice it had and the hindsight, of a failure what
    went wrong, of both what the one did that the other did not, and of the task alone what `task-only` asks."""
    teacher: str = ""
    """Model folder of the labeller for `teacher`; for all others but `self` in place of the agent's own model."""
    experience_dir: str = "data/experience"


class ValidateParams(Section):
    """Rules for reflection rows."""

    min_rows: int = Field(ge=1)
    min_words: int = Field(ge=1)
    max_words: int = Field(ge=1)
    max_task_words: int = Field(ge=1)
    near_duplicate: float = Field(gt=0, le=1)
    """Jaccard similarity of word 3-shingles from which on two rows, or a row and an evaluation task, are the same."""
    max_quarantined: float = Field(ge=0, le=1)
    """The stage fails when a larger share of the rows had to be quarantined."""
    allow_code: bool = False
    """Reflections may hold programs: the paper's pitfalls show flawed ones."""
    max_copied: int = Field(ge=0, default=0)
    """Longest run of words that a reflection may share with its task; 0 lets it follow from `max_words`."""
    max_shift: float = Field(gt=0, le=1, default=0.5)
    """A new batch is set aside when the distribution of its lengths is so far from all earlier rows'; 1: never."""


class EvaluateParams(Section):
    """Methods compared at equal budget."""

    protocol: Literal["strict", "two-phase", "oracle", "released-code"]
    also: tuple[Literal["strict", "two-phase", "oracle", "released-code"], ...] = ()
    """Further protocols that the same methods run under, for the table that sets them side by side."""
    methods: tuple[str, ...]
    seed: int
    advice_draws: int = Field(ge=1)
    """Draws per task for advice accuracy and diversity."""
    draw_tasks: int = Field(ge=0, default=0)
    """How many evaluation tasks those draws are made for, the first ones; 0: all."""
    temperatures: tuple[float, ...]
    """Reflector temperatures of the diversity and success curve."""
    curve_tasks: int = Field(ge=0)
    """How many evaluation tasks that curve uses; 0 leaves it out."""
    bootstrap: int = Field(ge=100)


class TrackingParams(Section):
    """Weights & Biases."""

    mode: Literal["auto", "offline", "online", "off"]
    """auto: online when an API key is set, offline otherwise."""
    project: str = Field(min_length=1, max_length=128)

    @field_validator("project")
    @classmethod
    def _is_a_name(cls, project: str) -> str:
        if strange := sorted(set(project) & set("/\\#?%:")):
            raise ValueError(f"W&B takes no {' '.join(strange)} in the name of a project; leave it out")
        return project


class ExperienceParams(Section):
    """Experience that comes in (`parammem ingest`)."""

    inbox: str = "data/inbox"
    """Folder that agents drop files and reports into."""
    fresh_share: float = Field(ge=0, lt=1, default=0.2)
    """Share of tasks that is kept for judging champion and challenger, by a hash of the task. Never trained on."""
    domain: DomainName | Literal[""] = ""
    """Domain of rows that do not name theirs; empty: they are refused."""


class PoolParams(Section):
    """Which validated rows are learned from when experience piles up. 0 turns a limit off."""

    max_rows: int = Field(ge=0, default=0)
    """Rows of a domain, in all."""
    max_source_share: float = Field(ge=0, le=1, default=0)
    """Largest share of the pool that one experience batch may have."""
    half_life: float = Field(ge=0, default=0)
    """Batches after which a row's chance to stay is halved."""
    min_anchor_share: float = Field(ge=0, le=1, default=0)
    """Smallest share of rows that were collected here, and not brought in, as long as there are enough of them."""
    seed: int = 13


class WarmStartParams(Section):
    """Training on from an adapter, with what is new to it and a share of what it knew."""

    adapters: dict[str, str] = {}
    """Domain → digest of the adapter that `train` goes on from; in .cache/champions. Others start from the base.
    `improve` fills this in where it makes its second challenger."""
    replay: float = Field(ge=0, lt=1, default=0.5)
    """Share of rows that the adapter had learned before, among those that it is trained on now."""
    seed: int = 17
    """Decides which."""


class GateParams(Section):
    """When a challenger takes the champion's place (docs/continual.md)."""

    alpha: float = Field(gt=0, lt=1, default=0.05)
    """Chance of any false promotion over a reflector's whole life."""
    effect: float = Field(gt=0, le=0.5, default=0.12)
    """The gain that is worth finding: how far above one half the challenger's share of wins lies, among the tasks on
    which it and the champion differ (Cohen's g). Power is stated for it."""
    anchor_margin: float = Field(ge=0, lt=1, default=0.05)
    """How much worse the challenger may be on the anchor slice."""
    fresh_margin: float = Field(ge=0, lt=1, default=0.05)
    """The same on the fresh slice."""
    min_power: float = Field(ge=0, lt=1, default=0.2)
    """A look with less power than this is paid from the budget's small reserve, so only a strong result promotes."""
    max_token_ratio: float = Field(gt=0, default=1.5)
    """Most tokens per task that the challenger may need, as a multiple of the champion's."""
    min_diversity_ratio: float = Field(ge=0, default=0.5)
    """Least distinct advice per task that it must give, as a share of the champion's; not asked of a first one."""
    min_distinct: float = Field(ge=0, default=1.2)
    """Least distinct advice per task of any challenger, also of the first: at 1 all draws for a task say the same."""
    runs: int = Field(ge=1, default=1)
    """Runs of every arm on every task, with seeds of their own."""
    fresh_tasks: int = Field(ge=0, default=200)
    """The newest so many tasks of the fresh slice are used."""
    live: LiveGateParams = LiveGateParams()
    accept_imported: bool = False
    """Let imported adapters pass the guards about rows, which cannot be known of them."""


class ImproveParams(Section):
    """When a turn of self-improvement trains, and what it rebuilds (docs/continual.md)."""

    branch: str = "improve"
    """Git branch that automation commits to."""
    min_new_rows: int = Field(ge=1, default=100)
    """New, unique rows of a domain since its last training that are reason enough."""
    max_hours: float = Field(ge=0, default=168)
    """Hours since the last training after which any new row is; 0: time is no reason."""
    drift_points: float = Field(ge=0, le=1, default=0.15)
    """Change of the share of good outcomes that counts as drift, if it is no chance; 0: drift is no reason."""
    drift_rows: int = Field(ge=1, default=40)
    """Fewest new rows with an outcome in which drift is looked for."""
    stages: tuple[str, ...] = ("report",)
    """Stages of dvc.yaml that are brought up to date, with all that they need. `train` stands for the due domains'."""
    wait_seconds: float = Field(ge=0, default=3600)
    """How long a turn waits for another one to end."""
    warm_start: bool = False
    """Judge a second challenger, trained on from the champion, beside the one retrained from the base."""
    notify: tuple[EnvironmentName, ...] = ()
    """Environment variables that hold Apprise addresses: who is told of promotions, refusals, rollbacks and failures.
    Names, since the addresses hold secrets and params.yaml is in git."""


class Params(Section):
    """All of params.yaml."""

    domains: Domains
    """The domains that `report` puts together, in its order; each has its stages in dvc.yaml. A list of kinds, or a
    mapping from names to kinds and options."""
    tasks: TasksParams
    engine: EngineParams
    sandbox: SandboxParams
    agent: AgentParams
    collect: CollectParams
    validate_: ValidateParams = Field(alias="validate")
    train: TrainParams
    evaluate: EvaluateParams
    tracking: TrackingParams
    benchmarks: BenchmarksParams = Field(default_factory=BenchmarksParams)
    reflector: ReflectorParams = Field(default_factory=ReflectorParams)
    experience: ExperienceParams = Field(default_factory=ExperienceParams)
    pool: PoolParams = Field(default_factory=PoolParams)
    warm_start: WarmStartParams = Field(default_factory=WarmStartParams)
    gate: GateParams = Field(default_factory=GateParams)
    improve: ImproveParams = Field(default_factory=ImproveParams)
    service: ServiceParams = Field(default_factory=ServiceParams)

    @model_validator(mode="after")
    def _names_known_domains(self) -> Params:
        named = [(f"benchmarks.sources.{i}.domain", one.domain) for i, one in enumerate(self.benchmarks.sources)]
        named += [("experience.domain", self.experience.domain or next(iter(self.domains)))]
        named += [(f"warm_start.adapters.{name}", name) for name in self.warm_start.adapters]
        wrong = [(place, name) for place, name in named if name not in self.domains and name not in BUILT_IN]
        if wrong:
            said = "; ".join(f"{place}: no domain is called {name!r}" for place, name in wrong)
            raise ValueError(f"{said}; there are {', '.join(self.domains)}")
        return self

    def kinds(self) -> dict[str, str]:
        """Return name → kind of all domains, and of the built-in ones that `domains` does not name."""
        return dict(USUAL_KINDS) | {name: one.kind for name, one in self.domains.items()}

    def passes_at(self) -> dict[str, float]:
        """Return domain → least value of an outcome that passes, of those domains that say it."""
        return {name: one.passes_at for name, one in self.domains.items() if "passes_at" in one.model_fields_set}

    def kind(self, domain: str) -> str:
        """Return the kind of a domain: that which `domains` says, or else its name. Raises ConfigError: neither."""
        if domain in self.domains:
            return self.domains[domain].kind
        if domain in BUILT_IN:
            return domain
        raise ConfigError(f"no domain {domain!r} in params.yaml; there are {', '.join(self.domains)}")


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read params.yaml, or a profile, which is laid over it.

    Raises:
        ConfigError: names every wrong key at once, with what it should be.
    """
    return parse_params(read_raw(Path(path)), str(path))


def read_mapping(path: Path | str) -> dict[str, Any]:
    """Return the mapping in a YAML file that people write, unchecked: params.yaml, a plan. Raises ConfigError: it
    cannot be read, or holds something else."""
    raw = read_raw(Path(path))
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no mapping of names to values; mend it and run again")
    return raw


def domains_in(path: Path | str) -> dict[str, DomainParams]:
    """Return the domains of a params file, in its order, whatever else is wrong with it; none if it cannot be read."""
    try:
        return TypeAdapter(Domains).validate_python(read_raw(Path(path)).get("domains"))
    except (ConfigError, ValidationError, AttributeError):
        return {}


def kinds_in(path: Path | str) -> dict[str, str]:
    """Return the kind of each domain of a params file, as `domains_in`."""
    return {name: one.kind for name, one in domains_in(path).items()}


def parse_params(raw: Any, name: str = "params.yaml") -> Params:
    """Return params from plain data. Raises ConfigError as `load_params` does."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(item, raw) for item in error.errors(include_url=False)]
        listing = "\n".join(f"  - {line}" for line in lines)
        raise ConfigError(f"{name} has {count(len(lines), 'mistake')}:\n{listing}") from None


def _explain(item: Any, raw: Any) -> str:
    """Return one mistake as 'key: what is wrong; fix'."""
    place = ".".join(str(part) for part in item["loc"] if part != "[key]")
    if item["type"] == "extra_forbidden":
        known = _known_keys(item["loc"][:-1])
        near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        return f"{place}: unknown key; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}")
    if item["type"] == "missing":
        return f"{place}: missing; add it"
    said = str(item["msg"]).removeprefix("Value error, ")
    if not place:  # it concerns several sections, which it names
        return said
    return f"{place}: {said}" + ("" if UNSHOWN in said else f" (it is {shown(item['input'])})")


def shown(value: Any) -> str:
    """Return a wrong value for a message, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number too long to show"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def inner_section(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, if it holds one, or one or None; not those in a list or a dict."""
    kinds = typing.get_args(annotation) if typing.get_origin(annotation) is types.UnionType else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _known_keys(place: tuple[Any, ...]) -> list[str]:
    section: Any = Params
    within = False
    for part in place:
        if within:  # a name of a user's choice, or a number in a list
            within = False
            continue
        field = next((f for n, f in section.model_fields.items() if (f.alias or n) == part), None)
        if field is None:
            return []
        section = inner_section(field.annotation)
        if section is None:
            within = True
            section = next(filter(None, map(inner_section, typing.get_args(field.annotation))), None)
        if section is None:
            return []
    return [field.alias or key for key, field in section.model_fields.items()]
