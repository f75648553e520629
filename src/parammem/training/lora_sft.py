"""The recipe: LoRA fine-tuning of a causal language model on (task text, reflection) rows, through PEFT.

A loop of our own; docs/decisions.md ("Training loop") has the measurement against transformers' Trainer. Small models
take the fast forward of fast_forward.py, all others PEFT's own. The steps are in fit.py, what is written is in
publish.py, and distributed.py has the processes that train together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from parammem.config import TrainParams
from parammem.core import Adapter, ReflectionExample, digest_of
from parammem.engines.base import Message
from parammem.errors import AdapterError, ConfigError, DataError
from parammem.training.checkpoint import TrainingProgress
from parammem.training.distributed import ALONE, Team
from parammem.training.encoding import pad_id
from parammem.training.fast_forward import fits_fast_forward
from parammem.training.fit import OnStep, TrainingJob, fit, gathered, open_run
from parammem.training.order import split_held_out
from parammem.training.prepare import chosen_device, encode_rows, load_base, one_bar, own_settings, with_lora
from parammem.training.publish import Result, publish, written_name
from parammem.training.resume import code_version, copy_adapter, kept_adapter
from parammem.training.warm_start import go_on_from

SINCE = ("micro_batch", "group_by_length", "precision", "gradient_checkpointing", "launch")
"""Params that are younger than the first adapters. At their defaults a recipe does not name them: training that has not
changed goes on giving the same bytes."""


def train_lora(
    rows: Sequence[ReflectionExample],
    messages: Callable[[str], tuple[Message, ...]],
    base_model: Path | str,
    params: TrainParams,
    out: Path,
    checkpoints: Path,
    device: str = "auto",
    progress: bool = True,
    dtype: str = "float32",
    threads: int = 2,
    on_step: OnStep | None = None,
    finished: Path | None = None,
    fast: bool = True,
    prompts: str = "",
    team: Team = ALONE,
    start: Path | None = None,
    max_advice_tokens: int | None = None,
) -> Adapter:
    """Train an adapter and write its folder `out`, whole or not at all.

    Args:
        rows: of one domain. With `params.select`, that many diverse ones are learned.
        messages: the prompt for a task text (a domain's `advise`); the adapter is sampled with the same one.
        base_model: a Hugging Face folder, or a hub name.
        checkpoints: a folder outside every stage's outs, for runs that were killed.
        dtype: of the base weights, unless `params.precision` is bf16; the adapter is always trained in float32.
        threads: of the CPU; another number sums in another order and gives other bits.
        finished: a folder outside every stage's outs that keeps the adapter for a later call that would make the same.
        fast: allow the fast forward for models it fits. False: always PEFT's own.
        prompts: what `messages` words, where it is not the pocket world; `ParamMem.load` words them alike.
        team: the processes that train together; this one leads, the others are in `follow`.
        start: an adapter to go on from, in place of fresh weights. Its rows count as this adapter's too.
        max_advice_tokens: where advice ends in this run, for the card.

    Raises:
        ConfigError: params want another number of processes than there are.
        DataError: no rows, rows of several domains, or a row that cannot be encoded.
        EngineError: no such base model, or one that is not read.
        AdapterError: the loss or its gradient is not finite; or `start` does not fit the recipe.
    """
    learned, held = _parts(rows, params, team)
    kind = chosen_device(device)
    where, fast = team.device(kind), fast and team.size == 1
    ran = _ran(weights_dtype(params, dtype), threads, kind, prompts)
    with own_settings(where, params.seed, threads), one_bar():
        model, job, result = _open(learned, held, messages, base_model, params, ran, fast, start, max_advice_tokens)
        key = _name_of(job, result)
        kept = None if finished is None else Path(finished) / key
        if kept and (adapter := kept_adapter(kept)):
            copy_adapter(kept, Path(out))
            return adapter
        checkpoint = Path(checkpoints) / f"{key}.pt"
        run = open_run(model, team.tell(job), team, where)
        result = replace(result, progress=fit(run, checkpoint, progress, on_step), order=run.order())
        adapter = publish(run.model, result, kept or Path(out), gathered(run))
    if kept:
        copy_adapter(kept, Path(out))
    checkpoint.unlink(missing_ok=True)
    return adapter


def _ran(dtype: str, threads: int, kind: str, prompts: str) -> dict[str, Any]:
    """Return what a recipe says beside the params."""
    ran: dict[str, Any] = {"dtype": dtype, "threads": threads, "device": kind.split(":")[0]}
    return ran | ({"prompts": prompts} if prompts else {})


def _open(
    learned: list[ReflectionExample],
    held: list[ReflectionExample],
    messages: Callable[[str], tuple[Message, ...]],
    base_model: Path | str,
    params: TrainParams,
    ran: dict[str, Any],
    fast: bool,
    start: Path | None,
    max_advice_tokens: int | None,
) -> tuple[Any, TrainingJob, Result]:
    """Return the base model with an adapter to train, what is to be done, and what is known of the result before it
    is."""
    tokenizer, base, vetted = load_base(base_model, ran["dtype"])
    base_digest = vetted.digest
    train, aside = (encode_rows(part, messages, tokenizer, base) if part else [] for part in (learned, held))
    model = with_lora(base, params)
    before = go_on_from(model, start, params, base_digest) if start else None
    recipe = {**recipe_of(params), **ran} | ({"start": before.digest} if before else {})
    fast = fast and fits_fast_forward(model, params)
    pad, dtype, threads = pad_id(tokenizer), ran["dtype"], ran["threads"]
    job = TrainingJob(train, aside, params, pad, str(base_model), base_digest, dtype, threads, fast)
    domain, name = learned[0].domain, written_name(base_model)
    more: dict[str, Any] = {"base_extra": vetted.extra, "max_advice_tokens": max_advice_tokens}
    result = Result(domain, learned, len(held), name, base_digest, recipe, TrainingProgress(), **more)
    return model, job, replace(result, before=before.rows) if before else result


def follow(team: Team, device: str = "auto", on_step: OnStep | None = None) -> None:
    """Take part in every training that the team's leader begins, until it says that there are no more.

    Reads the base model, and writes nothing.

    Raises:
        AdapterError: this process has another base model than the leader; or as `train_lora`.
    """
    while (job := team.tell(None)) is not None:
        where = team.device(chosen_device(device))
        with own_settings(where, job.params.seed, job.threads), one_bar():
            _, base, vetted = load_base(job.base_model, job.dtype)
            if vetted.digest != job.base_digest:
                raise AdapterError(
                    f"process {team.rank} finds another base model at {job.base_model!r} than process 0 "
                    f"({vetted.digest[:16]}, not {job.base_digest[:16]}); give every machine the same files"
                )
            run = open_run(with_lora(base, job.params), job, team, where)
            fit(run, Path(), False, on_step)
            gathered(run)


def weights_dtype(params: TrainParams, dtype: str) -> str:
    """Return the dtype of the frozen weights: as the engine has them, or halved."""
    return "bfloat16" if params.precision == "bf16" else dtype


def recipe_of(params: TrainParams) -> dict[str, Any]:
    """Return every training param, but for young ones at their defaults."""
    said = params.model_dump(mode="json")
    unsaid = {key for key in SINCE if getattr(params, key) == TrainParams.model_fields[key].default}
    return {key: value for key, value in said.items() if key not in unsaid}


def _name_of(job: TrainingJob, result: Result) -> str:
    """Return digest of all that decides the adapter's bytes, so that no checkpoint and no finished adapter is taken up
    by another run."""
    tokens = [[row.ids, row.prompt] for row in (*job.train, *job.held)]
    provenance = [row.model_dump(mode="json") for row in result.rows]
    made_by = [result.base_model, result.base_digest, result.recipe, job.fast, code_version()]
    made_by += [result.base_extra, result.max_advice_tokens]
    return digest_of([tokens, provenance, made_by])[:24]


def _parts(
    rows: Sequence[ReflectionExample], params: TrainParams, team: Team
) -> tuple[list[ReflectionExample], list[ReflectionExample]]:
    """Return (rows to learn, rows held out). Raises ConfigError and DataError as `train_lora` says."""
    if params.launch.processes != team.size:
        raise ConfigError(
            f"train.launch.processes is {params.launch.processes} and {team.size} of them train; "
            "`parammem stage train` starts them all"
        )
    domains = sorted({row.domain for row in rows})
    if not domains:
        raise DataError("no rows to train on: the validated reflection data is empty; look at what `validate` kept")
    if len(domains) > 1:
        raise DataError(f"rows of several domains ({', '.join(domains)}); train one adapter per domain")
    learned, held = split_held_out(rows, params.held_out)
    return _select(learned, params), held


def _select(rows: list[ReflectionExample], params: TrainParams) -> list[ReflectionExample]:
    if not params.select or len(rows) <= params.select:
        return rows
    from parammem.embeddings import embed
    from parammem.training.selection import select_diverse

    vectors = embed([f"{row.task_text}\n{row.reflection}" for row in rows])
    return [rows[number] for number in select_diverse(vectors, params.select, params.seed)]
