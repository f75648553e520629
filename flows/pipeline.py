"""The DVC pipeline as the flows see it: its stages in order, what is stale, and one stage run at a time.

DVC is called as a command, so that a run is the same when a person starts it and when a schedule does. Depends on
nothing of Prefect, which puts this folder on the import path: no module here may be named like a package that others
import.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from parammem.checkout import dvc
from parammem.errors import DataError

Outcome = Literal["ran", "restored", "unchanged", "failed", "not run"]
"""restored: DVC's run-cache had the outputs. not run: a stage it depends on failed."""

CODE = "code"
"""The stage by which the others see that their sources changed."""
EDGE = re.compile(r'^"(?P<first>[^"]+)"(?: -> "(?P<second>[^"]+)")?;$')
EXITED = re.compile(r"failed to run: .*exited with (\d+)")


class StageResult(NamedTuple):
    """What became of one stage."""

    stage: str
    outcome: Outcome
    seconds: float = 0.0
    exit_code: int | None = None
    """The failed stage's own code (`dvc` itself always ends with 255), where DVC named it."""
    tail: tuple[str, ...] = ()
    """The last lines that it printed."""


def stages(root: Path) -> dict[str, set[str]]:
    """Return the pipeline of root/dvc.yaml: stage name → names of the stages it directly needs, dependencies first.

    Raises:
        DataError: DVC cannot read the pipeline.
    """
    names = set(dvc.ask(root, "stage", "list", "--name-only").split())
    graph: dict[str, set[str]] = {name: set() for name in sorted(names)}
    for line in dvc.ask(root, "dag", "--dot").splitlines():
        edge = EDGE.match(line.strip())
        if edge and edge["second"] in names and edge["first"] in names:
            graph[edge["second"]].add(edge["first"])
    return {name: graph[name] for name in TopologicalSorter(graph).static_order()}


def with_needs(graph: dict[str, set[str]], targets: list[str]) -> list[str]:
    """Return these stages and all that they need, in the graph's order.

    Raises:
        ValueError: there is no stage of that name.
    """
    unknown = sorted(set(targets) - set(graph))
    if unknown:
        raise ValueError(f"no stage {', '.join(unknown)} in dvc.yaml; there are: {', '.join(graph)}")
    found: set[str] = set()
    rest = list(targets)
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += graph[name]
    return [name for name in graph if name in found]


def stale(root: Path) -> set[str]:
    """Return names of the stages whose inputs, command or outputs changed. What depends on them may have to run too."""
    text = dvc.ask(root, "status", "--json")
    return set(json.loads(text) if text.strip() else {})


def metrics(root: Path) -> dict[str, float]:
    """Return all metrics as one flat table, e.g. {"code.reflexion.pass_rate": 0.33}; empty when there are none yet."""
    with contextlib.suppress(DataError, ValueError):
        found = json.loads(dvc.ask(root, "metrics", "show", "--json"))
        files = found.get("", {}).get("data", {})
        return {key: value for file in files.values() for key, value in flat(file.get("data", {}))}
    return {}


def flat(value: Any, prefix: str = "") -> list[tuple[str, float]]:
    """Return nested dicts of numbers as dotted keys."""
    if isinstance(value, dict):
        return [pair for key, inner in value.items() for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, value)] if isinstance(value, int | float) else []


def reproduce(stage: str, root: Path, say: Callable[[str], None]) -> StageResult:
    """Run this one stage if it has to run; `say` gets each line it prints. Never raises for a failing stage."""
    started = time.monotonic()
    # Waits for the lock: a person may be running dvc in the same folder.
    code, lines = dvc.run(root, "--wait-for-lock", "repro", "--single-item", stage, say=say)
    seconds = time.monotonic() - started
    if code:
        named = [match[1] for match in map(EXITED.search, lines) if match]
        return StageResult(stage, "failed", seconds, int(named[-1]) if named else None, tuple(lines))
    return StageResult(stage, outcome_of(stage, lines), seconds)


def outcome_of(stage: str, lines: list[str]) -> Outcome:
    """Read out of what `dvc repro` printed whether the stage ran."""
    if any(line.startswith(f"Stage '{stage}' is cached - skipping run") for line in lines):
        return "restored"
    if any(line.startswith(f"Stage '{stage}' didn't change, skipping") for line in lines):
        return "unchanged"
    return "ran"
