"""Nothing that comes with a model or a data set is ever run: every call that could says so in its own words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "flows", "experiments", "benchmarks", "pocket", ".ci")
SAYS = {
    "from_pretrained": ("trust_remote_code", False),
    "from_config": ("trust_remote_code", False),
    "load_dataset": ("trust_remote_code", False),
    "load_dataset_builder": ("trust_remote_code", False),
    "SentenceTransformer": ("trust_remote_code", False),
    "CrossEncoder": ("trust_remote_code", False),
    "pipeline": ("trust_remote_code", False),
    "torch.load": ("weights_only", True),
}
NO_CODE = {"PeftModel.from_pretrained"}
"""PEFT runs no code of an adapter and takes no such argument; engines/adapters.py looks at what it reads."""
OWN_PICKLES = {
    "src/parammem/benchmarks/private_tests.py": "builds plain values and looks up no name",
    "src/parammem/stages/ray/pickling.py": "from machine to machine of one's own Ray cluster",
}


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsaid(text: str) -> Iterator[str]:
    """Calls that do not say that nothing is to be run."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        key = "torch.load" if name == "torch.load" else name.rpartition(".")[2]
        if key not in SAYS or name in NO_CODE:
            continue
        word, value = SAYS[key]
        said = [one.value for one in node.keywords if one.arg == word]
        if not (said and isinstance(said[0], ast.Constant) and said[0].value is value):
            yield f"line {node.lineno}: {name} without {word}={value}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_call_that_loads_says_that_nothing_is_run(path):
    assert list(unsaid(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "AutoModel.from_pretrained(x)",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
        "AutoModel.from_pretrained(x, trust_remote_code=given)",
        "AutoModel.from_pretrained(x, **named)",
        "load_dataset('x')",
        "datasets.load_dataset('x', trust_remote_code=None)",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "SentenceTransformer('x')",
    ],
)
def test_the_check_sees_calls_that_do_not(line):
    assert len(list(unsaid(line))) == 1


def test_the_check_finds_the_calls_that_there_are():
    found = [path for path in sources() if "from_pretrained(" in path.read_text() or "torch.load(" in path.read_text()]
    assert len(found) >= 5


def test_pickles_are_read_only_where_they_are_our_own():
    readers = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                if {name.partition(".")[0] for name in names} & {"pickle", "cloudpickle", "dill", "joblib", "shelve"}:
                    readers.add(str(path.relative_to(ROOT)))
    assert readers == set(OWN_PICKLES)
