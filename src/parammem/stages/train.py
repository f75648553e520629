"""train: the reflector of one domain, and adapters trained by the same recipe on rows that should teach nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from parammem import errors
from parammem.checkout.places import Places
from parammem.config import Params, load_params
from parammem.core import AnswerKey, ReflectionExample, read_jsonl
from parammem.core.domain_names import ENGLISH
from parammem.domains.conventions import claimed_in_order, worded
from parammem.engines.folders import named_model
from parammem.errors import AdapterError, ConfigError, ParamMemError
from parammem.experience.replay import replayed, select
from parammem.pocket.mixture import advice_text
from parammem.pocket.world import World
from parammem.stages.bound import bind_validation
from parammem.stages.contamination import verdict_on, write_verdict
from parammem.stages.opening import is_pocket, open_domain
from parammem.stages.rounds import earlier_rounds, retaught
from parammem.training.controls import shuffled
from parammem.training.distributed import Team, joined_team, launched
from parammem.training.launch import launch
from parammem.training.lora_sft import follow, train_lora
from parammem.training.order import split_held_out
from parammem.training.prepare import chosen_device
from parammem.training.warm_start import read_start

OTHER_WORLD = 1_000_003
"""Added to the world's seed."""


def run(params: Params, domain: str, root: Path = Path(".")) -> None:
    """Write models/reflectors/<domain>/ and models/controls/<domain>/<control>/. Raises as `train_lora` does.

    With `train.launch.processes`, that many processes do it together, which this one starts, unless they were started
    by hand: `accelerate launch --multi_gpu --num_processes N $(which parammem) stage train DOMAIN`.
    """
    wanted = params.train.launch
    if wanted.processes > 1 and launched() == 1:
        _launch(params, domain, root)
        return
    device = chosen_device(params.engine.device)
    with joined_team(wanted.processes, wanted.strategy, device) as team:
        if team.leads:
            _run(params, domain, root, team)
        else:
            follow(team, device)


def _run(params: Params, domain: str, root: Path, team: Team) -> None:
    """Do what the stage does; of several processes the first one alone does it.

    On real benchmarks the rows are first compared with the evaluation questions; contaminated rows stop the stage, and
    the verdict is stored beside the adapter. With several rounds, those before the last are among the controls, and
    each writes the next one's rows. After a kill nothing is trained twice: what was finished is taken from a
    cache, which ends with the stage.
    """
    places = Places(root, domain)
    rows = select(read_jsonl(places.validated, ReflectionExample), params.pool)
    start = starting_point(params, places)
    if start:
        learned, held = split_held_out(rows, params.train.held_out)  # what is held out is new to every adapter
        known = read_start(start, params.warm_start.adapters[domain]).rows
        rows = [*replayed(learned, known, params.warm_start), *held]
    prompts = open_domain(params, domain).prompts
    contamination = verdict_on(params, rows, places, prompts)
    for name in earlier_rounds(params):
        _train(params, rows, places.control(name), name, places, team)
        rows = retaught(params, rows, places.control(name), prompts, name, root)
        contamination = verdict_on(params, rows, places, prompts)
    _train(params, rows, places.reflector, "reflector", places, team)
    write_verdict(contamination, places.reflector)
    bind_validation(places.validation, places.reflector)
    places.control("").mkdir(parents=True, exist_ok=True)  # an out of the stage, also where there is no control
    for control in () if start else params.train.controls:  # controls belong to the one that starts from the base
        _train(params, control_rows(control, rows, places, params), places.control(control), control, places, team)
    shutil.rmtree(places.finished, ignore_errors=True)


