"""How much of what labels say is right, by the part of a run that they were read from, in the pocket world.

    python -m experiments.label_truth [--model DIR] [--tasks N] [--domain NAME …]

Collects on train tasks in a folder of its own with all parts, and compares what each row claims with the answer key,
which no labeller saw. Nothing of it is trained on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from experiments.clones import ROOT
from parammem.checkout.places import Places
from parammem.config import Params, load_params
from parammem.core import AnswerKey, ReflectionExample, read_jsonl
from parammem.errors import ParamMemError
from parammem.stages import collect, tasks, validate
from parammem.stages.opening import open_domain
from parammem.stages.validate import QuarantinedRow

PARTS = ("hindsight", "failure", "contrast")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments.label_truth")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "pocket-1m", help="the agent and labeller")
    parser.add_argument("--tasks", type=int, default=100, help="train tasks of each domain")
    parser.add_argument("--domain", nargs="+", default=["code", "math", "qa"])
    given = parser.parse_args(arguments)
    try:
        print("| domain | part | rows | claims a row | right | of those that no check showed | set aside |")
        print("|---|---|---:|---:|---:|---:|---:|")
        for domain in given.domain:
            with tempfile.TemporaryDirectory(prefix="parammem-labels-") as folder:
                print(*measured(Path(folder), given.model.resolve(), given.tasks, domain), sep="\n", flush=True)
    except ParamMemError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def measured(root: Path, model: Path, count: int, domain: str) -> list[str]:
    """Return a line of the table for each part.

    Raises:
        ParamMemError: as the stages do.
    """
    params = _params(model, count)
    tasks.run(params, domain, root)
    collect.run(params, domain, root)
    validate.run(params, domain, root)
    places = Places(root, domain)
    keys = {key.task_id: key for key in read_jsonl(places.keys("train"), AnswerKey)}
    claims = open_domain(params, domain).prompts.hypotheses
    rows: dict[str, list[ReflectionExample]] = defaultdict(list)
    for row in read_jsonl(places.reflections, ReflectionExample):
        rows[row.part].append(row)
    aside: dict[str, int] = defaultdict(int)
    for item in read_jsonl(places.quarantine, QuarantinedRow):
        aside[item.row.part] += 1
    return [
        f"| {domain} | {part} | {len(rows[part])} | "
        + " | ".join(_shares((claims(row.reflection), keys[row.task_id]) for row in rows[part]))
        + f" | {aside[part]} |"
        for part in PARTS
        if rows[part]
    ]


def _params(model: Path, count: int) -> Params:
    params = load_params(ROOT / "params.yaml")
    return params.model_copy(
        update={
            "tasks": params.tasks.model_copy(update={"train": count}),
            "engine": params.engine.model_copy(update={"model": str(model)}),
            "collect": params.collect.model_copy(update={"parts": PARTS}),
            "validate_": params.validate_.model_copy(update={"min_rows": 1, "max_quarantined": 1.0}),
        }
    )


def _shares(said: Iterable[tuple[frozenset[str], AnswerKey]]) -> tuple[str, str, str]:
    """Return claims a row, the share of them that is right, and the same of what no visible check showed."""
    rows = made = right = hidden = hidden_right = 0
    for claims, key in said:
        rows += 1
        for claim in claims:
            name, _, value = claim.partition("=")
            made += 1
            right += key.facts.get(name) == value
            if name in key.facts and name not in key.tags["revealed"].split():
                hidden += 1
                hidden_right += key.facts[name] == value
    return f"{made / rows:.1f}", _share(right, made), f"{_share(hidden_right, hidden)} of {hidden}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


if __name__ == "__main__":
    raise SystemExit(main())
