"""train: the reflector of one domain, and adapters trained by the same recipe on rows that should teach nothing."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from parammem.config import Params
from parammem.core import AnswerKey, ReflectionExample, read_jsonl
from parammem.domains.conventions import parse_claims
from parammem.experience.pool import select
from parammem.pocket.mixture import advice_text
from parammem.pocket.world import World
from parammem.stages.contamination import verdict_on, write_verdict
from parammem.stages.opening import open_domain
from parammem.stages.places import Places
from parammem.stages.rounds import earlier_rounds, retaught
from parammem.training.controls import shuffled
from parammem.training.lora_sft import train_lora

OTHER_WORLD = 1_000_003
"""Added to the world's seed."""


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Writes models/reflectors/<domain>/ and models/controls/<domain>/<control>/. Raises as `train_lora` does.

    On real benchmarks the rows are first compared with the evaluation questions; contaminated rows stop the stage, and
    the verdict lies beside the adapter. With several rounds, those before the last lie among the controls, and each
    writes the next one's rows. After a kill nothing is trained twice: what was finished is taken from a
    cache, which ends with the stage.
    """
    places = Places(root, domain)
    rows = select(read_jsonl(places.validated, ReflectionExample), params.pool)
    judge = open_domain(params, domain)
    contamination = verdict_on(params, rows, places, judge)
    for name in earlier_rounds(params):
        _train(params, rows, places.control(name), name, places)
        rows = retaught(params, rows, places.control(name), judge, name, root)
        contamination = verdict_on(params, rows, places, judge)
    _train(params, rows, places.reflector, "reflector", places)
    write_verdict(contamination, places.reflector)
    places.control("").mkdir(parents=True, exist_ok=True)  # an out of the stage, also where there is no control
    for control in params.train.controls:
        _train(params, control_rows(control, rows, places, params), places.control(control), control, places)
    shutil.rmtree(places.finished, ignore_errors=True)


def control_rows(
    control: str, rows: Sequence[ReflectionExample], places: Places, params: Params
) -> list[ReflectionExample]:
    """The rows of a control: as many as the reflector's, about the same tasks."""
    if control == "shuffled":
        return shuffled(rows, params.train.seed)
    keys = {key.task_id: key for key in read_jsonl(places.keys("train"), AnswerKey)}
    other = World(params.tasks.world + OTHER_WORLD, params.tasks.rho)
    return relabelled(rows, keys, other)


def relabelled(
    rows: Sequence[ReflectionExample], keys: Mapping[str, AnswerKey], world: World
) -> list[ReflectionExample]:
    """The same rows, naming the same conventions, as if they came from another world. Free of labelling errors,
    which flatters the control. Rows of tasks without a key are left out."""
    made = []
    for row in rows:
        if row.task_id not in keys:
            continue
        rng = random.Random(f"parammem/other/{world.seed}/{row.task_id}")
        kind = keys[row.task_id].tags["kind"]
        values = world.settle(rng, row.domain, kind)
        said = [claim.split("=")[0] for claim in _in_order(row)]
        made.append(row.model_copy(update={"reflection": advice_text(kind, {name: values[name] for name in said})}))
    return made


def _in_order(row: ReflectionExample) -> list[str]:
    """The claims of a row in the order in which it makes them."""
    return sorted(
        parse_claims(row.domain, row.reflection), key=lambda claim: row.reflection.find(claim.replace("=", " "))
    )


def _train(params: Params, rows: list[ReflectionExample], out: Path, name: str, places: Places) -> None:
    model = params.reflector.base or params.engine.model
    base = places.root / model
    train_lora(
        rows,
        open_domain(params, places.domain).advise,
        base if base.exists() else model,
        params.train,
        out,
        places.checkpoints(name),
        device=params.engine.device,
        dtype=params.engine.dtype,
        threads=params.train.threads,
        finished=places.finished,
        prompts="benchmarks" if params.benchmarks.sources else "",
    )