def _launch(params: Params, domain: str, root: Path) -> None:
    """Start the stage's processes, and raise what ended one of them.

    Raises:
        AdapterError: a process was killed, or ended with an error that is none of the project's own.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "params.json"
        said.write_text(json.dumps(params.model_dump(mode="json", by_alias=True)), encoding="utf-8")
        code = launch(params.train.launch.processes, "parammem.stages.train", [str(said), domain, str(root)])
        notes = sorted(Path(folder).glob("error-*.json"))
        if notes:
            kind, text = json.loads(notes[0].read_text(encoding="utf-8"))
            raise getattr(errors, kind)(text)
    if code:
        raise AdapterError(
            f"the {params.train.launch.processes} processes of the training ended with exit code {code}; what they "
            "said stands above. Run the stage again: it goes on from the last checkpoint"
        )


def main() -> None:
    """Run one of the processes: `python -m parammem.stages.train PARAMS DOMAIN ROOT`, as `_launch` has it run."""
    said, domain, root = sys.argv[1:]
    try:
        run(load_params(said), domain, Path(root))
    except ParamMemError as error:
        note = Path(said).with_name(f"error-{os.environ.get('RANK', '0')}.json")
        note.write_text(json.dumps([type(error).__name__, str(error)]), encoding="utf-8")
        raise SystemExit(error.exit_code) from None


def starting_point(params: Params, places: Places) -> Path | None:
    """Return folder of the adapter that the reflector's training goes on from; None: it starts from the base.

    Raises:
        ConfigError: that does not go with what else params ask for.
    """
    digest = params.warm_start.adapters.get(places.domain, "")
    if not digest:
        return None
    if params.reflector.rounds > 1 or params.train.launch.processes > 1:
        raise ConfigError(
            f"warm_start.adapters names an adapter for {places.domain}, which goes with one round and one process; "
            "set reflector.rounds and train.launch.processes to 1, or take it out"
        )
    return places.start(digest)


def control_rows(
    control: str, rows: Sequence[ReflectionExample], places: Places, params: Params
) -> list[ReflectionExample]:
    """Return the rows of a control: as many as the reflector's, about the same tasks."""
    if control == "shuffled":
        return shuffled(rows, params.train.seed)
    if not is_pocket(params, places.domain):
        said = f"{control!r} is about pocket tasks, and {places.domain} has none"
        raise ConfigError(f"train.controls: {said}; take it out")
    keys = {key.task_id: key for key in read_jsonl(places.keys("train"), AnswerKey)}
    other = World(params.tasks.world + OTHER_WORLD, params.tasks.rho)
    return relabelled(rows, keys, other, params.kind(places.domain))


def relabelled(
    rows: Sequence[ReflectionExample], keys: Mapping[str, AnswerKey], world: World, domain_kind: str
) -> list[ReflectionExample]:
    """Return the same rows, naming the same conventions, as if they came from another world. Free of labelling errors,
    which flatters the control. Rows of tasks without a key are left out."""
    made = []
    for row in rows:
        if row.task_id not in keys:
            continue
        rng = random.Random(f"parammem/other/{world.seed}/{row.task_id}")
        kind = keys[row.task_id].tags["kind"]
        values = world.settle(rng, domain_kind, kind)
        choices = {name: values[name] for name in claimed_in_order(domain_kind, row.reflection)}
        advice = worded(domain_kind, choices) if domain_kind == ENGLISH else advice_text(kind, choices)
        made.append(row.model_copy(update={"reflection": advice}))
    return made


def _train(params: Params, rows: list[ReflectionExample], out: Path, name: str, places: Places, team: Team) -> None:
    model = named_model(params.reflector.base or params.engine.model, places.root)
    base = places.root / model
    train_lora(
        rows,
        open_domain(params, places.domain).prompts.advise,
        base if base.exists() else model,
        params.train,
        out,
        places.checkpoints(name),
        device=params.engine.device,
        dtype=params.engine.dtype,
        threads=params.train.threads,
        finished=places.finished,
        prompts="benchmarks" if params.benchmarks.sources else "",
        domain_kind="" if params.kind(places.domain) == places.domain else params.kind(places.domain),
        max_advice_tokens=params.engine.max_advice_tokens,
        team=team,
        start=starting_point(params, places) if name == "reflector" else None,
    )


if __name__ == "__main__":
    main()
