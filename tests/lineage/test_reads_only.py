"""Lineage reads and proves: it imports nothing that writes a ledger, a tag, a branch or a commit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src" / "parammem"
READING = {
    "parammem.checkout.dvc": {"cache_folder"},
    "parammem.checkout.git": {
        "Blobs", "GitCommit", "GitTag", "HISTORY", "ask", "blob_ids", "branches", "commits_of", "file_at",
        "has_commits", "tags", "tip",
    },
    "parammem.checkout.processes": {"run_guarded"},  # pip, for an environment of the audit's own
    "parammem.checkout": {"places"},
    "parammem.checkout.worktree": {"repro", "set_params", "worktree"},  # a rebuild's, which nobody else sees
    "parammem.registry.branch": {"ledgers_of"},
    "parammem.registry.environment": {"describe"},
    "parammem.registry.growth": {"check_growth"},
    "parammem.registry.join": {"common", "join", "merged", "missing"},
    "parammem.registry.tags": {"artifact", "commits_of_events", "wanted_tags"},
}  # fmt: skip
"""What lineage may use of the packages that also write."""
WATCHED = ("parammem.registry", "parammem.checkout")
PURE = tuple(
    f"parammem.checkout.{name}" for name in ("source_digests", "dvc_lock", "files", "hashes", "places", "snapshot")
)
"""Modules in which nothing writes."""
QUESTIONS = {"log", "ls-tree", "cat-file", "fsck", "for-each-ref", "rev-parse"}


def trespasses(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(WATCHED) and node.module not in PURE:
            allowed = READING.get(str(node.module), set())
            yield from (f"{node.module}.{name.name}" for name in node.names if name.name not in allowed)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "ask":
            words = [word.value for word in node.args[1:] if isinstance(word, ast.Constant)]
            if not words or words[0] not in QUESTIONS:
                yield f"git {words}"


def test_lineage_reads_only():
    found = {path.name: list(trespasses(path.read_text(encoding="utf-8"))) for path in ROOT.glob("lineage/**/*.py")}
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from parammem.registry import Ledger",
        "from parammem.registry.state import roll_back",
        "from parammem.checkout.git import commit",
        "from parammem.checkout import dvc",
        'ask(repo, "worktree", "add", tree)',
        "ask(repo, *words)",
    ],
)
def test_what_writes_is_seen(line):
    assert len(list(trespasses(line))) == 1
