"""One noun, one name: no class and no module has the name of another one that is a different thing.

A name that is repeated stands in a table below, with why it is the same thing everywhere. Names that begin with an
underscore are a module's own and may repeat; so may `__init__` and `__main__`.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src/parammem", "flows", "experiments")

CLASSES = {
    "Fault": "a line of the ledger that does not hold; the audit reads the ledger without the registry's code",
}
_DOMAIN = "everything about the domain of that name: its tasks and judge, its benchmarks, its part of the pocket world"
_COMMAND = "the command or flow of that name, which calls the package that does the work"
_STAGE = "the stage of that name, which calls the package that does the work"
MODULES = {
    "base": "the protocol that the other modules of the package implement",
    "branch": "automation's git branch: improve writes it, registry reads it",
    "code": _DOMAIN,
    "math": _DOMAIN,
    "qa": _DOMAIN,
    "english": _DOMAIN,
    "claude_code": "Claude Code: the reader of its logs, and its hooks",
    "contamination": _STAGE,
    "report": _STAGE,
    "validate": _STAGE,
    "environment": "the Python environment of an adapter: the registry records it, a rebuild makes it again",
    "evidence": "the evidence of a gate's decision: the gate makes it, the audit checks it",
    "grade": _COMMAND,
    "improve": _COMMAND,
    "ingest": _COMMAND,
    "rebuild": _COMMAND,
    "serve": _COMMAND,
    "labels": "the advice that a training row is labelled with: agents write it, validation checks it",
    "methods": "the paper's methods: agents run them, evaluation compares them",
    "protocols": "the evaluation protocols: stages run them, evaluation names them",
    "probe": "the command, and the part of the stages that it calls",
    "recall": "the recall of a batch: lineage plans and proves it, improve carries it out",
    "run": "carries out the whole of its package",
    "study": "the study of label noise: experiments run it, evaluation draws its results",
    "trusted": "trusted tests of a task: the sandbox defines them, stages read them",
    "uptake": "the command, the part of the stages that it calls, and the measure itself",
    "variants": "variants of the training: experiments run them, evaluation draws their results",
    "worker": "what runs in a worker process: of the sandbox's pool, or of a Ray cluster",
}


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def classes() -> dict[str, list[str]]:
    """Class name → the modules that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def modules() -> dict[str, list[str]]:
    """Module name → the files that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        if not path.stem.startswith("__"):
            found[path.stem].append(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize(("named", "allowed"), [(classes, CLASSES), (modules, MODULES)], ids=["classes", "modules"])
def test_no_name_means_two_things(named, allowed):
    repeated = {name: places for name, places in named().items() if len(places) > 1}
    new = {name: places for name, places in repeated.items() if name not in allowed}
    assert not new, f"rename the less central one, or say in the table why they are the same thing: {new}"


@pytest.mark.parametrize(("named", "allowed"), [(classes, CLASSES), (modules, MODULES)], ids=["classes", "modules"])
def test_the_tables_hold_only_names_that_are_repeated(named, allowed):
    found = named()
    assert [name for name in allowed if len(found[name]) < 2] == []
